"""The live venue as one run of the service sees it: far away, at the end of a bad line, and with moods of its own."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import anyio
import msgspec

from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import Order, OrderReport, OrderState
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Capabilities, ReportHandler, Snapshot
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.observer import Observer
from tradekit.testing.simulation.sim_venue import VENUE, Listed, SimVenue, Taken

WINDOW_S = 4.0
LATE_S = 3.0
HIDDEN_S = 3.0
"""An order that is on its way, or does not show, does so within the window."""
CAPABILITIES = Capabilities(venue=VENUE, visibility_window_s=WINDOW_S, answer_timeout_s=5.0)
LATE_FILL_S = 20.0
PING_S = (0.02, 0.2)


class Trouble:
    """What is wrong with the venue right now. One per simulation."""

    def __init__(self) -> None:
        self.banned = False
        self.closed = False
        self.stream_down = False
        self.hanging: set[int] = set()
        """Users whose calls are not answered."""

    def calm(self) -> None:
        """Nothing is wrong any more."""
        self.banned = self.closed = self.stream_down = False
        self.hanging.clear()


class FaultyVenue:
    """Implements :class:`tradekit.ports.exchange.Exchange` for one run of the service. The venue itself goes on without it."""

    def __init__(
        self,
        inner: SimVenue,
        *,
        trouble: Trouble,
        clock: Clock,
        faults: Faults,
        observer: Observer,
        send_late: Callable[[float, Order], None],
    ) -> None:
        self._inner, self._trouble, self._clock = inner, trouble, clock
        self._faults, self._observer, self._send_late = faults, observer, send_late
        self._known: dict[str, Order] = {}
        """Orders that went through here or were asked about: only their events are passed on."""
        self.compared: set[int] = set()
        """Users whose balances were told."""
        self.dead = False

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._inner.instrument(symbol)

    async def submit(self, order: Order) -> OrderReport:
        self._observer.sent_order(order)
        self._known[order.client_order_id] = order
        if refusal := await self._turned_away(order.user_id):
            return self._refused(order, refusal)
        if self._faults.hit("late_request"):
            self._send_late(self._faults.between(0.05, LATE_S), order)
            raise self._unheard("no answer")
        share = Decimal(self._faults.below(9)) / 10 if self._faults.hit("partial") else None
        hidden_s = self._faults.between(0.3, HIDDEN_S) if self._faults.hit("invisible") else 0.0
        try:
            report = self._inner.take(order, share=share, hidden_s=hidden_s).report()
        except Taken:
            raise self._unheard("DUPLICATE_CLIENT_ORDER_ID") from None
        self._observer.venue_said("submit", order.client_order_id, report)
        await self._answer(order.user_id)
        return report

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        outcomes: list[OrderReport | BaseException] = []
        for order in orders:
            try:
                outcomes.append(await self.submit(order))
            except ExchangeUnavailable as error:
                outcomes.append(error)
        return outcomes

    async def cancel(self, order: Order) -> OrderReport:
        self._known[order.client_order_id] = order
        if refusal := await self._turned_away(order.user_id):
            raise self._unheard(refusal)
        found = self._inner.look_up(order.user_id, order.client_order_id)
        late = found is not None and found.is_open and self._faults.hit("late_fill")
        listed = self._inner.cancel(order.user_id, order.client_order_id)
        if listed is None:
            raise self._unheard("ORDER_NOT_FOUND")
        report = _as_asked(listed.report(), order)
        self._observer.venue_said("cancel", order.client_order_id, report)
        if late:
            share = Decimal(1 + self._faults.below(9)) / 10
            asyncio.get_running_loop().call_later(self._faults.between(0.2, LATE_FILL_S), self._inner.fill_late, listed, share)
        await self._answer(order.user_id)
        return report

    async def find(self, order: Order) -> OrderReport | None:
        self._known[order.client_order_id] = order
        if refusal := await self._turned_away(order.user_id):
            raise self._unheard(refusal)
        listed = self._inner.look_up(order.user_id, order.client_order_id)
        report = None if listed is None else _as_asked(listed.report(), order)
        self._observer.venue_said("find", order.client_order_id, report)
        if report is not None and report.fills and self._faults.hit("late_trades"):
            raise self._unheard("fills do not show yet")
        await self._answer(order.user_id)
        return report

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        asked_ms = self._clock.now_ms()
        if refusal := await self._turned_away(user_id):
            raise self._unheard(refusal)
        snapshot = self._inner.snapshot(user_id, with_orders=with_orders, time_ms=asked_ms)
        await self._answer(user_id)
        self.compared.add(user_id)
        return snapshot

    # The way there and back

    async def _turned_away(self, user_id: int) -> str:
        """The way there: code of a refusal at the gate, or empty text."""
        await anyio.sleep(self._faults.between(*PING_S))
        if user_id in self._trouble.hanging:
            await anyio.sleep(3600)
        if self._trouble.closed:
            raise self._unheard("503")
        if self._trouble.banned:
            return "VENUE_BUSY"
        if self._faults.hit("lost_request"):
            raise self._unheard("no answer")
        if self._faults.hit("error_before"):
            raise self._unheard("500")
        if self._faults.hit("rate_limit"):
            return "VENUE_BUSY"
        return "CLOCK_SKEW" if self._faults.hit("clock") else ""

    async def _answer(self, user_id: int) -> None:
        """The way back."""
        if self._faults.hit("lost_answer"):
            raise self._unheard("no answer")
        if self._faults.hit("error_after"):
            raise self._unheard("500")
        if self._faults.hit("delay"):
            # Sometimes longer than the service waits.
            await anyio.sleep(self._faults.between(0.01, 7))
        await anyio.sleep(self._faults.between(*PING_S))
        if user_id in self._trouble.hanging:
            await anyio.sleep(3600)

    @staticmethod
    def _unheard(reason: str) -> ExchangeUnavailable:
        return ExchangeUnavailable(venue=VENUE, reason=f"simulated: {reason}")

    def _refused(self, order: Order, reason: str) -> OrderReport:
        return OrderReport(
            client_order_id=order.client_order_id,
            user_id=order.user_id,
            state=OrderState.REJECTED,
            reason=reason,
            time_ms=self._clock.now_ms(),
        )

    # The stream

    def listen(self, handler: ReportHandler) -> None:
        loop = asyncio.get_running_loop()

        def tell(report: OrderReport) -> None:
            if not self.dead:
                handler(report)

        def heard(report: OrderReport) -> None:
            order = self._known.get(report.client_order_id)
            if self.dead or self._trouble.stream_down or order is None:
                return
            report = _as_asked(report, order)
            self._observer.venue_said("report", report.client_order_id, report)
            if self._faults.hit("event_lost"):
                return
            if self._faults.hit("event_twice"):
                loop.call_later(self._faults.between(0.001, 30), tell, report)
            late = self._faults.between(0.1, 5) if self._faults.hit("event_swapped") else self._faults.between(*PING_S)
            loop.call_later(late, tell, report)

        self._inner.tell = heard


def _as_asked(report: OrderReport, order: Order) -> OrderReport:
    """A venue knows no partitions: whoever asks does."""
    if not report.fills or report.fills[0].partition == order.partition:
        return report
    fills = tuple(msgspec.structs.replace(fill, partition=order.partition) for fill in report.fills)
    return msgspec.structs.replace(report, fills=fills)


def arrives(venue: SimVenue, order: Order) -> Listed | None:
    """A request that was held up on its way; None when an open order has taken its id meanwhile."""
    try:
        return venue.take(order)
    except Taken:
        return None
