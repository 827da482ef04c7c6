"""The world around the service: people, networks, a market, and everything that goes wrong."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.abc
import attrs

from tradekit.adapters.feeds.simulated import START_PRICES
from tradekit.domain.errors import TradekitError
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import PAPER, Order
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.tiers import TierName
from tradekit.domain.triggers import fires
from tradekit.domain.users import Role
from tradekit.engine.service import Options, Service
from tradekit.ports.messenger import Pace
from tradekit.services.decisions import Handler
from tradekit.services.signals import provider_source
from tradekit.services.users import set_role, set_tier
from tradekit.testing.invariants import check_database
from tradekit.testing.simulation.custody import KEY
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.faulty_messenger import FaultyMessenger
from tradekit.testing.simulation.faulty_venue import Trouble, arrives
from tradekit.testing.simulation.footprint import footprint
from tradekit.testing.simulation.judge import judge_live
from tradekit.testing.simulation.machine import SimClock
from tradekit.testing.simulation.misfortunes import Misfortunes
from tradekit.testing.simulation.node import BOOK, DATABASE, Node
from tradekit.testing.simulation.observer import Observer
from tradekit.testing.simulation.people import Person
from tradekit.testing.simulation.plan import Plan, Report
from tradekit.testing.simulation.sim_venue import ACCOUNT, VENUE, SimVenue
from tradekit.testing.simulation.trace import Trace
from tradekit.testing.simulation.transport import Transport

OPERATOR = 2
"""The person who may halt trading."""
PROVIDER_EVERY = 25
"""One person of so many publishes signals."""
PACES = {
    "telegram": Pace(overall_per_s=1000, chat_per_s=1),
    "terminal": Pace(overall_per_s=0, chat_per_s=0),
}
"""Only on Telegram an order is confirmed by a button."""
REST_S = 5.0


class World:
    """Runs one :class:`~tradekit.testing.simulation.plan.Plan`, on a simulated loop."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self._plan, self._directory = plan, directory
        self._trace = Trace(plan.trace)
        self._observer = Observer(self._trace)
        self._faults = Faults(plan.faults, plan.seed)
        self._random = random.Random(f"{plan.seed}/world")
        self._clock = SimClock()
        self._node: Node | None = None
        self._starts = 0
        self._ending = False
        self._people: dict[tuple[str, str], Person] = {}
        self._people_by_number: dict[int, Person] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        adopt = plan.adopt_foreign if plan.adopt_foreign is not None else bool(plan.seed % 2)
        self._options = Options(
            max_concurrent_users=plan.sessions_max or max(8, plan.users * 2 // 3),
            mock_trading=False,
            venues=(VENUE,),
            reconcile_every_s=plan.reconcile_every_s,
            adopt_foreign_orders=adopt,
        )
        self._live, self._trouble = SimVenue(self._clock, plan.seed), Trouble()
        self._live_users: list[int] = []
        self._footprint: list[int] = []
        self._weighed = 0
        """The run of the service that the footprint is of."""
        self._observer.shadow.explained = self._explained

    async def run(self) -> Report:
        """Live through the plan, come to rest, and judge."""
        started = time.process_time()
        self._transports = {
            name: Transport(name, source=source, node=lambda: self._node, faults=self._faults, observer=self._observer)
            for name, source in (("telegram", "telegram:1"), ("terminal", "terminal"))
        }
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._keep_running)
            for transport in self._transports.values():
                self._tasks.start_soon(transport.run)
            async with anyio.create_task_group() as lives:
                self._populate(lives)
                misfortunes = Misfortunes(
                    rates=self._plan.faults,
                    faults=self._faults,
                    clock=self._clock,
                    observer=self._observer,
                    node=lambda: self._node,
                    venue=self._live,
                    trouble=self._trouble,
                    live_users=self._live_users,
                    set_maintenance=self._set_maintenance,
                    operate=self._operate,
                )
                misfortunes.start(lives)
                await self._pass_time(self._plan.hours * 3600)
                lives.cancel_scope.cancel()
            self._calm()
            await self._rest()
            await self._compare_all()
            await self._stop()
            self._tasks.cancel_scope.cancel()
        self._observer.finish()
        self._judge_files()
        self._trace.close()
        return self._report(time.process_time() - started)

    async def _pass_time(self, seconds: float) -> None:
        slices = 200
        for number in range(slices):
            await anyio.sleep(seconds / slices)
            if self._plan.weigh:
                self._weigh()
            if self._plan.progress is not None:
                self._plan.progress((number + 1) / slices)

    def _weigh(self) -> None:
        """Count what the service keeps; a new run of the service starts the list anew."""
        node = self._node
        if node is None or not node.ready or node.service is None:
            return
        if node.number != self._weighed:
            self._weighed = node.number
            self._footprint.clear()
        self._footprint.append(footprint(node.service))

    # The service

    async def _keep_running(self) -> None:
        """Start the service, and again whenever it is gone."""
        while not self._ending:
            node = self._new_node()
            former, self._node = self._node, node
            assert self._tasks is not None
            self._tasks.start_soon(node.run)
            if former is not None:
                self._tasks.start_soon(self._wake_zombie, former, node)
            await node.over.wait()
            if node.error is not None and not node.was_ready:
                self._faults.count("starts_failed")
            elif node.error is not None:
                self._observer.broken("I19", f"the service died: {_told(node.error)}")
            await anyio.sleep(self._faults.between(0.1, 10))

    def _new_node(self) -> Node:
        self._starts += 1
        market = self._node.market if self._node else None
        prices = {symbol: quote.price for symbol in START_PRICES if market and (quote := market.quote(symbol))}
        return Node(
            self._starts,
            directory=self._directory,
            clock=self._clock,
            seed=self._plan.seed,
            options=self._options,
            faults=self._faults,
            observer=self._observer,
            prices=prices or dict(START_PRICES),
            tick_s=self._plan.tick_s,
            messengers=self._new_messengers,
            send_late=self._send_late,
            live=self._live,
            trouble=self._trouble,
        )

    def _new_messengers(self) -> list[FaultyMessenger]:
        return [
            FaultyMessenger(name, faults=self._faults, observer=self._observer, deliver=self._deliver, pace=pace)
            for name, pace in PACES.items()
        ]

    async def _wake_zombie(self, former: Node, successor: Node) -> None:
        while not successor.ready and not successor.over.is_set():  # noqa: ASYNC110 - either of two ends
            await anyio.sleep(0.1)
        await anyio.sleep(self._faults.between(0, 5))
        former.haunt()

    def _send_late(self, delay_s: float, order: Order) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(self._arrive, delay_s, order)

    async def _arrive(self, delay_s: float, order: Order) -> None:
        await anyio.sleep(delay_s)
        if order.account != PAPER:
            listed = arrives(self._live, order)
            self._observer.venue_said("late", order.client_order_id, None if listed is None else listed.report())
            return
        if self._node is not None and self._node.venue is not None:
            answer = await self._node.venue.submit(order)
            self._observer.venue_said("late", order.client_order_id, answer)

    async def _stop(self) -> None:
        self._ending = True
        assert self._node is not None
        if not await self._node.drain():
            self._observer.broken("I19", "the service did not stop in time")
        await self._node.over.wait()
        self._node.haunt()

    # People

    def _populate(self, lives: anyio.abc.TaskGroup) -> None:
        for number in range(1, self._plan.users + 1):
            transport = self._transports["terminal" if number % 4 == 3 else "telegram"]
            person = Person(
                number,
                seed=self._plan.seed,
                transport=transport,
                market=lambda: self._node.market if self._node else None,
                provides=number % PROVIDER_EVERY == 1,
                public=number == OPERATOR,
                live=bool(self._plan.live_every) and number % self._plan.live_every == 0,
            )
            self._people_by_number[number] = person
            self._people[person.identity.transport, person.identity.external_id] = person
            lives.start_soon(person.live, self._plan.action_every_s)

    def _deliver(self, message: OutgoingMessage) -> None:
        person = self._people[message.transport, message.address]
        if message.reply.key == "start.welcome":
            assert self._tasks is not None
            self._tasks.start_soon(self._promote, person, message.user_id)
        person.read(message)

    async def _promote(self, person: Person, user_id: int) -> None:
        """The administrator gives plans and roles."""
        tiers = (TierName.FREE, TierName.FREE, TierName.PREMIUM, TierName.PREMIUM, TierName.ENTERPRISE)
        tier = tiers[person.number % len(tiers)]
        if tier is not TierName.FREE:
            await self._insist(user_id, lambda state, ctx: set_tier(state, tier, "admin:sim", ctx))
        if person.number == OPERATOR:
            await self._insist(user_id, lambda state, ctx: set_role(state, Role.ADMIN, "admin:sim", ctx))
        if person.trades_live:
            await self._connect(person, user_id)
        if person.provides:
            await self._insist(user_id, lambda state, ctx: set_role(state, Role.PROVIDER, "admin:sim", ctx))
            for other in self._people.values():
                if other.number % 2:
                    other.sources.append(provider_source(user_id))

    async def _connect(self, person: Person, user_id: int) -> None:
        """A key of the venue, entered where keys are entered."""
        self._live.customer(user_id)
        await self._until_done(lambda service: service.custodian.add(user_id, VENUE, KEY))
        self._live_users.append(user_id)
        person.say("/mode binance live")

    async def _insist(self, user_id: int, handler: Handler) -> None:
        async def ask(service: Service) -> None:
            await service.orchestrator.call(user_id, handler, cause=f"admin/{user_id}", lane_class=LaneClass.COMMAND)

        await self._until_done(ask)

    async def _until_done(self, work: Callable[[Service], Awaitable[object]]) -> None:
        while not self._ending:
            try:
                assert self._node is not None
                await self._node.call(work)
            except TradekitError:
                await anyio.sleep(2)
            else:
                return

    # Misfortune

    def _set_maintenance(self, on: bool) -> None:
        """For every run of the service from now on."""
        self._observer.maintenance = on
        self._options = attrs.evolve(self._options, policy=type(self._options.policy)(maintenance=on))
        if self._node is not None:
            self._node.set_maintenance(on)

    def _operate(self, words: str) -> None:
        """The operator types a command."""
        self._people_by_number[OPERATOR].say(words)

    # The end

    def _calm(self) -> None:
        self._faults.active = False
        self._set_maintenance(False)
        self._trouble.calm()
        if self._plan.faults.halt_every_s:
            for scope in self._observer.shadow.controls:
                self._operate(f"/allow {scope}")

    async def _rest(self) -> None:
        """Wait until nothing waits any more."""
        calm = 0
        deadline = asyncio.get_running_loop().time() + self._plan.settle_s
        while calm < 3:
            if asyncio.get_running_loop().time() > deadline:
                self._observer.broken("I19", f"after {self._plan.settle_s:.0f} s without faults still waiting: {self._waiting()}")
                return
            await anyio.sleep(REST_S)
            calm = 0 if self._waiting() else calm + 1

    async def _compare_all(self) -> None:
        """What the venue alone knows by now is taken over; afterwards nothing may differ."""

        async def compare(user_id: int) -> None:
            await self._until_done(lambda service: service.reconciler.now(user_id, ACCOUNT))

        self._live.still = True
        for transport in self._transports.values():
            transport.closed = True
        async with anyio.create_task_group() as tasks:
            for user_id in self._live_users:
                if (user_id, ACCOUNT) in self._observer.shadow.taken_over:
                    tasks.start_soon(compare, user_id)
        await self._rest()

    def _explained(self, user_id: int, cash: Decimal) -> bool:
        """Whether the customer had so much without our trades at some time; of whom an order filled late it cannot be told."""
        customer = self._live.customer(user_id)
        foreign = self._options.adopt_foreign_orders and self._plan.faults.foreign_order_every_s
        return customer.late or bool(foreign) or cash in customer.behind

    def _is_due(self, order: Order) -> bool:
        """Whether a held order should have gone to market: the price is there, and nothing it waits for is under way."""
        assert self._node is not None
        quote = self._node.market.quote(order.symbol)
        return quote is not None and fires(order, quote.price, self._clock.now_ms())

    def _waiting(self) -> str:
        waiting = {f"{transport.name} inbound": transport.waiting for transport in self._transports.values()}
        service = self._node.service if self._node is not None and self._node.ready else None
        if service is None:
            return "the service"
        waiting["lanes"] = service.orchestrator.at_work
        waiting["venue"] = service.gateway.waiting
        waiting["outbox"] = service.outbox.waiting
        waiting["fan-out"] = service.fanout.waiting
        waiting["storage"] = service.storage.queued
        waiting["triggers"] = len(self._observer.shadow.due(self._is_due))
        waiting["halted entries"] = len(self._observer.shadow.entries_while_halted())
        return ", ".join(f"{name} {count}" for name, count in waiting.items() if count)

    def _judge_files(self) -> None:
        for violation in check_database(self._directory / DATABASE, self._directory / BOOK):
            self._observer.violations.add(violation.invariant, violation.detail)
        judge_live(self._directory / DATABASE, self._live, self._observer.violations)

    def _report(self, cpu_s: float) -> Report:
        shadow, counts = self._observer.shadow, self._observer.counts
        return Report(
            digest=self._trace.digest,
            violations=self._observer.violations.found,
            users=self._plan.users,
            hours=self._plan.hours,
            seed=self._plan.seed,
            commands=self._observer.handled,
            orders=len(shadow.orders),
            fills=shadow.fills,
            signals=shadow.signals,
            deliveries=shadow.deliveries,
            sent=counts["sent"],
            commits=counts["commits"],
            restarts=self._starts - 1,
            live_orders=shadow.live_orders,
            live_accounts=len(self._live_users),
            held_orders=shadow.held_orders,
            adjustments=shadow.adjustments,
            faults=dict(sorted(self._faults.counts.items())),
            footprint=self._footprint,
            cpu_s=round(cpu_s, 2),
        )


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return repr(error)
