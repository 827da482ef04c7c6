"""How a strategy is plugged in."""

from decimal import Decimal
from typing import Protocol

import msgspec

from tradekit.domain.amounts import ONE, ZERO
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side

MULTIPLE_MAX = Decimal(100)
NOTE_MAX = 200


class Advice(msgspec.Struct, frozen=True, gc=False):
    """What a strategy says on a bar, when it wants to say more than the side.

    :raises ValueError: a SELL of none or more than the whole position, or a BUY of a multiple outside 0 to 100.
    """

    side: Side
    fraction: Decimal = ONE
    """Of a SELL the share of the position to sell, above 0 and up to 1; of a BUY the multiple of the user's size, above 0 and up to 100."""
    note: str = ""
    """Why, for people; at most 200 characters are kept."""

    def __post_init__(self) -> None:
        most = ONE if self.side is Side.SELL else MULTIPLE_MAX
        if not (self.fraction.is_finite() and ZERO < self.fraction <= most):
            raise ValueError(f"a {self.side.value} needs a fraction above 0 and up to {most}, not {self.fraction}")


Answer = Side | Advice | None
"""A side alone means all of the position, or once the user's size."""


def advice_of(answer: Answer) -> Advice | None:
    """The answer in full."""
    return PLAIN[answer] if isinstance(answer, Side) else answer


PLAIN = {side: Advice(side) for side in Side}
"""Advice that says no more than the side."""


class Evaluator(Protocol):
    """A strategy's memory for one instrument: fed every closed bar once, in order."""

    def on_bar(self, bar: Bar) -> Answer:
        """BUY to enter, SELL to exit, an :class:`Advice` to say how much of it, None for no signal. No I/O, no clock; bounded work."""


class Strategy(Protocol):
    """A way of turning bars into signals. Computed once per (strategy, parameters, instrument, timeframe), never once per user."""

    @property
    def name(self) -> str:
        """What users subscribe to, such as ``ema-cross``; parameters that differ need a name of their own."""

    @property
    def title(self) -> str:
        """One line for people, parameters included."""

    @property
    def advanced(self) -> bool:
        """Whether only tiers with advanced signals may follow it."""

    def evaluator(self, symbol: Symbol) -> Evaluator:
        """A fresh memory for an instrument."""
