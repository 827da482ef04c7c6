"""A real engine on real adapters in a temporary directory, with a messenger that remembers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tradekit.adapters.feeds import SimulatedFeed
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql import open_storage
from tradekit.adapters.system import SystemClock, SystemEntropy
from tradekit.adapters.system.host import PsutilProbe
from tradekit.chat.conversation import Conversation
from tradekit.chat.registry import lane_class
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.users import Identity
from tradekit.engine.intake import Inbound
from tradekit.engine.market import Market
from tradekit.engine.service import Options, Service
from tradekit.ports.accounts import KeyCheck
from tradekit.ports.exchange import Exchange
from tradekit.ports.messenger import Pace, SendOutcome, SendResult
from tradekit.ports.storage import Storage
from tradekit.ports.vault import Vault

DEADLINE_S = 20.0


class Remembering:
    """A messenger of the transport ``terminal`` (no confirmations) that keeps what it was given."""

    transport = "terminal"
    pace = Pace(overall_per_s=0, chat_per_s=0)

    def __init__(self) -> None:
        self.sent: list[OutgoingMessage] = []
        self.results: list[SendResult] = []

    async def send(self, message: OutgoingMessage) -> SendResult:
        if self.results:
            result = self.results.pop(0)
            if result.outcome is not SendOutcome.SENT:
                return result
        self.sent.append(message)
        return SendResult(outcome=SendOutcome.SENT)

    def keys(self, address: str) -> list[str]:
        return [message.reply.key for message in self.sent if message.address == address]


class Running:
    """A service and what a test asks of it."""

    def __init__(self, service: Service, storage: Storage, paper: PaperExchange, messenger: Remembering) -> None:
        self.service, self.storage, self.paper, self.messenger = service, storage, paper, messenger
        self._next = 0

    async def say(self, name: str, *texts: str) -> list[str]:
        """Send lines one after the other, each once the last is quiet; returns the keys of all replies to ``name`` so far."""
        for text in texts:
            await self.accept(name, text)
            await self.quiet()
        return self.messenger.keys(name)

    async def accept(self, name: str, text: str, number: int | None = None) -> None:
        """Take one message in."""
        self._next += 1
        message_id = str(number if number is not None else self.service.clock.now_ms() * 1000 + self._next)
        inbound = Inbound(source="test", message_id=message_id, identity=Identity("terminal", name), text=text, display_name=name)
        await self.service.intake.accept([inbound])

    async def quiet(self) -> None:
        """Wait until nothing is under way anywhere."""
        service = self.service
        await until(
            lambda: (
                not (
                    service.orchestrator.at_work
                    or service.gateway.waiting
                    or service.fanout.waiting
                    or service.outbox.waiting
                    or service.storage.queued
                )
            )
        )

    def user_id(self, name: str) -> int:
        found = self.service.directory.find(Identity("terminal", name))
        assert found is not None
        return found


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until the condition holds; fails after a deadline."""
    with anyio.fail_after(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - several parts settle one after the other
            await anyio.sleep(0.002)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    options: Options | None = None,
    wrap_storage: Callable[[Storage], Storage] = lambda storage: storage,
    wrap_exchange: Callable[[PaperExchange], Exchange] = lambda paper: paper,
    vault: Vault | None = None,
    key_check: KeyCheck | None = None,
) -> AsyncIterator[Running]:
    """Open a service on the directory; leaving is abrupt, like a crash that lets commits finish."""
    clock = SystemClock()
    market = Market(SimulatedFeed(clock, seed=1))
    async with (
        open_storage(directory / "trading_service.db", clock=clock) as real,
        PaperExchange(directory / "paper_exchange.db", market, clock) as paper,
        anyio.create_task_group() as tasks,
    ):
        market.on_quote(paper.on_quote)
        storage = wrap_storage(real)
        service = Service(
            storage=storage,
            exchange=wrap_exchange(paper),
            market=market,
            clock=clock,
            entropy=SystemEntropy(),
            host=PsutilProbe(directory),
            handler=Conversation().handle,
            lane_class=lane_class,
            options=options or Options(),
            vault=vault,
            key_check=key_check,
        )
        messenger = Remembering()
        service.outbox.attach(messenger)
        await service.open(tasks)
        yield Running(service, storage, paper, messenger)
        tasks.cancel_scope.cancel()


class Wrapped:
    """Passes everything on to a port; a test overrides what should go wrong."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def words(messages: Sequence[OutgoingMessage]) -> list[str]:
    return [message.reply.key for message in messages]
