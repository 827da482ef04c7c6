"""Indicators by name: what they take and what they mean. How they are computed is not said here."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import ONE

PERIOD_MAX = 500
LIBRARY_PERIOD_MAX = 200
"""Of indicators that a library computes."""
LIBRARY_WEIGHT = 4


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One number that an indicator takes."""

    name: str
    least: Decimal
    most: Decimal
    whole: bool = True
    default: Decimal | None = None
    """Taken when it and all after it are left out."""


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator that rules and strategies may ask for."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    library: bool = False
    """Needs a library: the extra ``indicators``."""

    def cost(self, arguments: tuple[Decimal, ...]) -> int:
        """What it takes to compute, in bars it looks at; a library's indicators count more."""
        bars = sum(int(value) for value, parameter in zip(arguments, self.parameters, strict=True) if parameter.whole)
        return LIBRARY_WEIGHT * bars if self.library else bars


def _period(name: str = "period", *, least: int = 1, most: int = PERIOD_MAX, default: int | None = None) -> Parameter:
    return Parameter(name=name, least=Decimal(least), most=Decimal(most), default=None if default is None else Decimal(default))


def _own(name: str, title: str, *parameters: Parameter) -> Indicator:
    return Indicator(name=name, title=title, parameters=parameters)


def _library(name: str, title: str, *parameters: Parameter) -> Indicator:
    return Indicator(name=name, title=title, parameters=parameters, library=True)


def _bars(name: str = "period", default: int | None = None) -> Parameter:
    return _period(name, least=2, most=LIBRARY_PERIOD_MAX, default=default)


_MACD = (_bars("fast", 12), _bars("slow", 26), _bars("signal", 9))
_BANDS = (_bars("period", 20), Parameter(name="width", least=Decimal("0.1"), most=Decimal(10), whole=False, default=Decimal(2)))
_STOCHASTIC = (_bars("period", 14), _period("smoothing", most=LIBRARY_PERIOD_MAX, default=3))

INDICATORS: dict[str, Indicator] = {
    indicator.name: indicator
    for indicator in (
        _own("ema", "exponential average of closes", _period()),
        _own("sma", "simple average of closes", _period()),
        _own("rsi", "relative strength index, 0 to 100", _period(least=2, default=14)),
        _own("highest", "highest high", _period()),
        _own("lowest", "lowest low", _period()),
        _library("wma", "weighted average of closes", _bars()),
        _library("dema", "double exponential average of closes", _bars()),
        _library("tema", "triple exponential average of closes", _bars()),
        _library("atr", "average true range", _bars(default=14)),
        _library("adx", "average directional index, 0 to 100", _bars(default=14)),
        _library("cci", "commodity channel index", _bars(default=20)),
        _library("willr", "Williams %R, -100 to 0", _bars(default=14)),
        _library("roc", "rate of change in percent", _bars(default=10)),
        _library("stddev", "standard deviation of closes", _bars(default=20)),
        _library("macd", "MACD line", *_MACD),
        _library("macd_signal", "signal line of MACD", *_MACD),
        _library("macd_histogram", "MACD line less its signal line", *_MACD),
        _library("bollinger_upper", "upper Bollinger band", *_BANDS),
        _library("bollinger_lower", "lower Bollinger band", *_BANDS),
        _library("stoch_k", "stochastic oscillator, 0 to 100", _STOCHASTIC[0]),
        _library("stoch_d", "smoothed stochastic oscillator, 0 to 100", *_STOCHASTIC),
    )
}
"""Every indicator there is. More must keep to their names: rules are stored as text."""


def complete(indicator: Indicator, given: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """The arguments with defaults for those left out.

    :raises ValueError: too many, too few, or one out of its range; the message says which and what fits.
    """
    parameters = indicator.parameters
    if len(given) > len(parameters):
        raise ValueError(f"{indicator.name} takes at most {len(parameters)} numbers ({signature(indicator)}), not {len(given)}")
    missing = [parameter for parameter in parameters[len(given) :] if parameter.default is None]
    if missing:
        raise ValueError(f"{indicator.name} needs a number: {signature(indicator)}")
    values = (*given, *(parameter.default for parameter in parameters[len(given) :] if parameter.default is not None))
    for value, parameter in zip(values, parameters, strict=True):
        if not (value.is_finite() and parameter.least <= value <= parameter.most) or (parameter.whole and value % ONE):
            kind = "a whole number" if parameter.whole else "a number"
            raise ValueError(
                f"the {parameter.name} of {indicator.name} must be {kind} from {parameter.least} to {parameter.most}, not {value}"
            )
    if indicator.name.startswith("macd") and values[0] >= values[1]:
        raise ValueError(f"the fast period of {indicator.name} must be shorter than the slow one: {values[0]} and {values[1]}")
    return values


def signature(indicator: Indicator) -> str:
    """How it is written, such as ``rsi(period=14)``."""
    shown = (p.name if p.default is None else f"{p.name}={p.default}" for p in indicator.parameters)
    return f"{indicator.name}({', '.join(shown)})"
