"""The last prices, shared by all users, fed by one feed."""

import logging
from collections import deque
from collections.abc import Callable, Iterable

import anyio.lowlevel

from tradekit.domain.instruments import Bar, Instrument, Quote, Symbol
from tradekit.ports.feed import Feed

log = logging.getLogger(__name__)

HISTORY_MAX = 240
SLICE_BARS = 20
"""Bars of the past between two turns of the event loop."""


class Market:
    """Knows every instrument and its last quote; passes prices and closed bars on, in order."""

    def __init__(self, feed: Feed, origin: str = "") -> None:
        """:param origin: for people, where prices come from and why, such as ``live from binance``."""
        self._feed = feed
        self.origin = origin or feed.source
        self._instruments: dict[Symbol, Instrument] = {}
        self._quotes: dict[Symbol, Quote] = {}
        self._history: dict[Symbol, deque[Quote]] = {}
        self._on_quote: list[Callable[[Quote], None]] = []
        self._on_bar: list[Callable[[Bar], None]] = []
        self._on_past: list[Callable[[Bar], None]] = []
        self.ended = self._recalled = False
        for instrument in feed.instruments():
            self._instruments[instrument.symbol] = instrument
        for quote in feed.opening():
            self._take_quote(quote)

    @property
    def source(self) -> str:
        """``simulated``, ``replay`` or ``live``."""
        return self._feed.source

    def remember(self, instruments: Iterable[Instrument]) -> None:
        """Instruments traded earlier: known, so that positions can be shown, but without the feed's prices not tradable."""
        for instrument in instruments:
            self._instruments.setdefault(instrument.symbol, instrument)

    def quote(self, symbol: Symbol) -> Quote | None:
        """The last price, or None before the first."""
        return self._quotes.get(symbol)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Steps and limits of a symbol, or None."""
        return self._instruments.get(symbol)

    def symbols(self) -> tuple[Symbol, ...]:
        """Symbols with a price."""
        return tuple(self._quotes)

    def instruments(self) -> tuple[Instrument, ...]:
        """Everything known."""
        return tuple(self._instruments.values())

    def history(self, symbol: Symbol) -> tuple[Quote, ...]:
        """Recent quotes, oldest first."""
        return tuple(self._history.get(symbol, ()))

    @property
    def last_ms(self) -> int | None:
        """When the newest price was seen."""
        return max((quote.time_ms for quote in self._quotes.values()), default=None)

    def on_quote(self, listener: Callable[[Quote], None]) -> None:
        """Call on every price."""
        self._on_quote.append(listener)

    def on_bar(self, listener: Callable[[Bar], None]) -> None:
        """Call on every closed bar."""
        self._on_bar.append(listener)

    def on_past(self, listener: Callable[[Bar], None]) -> None:
        """Call on every bar that closed before the start, before the first of :meth:`on_bar`."""
        self._on_past.append(listener)

    async def run(self) -> None:
        """Take from the feed until it ends or this is cancelled; what it knows of the past comes first."""
        if not self._recalled:
            self._recalled = True
            await self._recall()
        async for event in self._feed.events():
            self.take(event)
        self.ended = True
        log.info("the feed has ended; its last prices stand")

    async def _recall(self) -> None:
        for number, bar in enumerate(await self._feed.past()):
            self._tell(self._on_past, bar)
            if number % SLICE_BARS == 0:
                await anyio.lowlevel.checkpoint()

    def take(self, event: Quote | Bar) -> None:
        """A price or a closed bar has come."""
        if isinstance(event, Quote):
            self._take_quote(event)
        else:
            self._tell(self._on_bar, event)

    def _take_quote(self, quote: Quote) -> None:
        self._quotes[quote.symbol] = quote
        self._history.setdefault(quote.symbol, deque(maxlen=HISTORY_MAX)).append(quote)
        self._tell(self._on_quote, quote)

    @staticmethod
    def _tell(listeners: list[Callable[..., None]], event: Quote | Bar) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # supervisor: one listener must not keep prices from the others
                log.exception("a listener failed on %s", event)
