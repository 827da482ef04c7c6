"""P17: how many users a minute are compared with their venue within its weights, who goes first, and what an exit waits meanwhile."""

import argparse
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

import anyio
import anyio.abc
import msgspec

from benchmarks.measure import Options, Result, Sample, alternate, at_least, at_most, child, medians, tell
from tradekit.adapters.ccxt import CcxtExchange
from tradekit.adapters.ccxt.budget import SHARES, Rank, WeightBudget
from tradekit.adapters.ccxt.profiles import profile_for
from tradekit.adapters.system import SystemClock
from tradekit.domain.credentials import VenueKey
from tradekit.domain.orders import Order, OrderState, OrderType, Side, TradingMode
from tradekit.domain.sessions import SessionState, TradingSession
from tradekit.engine.gateway import Gateway
from tradekit.engine.lanes import Completed, Envelope
from tradekit.engine.reconciler import Reconciler
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.venues import Venues
from tradekit.services.decisions import Decision, Handler
from tradekit.testing.decisions import a_context
from tradekit.testing.exchange_server import ExchangeServer, Limits, configure
from tradekit.testing.exchange_server.limits import Weights
from tradekit.testing.factories import a_position, a_session, an_order
from tradekit_cli.hosting import loop_options

ROW, TITLE = "P17", "Reconciliation of one source address within the venue's weights"
VENUE, ACCOUNT, SYMBOL = "binance", "binance:live", "BTC/USDT"
USERS, MINUTE_S = 400, 60.0
QUICK_USERS, QUICK_MINUTE_S, QUICK_WEIGHT = 40, 2.0, 1_000
UNKNOWN_EACH, EXPOSED_EACH = 20, 5
"""Every twentieth user has an order whose fate is unknown, every fifth a position and an order that rests."""
EXIT_AT_S = 1.0
CASH, COINS, HELD, RESTING, SOLD = (Decimal(text) for text in ("10000", "1", "1", "0.5", "0.1"))
EVERY_S = 3_600.0
GIVEN_UP_AFTER_MINUTES = 20


class Kind(StrEnum):
    """Who a user is to the reconciler."""

    UNKNOWN = "unknown"
    EXPOSED = "exposed"
    REST = "rest"


def run(options: Options) -> Result:
    users, minute_s = (QUICK_USERS, QUICK_MINUTE_S) if options.quick else (USERS, MINUTE_S)
    weight_max = QUICK_WEIGHT if options.quick else profile_for(VENUE).weight_max
    once = Options(rounds=1, quick=options.quick, say=options.say)
    rounds = alternate({"tradekit": lambda: child("benchmarks.p17_reconcile", users, minute_s, weight_max)}, once)
    median = medians(rounds)
    ours, weights = median["tradekit"], profile_for(VENUE).weights
    share = int(weight_max * SHARES[Rank.RECONCILE])
    median["as the weights allow"] = {
        "per_minute": share / weights.balances,
        "first_minute": share / weights.balances,
    }
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={
            "per_minute": "users per minute",
            "first_minute": "users compared in the first minute",
            "unknown_s": "s until the last user with an UNKNOWN order was compared",
            "exposed_s": "s until the last exposed user was compared",
            "last_s": "s until the last user was compared",
            "exit_ms": "ms from an exit sent at second 1 to its fill booked",
            "refused": "requests the venue refused for their weight",
        },
        verdicts=[
            at_most("0 requests refused by the venue", ours["refused"], 0, "requests"),
            at_least(">= 0.7x the users per minute that the weights allow", ours["per_minute"] / (share / weights.balances), 0.7, "x"),
            at_most("UNKNOWN and exposed users compared within the first minute", max(ours["unknown_s"], ours["exposed_s"]), minute_s, "s"),
            at_most("exit at second 1, while everybody is compared: <= 1 s", ours["exit_ms"], 1_000, "ms"),
        ],
        notes=[
            f"{users} users of one address; ccxt's own binance class, the real budget, gateway and reconciler; the loopback exchange server"
            f" counts weights and bans as Binance does: {weight_max:,} in {minute_s:g} s, a balance is {weights.balances}, an order asked"
            f" about {weights.order}.",
            f"Comparisons may use {SHARES[Rank.RECONCILE]:.0%} of the weight, so that exits, questions about orders and entries always have"
            f" room: {share // weights.balances} balances a minute.",
            f"Every {UNKNOWN_EACH}th user has an order of UNKNOWN fate that rests at the venue, every {EXPOSED_EACH}th a position and an"
            " order that rests. Client and server share the machine and a process. One round.",
        ],
        quick=options.quick,
    )


