"""The world around the service: people, networks, a market, and everything that goes wrong."""

import asyncio
import random
import time
from pathlib import Path

import anyio
import anyio.abc

from tradekit.adapters.feeds.simulated import START_PRICES
from tradekit.domain.errors import TradekitError
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import Order
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Role
from tradekit.engine.service import Options, Service
from tradekit.ports.messenger import Pace
from tradekit.services.decisions import Handler
from tradekit.services.signals import provider_source
from tradekit.services.users import set_role, set_tier
from tradekit.testing.invariants import check_database
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.faulty_messenger import FaultyMessenger
from tradekit.testing.simulation.machine import SimClock
from tradekit.testing.simulation.node import BOOK, DATABASE, Node
from tradekit.testing.simulation.observer import Observer
from tradekit.testing.simulation.people import Person
from tradekit.testing.simulation.plan import Plan, Report
from tradekit.testing.simulation.trace import Trace
from tradekit.testing.simulation.transport import Transport

PROVIDER_EVERY = 25
"""One person of so many publishes signals."""
PACES = {
    "telegram": Pace(overall_per_s=1000, chat_per_s=1),
    "terminal": Pace(overall_per_s=0, chat_per_s=0),
}
"""Only on Telegram an order is confirmed by a button."""
REST_S = 5.0
JUMP_MS = 20_000
MAINTENANCE_S = 300.0


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
        self._tasks: anyio.abc.TaskGroup | None = None
        self._options = Options(max_concurrent_users=plan.sessions_max or max(8, plan.users * 2 // 3))

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
                for misfortune in (self._crashes, self._stalls, self._clock_jumps, self._maintenance):
                    lives.start_soon(misfortune)
                await self._pass_time(self._plan.hours * 3600)
                lives.cancel_scope.cancel()
            self._calm()
            await self._rest()
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
            if self._plan.progress is not None:
                self._plan.progress((number + 1) / slices)

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
            transport = self._transports["terminal" if number % 3 == 0 else "telegram"]
            person = Person(
                number,
                seed=self._plan.seed,
                transport=transport,
                market=lambda: self._node.market if self._node else None,
                provides=number % PROVIDER_EVERY == 1,
            )
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
        if person.provides:
            await self._insist(user_id, lambda state, ctx: set_role(state, Role.PROVIDER, "admin:sim", ctx))
            for other in self._people.values():
                if other.number % 2:
                    other.sources.append(provider_source(user_id))

    async def _insist(self, user_id: int, handler: Handler) -> None:
        async def ask(service: Service) -> None:
            await service.orchestrator.call(user_id, handler, cause=f"admin/{user_id}", lane_class=LaneClass.COMMAND)

        while not self._ending:
            try:
                assert self._node is not None
                await self._node.call(ask)
            except TradekitError:
                await anyio.sleep(2)
            else:
                return

    # Misfortune

    async def _crashes(self) -> None:
        rates = self._plan.faults
        while rates.crash_every_s:
            await anyio.sleep(self._faults.pause(rates.crash_every_s))
            node = self._node
            if node is None or node.over.is_set():
                continue
            if self._faults.hit("crash_is_drain"):
                await node.drain()
                continue
            zombie = self._faults.hit("crash_is_zombie")
            if zombie and node.storage is not None:
                node.storage.stall(30)
                await anyio.sleep(self._faults.between(0, 3))
            self._faults.count("crashes")
            node.crash(zombie=zombie)

    async def _stalls(self) -> None:
        rates = self._plan.faults
        while rates.storage_stalls_every_s:
            await anyio.sleep(self._faults.pause(rates.storage_stalls_every_s))
            if self._node is not None and self._node.storage is not None:
                self._faults.count("storage_stalls")
                self._node.storage.stall(self._faults.between(0.5, 8))

    async def _clock_jumps(self) -> None:
        rates = self._plan.faults
        while rates.clock_jumps_every_s:
            await anyio.sleep(self._faults.pause(rates.clock_jumps_every_s))
            if not self._observer.maintenance:
                self._faults.count("clock_jumps")
                self._clock.jump(self._faults.below(2 * JUMP_MS) - JUMP_MS)

    async def _maintenance(self) -> None:
        rates = self._plan.faults
        while rates.maintenance_every_s:
            await anyio.sleep(self._faults.pause(rates.maintenance_every_s))
            self._faults.count("maintenance")
            self._set_maintenance(True)
            await anyio.sleep(MAINTENANCE_S)
            self._set_maintenance(False)

    def _set_maintenance(self, on: bool) -> None:
        """For every run of the service from now on."""
        self._observer.maintenance = on
        policy = type(self._options.policy)(maintenance=on)
        self._options = Options(max_concurrent_users=self._options.max_concurrent_users, policy=policy)
        if self._node is not None:
            self._node.set_policy(policy)

    # The end

    def _calm(self) -> None:
        self._faults.active = False
        self._set_maintenance(False)

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
        return ", ".join(f"{name} {count}" for name, count in waiting.items() if count)

    def _judge_files(self) -> None:
        for violation in check_database(self._directory / DATABASE, self._directory / BOOK):
            self._observer.violations.add(violation.invariant, violation.detail)

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
            faults=dict(sorted(self._faults.counts.items())),
            cpu_s=round(cpu_s, 2),
        )


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return repr(error)
