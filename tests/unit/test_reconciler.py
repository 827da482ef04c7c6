"""Who is compared when: those with something open first, again and again, and one user's silent venue keeps nobody else waiting."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import anyio
import pytest

from tests.engine.engine_support import until
from tests.unit.test_reconciliation import an_account
from tradekit.adapters.system import SystemClock
from tradekit.domain.errors import ExchangeUnavailable, StorageFailed
from tradekit.domain.orders import OrderState, Side
from tradekit.domain.sessions import SessionState, SessionStatus
from tradekit.engine import reconciler as module
from tradekit.engine.lanes import Completed
from tradekit.engine.reconciler import Reconciler
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.venues import Venues
from tradekit.ports.exchange import Balance, Capabilities, Snapshot, VenueOrder
from tradekit.services.decisions import Decision, Handler
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import a_position, an_order

pytestmark = pytest.mark.anyio
LIVE = "binance:live"


class Venue:
    """Tells balances; hangs or fails for whom a test wants."""

    capabilities = Capabilities(venue="binance", visibility_window_s=1, answer_timeout_s=0.2)

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self.asked: list[tuple[int, bool]] = []
        self.hanging: set[int] = set()
        self.failing: set[int] = set()
        self.urgent: set[int] = set()
        self.cash = Decimal(1000)
        self.orders: tuple[VenueOrder, ...] = ()

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        time_ms = self._clock.now_ms()
        self.asked.append((user_id, with_orders))
        if urgent:
            self.urgent.add(user_id)
        if user_id in self.hanging:
            await anyio.sleep_forever()
        if user_id in self.failing:
            raise ExchangeUnavailable(venue="binance", reason="NO_KEY")
        balances = (Balance(currency="USDT", total=self.cash), Balance(currency="BTC", total=Decimal(9)))
        return Snapshot(balances=balances, orders=self.orders if with_orders else None, time_ms=time_ms)


class Gateway:
    """Notes what it is to ask and to cancel."""

    def __init__(self) -> None:
        self.resolved: list[str] = []
        self.canceled: list[str] = []

    def resolve(self, order: Any) -> None:
        self.resolved.append(order.client_order_id)

    def cancel(self, orders: Any) -> None:
        self.canceled += [order.client_order_id for order in orders]

    async def check(self, order: Any) -> bool:
        return True


class NothingKnown:
    async def discrepancies(self, user_id: int | None = None, limit: int = 50) -> list[Any]:
        return []

    async def order(self, client_order_id: str) -> None:
        return None

    async def orders(self, user_id: int, limit: int = 20) -> list[Any]:
        return []


class Office:
    """A reconciler over some users' accounts in memory."""

    def __init__(self, every_s: float) -> None:
        self.clock, self.gateway, self.telemetry = SystemClock(), Gateway(), Telemetry()
        self.venue = Venue(self.clock)
        self.venues = Venues(cast("Any", object()), cast("Any", object()))
        self.venues.add(LIVE, cast("Any", self.venue))
        self.states: dict[int, SessionState] = {}
        self.told: list[tuple[int, str]] = []
        self.reconciler = Reconciler(
            venues=self.venues,
            gateway=cast("Any", self.gateway),
            clock=self.clock,
            telemetry=self.telemetry,
            call=self._call,
            every_s=every_s,
            adopt_foreign=False,
        )

    async def _call(self, user_id: int, handler: Handler) -> Completed:
        ctx = a_context(now_ms=self.clock.now_ms())
        outcome = handler(self.states[user_id], ctx)
        if not isinstance(outcome, Decision):
            outcome = outcome.then(await outcome.query(cast("Any", NothingKnown())), ctx)
        self.states[user_id] = outcome.state
        self.told += [(user_id, notice.key) for notice in outcome.notices]
        return Completed(result=outcome.result)

    def knows(self, user_id: int, **values: Any) -> None:
        self.states[user_id] = an_account(**{"user_id": user_id, "partition": user_id, **values})
        self.reconciler.expect(self.states[user_id])

    def settled(self, *users: int) -> Callable[[], bool]:
        return lambda: all(self.reconciler.settled(user_id, LIVE) for user_id in users)


@asynccontextmanager
async def an_office(every_s: float = 60.0) -> AsyncIterator[Office]:
    office = Office(every_s)
    async with anyio.create_task_group() as tasks:
        office.start = lambda: tasks.start_soon(office.reconciler.run)  # type: ignore[attr-defined]
        yield office
        tasks.cancel_scope.cancel()


def start(office: Office) -> None:
    office.start()  # type: ignore[attr-defined]


async def test_an_account_with_something_open_keeps_its_rank_until_it_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    monkeypatch.setattr(module, "AT_ONCE_MAX", 1)
    async with an_office() as office:
        for user_id in range(2, 30):
            office.knows(user_id)
        office.knows(1, positions=(a_position(),))
        office.venue.failing.add(1)
        start(office)
        await until(lambda: bool(office.reconciler.problems()))
        office.venue.failing.clear()
        await until(office.settled(*range(1, 30)))
        order = [user_id for user_id, _ in office.venue.asked]
        assert order == sorted(order)
        assert order.count(1) > 1
        assert office.venue.urgent == {1}


