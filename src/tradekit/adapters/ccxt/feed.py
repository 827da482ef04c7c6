"""A live venue's public prices as a feed."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tradekit.adapters.ccxt.budget import Rank, VenueBusy, WeightBudget
from tradekit.adapters.ccxt.instruments import decimal_or_none
from tradekit.adapters.ccxt.library import load, own_decimals
from tradekit.adapters.ccxt.profiles import VenueProfile, profile_for
from tradekit.adapters.ccxt.session import Failed, Prepare, VenueSession
from tradekit.domain.amounts import ZERO, round_down
from tradekit.domain.errors import ConfigurationError, ExchangeUnavailable
from tradekit.domain.instruments import Bar, Instrument, Quote, Symbol
from tradekit.ports.clock import Clock

log = structlog.get_logger(__name__)

TIMEFRAMES_MS = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}
WAITING_MAX = 10_000
"""Events that wait for a slow reader; then the newest quotes are left out, never bars."""
BAR_GRACE_S = 1.0
"""After a bar's end, before it is asked for: venues finish theirs a moment later."""
BARS_MAX = 500
PAST_BARS = 300
"""Bars from before the start that warm strategies up."""
PAST_WITHIN_S = 5.0
"""So long the first prices after the start wait for them at most."""
HOLE_BARS = 5
"""So many may be missing before the first live bar; with more the past is left out."""
BACKOFF_S, BACKOFF_MAX_S = 0.5, 30.0
MAJORS, QUOTES = ("BTC", "ETH", "SOL"), ("USDT", "USD", "USDC", "EUR")
"""Whose prices are taken when no instrument is named: in the first of these currencies that the venue has."""


