"""EMA cross: follow the trend once the fast average of closes passes the slow one."""

import attrs

from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import BUY, SELL, Side
from tradekit.ports.strategy import Evaluator
from tradekit.strategies.indicators import EmaDifference


@attrs.frozen(kw_only=True)
class EmaCross:
    """BUY on the bar whose close lifts the fast average above the slow one, SELL on the bar that takes it below.

    :raises ValueError: the fast period is not shorter than the slow one.
    """

    fast: int = 12
    """Bars."""
    slow: int = 26
    name: str = "ema-cross"
    advanced: bool = False

    def __attrs_post_init__(self) -> None:
        if self.fast < 1:
            raise ValueError(f"the fast period must be at least 1 bar, not {self.fast}")
        if self.fast >= self.slow:
            raise ValueError(f"the fast period must be shorter than the slow one: {self.fast} and {self.slow}")

    @property
    def title(self) -> str:
        return f"EMA cross {self.fast}/{self.slow}"

    def evaluator(self, symbol: Symbol) -> Evaluator:
        return _EmaCrossEvaluator(self.fast, self.slow)


class _EmaCrossEvaluator:
    __slots__ = ("_above", "_difference")

    def __init__(self, fast: int, slow: int) -> None:
        self._difference = EmaDifference(fast, slow)
        self._above: bool | None = None

    def on_bar(self, bar: Bar) -> Side | None:
        difference = self._difference.add(float(bar.close))
        if not difference:
            # Averages that touch have not crossed yet.
            return None
        above = difference > 0
        if above is self._above:
            return None
        before, self._above = self._above, above
        if before is None:
            return None
        return BUY if above else SELL
