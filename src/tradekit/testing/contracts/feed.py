"""What every source of prices must do."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from typing import cast

import anyio
import pytest

from tradekit.domain.amounts import is_multiple
from tradekit.domain.instruments import Bar, Quote
from tradekit.ports.feed import Feed

EVENTS_MAX = 2_000
TIMEOUT_S = 60


async def take(feed: Feed, count: int = EVENTS_MAX) -> list[Quote | Bar]:
    """The first events, or all if there are fewer."""
    taken: list[Quote | Bar] = []
    with anyio.fail_after(TIMEOUT_S):
        # An async generator must be closed by whoever leaves it early.
        async with aclosing(cast("AsyncGenerator[Quote | Bar, None]", feed.events())) as events:
            async for event in events:
                taken.append(event)
                if len(taken) >= count:
                    break
    return taken


class FeedContract:
    """Give the fixture ``feed``: it brings at least one closed bar per instrument in its first 2,000 events, without real waiting."""

    pytestmark = pytest.mark.anyio

    async def test_feed_says_where_prices_come_from(self, feed: Feed) -> None:
        assert feed.source in {"simulated", "replay", "live"}

    async def test_every_instrument_has_a_first_price_at_once(self, feed: Feed) -> None:
        instruments = feed.instruments()
        opening = feed.opening()
        assert instruments
        assert [quote.symbol for quote in opening] == [instrument.symbol for instrument in instruments]
        for quote, instrument in zip(opening, instruments, strict=True):
            assert quote.price > 0
            assert is_multiple(quote.price, instrument.tick_size)
            assert not quote.final

    async def test_prices_are_those_of_the_instruments_and_in_order_of_time(self, feed: Feed) -> None:
        ticks = {instrument.symbol: instrument.tick_size for instrument in feed.instruments()}
        events = await take(feed)
        quotes = [event for event in events if isinstance(event, Quote)]
        assert {quote.symbol for quote in quotes} == set(ticks)
        assert all(quote.price > 0 and is_multiple(quote.price, ticks[quote.symbol]) for quote in quotes)
        assert all(before.time_ms <= after.time_ms for before, after in pairwise(quotes))

    async def test_bars_are_whole_and_follow_each_other(self, feed: Feed) -> None:
        last: dict[str, Bar] = {}
        for bar in [event for event in await take(feed) if isinstance(event, Bar)]:
            assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.volume >= 0
            assert bar.timeframe_ms > 0
            if bar.symbol in last:
                assert bar.open_ms >= last[bar.symbol].close_ms
            last[bar.symbol] = bar
        assert set(last) == {instrument.symbol for instrument in feed.instruments()}

    async def test_only_the_last_price_of_an_instrument_is_final(self, feed: Feed) -> None:
        events = await take(feed)
        ended = len(events) < EVENTS_MAX
        for instrument in feed.instruments():
            quotes = [event for event in events if isinstance(event, Quote) and event.symbol == instrument.symbol]
            assert not any(quote.final for quote in quotes[:-1])
            assert quotes[-1].final or not ended

    async def test_the_past_is_over_before_the_first_bar(self, feed: Feed) -> None:
        past = await feed.past()
        assert all(before.close_ms <= after.close_ms for before, after in pairwise(past))
        known = {instrument.symbol for instrument in feed.instruments()}
        last = {bar.symbol: bar for bar in past}
        assert set(last) <= known
        for bar in [event for event in await take(feed) if isinstance(event, Bar)]:
            if bar.symbol in last:
                assert bar.open_ms >= last[bar.symbol].close_ms
