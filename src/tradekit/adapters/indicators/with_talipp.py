"""talipp's incremental indicators. They keep every bar they were ever given: what is too old is cut off from time to time."""

from decimal import Decimal
from typing import Any

import attrs
from talipp import indicators as talipp
from talipp.ohlcv import OHLCV

from tradekit.domain.instruments import Bar

KEPT_PERIODS = 4
MARGIN = 64
"""More bars are kept than any part of an indicator looks at: with fewer it would begin its averages anew."""


@attrs.frozen
class _Kind:
    make: Any
    bars: bool = False
    """Takes whole bars rather than closes."""
    output: str = ""
    """Which of several values; empty when there is one."""


_KINDS: dict[str, _Kind] = {
    "wma": _Kind(talipp.WMA),
    "dema": _Kind(talipp.DEMA),
    "tema": _Kind(talipp.TEMA),
    "atr": _Kind(talipp.ATR, bars=True),
    "adx": _Kind(lambda period: talipp.ADX(period, period), bars=True, output="adx"),
    "cci": _Kind(talipp.CCI, bars=True),
    "willr": _Kind(talipp.Williams, bars=True),
    "roc": _Kind(talipp.ROC),
    "stddev": _Kind(talipp.StdDev),
    "macd": _Kind(talipp.MACD, output="macd"),
    "macd_signal": _Kind(talipp.MACD, output="signal"),
    "macd_histogram": _Kind(talipp.MACD, output="histogram"),
    "bollinger_upper": _Kind(lambda period, width: talipp.BB(period, float(width)), output="ub"),
    "bollinger_lower": _Kind(lambda period, width: talipp.BB(period, float(width)), output="lb"),
    "stoch_k": _Kind(lambda period: talipp.Stoch(period, 1), bars=True, output="k"),
    "stoch_d": _Kind(talipp.Stoch, bars=True, output="d"),
}


class WithTalipp:
    """One indicator."""

    __slots__ = ("_count", "_indicator", "_kept", "_kind")

    def __init__(self, name: str, arguments: tuple[Decimal, ...]) -> None:
        self._kind = _KINDS[name]
        self._indicator = self._kind.make(*(int(argument) if argument == int(argument) else float(argument) for argument in arguments))
        self._kept = KEPT_PERIODS * sum(int(argument) for argument in arguments) + MARGIN
        self._count = 0

    def take(self, bar: Bar) -> None:
        """Take the next bar."""
        self.add(bar)

    def add(self, bar: Bar) -> float | None:
        """Take the next bar; None while talipp has no value."""
        close = float(bar.close)
        whole = self._kind.bars
        try:
            self._indicator.add(OHLCV(float(bar.open), float(bar.high), float(bar.low), close, float(bar.volume)) if whole else close)
        except ZeroDivisionError:
            # A price that has not moved for the whole period, which talipp's CCI divides by: no deviation from the mean.
            return 0.0
        self._count += 1
        if self._count == 2 * self._kept:
            self._indicator.purge_oldest(self._kept)
            self._count = self._kept
        value = self._indicator[-1] if len(self._indicator) else None
        if value is not None and self._kind.output:
            value = getattr(value, self._kind.output)
        return None if value is None else float(value)
