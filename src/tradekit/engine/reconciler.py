"""Every account at a venue compared with it: once before entries are allowed, then for as long as the service runs."""

import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs

from tradekit.domain.errors import ExchangeUnavailable, TradekitError
from tradekit.domain.orders import PAPER, Order, OrderState
from tradekit.domain.sessions import SessionState, books
from tradekit.engine.gateway import Gateway
from tradekit.engine.lanes import Completed
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.venues import Venues
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Snapshot
from tradekit.services.decisions import Context, Decision, Handler, Read, unchanged
from tradekit.services.reconciliation import AT_VENUE, IN_FLIGHT, Reconciled, announce, reconcile

log = logging.getLogger(__name__)

AT_ONCE_MAX = 48
RETRY_S = 1.0
RETRY_MAX_S = 60.0
CUT_SHORT = frozenset({OrderState.CANCELED, OrderState.EXPIRED})
LATE_FILLS_MS = 600_000
"""How long after the end of an order a fill of it may still be found."""
LATE_ORDERS_MAX = 100
"""Of one user, the newest, among which such orders are looked for."""
TRIES_WHILE_ASKED = 8
"""Comparisons for somebody who waits, while things are under way."""

Key = tuple[int, str]
"""User and account."""
Call = Callable[[int, Handler], Awaitable[Completed]]
UNRESOLVED, EXPOSED, REST = range(3)
"""Who goes first of those who are due."""


@attrs.define(eq=False)
class _Account:
    """Where the comparison of one account stands."""

    settled: bool = False
    rank: int = REST
    """Kept until it was compared once, however often that is tried."""
    due: float = 0.0
    tries: int = 0
    wants_orders: bool = False
    asked: bool = False
    """The user asked, and is told what comes of it."""
    busy: bool = False
    problem: str = ""

    @property
    def urgent(self) -> bool:
        """Whether there is money at stake whose fate is not known yet."""
        return not self.settled and self.rank < REST


