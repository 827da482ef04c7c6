"""Where prices come from."""

from collections.abc import AsyncIterator
from typing import Protocol

from tradekit.domain.instruments import Bar, Instrument, Quote


class Feed(Protocol):
    """A source of prices and closed bars.

    Implementations must pass :class:`tradekit.testing.contracts.feed.FeedContract`.
    """

    source: str
    """``simulated``, ``replay``, ``live`` or ``none``."""

    def instruments(self) -> tuple[Instrument, ...]:
        """What the feed has prices for; known before :meth:`events` begins."""

    def opening(self) -> tuple[Quote, ...]:
        """A first price per instrument, known at once, so that nobody waits for the first event."""

    async def past(self) -> tuple[Bar, ...]:
        """Bars that closed before the first one of :meth:`events`, oldest first, as far as the source knows any; asked once.

        Strategies see them and say nothing, so that the first bar that closes finds them warm. Never fails: no answer is none.
        """

    def events(self) -> AsyncIterator[Quote | Bar]:
        """Prices as they come and bars when they close, in order of time.

        Ends when the source has ended (a replay): the last quotes then carry ``final=True``.
        """
