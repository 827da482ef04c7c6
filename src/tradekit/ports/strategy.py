"""How a strategy is plugged in."""

from typing import Protocol

from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side


class Evaluator(Protocol):
    """A strategy's memory for one instrument: fed every closed bar once, in order."""

    def on_bar(self, bar: Bar) -> Side | None:
        """BUY to enter, SELL to exit, None for no signal. No I/O, no clock; bounded work."""


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