class Reconciler:
    """Until an account was compared once its user makes no entries there; exits are never held up. One user's trouble is theirs alone."""

    def __init__(
        self,
        *,
        venues: Venues,
        gateway: Gateway,
        clock: Clock,
        telemetry: Telemetry,
        call: Call,
        every_s: float,
        adopt_foreign: bool,
    ) -> None:
        self._venues, self._gateway, self._clock, self._telemetry, self._call = venues, gateway, clock, telemetry, call
        self._every_s, self._adopt_foreign = every_s, adopt_foreign
        self._accounts: dict[Key, _Account] = {}
        self._queue: list[tuple[float, int, int, Key]] = []
        """By the time at which they are due."""
        self._ready: list[tuple[int, int, float, Key]] = []
        """What is due, by rank."""
        self._numbers = itertools.count()
        self._slots = anyio.Semaphore(AT_ONCE_MAX, fast_acquire=True)
        self._wake = anyio.Event()
        venues.is_settled = self.settled

    @property
    def unsettled(self) -> int:
        """Accounts that were not compared yet."""
        return sum(not account.settled for account in self._accounts.values())

    @property
    def known(self) -> int:
        """Accounts that are compared."""
        return len(self._accounts)

    def problems(self) -> dict[Key, str]:
        """Accounts whose last comparison failed, and why."""
        return {key: account.problem for key, account in self._accounts.items() if account.problem}

    def settled(self, user_id: int, account: str) -> bool:
        """Whether entries are allowed."""
        known = self._accounts.get((user_id, account))
        return account == PAPER or (known is not None and known.settled)

    def expect(self, state: SessionState) -> None:
        """Compare every account that the user has at a venue, those first who have something open there."""
        for book in books(state):
            if book.account == PAPER or (state.user_id, book.account) in self._accounts:
                continue
            unresolved = any(order.state in IN_FLIGHT for order in book.orders)
            rank = UNRESOLVED if unresolved else EXPOSED if book.orders or book.positions else REST
            self._accounts[state.user_id, book.account] = _Account(rank=rank)
            self._plan((state.user_id, book.account), 0.0, rank)

    def ask(self, user_id: int, account: str) -> None:
        """Compare an account now, and tell its user what came of it."""
        known = self._accounts.setdefault((user_id, account), _Account())
        known.asked, known.wants_orders = True, True
        self._plan((user_id, account), 0.0, UNRESOLVED)

    async def now(self, user_id: int, account: str) -> Reconciled:
        """Compare an account now, again while something is under way.

        :raises ExchangeUnavailable: the venue does not answer, or has no usable key of the user.
        """
        known = self._accounts.setdefault((user_id, account), _Account())
        known.wants_orders = True
        for number in range(TRIES_WHILE_ASKED):
            result = await self._compare((user_id, account), known)
            if result.settled:
                break
            await anyio.sleep(RETRY_S * (number + 1) / 4)
        return result

    def _plan(self, key: Key, delay_s: float, rank: int) -> None:
        # All that is wanted at once is due at the same moment, so that the rank decides.
        due = self._clock.monotonic() + delay_s if delay_s else 0.0
        self._accounts[key].due = due
        heapq.heappush(self._queue, (due, rank, next(self._numbers), key))
        self._wake.set()

    async def run(self) -> None:
        """Compare what is due until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._wake = anyio.Event()
                self._sort_out()
                if not self._ready:
                    with anyio.move_on_after(self._queue[0][0] - self._clock.monotonic() if self._queue else self._every_s):
                        await self._wake.wait()
                    continue
                # A place first: who is first when it is free may have come meanwhile.
                await self._slots.acquire()
                self._sort_out()
                _, _, due, key = heapq.heappop(self._ready)
                account = self._accounts[key]
                if account.busy or account.due != due:
                    self._slots.release()
                    continue
                account.busy = True
                tasks.start_soon(self._turn, key, account)

    def _sort_out(self) -> None:
        """What has become due waits by rank from now on."""
        now = self._clock.monotonic()
        while self._queue and self._queue[0][0] <= now:
            due, rank, number, key = heapq.heappop(self._queue)
            heapq.heappush(self._ready, (rank, number, due, key))

    async def _turn(self, key: Key, account: _Account) -> None:
        try:
            result = await self._compare(key, account)
            if result.settled and account.asked:
                await self._tell(key, result)
                account.asked = False
        except Exception as error:  # supervisor: one account's trouble must not end the others' comparisons
            if not isinstance(error, TradekitError):
                log.exception("account %s of user %s could not be compared", key[1], key[0])
            account.problem = str(error)
            account.tries += 1
            self._telemetry.count("reconciliations.failed")
        else:
            account.tries = 0 if result.settled else account.tries + 1
        finally:
            account.busy = False
            self._slots.release()
        healthy = account.settled and not account.tries
        delay_s = self._every_s if healthy else min(RETRY_MAX_S, RETRY_S * 2 ** min(account.tries, 10) / 2)
        self._plan(key, delay_s, REST if account.settled else account.rank)

    async def _tell(self, key: Key, result: Reconciled) -> None:
        await self._call(key[0], lambda state, ctx: announce(state, result, ctx))

    async def _compare(self, key: Key, account: _Account) -> Reconciled:
        """Balances first, then what rests: a fill between the two shows as a fill, not as a difference."""
        user_id, name = key
        exchange = self._venues.get(name)
        if exchange is None:
            raise ExchangeUnavailable(venue=name, reason="NOT_CONNECTED")
        try:
            with anyio.fail_after(exchange.capabilities.answer_timeout_s):
                snapshot = await exchange.snapshot(user_id, with_orders=account.wants_orders, urgent=account.urgent)
        except TimeoutError:
            raise ExchangeUnavailable(venue=name, reason="no answer") from None
        checked: set[str] = set()
        if not account.wants_orders:
            for order in await self._resting(user_id, name):
                if await self._gateway.check(order):
                    checked.add(order.client_order_id)
            for order in await self._ended_lately(user_id, name, snapshot):
                await self._gateway.check(order)
        known, adopt = frozenset(checked), self._adopt_foreign
        completed = await self._call(user_id, lambda state, ctx: reconcile(state, name, snapshot, known, ctx, adopt_foreign=adopt))
        result: Reconciled = completed.result
        account.wants_orders = result.orders_wanted
        account.problem = ""
        for order in result.missing:
            self._gateway.resolve(order)
        self._gateway.cancel(result.undead)
        if result.settled:
            account.settled = True
            self._telemetry.count("reconciliations")
        return result

    async def _resting(self, user_id: int, account: str) -> tuple[Order, ...]:
        def orders(state: SessionState) -> tuple[Order, ...]:
            found = (book.orders for book in books(state) if book.account == account)
            return tuple(order for held in found for order in held if order.state in AT_VENUE)

        completed = await self._call(user_id, lambda state, ctx: unchanged(state, result=orders(state)))
        resting: tuple[Order, ...] = completed.result
        return resting

    async def _ended_lately(self, user_id: int, account: str, snapshot: Snapshot) -> tuple[Order, ...]:
        """Where cash differs: orders that ended with a rest. A fill that came after the end, while nobody listened, would be taken over as
        money that somebody moved, and its coins would belong to no order."""

        def ended(orders: Sequence[Order], ctx: Context) -> tuple[Order, ...]:
            since_ms = ctx.now_ms - LATE_FILLS_MS
            return tuple(each for each in orders if each.account == account and each.state in CUT_SHORT and each.updated_ms >= since_ms)

        def look(state: SessionState, ctx: Context) -> Decision | Read:
            totals = {balance.total for balance in snapshot.balances}
            if all(book.session.cash in totals for book in books(state) if book.account == account):
                return unchanged(state, result=())
            return Read(
                query=lambda reader: reader.orders(user_id, LATE_ORDERS_MAX),
                then=lambda orders, later: unchanged(state, result=ended(orders, later)),
            )

        completed = await self._call(user_id, look)
        found: tuple[Order, ...] = completed.result
        return found
