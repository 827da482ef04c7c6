"""The exchange port over ccxt."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
import attrs
import structlog

from tradekit.adapters.ccxt.budget import Rank, VenueBusy, WeightBudget
from tradekit.adapters.ccxt.credentials import Credentials, NoCredentials
from tradekit.adapters.ccxt.fees import Fees
from tradekit.adapters.ccxt.inquiry import Inquiry
from tradekit.adapters.ccxt.profiles import Lookup, VenueProfile, profile_for
from tradekit.adapters.ccxt.reports import Raw, refusal_of, state_of
from tradekit.adapters.ccxt.session import Client, Failed, Prepare, VenueSession
from tradekit.adapters.ccxt.snapshots import balances_of, venue_orders_of
from tradekit.adapters.ccxt.streams import UserStreams
from tradekit.adapters.ccxt.tracker import Tracker
from tradekit.adapters.ccxt.verdicts import Kind, shown
from tradekit.domain.amounts import is_multiple, text_of
from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import CONDITIONAL, TERMINAL, Order, OrderReport, OrderType, Side, TimeInForce
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Capabilities, ReportHandler, Snapshot

log = structlog.get_logger(__name__)

HOUSEKEEPING_S = 30.0
MARKETS_AGE_MAX_S = 3_600.0
_TRIGGERS = {OrderType.STOP: "stopLossPrice", OrderType.STOP_LIMIT: "stopLossPrice", OrderType.TAKE_PROFIT: "takeProfitPrice"}
"""ccxt's names for triggers. Its ``triggerPrice`` would be a stop at any venue, a target too."""


