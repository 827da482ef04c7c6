"""Held orders of all users by the price that fires them: a quote costs what it fires, not what waits."""

import heapq
import itertools
import logging
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial

import anyio
import attrs
import msgspec

from tradekit.domain.inbox import LaneClass
from tradekit.domain.instruments import Quote, Symbol
from tradekit.domain.orders import Order, OrderType, Side
from tradekit.domain.sessions import SessionState
from tradekit.domain.triggers import fires, is_better, trigger_at, waits_for_fall
from tradekit.engine.lanes import Completed, Envelope
from tradekit.engine.market import Market
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.services.decisions import Context, Decision, Handler
from tradekit.services.triggers import fire, trail

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often the clock is looked at for time exits and pauses."""
STEPS_PER_DISTANCE = 10
"""A trailing stop is stored anew each time it has moved by a tenth of its distance."""
RETRY_S = 1.0
TIMES_SPARE = 64

_Key = tuple[Decimal, int]


@attrs.define(eq=False)
class _Watch:
    """A held order, and where its trailing stop stands right now."""

    order: Order
    number: int
    trigger: Decimal | None
    stored: Decimal | None
    best: Decimal | None = None
    """Of a trailing stop the best price since it is watched: a worse one moves nothing."""
    firing: bool = False
    not_before_s: float = 0.0


@attrs.define(eq=False)
class _Book:
    """What waits on one instrument."""

    falling: list[_Key] = attrs.field(factory=list)
    """Negated triggers, highest first: fire at or below."""
    rising: list[_Key] = attrs.field(factory=list)
    """Lowest first: fire at or above."""
    trailing: dict[int, _Watch] = attrs.field(factory=dict)


class Triggers:
    """Watches prices and the clock for held orders. What fires goes through the user's lane; firing twice changes nothing."""

    def __init__(self, *, market: Market, clock: Clock, telemetry: Telemetry, post: Callable[[Envelope], None]) -> None:
        self._market, self._clock, self._telemetry, self._post = market, clock, telemetry, post
        self._watches: dict[str, _Watch] = {}
        self._by_number: dict[int, _Watch] = {}
        self._books: dict[Symbol, _Book] = {}
        self._times: list[tuple[int, int]] = []
        self._numbers = itertools.count(1)
        market.on_quote(self.on_quote)

    def __len__(self) -> int:
        return len(self._watches)

    def note(self, orders: Iterable[Order]) -> None:
        """Committed orders, new or changed: held ones are watched, the others no longer."""
        for order in orders:
            known = self._watches.get(order.client_order_id)
            if known is not None and order.held and known.order.terms == order.terms:
                known.order = order
                continue
            if known is not None:
                self._forget(known)
            if order.held:
                self._watch(order, known)

    def on_quote(self, quote: Quote) -> None:
        """Fire what this price reaches, and move trailing stops on."""
        book = self._books.get(quote.symbol)
        if book is None:
            return
        price = quote.price
        for watch in [*self._reached(book.falling, -price), *self._reached(book.rising, price)]:
            self._fire(watch, price)
        for watch in list(book.trailing.values()):
            self._follow(watch, price)

    def _reached(self, keys: list[_Key], bound: Decimal) -> list[_Watch]:
        found = []
        for trigger, number in keys:
            if trigger > bound:
                break
            found.append(self._by_number[number])
        return found

    async def run(self) -> None:
        """Look at the clock until cancelled."""
        while True:
            await anyio.sleep(TICK_S)
            now_ms = self._clock.now_ms()
            while self._times and self._times[0][0] <= now_ms:
                _, number = heapq.heappop(self._times)
                watch = self._by_number.get(number)
                if watch is None:
                    continue
                quote = self._market.quote(watch.order.symbol)
                if quote is None or self._clock.monotonic() < watch.not_before_s:
                    # Nobody can sell without a price, and what was just tried waits: look again.
                    heapq.heappush(self._times, (now_ms + 1000, number))
                    continue
                self._fire(watch, quote.price)

    def _watch(self, order: Order, before: _Watch | None) -> None:
        terms, number = order.terms, next(self._numbers)
        trigger = terms.trigger_price
        if before is not None and before.trigger is not None and trigger is not None and is_better(order.side, before.trigger, trigger):
            trigger = before.trigger if order.type is OrderType.TRAILING_STOP else trigger
        watch = _Watch(order, number, trigger, terms.trigger_price)
        self._watches[order.client_order_id] = self._by_number[number] = watch
        if terms.trigger_ms or terms.fired:
            self._look_at(terms.trigger_ms, number)
        if order.type is OrderType.TIME_EXIT:
            return
        book = self._books.setdefault(order.symbol, _Book())
        if order.type is OrderType.TRAILING_STOP:
            book.trailing[number] = watch
        elif terms.trigger_price is not None:
            insort(*self._place(book, watch))

    def _forget(self, watch: _Watch) -> None:
        del self._watches[watch.order.client_order_id]
        del self._by_number[watch.number]
        book = self._books.get(watch.order.symbol)
        if book is None or watch.order.type is OrderType.TIME_EXIT:
            return
        if book.trailing.pop(watch.number, None) is None and watch.trigger is not None:
            keys, key = self._place(book, watch)
            del keys[bisect_left(keys, key)]
        if not (book.falling or book.rising or book.trailing):
            del self._books[watch.order.symbol]

    @staticmethod
    def _place(book: _Book, watch: _Watch) -> tuple[list[_Key], _Key]:
        assert watch.trigger is not None
        if waits_for_fall(watch.order):
            return book.falling, (-watch.trigger, watch.number)
        return book.rising, (watch.trigger, watch.number)

    def _follow(self, watch: _Watch, price: Decimal) -> None:
        order, instrument = watch.order, self._market.instrument(watch.order.symbol)
        assert watch.trigger is not None
        assert order.terms.trail_pct is not None
        if (price <= watch.trigger) if order.side is Side.SELL else (price >= watch.trigger):
            self._fire(watch, price)
            return
        if instrument is None or order.terms.fired or (watch.best is not None and not is_better(order.side, price, watch.best)):
            return
        watch.best = price
        new = trigger_at(order.side, order.terms.trail_pct, price, instrument.tick_size)
        if not is_better(order.side, new, watch.trigger):
            return
        watch.trigger = new
        assert watch.stored is not None
        if abs(new - watch.stored) * STEPS_PER_DISTANCE >= abs(price - new):
            before, watch.stored = watch.stored, new
            self._send(
                watch, "trail", lambda state, ctx: trail(state, order.client_order_id, new, ctx), partial(self._trailed, watch, before)
            )

    def _fire(self, watch: _Watch, price: Decimal) -> None:
        if watch.firing or self._clock.monotonic() < watch.not_before_s or not self._is_due(watch, price):
            return
        order = watch.order
        watch.firing = True
        self._telemetry.count("triggers.fired")
        self._send(watch, "fire", partial(_fire_handler, order.client_order_id), partial(self._fired, watch))

    def _is_due(self, watch: _Watch, price: Decimal) -> bool:
        order = watch.order
        if order.terms.fired:
            return True
        if order.type is OrderType.TRAILING_STOP and watch.trigger is not None:
            # Where it stands now, which may be nearer than what is stored.
            order = msgspec.structs.replace(order, terms=msgspec.structs.replace(order.terms, trigger_price=watch.trigger))
        return fires(order, price, self._clock.now_ms())

    @staticmethod
    def _trailed(watch: _Watch, before: Decimal, completed: Completed) -> None:
        """A step that was not stored is taken again with the next better price."""
        if completed.error is not None:
            watch.stored = before

    def _fired(self, watch: _Watch, completed: Completed) -> None:
        """What could not be committed, or waits for another order to make room, is tried again."""
        watch.firing = False
        if completed.error is not None:
            log.error("the trigger of %s was not booked: %s", watch.order.client_order_id, completed.error)
        elif completed.result is None:
            # It went, or was canceled, by a commit whose answer never came.
            if self._by_number.get(watch.number) is watch:
                self._forget(watch)
            return
        watch.not_before_s = self._clock.monotonic() + RETRY_S
        self._look_later(watch.order.client_order_id)

    def _look_later(self, client_order_id: str) -> None:
        watch = self._watches.get(client_order_id)
        if watch is not None:
            self._look_at(self._clock.now_ms() + int(RETRY_S * 1000), watch.number)

    def _look_at(self, time_ms: int, number: int) -> None:
        """Times of orders that are over leave with the others' once they are in the majority."""
        if len(self._times) > 2 * len(self._by_number) + TIMES_SPARE:
            self._times = [entry for entry in set(self._times) if entry[1] in self._by_number]
            heapq.heapify(self._times)
        heapq.heappush(self._times, (time_ms, number))

    def _send(self, watch: _Watch, what: str, handler: Handler, done: Callable[[Completed], None] | None = None) -> None:
        order = watch.order
        self._post(
            Envelope(
                user_id=order.user_id,
                lane_class=LaneClass.REPORT,
                handler=handler,
                cause=f"{what}/{order.client_order_id}",
                posted_s=self._clock.monotonic(),
                done=done,
            )
        )


def _fire_handler(client_order_id: str, state: SessionState, ctx: Context) -> Decision:
    return fire(state, client_order_id, ctx)