def kind_of(number: int) -> Kind:
    if number % UNKNOWN_EACH == 0:
        return Kind.UNKNOWN
    return Kind.EXPOSED if number % EXPOSED_EACH == 0 else Kind.REST


class NothingStored:
    """A storage without history."""

    async def discrepancies(self, user_id: int | None = None, limit: int = 50) -> list[Any]:
        return []

    async def order(self, client_order_id: str) -> None:
        return None


class Office:
    """The engine's gateway and reconciler over users in memory: what is measured is the venue's side."""

    def __init__(self, exchange: CcxtExchange, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks, self.clock = tasks, SystemClock()
        self.states: dict[int, SessionState] = {}
        self._lanes: dict[int, anyio.Lock] = {}
        self.compared: dict[int, float] = {}
        telemetry = Telemetry()
        venues = Venues(exchange, cast("Any", None))
        venues.add(ACCOUNT, exchange)
        self.gateway = Gateway(venues=venues, clock=self.clock, telemetry=telemetry, post=self._post, post_many=self._post_many)
        self.reconciler = Reconciler(
            venues=venues,
            gateway=self.gateway,
            clock=self.clock,
            telemetry=telemetry,
            call=self._call,
            every_s=EVERY_S,
            adopt_foreign=False,
        )

    def take_up(self, states: dict[int, SessionState]) -> None:
        """As at the service's start."""
        self.states = states
        self._lanes = {user_id: anyio.Lock() for user_id in states}
        for state in states.values():
            self.reconciler.expect(state)
        for state in states.values():
            self.gateway.settle_after_restart(state.orders)

    async def watch(self) -> None:
        """Note when each user was compared."""
        started = self.clock.monotonic()
        while len(self.compared) < len(self.states):
            await anyio.sleep(0.02)
            for user_id in self.states.keys() - self.compared.keys():
                if self.reconciler.settled(user_id, ACCOUNT):
                    self.compared[user_id] = self.clock.monotonic() - started

    async def exit(self, user_id: int, delay_s: float) -> float:
        """Sell a part of a position at market; milliseconds until that is booked."""
        await anyio.sleep(delay_s)
        order = _order(user_id, "exit", type=OrderType.MARKET, quantity=SOLD, price=None, state=OrderState.SUBMITTED)
        state = self.states[user_id]
        self.states[user_id] = msgspec.structs.replace(state, orders=(*state.orders, order))
        started = time.perf_counter()
        self.gateway.submit((order,))
        with anyio.fail_after(GIVEN_UP_AFTER_MINUTES):
            while self.states[user_id].order(order.client_order_id) is not None:  # noqa: ASYNC110 - the report comes through the lane
                await anyio.sleep(0.001)
        return (time.perf_counter() - started) * 1000

    def _post(self, envelope: Envelope) -> None:
        self._tasks.start_soon(self._deliver, envelope)

    def _post_many(self, envelopes: Any) -> None:
        for envelope in envelopes:
            self._post(envelope)

    async def _deliver(self, envelope: Envelope) -> None:
        completed = await self._call(envelope.user_id, envelope.handler)
        if envelope.done is not None:
            envelope.done(completed)

    async def _call(self, user_id: int, handler: Handler) -> Completed:
        ctx = a_context(now_ms=self.clock.now_ms(), cause=f"bench/{user_id}")
        async with self._lanes[user_id]:
            outcome = handler(self.states[user_id], ctx)
            if not isinstance(outcome, Decision):
                outcome = outcome.then(await outcome.query(cast("Any", NothingStored())), ctx)
            self.states[user_id] = outcome.state
        return Completed(result=outcome.result)


def _order(user_id: int, cause: str, **values: Any) -> Order:
    resting = {"type": OrderType.LIMIT, "quantity": RESTING, "price": Decimal(44_000), "state": OrderState.ACCEPTED}
    fixed = {"user_id": user_id, "side": Side.SELL, "reduce_only": True, "account": ACCOUNT, "mode": TradingMode.LIVE}
    return an_order(cause, **{**fixed, **resting, **values})


def _state(user_id: int, orders: tuple[Order, ...], now_ms: int) -> SessionState:
    """Our books of a user, as the venue has them."""
    home = a_session(user_id=user_id)
    session = TradingSession(cash=CASH, day_start_equity=CASH, peak_equity=CASH)
    held = a_position(quantity=HELD, bought=HELD, opened_ms=now_ms) if kind_of(user_id) is Kind.EXPOSED else None
    return msgspec.structs.replace(home, account=ACCOUNT, session=session, orders=orders, positions=(held,) if held else ())


@asynccontextmanager
async def an_office(server: ExchangeServer, budget: WeightBudget | None) -> AsyncIterator[Office]:
    async def credentials(user_id: int) -> VenueKey:
        key = server.account(str(user_id)).key
        return VenueKey(api_key=key.key, secret=key.secret)

    clock = SystemClock()
    exchange = CcxtExchange(VENUE, credentials, clock, prepare=lambda ccxt: configure(ccxt, server.url), budget=budget)
    async with exchange, anyio.create_task_group() as tasks:
        office = Office(exchange, tasks)
        tasks.start_soon(office.gateway.run)
        yield office
        tasks.cancel_scope.cancel()


async def prepared(server: ExchangeServer, users: range) -> dict[int, SessionState]:
    """Accounts at the venue, their orders resting there, and our books of them; some answers were lost on the way."""
    states: dict[int, SessionState] = {}
    now_ms = SystemClock().now_ms()
    async with CcxtExchange(
        VENUE, lambda user_id: _key(server, user_id), SystemClock(), prepare=lambda ccxt: configure(ccxt, server.url)
    ) as setup:
        for user_id in users:
            server.account(str(user_id), {"USDT": CASH, "BTC": COINS})
            orders: tuple[Order, ...] = ()
            if kind_of(user_id) is not Kind.REST:
                order = _order(user_id, "rests")
                await setup.submit(order)
                state = OrderState.UNKNOWN if kind_of(user_id) is Kind.UNKNOWN else OrderState.ACCEPTED
                orders = (msgspec.structs.replace(order, state=state),)
            states[user_id] = _state(user_id, orders, now_ms)
    server.venue.weights = Weights(server.venue.weights.limits)
    return states


async def _key(server: ExchangeServer, user_id: int) -> VenueKey:
    key = server.account(str(user_id)).key
    return VenueKey(api_key=key.key, secret=key.secret)


async def ours(users: int, minute_s: float, weight_max: int) -> Sample:
    async with ExchangeServer(limits=Limits(weight_max=10**9, window_s=minute_s)) as server:
        states = await prepared(server, range(1, users + 1))
        weights = server.venue.weights = Weights(Limits(weight_max=weight_max, window_s=minute_s))
        async with (
            an_office(server, WeightBudget(VENUE, weight_max, minute_s, SystemClock())) as office,
            anyio.create_task_group() as tasks,
        ):
            office.take_up(states)
            leaving: list[float] = []

            async def leave() -> None:
                leaving.append(await office.exit(next(_of(Kind.EXPOSED, users)), min(EXIT_AT_S, minute_s / 2)))

            tasks.start_soon(office.reconciler.run)
            tasks.start_soon(leave)
            with anyio.fail_after(GIVEN_UP_AFTER_MINUTES * minute_s):
                await office.watch()
                while not leaving:  # noqa: ASYNC110 - the exit has a time limit of its own
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
            refused = weights.refused
    at = {kind: [office.compared[user_id] for user_id in _of(kind, users)] for kind in Kind}
    last_s = max(office.compared.values())
    return {
        "per_minute": users / last_s * minute_s,
        "first_minute": sum(when <= minute_s for when in office.compared.values()),
        "unknown_s": max(at[Kind.UNKNOWN]),
        "exposed_s": max(at[Kind.EXPOSED]),
        "last_s": last_s,
        "exit_ms": leaving[0],
        "refused": refused,
    }


def _of(kind: Kind, users: int) -> Iterator[int]:
    return (user_id for user_id in range(1, users + 1) if kind_of(user_id) is kind)


def main() -> None:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser()
    parser.add_argument("users", type=int)
    parser.add_argument("minute_s", type=float)
    parser.add_argument("weight_max", type=int)
    arguments = parser.parse_args()
    options = {**loop_options(), "use_uvloop": False} if "use_uvloop" in loop_options() else loop_options()
    tell(**anyio.run(ours, arguments.users, arguments.minute_s, arguments.weight_max, backend_options=options))


if __name__ == "__main__":
    main()
