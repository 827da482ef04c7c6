"""RSI reversion: buy what was sold too far once it turns, sell what was bought too far once it turns."""

import attrs

from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Evaluator
from tradekit.strategies.indicators import Rsi


@attrs.frozen(kw_only=True)
class RsiReversion:
    """BUY on the bar that brings the index back to ``oversold`` or above, SELL on the bar that brings it back to ``overbought`` or below.

    :raises ValueError: a period below 2, or levels that are not 0 < oversold < overbought < 100.
    """

    period: int = 14
    """Bars."""
    oversold: float = 30
    overbought: float = 70
    name: str = "rsi-reversion"
    advanced: bool = False

    def __attrs_post_init__(self) -> None:
        if self.period < 2 or not 0 < self.oversold < self.overbought < 100:
            raise ValueError(f"need period >= 2 and 0 < oversold < overbought < 100: {self.period}, {self.oversold}, {self.overbought}")

    @property
    def title(self) -> str:
        return f"RSI reversion {self.period}, {self.oversold:g}/{self.overbought:g}"

    def evaluator(self, symbol: Symbol) -> Evaluator:
        return _RsiReversionEvaluator(self)


class _RsiReversionEvaluator:
    __slots__ = ("_before", "_overbought", "_oversold", "_rsi")

    def __init__(self, strategy: RsiReversion) -> None:
        self._rsi = Rsi(strategy.period)
        self._oversold = strategy.oversold
        self._overbought = strategy.overbought
        self._before: float | None = None

    def on_bar(self, bar: Bar) -> Side | None:
        before, now = self._before, self._rsi.add(float(bar.close))
        self._before = now
        if before is None or now is None:
            return None
        if before < self._oversold <= now:
            return Side.BUY
        if before > self._overbought >= now:
            return Side.SELL
        return None
