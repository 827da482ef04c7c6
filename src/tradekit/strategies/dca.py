"""Dollar-cost averaging: buy the same amount again and again, whatever the price."""

from decimal import Decimal

import attrs

from tradekit.domain.amounts import ONE, ZERO
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.ports.strategy import MULTIPLE_MAX, Advice, Evaluator


@attrs.frozen(kw_only=True)
class Dca:
    """BUY on every ``every``-th bar. Never sells: exits are the user's, by hand or by a target.

    :raises ValueError: fewer than 1 bar, or a fraction that is not above 0 and up to 100.
    """

    every: int = 24
    """Bars."""
    fraction: Decimal = ONE
    """Multiple of the user's size per purchase."""
    name: str = "dca"
    advanced: bool = False

    def __attrs_post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"the period between purchases must be at least 1 bar, not {self.every}")
        if not (self.fraction.is_finite() and ZERO < self.fraction <= MULTIPLE_MAX):
            raise ValueError(f"the fraction must be above 0 and up to {MULTIPLE_MAX}, not {self.fraction}")

    @property
    def title(self) -> str:
        return f"Buy every {self.every} bars"

    def evaluator(self, symbol: Symbol) -> Evaluator:
        return _DcaEvaluator(self.every, Advice(Side.BUY, self.fraction))


class _DcaEvaluator:
    __slots__ = ("_advice", "_every", "_seen")

    def __init__(self, every: int, advice: Advice) -> None:
        self._every, self._advice, self._seen = every, advice, 0

    def on_bar(self, bar: Bar) -> Advice | None:
        self._seen = (self._seen + 1) % self._every
        return None if self._seen else self._advice