class CcxtExchange:
    """Places users' orders at one venue, each signed with its user's key.

    Use as an async context manager, entered and left by the same task. What is definite is a report; what is not raises
    ExchangeUnavailable:

    * Refused by the venue, or not sent at all (precision, no key, no room in the venue's limits in time, clocks too far apart): REJECTED
      with a code. Nothing exists at the venue.
    * A time-out, a broken connection, a 5xx, an answer that cannot be read: ExchangeUnavailable. The order may exist.

    All users share one budget of request weight; exits go first. Fees are quote currency, see :mod:`tradekit.adapters.ccxt.fees`.

    :raises ConfigurationError: on entering, when ccxt is missing or does not know the venue.
    :raises ExchangeUnavailable: on entering, when the venue does not answer.
    """

    def __init__(
        self,
        venue: str,
        credentials: Credentials,
        clock: Clock,
        *,
        profile: VenueProfile | None = None,
        sandbox: bool = False,
        prepare: Prepare | None = None,
        budget: WeightBudget | None = None,
        weight_max: int | None = None,
        visibility_window_s: float | None = None,
        request_timeout_s: float = 10.0,
        wait_max_s: float = 5.0,
        clock_bound_ms: int = 5_000,
        resync_s: float = 60.0,
        linger_s: float = 30.0,
    ) -> None:
        """
        :param venue: as ccxt calls it, such as ``binance``.
        :param prepare: called with every new ccxt instance, to change addresses or set a proxy.
        :param budget: shared with others at the same address and venue, such as a feed.
        :param weight_max: request weight per window, for whom the venue granted another limit than the profile's.
        :param visibility_window_s: instead of the profile's.
        :param wait_max_s: longest wait for room in the budget.
        :param clock_bound_ms: entries are refused while the venue's clock is certainly further away than this.
        :param resync_s: how often open orders are asked for besides their events.
        :param linger_s: how long a user is followed after the last open order.
        """
        self.profile = profile or profile_for(venue)
        if weight_max is not None:
            self.profile = attrs.evolve(self.profile, weight_max=weight_max)
        window_s = self.profile.visibility_window_s if visibility_window_s is None else visibility_window_s
        # Room in the budget, a place on the wire and the answer; and once more for fills that the answer did not bring.
        self._capabilities = Capabilities(
            venue=self.profile.venue,
            visibility_window_s=window_s,
            answer_timeout_s=2 * (2 * wait_max_s + request_timeout_s),
            native=self.profile.native,
        )
        self._session = VenueSession(
            self.profile,
            clock,
            credentials=credentials,
            sandbox=sandbox,
            prepare=prepare,
            request_timeout_s=request_timeout_s,
            wait_max_s=wait_max_s,
            clock_bound_ms=clock_bound_ms,
            budget=budget,
        )
        self._clock = clock
        self._inquiry = Inquiry(self._session, Fees(self._session))
        self._tracker = Tracker()
        self._handlers: list[ReportHandler] = []
        self.streams = UserStreams(self._session, self._inquiry, self._tracker, self._tell, resync_s=resync_s, linger_s=linger_s)
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._session)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self.streams.start(tasks)
            tasks.start_soon(self._keep_house)
            stack.callback(tasks.cancel_scope.cancel)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        if isinstance(error, Exception):
            # The body's own error leaves as it is, not in a group of the task group's making.
            kind = error = trace = None
        return await self._exit.__aexit__(kind, error, trace)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def budget(self) -> WeightBudget:
        """The request weight that every user of this venue shares."""
        return self._session.budget

    @property
    def clock_offset_ms(self) -> int:
        """The venue's time less ours, as last measured."""
        return self._session.offset.offset_ms

    def instruments(self) -> tuple[Instrument, ...]:
        """The venue's spot markets, as last read."""
        return tuple(self._session.instruments.values())

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._session.instruments.get(symbol)

    def listen(self, handler: ReportHandler) -> None:
        self._handlers.append(handler)

    async def refresh(self) -> None:
        """Measure the venue's clock and read its markets anew.

        :raises ExchangeUnavailable: no answer.
        """
        await self._session.measure_clock()
        await self._session.load_markets()

    async def submit(self, order: Order) -> OrderReport:
        outcome = await self._submit(order)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        """Exits first; each user's order is a request of its own, as no venue takes several users' at once."""
        outcomes: list[OrderReport | BaseException] = [ExchangeUnavailable(venue=self.profile.venue, reason="not sent")] * len(orders)

        async def send(index: int) -> None:
            outcomes[index] = await self._submit(orders[index])

        async with anyio.create_task_group() as tasks:
            for index in sorted(range(len(orders)), key=lambda index: _rank(orders[index])):
                tasks.start_soon(send, index)
        return outcomes

    async def cancel(self, order: Order) -> OrderReport:
        """An id the venue does not know raises ExchangeUnavailable (``ORDER_NOT_FOUND``): the order may be on its way; ask :meth:`find`.

        A cancel is final only after a last look: fills may have come before it.
        """
        try:
            async with self._session.client(order.user_id) as client:
                await self._send_cancel(client, order)
                report = await self._inquiry.order(client, order, Rank.EXIT, asked=True)
        except (Failed, VenueBusy) as error:
            raise self._session.unavailable(error) from error
        except NoCredentials as error:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="ACCOUNT_INVALID") from error
        if report is None:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="ORDER_NOT_FOUND")
        self._know(order, report)
        return report

    async def find(self, order: Order) -> OrderReport | None:
        try:
            async with self._session.client(order.user_id) as client:
                report = await self._inquiry.order(client, order, Rank.EXIT if _rank(order) is Rank.EXIT else Rank.QUESTION)
        except Failed as failed:
            await self._after(failed)
            raise self._session.unavailable(failed) from failed
        except VenueBusy as error:
            raise self._session.unavailable(error) from error
        except NoCredentials as error:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="ACCOUNT_INVALID") from error
        if report is not None:
            self._know(order, report)
        return report

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        asked_ms, weights = self._clock.now_ms(), self.profile.weights
        rank = Rank.QUESTION if urgent else Rank.RECONCILE
        try:
            async with self._session.client(user_id) as client:
                raw = await self._session.call(client, lambda ccxt: ccxt.fetch_balance(), weights.balances, rank)
                found = (
                    await self._session.call(client, lambda ccxt: ccxt.fetch_open_orders(), weights.all_open_orders, rank)
                    if with_orders
                    else None
                )
        except Failed as failed:
            await self._after(failed)
            raise self._session.unavailable(failed) from failed
        except VenueBusy as error:
            raise self._session.unavailable(error) from error
        except NoCredentials as error:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="ACCOUNT_INVALID") from error
        orders = None if found is None else venue_orders_of(found, self.profile, asked_ms)
        return Snapshot(balances=balances_of(raw), orders=orders, time_ms=asked_ms)

    async def _submit(self, order: Order) -> OrderReport | BaseException:
        reason = self._refusal(order)
        if reason:
            return refusal_of(order, reason, self._clock.now_ms())
        client_id = self.profile.id_of(order)
        known = self._tracker.get(order.user_id, client_id) is not None
        try:
            async with self._session.client(order.user_id) as client:
                self._tracker.add(order, client_id, self._clock.monotonic())
                raw = await self._create(client, order, client_id)
                try:
                    report = await self._answer(client, order, raw)
                except (Failed, VenueBusy) as error:
                    # The venue has taken the order: that a question about it was turned away is no refusal.
                    return self._session.unavailable(error)
        except NoCredentials:
            return refusal_of(order, "ACCOUNT_INVALID", self._clock.now_ms())
        except VenueBusy as error:
            if not known:
                self._tracker.forget(order, client_id)
            return refusal_of(order, error.reason, self._clock.now_ms())
        except Failed as failed:
            return await self._unanswered(order, client_id, failed)
        except Exception as error:  # noqa: BLE001 - a fault of ours or of the credentials port must not take the batch's other orders with it
            # Without the traceback, whose frames hold the key.
            log.error("submission_broke", client_order_id=order.client_order_id, error=shown(error))
            return ExchangeUnavailable(venue=self.profile.venue, reason=shown(error))
        finally:
            # Also when there is no answer, or nobody waits for it any more: the order may stand, and its events are wanted.
            if self._tracker.open_of(order.user_id):
                self.streams.follow(order.user_id)
        self._know(order, report)
        return report

    def _refusal(self, order: Order) -> str:
        """The code for which the order is not even sent, or empty. ccxt would round what does not fit, and less would fill than asked."""
        instrument = self._session.instruments.get(order.symbol)
        if instrument is None:
            return "INSTRUMENT_UNKNOWN"
        if order.time_in_force is TimeInForce.GTD or (order.post_only and order.time_in_force is not TimeInForce.GTC):
            return "TIME_IN_FORCE_UNSUPPORTED"
        if order.type in CONDITIONAL and (refusal := self._stop_refusal(order, instrument)):
            return refusal
        if order.type in {OrderType.LIMIT, OrderType.STOP_LIMIT} and (order.price is None or order.price <= 0):
            return "PRICE_MISSING"
        if order.type is OrderType.MARKET and (order.price is not None or order.post_only):
            return "PRICE_NOT_ALLOWED"
        if not is_multiple(order.quantity, instrument.step_size) or order.quantity <= 0:
            return "QTY_PRECISION"
        if order.price is not None and not is_multiple(order.price, instrument.tick_size):
            return "PRICE_PRECISION"
        if self._session.offset.too_far and _rank(order) is not Rank.EXIT:
            return "CLOCK_SKEW"
        return ""

    def _stop_refusal(self, order: Order, instrument: Instrument) -> str:
        if order.type not in self.profile.native or not order.terms.trigger_price:
            return "ORDER_TYPE_UNSUPPORTED"
        if order.post_only:
            # ccxt would send it as post-only, and without its trigger.
            return "TIME_IN_FORCE_UNSUPPORTED"
        return "" if is_multiple(order.terms.trigger_price, instrument.tick_size) else "PRICE_PRECISION"

    async def _create(self, client: Client, order: Order, client_id: str) -> Raw:
        params: dict[str, Any] = {"clientOrderId": client_id}
        if order.post_only:
            params["postOnly"] = True
        elif order.price is not None:
            params["timeInForce"] = order.time_in_force.value
        if order.type in CONDITIONAL and order.terms.trigger_price is not None:
            params[_TRIGGERS[order.type]] = text_of(order.terms.trigger_price)
        kind = OrderType.MARKET if order.price is None else OrderType.LIMIT
        quantity, price = text_of(order.quantity), text_of(order.price) if order.price is not None else None
        answer: Raw = await self._session.call(
            client,
            lambda ccxt: ccxt.create_order(order.symbol, kind.value, order.side.value, quantity, price, params),
            self.profile.weights.create,
            _rank(order),
        )
        return answer

    async def _answer(self, client: Client, order: Order, raw: Raw) -> OrderReport:
        """The answer to a submission; a venue that only acknowledges is asked for more."""
        if state_of(raw, order, order.quantity * 0) is None and raw.get("id"):
            told = await self._inquiry.raw(client, order, _rank(order))
            raw = told if told is not None else raw
        return await self._inquiry.report(client, order, raw, _rank(order))

    async def _unanswered(self, order: Order, client_id: str, failed: Failed) -> OrderReport | BaseException:
        verdict = failed.verdict
        if verdict.kind in {Kind.REFUSED, Kind.CLOCK, Kind.LIMITED}:
            self._tracker.forget(order, client_id)
            await self._after(failed)
            return refusal_of(order, verdict.reason, self._clock.now_ms())
        # Silence: whoever sent it must ask.
        return self._session.unavailable(failed)

    async def _after(self, failed: Failed) -> None:
        """A venue that finds our time wrong is asked for its own at once."""
        if failed.verdict.kind is Kind.CLOCK:
            try:
                await self._session.measure_clock()
            except ExchangeUnavailable as error:
                log.warning("venue_clock_unknown", venue=self.profile.venue, error=str(error))

    async def _send_cancel(self, client: Client, order: Order) -> None:
        """Ask for the cancel. That the venue refuses or does not know it is settled by the look that follows."""
        client_id = self.profile.id_of(order)
        venue_id, params = "", {"clientOrderId": client_id}
        if self.profile.lookup is Lookup.SCAN or order.terms.foreign:
            raw = {"id": order.venue_order_id} if order.venue_order_id else await self._inquiry.raw(client, order, Rank.EXIT)
            if raw is None:
                return
            venue_id, params = str(raw["id"]), {}
        try:
            await self._session.call(
                client, lambda ccxt: ccxt.cancel_order(venue_id, order.symbol, params), self.profile.weights.cancel, Rank.EXIT
            )
        except Failed as failed:
            if failed.verdict.kind not in {Kind.NOT_FOUND, Kind.REFUSED}:
                await self._after(failed)
                raise

    def _know(self, order: Order, report: OrderReport) -> None:
        """Follow what is open; what is over is kept for late fills."""
        client_id = self.profile.id_of(order)
        tracked = self._tracker.reopen(client_id, report, order, self._clock.monotonic())
        if (tracked.state, len(tracked.fills)) == (report.state, len(report.fills)):
            # Whoever asked has it now; a stream that knows more still has to tell that.
            tracked.tell()
        self._tracker.settle(client_id, tracked)
        if report.state not in TERMINAL:
            self.streams.follow(order.user_id)

    def _tell(self, report: OrderReport) -> None:
        for handler in self._handlers:
            try:
                handler(report)
            except Exception:
                # A listener's fault must not end the stream; `find` still tells what happened.
                log.exception("listener_failed", client_order_id=report.client_order_id)

    async def _keep_house(self) -> None:
        """Measure the clock every half minute, read the markets every hour."""
        read_at = self._clock.monotonic()
        while True:
            await anyio.sleep(HOUSEKEEPING_S)
            try:
                await self._session.measure_clock()
                if self._clock.monotonic() - read_at > MARKETS_AGE_MAX_S:
                    await self._session.load_markets()
                    read_at = self._clock.monotonic()
            except ExchangeUnavailable as error:
                log.warning("venue_silent", venue=self.profile.venue, error=str(error))


def _rank(order: Order) -> Rank:
    """On a spot venue every sell makes a position smaller."""
    return Rank.EXIT if order.reduce_only or order.side is Side.SELL else Rank.ENTRY
