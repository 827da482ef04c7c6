"""No prices at all, for a service that lives for an errand: nothing is bought or sold at a price it does not have."""

from collections.abc import AsyncIterator

import anyio

from tradekit.domain.instruments import Bar, Instrument, Quote


class NoFeed:
    """Has no instruments and never says anything."""

    source = "none"

    def instruments(self) -> tuple[Instrument, ...]:
        """None."""
        return ()

    def opening(self) -> tuple[Quote, ...]:
        """None."""
        return ()

    async def past(self) -> tuple[Bar, ...]:
        """None."""
        return ()

    async def events(self) -> AsyncIterator[Quote | Bar]:
        """Waits until cancelled."""
        for quote in self.opening():
            yield quote
        await anyio.sleep_forever()
