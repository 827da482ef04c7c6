"""Grid: buy a lot at every line the price falls through, sell one at every line it rises through."""

from bisect import bisect_right
from decimal import Decimal

import attrs

from tradekit.domain.amounts import HUNDRED, ZERO
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Advice, Evaluator

LEVELS_MAX = 50


@attrs.frozen(kw_only=True)
class Grid:
    """Lines at ``step_pct`` percent from each other, ``levels`` of them on either side of the anchor, and one on it.

    Every line that a close is below of, and the close before was not, is one lot to BUY; every line risen through is one lot to SELL.
    At most ``levels`` lots are held. A lot is the user's size; a SELL names its share of the lots bought so far.

    :raises ValueError: a step that is not above 0 and below 100, levels outside 1 to 50, or an anchor below 0.
    """

    step_pct: Decimal = Decimal(1)
    levels: int = 10
    anchor: Decimal = ZERO
    """Price of the middle line; 0 takes the first close."""
    name: str = "grid"
    advanced: bool = True

    def __attrs_post_init__(self) -> None:
        if not (self.step_pct.is_finite() and ZERO < self.step_pct < HUNDRED):
            raise ValueError(f"the step must be above 0 and below 100 percent, not {self.step_pct}")
        if not 1 <= self.levels <= LEVELS_MAX:
            raise ValueError(f"a grid needs 1 to {LEVELS_MAX} levels, not {self.levels}")
        if not (self.anchor.is_finite() and self.anchor >= ZERO):
            raise ValueError(f"the anchor must be a price, or 0 for the first close, not {self.anchor}")

    @property
    def title(self) -> str:
        return f"Grid of {self.levels} levels, {self.step_pct:f} % apart"

    def evaluator(self, symbol: Symbol) -> Evaluator:
        return _GridEvaluator(self)

    def lines(self, anchor: Decimal) -> list[Decimal]:
        """Prices of the lines, lowest first."""
        ratio = 1 + self.step_pct / HUNDRED
        return [anchor * ratio**power for power in range(-self.levels, self.levels + 1)]


class _GridEvaluator:
    __slots__ = ("_grid", "_lines", "_lots", "_rung")

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._lines: list[Decimal] = grid.lines(grid.anchor) if grid.anchor else []
        self._rung: int | None = None
        """Lines at or below the last close."""
        self._lots = 0

    def on_bar(self, bar: Bar) -> Advice | None:
        if not self._lines:
            self._lines = self._grid.lines(bar.close)
        before, self._rung = self._rung, bisect_right(self._lines, bar.close)
        if before is None or before == self._rung:
            return None
        return self._fell(before - self._rung) if before > self._rung else self._rose(self._rung - before)

    def _fell(self, crossed: int) -> Advice | None:
        lots = min(crossed, self._grid.levels - self._lots)
        if not lots:
            return None
        self._lots += lots
        return Advice(Side.BUY, Decimal(lots), f"{self._lots} of {self._grid.levels} lots")

    def _rose(self, crossed: int) -> Advice | None:
        held = self._lots
        lots = min(crossed, held)
        if not lots:
            return None
        self._lots -= lots
        return Advice(Side.SELL, Decimal(lots) / held, f"{self._lots} of {self._grid.levels} lots")
