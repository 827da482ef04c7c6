"""TA-Lib over a window of fixed length: bounded work per bar, and the same value whenever the service was started.

Its functions on arrays are used: those that take bar by bar changed between its releases.
"""

import math
from decimal import Decimal
from typing import Any

import attrs
import numpy as np
import talib

from tradekit.domain.instruments import Bar

CLOSE = ("close",)
BARS = ("high", "low", "close")
SETTLED_AFTER = 24
"""Periods after which what an average began with weighs less than 1e-10, also of Wilder's."""
MARGIN = 64


@attrs.frozen
class _Function:
    call: Any
    inputs: tuple[str, ...] = CLOSE
    output: int = 0
    recursive: bool = False
    """Depends on all that was before, ever less: needs a long window."""
    shifted: bool = False
    """Computes a variance, in older releases as a difference of squares, which loses its digits far from zero: prices are moved there."""
    moves_with_price: bool = False
    """Of a shifted one: the shift has to be added to the result."""


_FUNCTIONS: dict[str, _Function] = {
    "wma": _Function(talib.WMA),
    "dema": _Function(talib.DEMA, recursive=True),
    "tema": _Function(talib.TEMA, recursive=True),
    "atr": _Function(talib.ATR, BARS, recursive=True),
    "adx": _Function(talib.ADX, BARS, recursive=True),
    "cci": _Function(talib.CCI, BARS),
    "willr": _Function(talib.WILLR, BARS),
    "roc": _Function(talib.ROC),
    "stddev": _Function(talib.STDDEV, shifted=True),
    "macd": _Function(talib.MACD, output=0, recursive=True),
    "macd_signal": _Function(talib.MACD, output=1, recursive=True),
    "macd_histogram": _Function(talib.MACD, output=2, recursive=True),
    "bollinger_upper": _Function(talib.BBANDS, output=0, shifted=True, moves_with_price=True),
    "bollinger_lower": _Function(talib.BBANDS, output=2, shifted=True, moves_with_price=True),
    "stoch_k": _Function(talib.STOCHF, BARS, output=0),
    "stoch_d": _Function(talib.STOCHF, BARS, output=1),
}


def _numbers(name: str, arguments: tuple[Decimal, ...]) -> tuple[int | float, ...]:
    """The arguments as TA-Lib's function of this indicator takes them."""
    if name.startswith("bollinger"):
        width = float(arguments[1])
        return int(arguments[0]), width, width
    if name == "stoch_k":
        return int(arguments[0]), 1
    return tuple(int(argument) for argument in arguments)


class WithTalib:
    """One indicator: a window of prices, and TA-Lib asked for the last value on each bar."""

    __slots__ = ("_arguments", "_end", "_function", "_prices", "_window")

    def __init__(self, name: str, arguments: tuple[Decimal, ...]) -> None:
        self._function = _FUNCTIONS[name]
        self._arguments = _numbers(name, arguments)
        periods = [int(argument) for argument in arguments]
        self._window = SETTLED_AFTER * max(periods) + MARGIN if self._function.recursive else sum(periods) + 2
        # Twice the window: moved to the front once it is full, which is seldom.
        self._prices = np.empty((len(self._function.inputs), 2 * self._window))
        self._end = 0

    def take(self, bar: Bar) -> None:
        """Take the next bar."""
        function, prices, window = self._function, self._prices, self._window
        if self._end == prices.shape[1]:
            prices[:, : window - 1] = prices[:, self._end - window + 1 :]
            self._end = window - 1
        for row, name in enumerate(function.inputs):
            prices[row, self._end] = float(getattr(bar, name))
        self._end += 1

    def add(self, bar: Bar) -> float | None:
        """Take the next bar; None while TA-Lib has no value."""
        self.take(bar)
        function, prices, window = self._function, self._prices, self._window
        rows = prices[:, max(0, self._end - window) : self._end]
        shift = rows[-1, -1] if function.shifted else 0.0
        columns = [row - shift for row in rows] if function.shifted else list(rows)
        found = function.call(*columns, *self._arguments)
        value = float((found[function.output] if isinstance(found, tuple) else found)[-1])
        if not math.isfinite(value):
            return None
        return value + float(shift) if function.moves_with_price else value