class CcxtFeed:
    """Quotes over a websocket where ccxt has one for the venue, else by asking every ``poll_s``; closed bars by asking once each has ended.

    A bar that was missed is asked for again until it is there, so bars have no gaps, whatever the connection does. Use as an async
    context manager, entered and left by the same task; :meth:`events` once.

    :raises ConfigurationError: on entering: ccxt is missing, or the venue or an instrument is unknown.
    :raises ExchangeUnavailable: on entering: the venue does not answer, or not in time.
    """

    source = "live"

    def __init__(
        self,
        venue: str,
        symbols: Sequence[Symbol],
        clock: Clock,
        *,
        timeframe: str = "1m",
        poll_s: float = 2.0,
        profile: VenueProfile | None = None,
        prepare: Prepare | None = None,
        budget: WeightBudget | None = None,
        request_timeout_s: float = 10.0,
        websocket: bool = True,
        history: int = 0,
        open_within_s: float | None = None,
        setting: str = "--feed",
        origin: str = "command line",
    ) -> None:
        """
        :param symbols: empty: bitcoin, ether and solana, as far as the venue trades them.
        :param timeframe: of the bars, a key of ``TIMEFRAMES_MS``.
        :param history: closed bars before the start that come first, at most 500.
        :param budget: an exchange's, to share its limit at the same venue.
        :param open_within_s: how long the venue may take on entering until every instrument has a price; None: as long as its answers do.
        :param setting: that chose this feed, and ``origin`` of its value, for the messages.
        """
        self.venue = venue
        self._symbols = tuple(symbols)
        self._timeframe, self._timeframe_ms = timeframe, TIMEFRAMES_MS[timeframe]
        self._poll_s, self._websocket, self._history = poll_s, websocket, min(history, BARS_MAX)
        self._open_within_s, self._setting, self._origin = open_within_s, setting, origin
        self._clock = clock
        self._session = VenueSession(
            profile or profile_for(venue),
            clock,
            credentials=None,
            sandbox=False,
            prepare=prepare,
            request_timeout_s=request_timeout_s,
            wait_max_s=30.0,
            clock_bound_ms=5_000,
            budget=budget,
        )
        self._opening: tuple[Quote, ...] = ()
        self._last: dict[Symbol, Decimal] = {}
        self._last_ms = self._start_ms = 0
        self._send: MemoryObjectSendStream[Quote | Bar]
        self._receive: MemoryObjectReceiveStream[Quote | Bar]
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # How long that takes is no matter of the venue's.
        await load(self.venue, setting=self._setting, origin=self._origin)
        async with AsyncExitStack() as stack:
            try:
                with anyio.fail_after(self._open_within_s):
                    await self._connect(stack)
            except TimeoutError:
                raise ExchangeUnavailable(venue=self.venue, reason=f"no answer within {self._open_within_s:g} s") from None
            self._start_ms = self._venue_now_ms() // self._timeframe_ms * self._timeframe_ms - self._history * self._timeframe_ms
            self._send, self._receive = anyio.create_memory_object_stream[Quote | Bar](WAITING_MAX)
            stack.callback(self._send.close)
            stack.callback(self._receive.close)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            for symbol in self._symbols:
                tasks.start_soon(self._follow_bars, symbol)
            tasks.start_soon(self._follow_quotes)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        if isinstance(error, Exception):
            kind = error = trace = None
        return await self._exit.__aexit__(kind, error, trace)

    async def _connect(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self._session)
        self._symbols = self._symbols or self._majors()
        self._check_symbols()
        self._opening = tuple([await self._first(symbol) for symbol in self._symbols])

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(self._session.instruments[symbol] for symbol in self._symbols)

    def opening(self) -> tuple[Quote, ...]:
        return self._opening

    async def past(self) -> tuple[Bar, ...]:
        found: dict[Symbol, list[Bar]] = {}

        async def ask(symbol: Symbol) -> None:
            bars: list[Bar] = []
            from_ms = self._start_ms - PAST_BARS * self._timeframe_ms
            # A venue may tell fewer bars at once than were asked for, the oldest first.
            while from_ms < self._start_ms and (more := await self._ask_bars(symbol, from_ms)):
                bars += more
                from_ms = more[-1].close_ms
            # Minutes without a trade have no bar at some venues; a longer hole would make averages jump, and strategies speak of it.
            if from_ms >= self._start_ms - HOLE_BARS * self._timeframe_ms:
                found[symbol] = [bar for bar in bars if bar.close_ms <= self._start_ms]

        with anyio.move_on_after(PAST_WITHIN_S):
            # The bar that ended last is there a moment after its end.
            await anyio.sleep(max(0.0, (self._start_ms - self._venue_now_ms()) / 1000 + BAR_GRACE_S))
            async with anyio.create_task_group() as tasks:
                for symbol in self._symbols:
                    tasks.start_soon(ask, symbol)
        log.info("feed_past", venue=self.venue, bars={symbol: len(found.get(symbol, ())) for symbol in self._symbols})
        return tuple(sorted((bar for bars in found.values() for bar in bars), key=_open_ms))

    async def events(self) -> AsyncIterator[Quote | Bar]:
        """Never ends by itself."""
        async for event in self._receive:
            yield event

    def _majors(self) -> tuple[Symbol, ...]:
        known = self._session.instruments
        for quote in QUOTES:
            if found := tuple(symbol for base in MAJORS if (symbol := f"{base}/{quote}") in known):
                return found
        fix = f"name instruments, as in {self._setting} ccxt:{self.venue}:{next(iter(known), 'BTC/USDT')}"
        raise self._wrong(f"{self.venue} trades none of {', '.join(MAJORS)} in {', '.join(QUOTES)}", fix)

    def _wrong(self, problem: str, fix: str) -> ConfigurationError:
        return ConfigurationError(setting=self._setting, origin=self._origin, problem=problem, fix=fix)

    def _check_symbols(self) -> None:
        known = self._session.instruments
        for symbol in self._symbols:
            if symbol not in known:
                quote = symbol.partition("/")[2]
                near = ", ".join(sorted(name for name in known if name.endswith(f"/{quote}"))[:5]) or ", ".join(sorted(known)[:5])
                raise self._wrong(f"{self.venue} does not trade {symbol}", f"use one of {near}")
        if not self._session.has("fetchOHLCV"):
            raise self._wrong(f"{self.venue} gives no bars through ccxt", "use another venue")

    async def _first(self, symbol: Symbol) -> Quote:
        try:
            ticker = await self._ask_one(symbol)
        except (Failed, VenueBusy) as error:
            raise self._session.unavailable(error) from error
        price = self._price(symbol, ticker)
        if price is None:
            raise ExchangeUnavailable(venue=self.venue, reason=f"no price of {symbol}")
        self._last[symbol] = price
        return Quote(symbol=symbol, price=price, time_ms=self._clock.now_ms())

    def _price(self, symbol: Symbol, ticker: Any) -> Decimal | None:
        """The last trade, as a multiple of the tick."""
        price = decimal_or_none(ticker.get("last") or ticker.get("close"))
        if price is None or price <= 0:
            return None
        return round_down(price, self._session.instruments[symbol].tick_size) or None

    async def _follow_quotes(self) -> None:
        backoff_s = BACKOFF_S
        while True:
            started = self._clock.monotonic()
            try:
                if self._websocket and self._session.library.websockets and self._session.has("watchTickers"):
                    await self._watch_tickers()
                else:
                    await self._poll_tickers()
            except Exception as error:  # noqa: BLE001 - whatever broke the connection: it is opened anew
                log.warning("feed_quotes_broke", venue=self.venue, error=self._session.stream_error(self._session.public, error))
                await self._ask_tickers()
            if self._clock.monotonic() - started > BACKOFF_MAX_S:
                backoff_s = BACKOFF_S
            await anyio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _watch_tickers(self) -> None:
        while True:
            with own_decimals():
                tickers = await self._session.public.ccxt.watch_tickers(list(self._symbols))
            self._take(tickers)

    async def _poll_tickers(self) -> None:
        backoff_s = BACKOFF_S
        while True:
            if await self._ask_tickers():
                backoff_s = BACKOFF_S
                await anyio.sleep(self._poll_s)
            else:
                await anyio.sleep(max(self._poll_s, backoff_s))
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _ask_tickers(self) -> bool:
        """Whether there was an answer."""
        if not self._session.has("fetchTickers"):
            return await self._ask_each()
        weight = self._session.profile.weights.ticker * math.ceil(len(self._symbols) / 20)
        try:
            tickers = await self._session.call(
                self._session.public, lambda ccxt: ccxt.fetch_tickers(list(self._symbols)), weight, Rank.DATA
            )
        except (Failed, VenueBusy) as error:
            log.warning("feed_quotes_unanswered", venue=self.venue, error=str(error))
            return False
        self._take(tickers)
        return True

    async def _ask_each(self) -> bool:
        """The same of a venue that tells one instrument at a time."""
        tickers: dict[str, Any] = {}
        for symbol in self._symbols:
            try:
                tickers[symbol] = await self._ask_one(symbol)
            except (Failed, VenueBusy) as error:
                log.warning("feed_quotes_unanswered", venue=self.venue, symbol=symbol, error=str(error))
        self._take(tickers)
        return bool(tickers)

    async def _ask_one(self, symbol: Symbol) -> Any:
        return await self._session.call(
            self._session.public, lambda ccxt: ccxt.fetch_ticker(symbol), self._session.profile.weights.ticker, Rank.DATA
        )

    def _take(self, tickers: dict[str, Any]) -> None:
        for symbol in self._symbols:
            price = self._price(symbol, tickers[symbol]) if symbol in tickers else None
            if price is not None:
                self._last[symbol] = price
                self._last_ms = max(self._last_ms, self._clock.now_ms())
                self._offer(Quote(symbol=symbol, price=price, time_ms=self._last_ms))

    def _offer(self, quote: Quote) -> None:
        try:
            self._send.send_nowait(quote)
        except anyio.WouldBlock:
            log.warning("feed_reader_slow", venue=self.venue, symbol=quote.symbol)

    async def _follow_bars(self, symbol: Symbol) -> None:
        """Bars in order, each once, from the first one that ends after the start."""
        next_ms = self._start_ms
        wait_s = 0.0 if self._history else self._until_s(next_ms)
        while True:
            await anyio.sleep(wait_s)
            bars = await self._ask_bars(symbol, next_ms)
            for bar in bars:
                await self._send.send(bar)
                next_ms = bar.close_ms
            behind = next_ms + self._timeframe_ms <= self._venue_now_ms()
            wait_s = (0.0 if bars else max(self._poll_s, BAR_GRACE_S)) if behind else self._until_s(next_ms)

    def _until_s(self, open_ms: int) -> float:
        return max(0.0, (open_ms + self._timeframe_ms - self._venue_now_ms()) / 1000 + BAR_GRACE_S)

    def _venue_now_ms(self) -> int:
        return self._clock.now_ms() + self._session.offset.offset_ms

    async def _ask_bars(self, symbol: Symbol, from_ms: int) -> list[Bar]:
        """The closed bars since then that the venue has by now, oldest first."""
        count = min(BARS_MAX, math.ceil((self._venue_now_ms() - from_ms) / self._timeframe_ms) + 1)
        try:
            rows = await self._session.call(
                self._session.public,
                lambda ccxt: ccxt.fetch_ohlcv(symbol, self._timeframe, from_ms, count),
                self._session.profile.weights.bars,
                Rank.DATA,
            )
        except (Failed, VenueBusy) as error:
            log.warning("feed_bars_unanswered", venue=self.venue, symbol=symbol, error=str(error))
            return []
        bars = [_bar(symbol, self._timeframe_ms, row) for row in rows]
        until_ms = self._venue_now_ms()
        return sorted((bar for bar in bars if bar is not None and bar.open_ms >= from_ms and bar.close_ms <= until_ms), key=_open_ms)


def _open_ms(bar: Bar) -> int:
    return bar.open_ms


def _bar(symbol: Symbol, timeframe_ms: int, row: Sequence[Any]) -> Bar | None:
    """One row of ccxt's; None if a price is missing."""
    opened, high, low, close = (decimal_or_none(value) for value in row[1:5])
    if opened is None or high is None or low is None or close is None:
        return None
    volume = decimal_or_none(row[5]) or ZERO
    return Bar(symbol=symbol, timeframe_ms=timeframe_ms, open_ms=int(row[0]), open=opened, high=high, low=low, close=close, volume=volume)
