"""The gateway between a user's book and a venue that is slow, silent or late."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import anyio
import msgspec
import pytest

from tests.engine.engine_support import until
from tests.unit.test_orders import fill
from tradekit.adapters.system import SystemClock
from tradekit.domain.errors import ExchangeUnavailable, StorageFailed
from tradekit.domain.orders import Order, OrderReport, OrderState, OrderType
from tradekit.domain.sessions import find_order
from tradekit.engine.gateway import Gateway
from tradekit.engine.lanes import Completed, Envelope
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.venues import Venues
from tradekit.ports.exchange import Capabilities
from tradekit.services import trading
from tradekit.services.decisions import Decision
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import NOW_MS, a_session, an_order

pytestmark = pytest.mark.anyio
replace = msgspec.structs.replace
S = OrderState


class Venue:
    """Answers nothing until it is told to; what it then says of an order is up to the test."""

    capabilities = Capabilities(venue="paper", visibility_window_s=30, answer_timeout_s=5)

    def __init__(self) -> None:
        self.resting: set[str] = set()
        self.canceled: list[str] = []
        self.submissions: list[str] = []
        self.refuses = False
        """A cancel leaves the order as it is."""
        self.submitting, self.canceling = anyio.Event(), anyio.Event()

    def listen(self, handler: Any) -> None:
        self.tell = handler

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        self.submissions += [order.client_order_id for order in orders]
        await self.submitting.wait()
        return [ExchangeUnavailable(venue="paper", reason="no answer")] * len(orders)

    async def cancel(self, order: Order) -> OrderReport:
        self.canceled.append(order.client_order_id)
        await self.canceling.wait()
        if self.refuses:
            return a_report(order, S.ACCEPTED)
        if order.client_order_id not in self.resting:
            raise ExchangeUnavailable(venue="paper", reason="ORDER_NOT_FOUND")
        self.resting.discard(order.client_order_id)
        return a_report(order, S.CANCELED)

    async def find(self, order: Order) -> OrderReport | None:
        return a_report(order, S.ACCEPTED) if order.client_order_id in self.resting else None


def a_report(order: Order, state: OrderState) -> OrderReport:
    return OrderReport(client_order_id=order.client_order_id, user_id=order.user_id, state=state, time_ms=NOW_MS)


class Street:
    """A gateway, its venue, and one user whose lane books at once."""

    def __init__(self, *orders: Order) -> None:
        self.venue, self.state = Venue(), a_session(orders=orders)
        self.refuse = False
        """Nothing can be stored."""
        self.gateway = Gateway(
            venues=Venues(cast("Any", self.venue), cast("Any", None)),
            clock=SystemClock(),
            telemetry=Telemetry(),
            post=self._post,
            post_many=self._post_many,
        )

    def _post(self, envelope: Envelope) -> None:
        decision = envelope.handler(self.state, a_context())
        assert isinstance(decision, Decision)
        if not self.refuse:
            self.does(decision)
        if envelope.done is not None:
            envelope.done(Completed(result=decision.result, error=StorageFailed(reason="full") if self.refuse else None))

    def _post_many(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self._post(envelope)

    def does(self, decision: Decision) -> None:
        self.state = decision.state
        self.gateway.submit(decision.submit)
        self.gateway.cancel(decision.cancel)

    def state_of(self, order: Order) -> OrderState | None:
        found = find_order(self.state, order.client_order_id)
        return None if found is None else found.state


@asynccontextmanager
async def a_street(*orders: Order) -> AsyncIterator[Street]:
    street = Street(*orders)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(street.gateway.run)
        yield street
        tasks.cancel_scope.cancel()


async def test_a_cancel_is_not_forgotten_when_both_answers_are_lost() -> None:
    order = an_order(price=None)
    async with a_street(order) as street:
        street.gateway.submit((order,))
        await until(lambda: bool(street.venue.submissions))
        street.does(trading.cancel(street.state, order.client_order_id, a_context()))
        await until(lambda: bool(street.venue.canceled))
        street.venue.submitting.set()
        await until(lambda: street.gateway.unresolved == 1)
        street.venue.canceling.set()
        await until(lambda: street.gateway.waiting == 1)
        street.venue.resting.add(order.client_order_id)
        await until(lambda: street.state_of(order) is None)
        assert street.venue.resting == set()
        assert street.venue.submissions == [order.client_order_id]


async def test_what_could_not_be_booked_does_not_count_as_checked() -> None:
    order = an_order(state=S.ACCEPTED)
    async with a_street(order) as street:
        street.venue.resting.add(order.client_order_id)
        assert await street.gateway.check(order)
        street.refuse = True
        assert not await street.gateway.check(order)
        street.refuse = False
        await until(lambda: street.gateway.unresolved == 0)


async def test_a_fill_while_a_cancel_is_under_way_does_not_lose_it_over_a_restart() -> None:
    order = an_order(state=S.ACCEPTED, type=OrderType.LIMIT, price=Decimal(45_000))
    async with a_street(order) as street:
        street.venue.resting.add(order.client_order_id)
        street.does(trading.cancel(street.state, order.client_order_id, a_context()))
        await until(lambda: bool(street.venue.canceled))
        street.venue.tell(replace(a_report(order, S.PARTIALLY_FILLED), fills=(fill(order, 1, "0.001"),)))
        (stored,) = street.state.orders
    assert (stored.state, stored.cum_qty) == (S.PENDING_CANCEL, Decimal("0.001"))
    async with a_street(stored) as again:
        again.venue.resting.add(order.client_order_id)
        again.venue.canceling.set()
        again.gateway.settle_after_restart(again.state.orders)
        await until(lambda: not again.state.orders)
        assert again.venue.canceled == [order.client_order_id]


async def test_a_cancel_that_the_venue_refuses_is_over() -> None:
    order = an_order(state=S.ACCEPTED, type=OrderType.LIMIT, price=Decimal(45_000))
    async with a_street(order) as street:
        street.venue.refuses = True
        street.venue.canceling.set()
        street.does(trading.cancel(street.state, order.client_order_id, a_context()))
        await until(lambda: street.state_of(order) is S.ACCEPTED)
        assert street.gateway.waiting == 0
