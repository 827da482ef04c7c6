"""One run of the whole service over the durable files, from opening to crash or drain."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.abc
import msgspec

from tradekit.adapters.feeds import SimulatedFeed
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql import open_storage
from tradekit.chat.conversation import Conversation
from tradekit.chat.registry import lane_class
from tradekit.domain.errors import Unavailable
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Order
from tradekit.engine.market import Market
from tradekit.engine.service import Options, Service
from tradekit.strategies import EmaCross, RsiReversion
from tradekit.testing.simulation.custody import SimKeyCheck, SimVault
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.faulty_exchange import FaultyExchange
from tradekit.testing.simulation.faulty_messenger import FaultyMessenger
from tradekit.testing.simulation.faulty_storage import FaultyStorage
from tradekit.testing.simulation.faulty_venue import FaultyVenue, Trouble
from tradekit.testing.simulation.machine import SeededEntropy, SimClock, SimHost
from tradekit.testing.simulation.observer import Observer
from tradekit.testing.simulation.sim_venue import ACCOUNT, SimVenue

T = TypeVar("T")

DATABASE = "trading_service.db"
BOOK = "paper.db"
VOLATILITY = Decimal("0.0008")
BAR_S = 120


class Node:
    """A process, as it were. ``number`` counts the starts; ``prices`` are where the market stood."""

    def __init__(
        self,
        number: int,
        *,
        directory: Path,
        clock: SimClock,
        seed: int,
        options: Options,
        faults: Faults,
        observer: Observer,
        prices: dict[Symbol, Decimal],
        tick_s: float,
        messengers: Callable[[], list[FaultyMessenger]],
        send_late: Callable[[float, Order], None],
        live: SimVenue,
        trouble: Trouble,
    ) -> None:
        self.number, self._directory, self._clock, self._seed, self._options = number, directory, clock, seed, options
        self._faults, self._observer, self._messengers, self._send_late = faults, observer, messengers(), send_late
        feed = SimulatedFeed(clock, seed=seed * 1000 + number, start_prices=prices, tick_s=tick_s, bar_s=BAR_S, volatility=VOLATILITY)
        self.market = Market(feed)
        self.live = FaultyVenue(live, trouble=trouble, clock=clock, faults=faults, observer=observer, send_late=send_late)
        self.market.on_quote(live.on_quote)
        for symbol in self.market.symbols():
            if quote := self.market.quote(symbol):
                live.on_quote(quote)
        self.ready = False
        self.was_ready = False
        """Whether it ever came up; a start that fails on a storage without an answer is tried again, as a supervisor would."""
        self.storage: FaultyStorage | None = None
        self.exchange: FaultyExchange | None = None
        self.venue: PaperExchange | None = None
        self.service: Service | None = None
        self.error: BaseException | None = None
        self.over = anyio.Event()
        """The service is gone; a zombie's storage may still be open."""
        self._scope = anyio.CancelScope()
        self._calls: dict[int, anyio.CancelScope] = {}
        self._haunt: anyio.Event | None = None

    async def run(self) -> None:
        """Open, work until :meth:`crash` or :meth:`drain`, close. An error that ends the service is kept in ``error``."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - a service that dies is what the world must learn of
            self.error = error
        finally:
            self._kill()
            self.over.set()

    async def _run(self) -> None:
        async with open_storage(self._own_path(), clock=self._clock, inline=True, partitions=self._options.partitions) as opened:
            self._observer.took_over(self.number, self.live.compared)
            self.storage = FaultyStorage(opened, node=self.number, faults=self._faults, observer=self._observer)
            book = str(self._directory / BOOK)
            async with PaperExchange(book, self.market, self._clock, inline=True) as venue:
                self.venue = venue
                self.market.on_quote(venue.on_quote)
                self.exchange = FaultyExchange(venue, faults=self._faults, observer=self._observer, send_late=self._send_late)
                with self._scope:
                    await self._serve()
                self._kill()
            self.over.set()
            if self._haunt is not None:
                await self._haunt.wait()
                await self.storage.haunt()

    def _own_path(self) -> Path:
        """The database under a directory of our own: the lock of a directory cannot keep a zombie out, the fence must."""
        own = self._directory / f"node-{self.number}"
        own.mkdir()
        path = own / DATABASE
        path.symlink_to(self._directory / DATABASE)
        return path

    async def _serve(self) -> None:
        assert self.storage is not None
        assert self.exchange is not None
        self.service = service = Service(
            storage=self.storage,
            exchange=self.exchange,
            market=self.market,
            clock=self._clock,
            entropy=SeededEntropy(f"{self._seed}/{self.number}"),
            host=SimHost(),
            handler=Conversation().handle,
            lane_class=lane_class,
            options=self._options,
            vault=SimVault(),
            key_check=SimKeyCheck(),
            venues={ACCOUNT: self.live},
        )
        service.strategies.add(EmaCross(fast=3, slow=7))
        service.strategies.add(RsiReversion())
        async with anyio.create_task_group() as tasks:
            await service.open(tasks)
            for messenger in self._messengers:
                service.outbox.attach(messenger)
            tasks.start_soon(service.run_all_day)
            self.ready = self.was_ready = True

    def _kill(self) -> None:
        """From now on nothing that the process does reaches the world."""
        self.ready = False
        for part in (self.storage, self.exchange, self.live, *self._messengers):
            if part is not None:
                part.dead = True
        self.venue = None
        for scope in list(self._calls.values()):
            scope.cancel()

    def set_maintenance(self, on: bool) -> None:
        """What the operator allows from now on."""
        if self.service is not None:
            self.service.board.policy = msgspec.structs.replace(self.service.board.policy, maintenance=on)

    def crash(self, *, zombie: bool = False) -> None:
        """Lose everything that is not durable. A ``zombie`` keeps its connection until :meth:`haunt`."""
        if zombie:
            self._haunt = anyio.Event()
        self._kill()
        self._scope.cancel()

    def haunt(self) -> None:
        """Let a zombie wake up."""
        if self._haunt is not None:
            self._haunt.set()

    async def drain(self) -> bool:
        """Stop in good order; False when it took too long."""
        if self.service is None or not self.ready:
            self.crash()
            return True
        self.ready = False
        drained = await self.service.drain()
        self.crash()
        return drained

    async def call(self, work: Callable[[Service], Awaitable[T]]) -> T:
        """Ask the running service something, as long as it runs.

        :raises Unavailable: it is not running, or ended before it answered.
        """
        if not self.ready or self.service is None:
            raise Unavailable(what="service", reason="not running")
        with anyio.CancelScope() as scope:
            self._calls[id(scope)] = scope
            try:
                return await work(self.service)
            finally:
                del self._calls[id(scope)]
        raise Unavailable(what="service", reason="it crashed")