async def test_unknown_orders_first_then_exposed_accounts_then_the_rest() -> None:
    async with an_office() as office:
        office.knows(1)
        office.knows(2, positions=(a_position(),))
        office.knows(3, orders=(an_order("a", user_id=3, account=LIVE, state=OrderState.UNKNOWN),))
        office.knows(4, orders=(an_order("b", user_id=4, account=LIVE, side=Side.SELL, state=OrderState.ACCEPTED),))
        assert office.reconciler.known == office.reconciler.unsettled == 4
        start(office)
        await until(lambda: len({user_id for user_id, _ in office.venue.asked}) == 4)
        first = list(dict.fromkeys(user_id for user_id, _ in office.venue.asked))
        assert first[0] == 3
        assert set(first[1:3]) == {2, 4}
        assert first[3] == 1


async def test_a_user_whose_venue_is_silent_or_refuses_keeps_only_themselves_from_entries() -> None:
    async with an_office() as office:
        users = range(1, 101)
        office.venue.hanging, office.venue.failing = {1, 2}, {3}
        for user_id in users:
            office.knows(user_id)
        start(office)
        others = [user_id for user_id in users if user_id > 3]
        await until(office.settled(*others))
        assert not any(office.reconciler.settled(user_id, LIVE) for user_id in (1, 2, 3))
        await until(lambda: office.reconciler.problems().keys() == {(1, LIVE), (2, LIVE), (3, LIVE)})
        assert "no answer" in office.reconciler.problems()[1, LIVE]
        assert "NO_KEY" in office.reconciler.problems()[3, LIVE]
        assert office.reconciler.unsettled == 3
        office.venue.hanging, office.venue.failing = set(), set()
        await until(office.settled(*users))
        assert office.reconciler.problems() == {}


async def test_an_account_without_a_venue_is_a_problem_of_its_own_and_paper_never_waits() -> None:
    async with an_office() as office:
        office.states[1] = an_account()
        office.reconciler.ask(1, "okx:live")
        start(office)
        await until(lambda: bool(office.reconciler.problems()))
        assert "NOT_CONNECTED" in office.reconciler.problems()[1, "okx:live"]
        assert office.reconciler.settled(1, "paper")
        assert not office.reconciler.settled(1, "okx:live")


async def test_accounts_are_compared_for_as_long_as_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_office(every_s=0.02) as office:
        office.knows(1)
        start(office)
        await until(office.settled(1))
        office.venue.cash = Decimal(400)
        await until(lambda: office.states[1].session.cash == 400)
        await until(lambda: len(office.venue.asked) > 5)
        assert office.told == [(1, "reconcile.cash")]


async def test_who_asks_is_told_once_and_with_the_list_of_orders() -> None:
    async with an_office() as office:
        office.knows(1)
        start(office)
        await until(office.settled(1))
        office.venue.asked.clear()
        office.reconciler.ask(1, LIVE)
        await until(lambda: bool(office.told))
        assert office.venue.asked == [(1, True)]
        assert office.told == [(1, "reconcile.done")]


async def test_who_asks_of_a_silent_venue_is_told_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    async with an_office() as office:
        office.venue.failing = {1}
        office.states[1] = an_account()
        office.reconciler.ask(1, LIVE)
        start(office)
        await until(lambda: len(office.venue.asked) > 1)
        assert office.told == []
        office.venue.failing = set()
        await until(lambda: bool(office.told))
        assert office.told == [(1, "reconcile.done")]


async def test_who_waits_gets_the_answer_or_the_reason() -> None:
    async with an_office() as office:
        office.knows(1, cash="0", status=SessionStatus.STARTING)
        result = await office.reconciler.now(1, LIVE)
        assert (result.agrees, result.adjusted) == (True, 1000)
        assert office.reconciler.settled(1, LIVE)
        office.venue.hanging = {1}
        with pytest.raises(ExchangeUnavailable, match="no answer"):
            await office.reconciler.now(1, LIVE)


async def test_what_the_comparison_wants_known_is_asked_and_what_is_over_here_is_canceled_there() -> None:
    async with an_office() as office:
        gone = an_order("gone", user_id=1, account=LIVE, state=OrderState.ACCEPTED)
        office.knows(1, orders=(gone,))
        office.reconciler.ask(1, LIVE)
        start(office)
        await until(lambda: gone.client_order_id in office.gateway.resolved)
        assert not office.reconciler.settled(1, LIVE)
        assert office.gateway.canceled == []


async def test_a_user_who_could_not_be_told_is_told_later_and_nobody_else_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradekit.engine.reconciler.RETRY_S", 0.02)
    async with an_office() as office:
        office.knows(1)
        tell, failures = office.reconciler._tell, 2

        async def fail_at_first(*words: Any) -> None:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise StorageFailed(reason="the disk is full")
            await tell(*words)

        monkeypatch.setattr(office.reconciler, "_tell", fail_at_first)
        office.reconciler.ask(1, LIVE)
        start(office)
        await until(lambda: (1, "reconcile.done") in office.told)
        office.knows(2)
        await until(office.settled(2))
        assert [key for user_id, key in office.told if user_id == 1].count("reconcile.done") == 1
