"""A service with many users, for the rows that need one."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tradekit.adapters.feeds import SimulatedFeed
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql import open_storage
from tradekit.adapters.system import SystemClock, SystemEntropy
from tradekit.adapters.system.host import PsutilProbe
from tradekit.bootstrap import tune_interpreter
from tradekit.chat.conversation import Conversation
from tradekit.chat.registry import lane_class
from tradekit.domain.orders import Side
from tradekit.domain.users import Identity, Role
from tradekit.engine.market import Market
from tradekit.engine.service import Options, Service
from tradekit.services import signals, users

AT_ONCE = 500
SETTLED_WITHIN_S = 600


@asynccontextmanager
async def service_on(directory: Path, size: int) -> AsyncIterator[Service]:
    """The engine on its real adapters with room for ``size`` users; prices are simulated."""
    clock = SystemClock()
    market = Market(SimulatedFeed(clock, seed=1))
    async with (
        open_storage(directory / "trading_service.db", clock=clock) as storage,
        PaperExchange(directory / "paper_exchange.db", market, clock) as exchange,
        anyio.create_task_group() as tasks,
    ):
        market.on_quote(exchange.on_quote)
        service = Service(
            storage=storage,
            exchange=exchange,
            market=market,
            clock=clock,
            entropy=SystemEntropy(),
            host=PsutilProbe(directory),
            handler=Conversation().handle,
            lane_class=lane_class,
            options=Options(max_concurrent_users=size + 10),
        )
        await service.open(tasks)
        yield service
        tasks.cancel_scope.cancel()


async def register(service: Service, size: int) -> list[int]:
    """Users of the transport ``terminal``: u0 is a provider whom all others follow. Returns their numbers."""
    ids = [service.intake.slot_of(identity(number)).user_id for number in range(size)]

    async def one(number: int) -> None:
        who, name = identity(number), f"User {number}"
        await service.orchestrator.call(ids[number], lambda state, ctx: users.register(state, who, name, ctx), cause=f"register/{number}")

    await _in_chunks(one, range(size))
    await service.orchestrator.call(ids[0], lambda state, ctx: users.set_role(state, Role.PROVIDER, "benchmark", ctx), cause="role")

    async def follow(number: int) -> None:
        await service.orchestrator.call(
            ids[number], lambda state, ctx: signals.subscribe(state, f"provider:{ids[0]}", (), ctx), cause=f"follow/{number}"
        )

    await _in_chunks(follow, range(size))
    return ids


def identity(number: int) -> Identity:
    return Identity("terminal", f"u{number}")


async def _in_chunks(job: Callable[[int], Awaitable[None]], numbers: Sequence[int]) -> None:
    for start in range(0, len(numbers), AT_ONCE):
        async with anyio.create_task_group() as tasks:
            for number in numbers[start : start + AT_ONCE]:
                tasks.start_soon(job, number)


async def broadcast(service: Service, provider: int, symbol: str, side: Side) -> None:
    """Publish a signal and wait until every follower's order is booked."""
    cause = f"broadcast/{symbol}/{side}/{time.monotonic_ns()}"
    await service.orchestrator.call(provider, lambda state, ctx: signals.publish(state, symbol, side, ctx), cause=cause)
    await settled(service)


async def settled(service: Service) -> None:
    with anyio.fail_after(SETTLED_WITHIN_S):
        while service.fanout.waiting or service.orchestrator.at_work or service.gateway.waiting or service.storage.queued:  # noqa: ASYNC110
            await anyio.sleep(0.002)


async def load(service: Service, ids: Sequence[int]) -> None:
    """Bring sessions into memory as a message to each would."""
    for start in range(0, len(ids), AT_ONCE):
        service.sessions.let_go(await service.sessions.hold(list(ids[start : start + AT_ONCE])))


def as_in_production() -> None:
    """Switch interval and collector as the bootstrap sets them."""
    tune_interpreter()


async def populate(directory: Path, size: int, positions: int = 0) -> list[int]:
    """A data directory with so many users, each with settings, limits and positions."""
    async with service_on(directory, size) as service:
        ids = await register(service, size)
        for symbol in service.market.symbols()[:positions]:
            await broadcast(service, ids[0], symbol, Side.BUY)
    return ids


if __name__ == "__main__":
    anyio.run(populate, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print("{}")
