"""Indicators: who computes them, and how strategies read them."""

from decimal import Decimal
from typing import Protocol, runtime_checkable

from tradekit.domain.instruments import Bar, Symbol
from tradekit.ports.strategy import Evaluator


class Computation(Protocol):
    """One indicator of one stream of bars: its memory and its newest value."""

    def add(self, bar: Bar) -> float | None:
        """Take the next closed bar and return the value on it, None while there are too few bars. Bounded work and memory."""

    def take(self, bar: Bar) -> None:
        """Take the next closed bar when nobody asks for the value on it."""


class IndicatorLibrary(Protocol):
    """Computes the indicators that the built-in ones do not cover (``library`` in :data:`tradekit.domain.indicators.INDICATORS`)."""

    @property
    def missing(self) -> str:
        """What to install so that :meth:`make` works; empty when it does."""

    def make(self, name: str, arguments: tuple[Decimal, ...]) -> Computation:
        """A fresh memory for an indicator whose arguments are complete and in range.

        :raises ConfigurationError: no library is installed; says which extra brings one.
        """


class Series(Protocol):
    """The values of one indicator on one stream, newest first."""

    def at(self, ago: int) -> float | None:
        """The value on the newest bar (0) or some bars before it, at most 50; None when there was none."""


class IndicatorStream(Protocol):
    """The bars of one instrument and timeframe, with indicators that are computed once however many read them."""

    def series(self, name: str, *arguments: float | Decimal) -> Series:
        """An indicator of this stream, such as ``series("rsi", 14)``. It is computed for as long as somebody keeps the result.

        :raises BadInput: there is no such indicator, or it does not take these numbers.
        :raises ConfigurationError: it needs a library that is not installed.
        """

    def price(self, field: str) -> Series:
        """``open``, ``high``, ``low``, ``close`` or ``volume`` of the bars."""


@runtime_checkable
class SharesIndicators(Protocol):
    """A strategy that reads indicators computed once for all who ask. The service calls this instead of ``evaluator``."""

    def evaluator_on(self, stream: IndicatorStream) -> Evaluator:
        """A fresh memory that reads its indicators from the stream, which has taken each bar before the evaluator is given it."""


class RecentBars(Protocol):
    """What is known of the market's last bars, and who computes on them: what a rule is tried on."""

    @property
    def indicators(self) -> IndicatorLibrary:
        """The library of this service."""

    def recent(self, symbol: Symbol) -> tuple[Bar, ...]:
        """The last closed bars of an instrument in its finest timeframe, oldest first; none before the first."""
