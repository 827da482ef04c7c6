"""Indicators from a library: TA-Lib where it is installed, else talipp. Neither is imported before an indicator is asked for."""

import importlib.util
from decimal import Decimal

import attrs

from tradekit.domain.errors import ConfigurationError
from tradekit.ports.indicators import Computation

__all__ = ["Indicators", "installed"]

FIX = "install the extra: pip install 'tradekit[indicators]'"
LIBRARIES = ("talib", "talipp")


def installed() -> str:
    """The library that will be used, ``talib`` or ``talipp``; empty when there is none."""
    return next((name for name in LIBRARIES if importlib.util.find_spec(name) is not None), "")


@attrs.frozen
class Indicators:
    """Both libraries give the same values once an indicator has seen some multiples of its period; on the first bars they differ, as they
    begin their averages differently, and so they do where the price has not moved at all for a whole period.
    """

    library: str = attrs.field(factory=installed, validator=attrs.validators.in_(("", *LIBRARIES)))

    @property
    def missing(self) -> str:
        """The fix when neither is installed."""
        return "" if self.library else FIX

    def make(self, name: str, arguments: tuple[Decimal, ...]) -> Computation:
        """A fresh memory for an indicator; see :class:`~tradekit.ports.indicators.IndicatorLibrary`."""
        match self.library:
            case "talib":
                from tradekit.adapters.indicators.with_talib import WithTalib

                return WithTalib(name, arguments)
            case "talipp":
                from tradekit.adapters.indicators.with_talipp import WithTalipp

                return WithTalipp(name, arguments)
        raise ConfigurationError(
            setting=f"indicator {name}", origin="a strategy or rule", problem="TA-Lib and talipp are not installed", fix=FIX
        )
