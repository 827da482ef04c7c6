"""The live feed on the loopback exchange server."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from itertools import cycle, pairwise
from typing import Any, cast

import anyio
import attrs
import pytest

from tradekit.adapters.ccxt import CcxtFeed, profile_for
from tradekit.adapters.ccxt import feed as feed_module
from tradekit.adapters.ccxt.feed import PAST_BARS
from tradekit.adapters.ccxt.session import VenueSession
from tradekit.adapters.system import SystemClock
from tradekit.domain.errors import ConfigurationError, ExchangeUnavailable
from tradekit.domain.instruments import Bar, Quote
from tradekit.testing.contracts.feed import FeedContract
from tradekit.testing.exchange_server import DEFAULT_MARKETS, Candle, ExchangeServer, Fault, Limits, configure

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
D = Decimal
FREELY = 10**6
PROFILE = attrs.evolve(profile_for("binance"), weight_max=FREELY)
SYMBOLS = ("BTC/USDT", "ETH/USDT")


def feed_of(server: ExchangeServer, **options: Any) -> CcxtFeed:
    defaults: dict[str, Any] = {
        "prepare": lambda ccxt: configure(ccxt, server.url),
        "profile": PROFILE,
        "timeframe": "1s",
        "poll_s": 0.02,
        "request_timeout_s": 5,
    }
    return CcxtFeed("binance", options.pop("symbols", SYMBOLS), SystemClock(), **defaults | options)


async def trade_for_ever(server: ExchangeServer) -> None:
    """Both instruments go up and down, many times a second."""
    for step in cycle([*range(20), *range(20, 0, -1)]):
        server.trade("BTCUSDT", D(40_000) + step, D("0.5"))
        server.trade("ETHUSDT", D(2_500) + step, D(3))
        await anyio.sleep(0.001)


@pytest.fixture
async def server() -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer(limits=Limits(weight_max=FREELY)) as server:
        yield server


async def first(feed: CcxtFeed, kind: type[Any], count: int) -> list[Any]:
    """The first events of a kind."""
    found: list[Any] = []
    with anyio.fail_after(20):
        async with aclosing(cast("Any", feed.events())) as events:
            async for event in events:
                if isinstance(event, kind):
                    found.append(event)
                    if len(found) == count:
                        break
    return found


class LiveFeed(FeedContract):
    websocket = True

    @pytest.fixture
    async def feed(self, server: ExchangeServer) -> AsyncIterator[CcxtFeed]:
        second_ms = server.venue.now_ms() // 1_000 * 1_000
        for symbol, price in (("BTCUSDT", D(40_000)), ("ETHUSDT", D(2_500))):
            # The venue has traded before: so the history is there at once, however fast the quotes come.
            past = [Candle(second_ms - back * 1_000, price, price + 1, price - 1, price, D(1)) for back in range(60, 0, -1)]
            server.venue.candles[symbol].load("1s", past)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade_for_ever, server)
            async with feed_of(server, websocket=self.websocket, history=3, poll_s=0.0) as feed:
                yield feed
            tasks.cancel_scope.cancel()


class TestOverWebsocket(LiveFeed):
    pass


class TestByPolling(LiveFeed):
    websocket = False


async def test_history_comes_first_and_bars_follow_without_a_gap(server: ExchangeServer):
    now_ms = server.venue.now_ms() // 1_000 * 1_000
    old = [Candle(now_ms - back * 1_000, D(100 + back), D(110 + back), D(90 + back), D(101 + back), D(back)) for back in range(9, 0, -1)]
    server.venue.candles["BTCUSDT"].load("1s", old)
    async with feed_of(server, symbols=("BTC/USDT",), history=5) as feed:
        bars: list[Bar] = await first(feed, Bar, 7)
    assert [bar.open_ms - bars[0].open_ms for bar in bars] == [number * 1_000 for number in range(7)]
    known = {candle.open_ms: candle for candle in old}
    told = [bar for bar in bars if bar.open_ms in known]
    assert len(told) >= 4
    for bar in told:
        candle = known[bar.open_ms]
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (candle.open, candle.high, candle.low, candle.close, candle.volume)


async def test_bars_missed_while_the_venue_is_silent_come_later(server: ExchangeServer):
    async with feed_of(server, symbols=("BTC/USDT",), history=2, websocket=False) as feed:
        server.faults.add(Fault(kind="drop_before", requests=("GET /api/v3/klines",), count=4))
        bars: list[Bar] = await first(feed, Bar, 5)
    assert [bar.open_ms - bars[0].open_ms for bar in bars] == [number * 1_000 for number in range(5)]


async def test_quotes_go_on_after_the_socket_breaks(server: ExchangeServer):
    async with feed_of(server, symbols=("BTC/USDT",), timeframe="1d") as feed, anyio.create_task_group() as tasks:
        tasks.start_soon(trade_for_ever, server)
        await first(feed, Quote, 3)
        server.market_streams.disconnect()
        with anyio.fail_after(10):
            while not server.market_streams.listening:  # noqa: ASYNC110 - the server has no event for it
                await anyio.sleep(0.01)
        quotes: list[Quote] = await first(feed, Quote, 3)
        assert all(quote.price >= 40_000 for quote in quotes)
        tasks.cancel_scope.cancel()


async def test_quotes_come_one_by_one_where_a_venue_tells_no_more_at_once(server: ExchangeServer, monkeypatch: pytest.MonkeyPatch):
    has = VenueSession.has
    monkeypatch.setattr(VenueSession, "has", lambda self, ability: ability != "fetchTickers" and has(self, ability))
    async with feed_of(server, websocket=False) as feed, anyio.create_task_group() as tasks:
        tasks.start_soon(trade_for_ever, server)
        quotes: list[Quote] = await first(feed, Quote, 6)
        assert {quote.symbol for quote in quotes} == set(SYMBOLS)
        tasks.cancel_scope.cancel()


async def test_a_venue_without_the_instruments_one_would_expect_asks_for_names():
    bnb = next(spec for spec in DEFAULT_MARKETS if spec.base == "BNB")
    async with ExchangeServer(markets=[bnb]) as server:
        with pytest.raises(ConfigurationError, match="trades none of BTC, ETH, SOL") as caught:
            await feed_of(server, symbols=()).__aenter__()
    assert "ccxt:binance:BNB/USDT" in caught.value.fix


async def test_instrument_that_the_venue_does_not_trade_is_a_coded_refusal(server: ExchangeServer):
    with pytest.raises(ConfigurationError, match="does not trade XYZ/USDT") as caught:
        await feed_of(server, symbols=("XYZ/USDT",)).__aenter__()
    assert "BTC/USDT" in caught.value.fix


async def test_venue_that_is_silent_at_the_start_says_so(server: ExchangeServer):
    server.faults.add(Fault(kind="maintenance", requests=("GET /api/v3/exchangeInfo",)))
    with pytest.raises(ExchangeUnavailable):
        await feed_of(server).__aenter__()


async def test_the_past_ends_where_the_bars_begin(server: ExchangeServer):
    now_ms = server.venue.now_ms() // 1_000 * 1_000
    for symbol in ("BTCUSDT", "ETHUSDT"):
        old = [
            Candle(now_ms - back * 1_000, D(100 + back), D(110 + back), D(90 + back), D(101 + back), D(back)) for back in range(400, 0, -1)
        ]
        server.venue.candles[symbol].load("1s", old)
    async with feed_of(server) as feed:
        past = await feed.past()
        bars: list[Bar] = await first(feed, Bar, 4)
    assert all(earlier.close_ms <= later.close_ms for earlier, later in pairwise(past))
    for symbol in SYMBOLS:
        times = [bar.open_ms for bar in (*past, *bars) if bar.symbol == symbol]
        assert times == list(range(times[0], times[0] + len(times) * 1_000, 1_000))
        assert sum(bar.symbol == symbol for bar in past) == PAST_BARS


@pytest.mark.parametrize("silent", [False, True], ids=["all of it", "the second answer is lost"])
async def test_the_past_has_no_hole_at_a_venue_that_tells_few_bars_at_once(
    server: ExchangeServer, monkeypatch: pytest.MonkeyPatch, silent: bool
):
    now_ms = server.venue.now_ms() // 1_000 * 1_000
    old = [Candle(now_ms - back * 1_000, D(100), D(100), D(100), D(100), D(1)) for back in range(400, 0, -1)]
    server.venue.candles["BTCUSDT"].load("1s", old)
    ask, answers = CcxtFeed._ask_bars, 0

    async def few(self: CcxtFeed, symbol: str, from_ms: int) -> list[Bar]:
        nonlocal answers
        answers += 1
        return [] if silent and answers == 2 else (await ask(self, symbol, from_ms))[:100]

    monkeypatch.setattr(CcxtFeed, "_ask_bars", few)
    async with feed_of(server, symbols=("BTC/USDT",), timeframe="1s") as feed:
        feed._start_ms = now_ms  # the bars that close meanwhile are another test's
        past = await feed.past()
    assert [bar.open_ms for bar in past] == ([] if silent else [candle.open_ms for candle in old[-PAST_BARS:]])


async def test_a_venue_that_tells_no_past_is_no_reason_to_wait_for_prices(server: ExchangeServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed_module, "PAST_WITHIN_S", 0.2)
    async with feed_of(server, symbols=("BTC/USDT",)) as feed:
        server.faults.add(Fault(kind="delay", delay_s=60, requests=("GET /api/v3/klines",), count=1))
        assert await feed.past() == ()
        assert len(await first(feed, Bar, 2)) == 2
