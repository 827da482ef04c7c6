"""Sends committed orders to the venue, once each, outside the lanes; what is not answered is asked about until there is evidence."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import anyio.abc
import attrs
import msgspec

from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import TERMINAL, Order, OrderReport, OrderState, as_sent
from tradekit.domain.sessions import SessionState
from tradekit.engine.desk import Desk
from tradekit.engine.lanes import Completed, Envelope
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.venues import Venues
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Exchange
from tradekit.services.decisions import Context, Decision, Handler
from tradekit.services.reports import apply_report, mark_unknown, never_arrived

log = logging.getLogger(__name__)

QUESTIONS_AT_ONCE_MAX = 16
WAITING_MAX = 20_000
"""Above this the lanes pause until the venue has caught up."""
ASK_EVERY_S = 0.5
"""Until the venue knows of the order; longer each time, and again when its visibility window ends."""
ASK_AGAIN_S = 0.1
"""After no answer; longer each time."""
ASK_EVERY_MAX_S = 30.0
LONGER = 1.5


@attrs.define(eq=False)
class _Question:
    """An order whose fate the venue must tell."""

    order: Order
    since: float
    next_at: float
    tries: int = 0
    """Answers without evidence."""
    silences: int = 0
    """No answer, in a row."""
    asking: bool = False


Post = Callable[[Envelope], None]
PostMany = Callable[[Sequence[Envelope]], None]


class Gateway:
    """Submission, cancellation and the resolver. Reports go back to the user's lane."""

    def __init__(self, *, venues: Venues, clock: Clock, telemetry: Telemetry, post: Post, post_many: PostMany) -> None:
        self._venues, self._clock, self._telemetry, self._post, self._post_many = venues, clock, telemetry, post, post_many
        self._desks: dict[str, Desk] = {}
        self._questions: dict[str, _Question] = {}
        self._sending: set[str] = set()
        """Orders that wait to be sent, are being sent, or whose answer is being booked: nobody has to ask about them."""
        self._users: Counter[int] = Counter()
        """Users with something under way."""
        self._ask_wake = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        for account, exchange in venues:
            self.trade_at(account, exchange)

    def trade_at(self, account: str, exchange: Exchange) -> None:
        """Send the orders of these accounts to the exchange, and hear its reports."""
        desk = self._desks[account] = Desk(exchange, send=partial(self._send, exchange), cancel=partial(self._cancel, exchange))
        exchange.listen(self._heard)
        if self._tasks is not None:
            self._tasks.start_soon(desk.run)

    def submit(self, orders: tuple[Order, ...]) -> None:
        """Send orders that are committed."""
        for order in orders:
            self._users[order.user_id] += 1
            self._sending.add(order.client_order_id)
            if desk := self._desks.get(order.account):
                desk.submit(order)
            else:
                self._report(_nowhere(order, self._clock.now_ms()), order)

    def cancel(self, orders: tuple[Order, ...]) -> None:
        """Ask for orders to be canceled; that this was asked is committed."""
        for order in orders:
            self._users[order.user_id] += 1
            if desk := self._desks.get(order.account):
                desk.cancel(order)
            else:
                self._users[order.user_id] -= 1
                self.resolve(order)

    @property
    def has_room(self) -> bool:
        """Whether more orders may be decided."""
        return sum(desk.waiting for desk in self._desks.values()) < WAITING_MAX

    @property
    def waiting(self) -> int:
        """Orders to send, being sent, or asked about."""
        return sum(desk.at_work for desk in self._desks.values()) + len(self._questions)

    @property
    def unresolved(self) -> int:
        """Orders whose fate is being asked about."""
        return len(self._questions)

    def quiet(self, user_id: int) -> bool:
        """Whether nothing of this user is under way; orders that rest at the venue are not."""
        return not self._users[user_id]

    def resolve(self, order: Order) -> None:
        """Ask the venue what became of an order until there is evidence."""
        now = self._clock.monotonic()
        known = self._questions.get(order.client_order_id)
        if known is not None:
            known.since = now
            if order.state is OrderState.PENDING_CANCEL:
                # Wanted since the question was put: if the order turns out to rest it is canceled.
                known.order = order
            return
        self._users[order.user_id] += 1
        self._questions[order.client_order_id] = _Question(order, since=now, next_at=now)
        self._ask_wake.set()

    async def check(self, order: Order) -> bool:
        """Ask the venue about an order once, and book what it says.

        False when it knows nothing of it, or what it says could not be booked: that is looked into unless the order is over.

        :raises ExchangeUnavailable: no answer.
        """
        exchange = self._venues.of(order)
        if exchange is None:
            raise ExchangeUnavailable(venue=order.account, reason="NOT_CONNECTED")
        try:
            with anyio.fail_after(exchange.capabilities.answer_timeout_s):
                report = await exchange.find(as_sent(order))
        except TimeoutError:
            raise ExchangeUnavailable(venue=order.account, reason="no answer") from None
        if report is None:
            if order.is_open:
                self.resolve(order)
            return False
        booked, outcome = anyio.Event(), Completed()
        self._users[order.user_id] += 1
        envelope = self._report_envelope(report, order)

        def done(completed: Completed) -> None:
            nonlocal outcome
            outcome = completed
            self._booked(report, order, completed)
            booked.set()

        envelope.done = done
        self._post(envelope)
        await booked.wait()
        return outcome.error is None

    def settle_after_restart(self, orders: tuple[Order, ...]) -> None:
        """What was open when the service stopped: orders may have been sent, filled or canceled since. Nothing is sent again."""
        for order in orders:
            if order.held:
                continue
            if order.state is OrderState.SUBMITTED:
                self._post(self._envelope(order, partial(_unknown, order.client_order_id)))
            self.resolve(order)

    def adopt(self, orders: tuple[Order, ...]) -> None:
        """Take care of orders found in the storage that nobody here knows of: their commit was not confirmed, so nothing was sent."""
        unsettled = {OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.PENDING_CANCEL}
        lost = tuple(order for order in orders if order.state in unsettled and not self._knows(order.client_order_id))
        self.settle_after_restart(lost)

    def _knows(self, client_order_id: str) -> bool:
        return client_order_id in self._sending or client_order_id in self._questions

    async def run(self) -> None:
        """Send and ask until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            for desk in self._desks.values():
                self._tasks.start_soon(desk.run)
            await self._resolve_forever()

    async def _send(self, exchange: Exchange, batch: list[Order]) -> None:
        try:
            with anyio.fail_after(exchange.capabilities.answer_timeout_s):
                answers = await exchange.submit_many([as_sent(order) for order in batch])
        except Exception as error:  # noqa: BLE001 - whatever it was, it is no answer: the orders may exist
            answers = [error] * len(batch)
        reports: list[Envelope] = []
        for order, answer in zip(batch, answers, strict=True):
            if isinstance(answer, OrderReport):
                reports.append(self._report_envelope(answer, order))
            else:
                self._unanswered(order, answer)
        self._post_many(reports)

    def _unanswered(self, order: Order, error: BaseException) -> None:
        """A time-out says nothing about the order. Sending again could buy twice; so the venue is asked."""
        self._telemetry.count("orders.unanswered")
        log.warning("order %s of user %s: no answer (%s)", order.client_order_id, order.user_id, error)
        self._post(self._envelope(order, partial(_unknown, order.client_order_id)))
        self.resolve(order)
        self._sending.discard(order.client_order_id)
        self._users[order.user_id] -= 1

    async def _cancel(self, exchange: Exchange, order: Order) -> None:
        try:
            with anyio.fail_after(exchange.capabilities.answer_timeout_s):
                report = await exchange.cancel(as_sent(order))
        except Exception as error:  # noqa: BLE001 - no answer: ask what became of the order
            log.warning("cancel of %s: no answer (%s)", order.client_order_id, error)
            self.resolve(order)
            self._users[order.user_id] -= 1
        else:
            self._report(msgspec.structs.replace(report, answers_cancel=True), order)

    def _heard(self, report: OrderReport) -> None:
        """A report nobody waited for: a resting order filled, or expired."""
        self._users[report.user_id] += 1
        self._report(report, None)

    def _report(self, report: OrderReport, order: Order | None) -> None:
        self._post(self._report_envelope(report, order))

    def _report_envelope(self, report: OrderReport, order: Order | None) -> Envelope:
        return Envelope(
            user_id=report.user_id,
            lane_class=LaneClass.REPORT,
            handler=lambda state, ctx: apply_report(state, report, ctx),
            cause=f"report/{report.client_order_id}",
            posted_s=self._clock.monotonic(),
            done=partial(self._booked, report, order),
        )

    def _booked(self, report: OrderReport, order: Order | None, completed: Completed) -> None:
        """The report is committed, or could not be: then the venue is asked again, for its word must not be lost."""
        self._users[report.user_id] -= 1
        self._sending.discard(report.client_order_id)
        if not self._users[report.user_id]:
            del self._users[report.user_id]
        if completed.error is None:
            self._telemetry.count(f"reports.{report.state}")
            question = self._questions.get(report.client_order_id)
            if question is None:
                return
            if order is None and report.state not in TERMINAL:
                # What the venue tells of its own accord may be older than the question: that it was taken does not say that it still rests.
                question.since = self._clock.monotonic()
            elif _is_evidence(question.order, report):
                self._close(question)
            return
        log.error("report on %s was not booked: %s", report.client_order_id, completed.error)
        known = order or (completed.result if isinstance(completed.result, Order) else None)
        if known is not None:
            self.resolve(known)
        else:
            self._retry_later(report)

    def _retry_later(self, report: OrderReport) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(self._report_again, report)

    async def _report_again(self, report: OrderReport) -> None:
        await anyio.sleep(ASK_EVERY_S)
        self._users[report.user_id] += 1
        self._report(report, None)

    def _envelope(self, order: Order, handler: Handler) -> Envelope:
        return Envelope(
            user_id=order.user_id,
            lane_class=LaneClass.REPORT,
            handler=handler,
            cause=f"order/{order.client_order_id}",
            posted_s=self._clock.monotonic(),
        )

    async def _resolve_forever(self) -> None:
        while True:
            if not self._questions:
                await self._ask_wake.wait()
            self._ask_wake = anyio.Event()
            now = self._clock.monotonic()
            due = [question for question in self._questions.values() if question.next_at <= now and not question.asking]
            for question in due[:QUESTIONS_AT_ONCE_MAX]:
                question.asking = True
                assert self._tasks is not None
                self._tasks.start_soon(self._ask, question)
            with anyio.move_on_after(ASK_EVERY_S / 5):
                await self._ask_wake.wait()

    async def _ask(self, question: _Question) -> None:
        order, asked = question.order, self._clock.monotonic()
        exchange, window_s = self._venues.of(order), 0.0
        try:
            if exchange is None:
                raise ExchangeUnavailable(venue=order.account, reason="NOT_CONNECTED")
            with anyio.fail_after(exchange.capabilities.answer_timeout_s):
                report = await exchange.find(as_sent(order))
        except Exception as error:  # noqa: BLE001 - a network error never counts as "not found"
            question.silences += 1
            log.warning("asking for order %s: %s", order.client_order_id, error)
        else:
            question.silences, question.tries = 0, question.tries + 1
            window_s = exchange.capabilities.visibility_window_s
            self._weigh(question, report, asked, window_s)
        finally:
            question.asking = False
            question.next_at = self._next_at(question, window_s)

    def _next_at(self, question: _Question, window_s: float) -> float:
        now = self._clock.monotonic()
        if question.silences:
            return now + min(ASK_EVERY_MAX_S, ASK_AGAIN_S * LONGER ** min(question.silences, 16))
        later = now + min(ASK_EVERY_MAX_S, ASK_EVERY_S * LONGER ** min(question.tries, 12))
        over = question.since + window_s
        return min(later, over) if over > now else later

    def _weigh(self, question: _Question, report: OrderReport | None, asked: float, window_s: float) -> None:
        order = question.order
        if report is not None:
            self._users[order.user_id] += 1
            self._report(report, order)
            if order.state is OrderState.PENDING_CANCEL and report.state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}:
                self.cancel((order,))
                self._close(question)
            return
        if order.client_order_id in self._sending:
            question.since = self._clock.monotonic()
            return
        # What counts is when the venue was asked: an answer that took long says nothing about the time since.
        if asked - question.since < window_s:
            return
        envelope = self._envelope(order, lambda state, ctx: never_arrived(state, order.client_order_id, ctx))
        envelope.done = partial(self._gone, question)
        self._post(envelope)

    def _gone(self, question: _Question, completed: Completed) -> None:
        if completed.error is None:
            self._close(question)

    def _close(self, question: _Question) -> None:
        if self._questions.pop(question.order.client_order_id, None) is not None:
            self._users[question.order.user_id] -= 1


def _nowhere(order: Order, now_ms: int) -> OrderReport:
    """The operator does not trade at the order's venue: it was not sent."""
    return OrderReport(
        client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.REJECTED, reason="VENUE_UNAVAILABLE", time_ms=now_ms
    )


def _unknown(client_order_id: str, state: SessionState, ctx: Context) -> Decision:
    return mark_unknown(state, client_order_id, ctx)


def _is_evidence(order: Order, report: OrderReport) -> bool:
    """Whether a report settles a question: any word of the venue does, unless a cancel is still wanted."""
    if order.state is OrderState.PENDING_CANCEL:
        return report.state not in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}
    return True
