"""Donchian breakout: enter when the price leaves the channel of the bars before through the top, exit through the bottom."""

import attrs

from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Evaluator
from tradekit.strategies.indicators import Extreme


@attrs.frozen(kw_only=True)
class DonchianBreakout:
    """BUY on the close above every high of the ``entry`` bars before it, SELL on the close below every low of the ``exit`` bars before it.

    Says nothing twice in a row.

    :raises ValueError: a period outside 1 to 1000.
    """

    entry: int = 20
    """Bars."""
    exit: int = 10
    """Bars."""
    name: str = "donchian-breakout"
    advanced: bool = False

    def __attrs_post_init__(self) -> None:
        if not (1 <= self.entry <= 1000 and 1 <= self.exit <= 1000):
            raise ValueError(f"the entry and exit periods must be 1 to 1000 bars: {self.entry} and {self.exit}")

    @property
    def title(self) -> str:
        return f"Donchian breakout {self.entry}/{self.exit}"

    def evaluator(self, symbol: Symbol) -> Evaluator:
        return _DonchianEvaluator(self.entry, self.exit)


class _DonchianEvaluator:
    __slots__ = ("_bottom", "_said", "_top")

    def __init__(self, entry: int, exit_: int) -> None:
        self._top = Extreme(entry, highest=True)
        self._bottom = Extreme(exit_, highest=False)
        self._said: Side | None = None

    def on_bar(self, bar: Bar) -> Side | None:
        # The channel of the bars before: a close is never outside of its own bar.
        top, bottom = self._top.value, self._bottom.value
        self._top.add(float(bar.high))
        self._bottom.add(float(bar.low))
        close = float(bar.close)
        if top is not None and close > top:
            return self._say(Side.BUY)
        if bottom is not None and close < bottom:
            return self._say(Side.SELL)
        return None

    def _say(self, side: Side) -> Side | None:
        if side is self._said:
            return None
        self._said = side
        return side
