"""A demo's venue on this machine: everybody trades there, things go wrong there, and for a while one user's calls hang."""

import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import msgspec

from tradekit.app import Tradekit
from tradekit.bootstrap import Parts
from tradekit.domain.errors import Unavailable
from tradekit.domain.users import Identity
from tradekit.ports.storage import Storage
from tradekit.testing.exchange_server import Fault
from tradekit_cli.demo.books import Books, ask, compare
from tradekit_cli.demo.loopback import ACCOUNT, LoopbackVenue, chosen, go_live, hang_of, hangs, server_command, venue_options
from tradekit_cli.demo.plan import Demand, within
from tradekit_cli.demo.process import server_process
from tradekit_cli.demo.watch import Progress

HANG_FROM, HANG_TO = 0.5, 0.8
"""Parts of the load's time between which one user's calls hang."""
CONNECTING_MAX = 10
SETTLED_S = 240.0
"""For a thousand people on a busy machine."""
LOOK_EVERY_S = 0.1
ERRORS, SAID = "venue.err", "venue_books.json"


@attrs.define
class Chaos:
    """The venue, what goes wrong there, and what was seen of it."""

    venue: LoopbackVenue
    faults: tuple[Fault, ...]
    hung_chat: int | None
    """Whose calls hang for a while."""
    began_ms: int = 0
    hang_ms: tuple[int, int] | None = None
    """From when to when, Unix milliseconds."""
    injected: Mapping[str, int] = attrs.field(factory=dict)
    books: Books = attrs.field(factory=Books)

    def parts(self, storage: Storage) -> Parts:
        """What makes the service trade there."""
        return Parts(storage=storage, venue_options=venue_options(self.venue.url), rehearsal=True)

    async def connect(self, tk: Tradekit, demand: Demand) -> None:
        """Everybody connects a key and chooses the venue; returns when every account was compared.

        :raises Unavailable: that does not come to an end.
        """
        room, progress = anyio.CapacityLimiter(CONNECTING_MAX), Progress(SETTLED_S)
        people = [Identity.of("telegram", chat_id) for chat_id in demand.chats]
        reconciler = tk.service.reconciler
        try:
            with anyio.fail_after(SETTLED_S):
                async with anyio.create_task_group() as tasks:
                    for who in people:
                        tasks.start_soon(within, room, partial(go_live, tk, self.venue, who))
                ids = {tk.service.directory.find(who) for who in people}
                while waiting := sum(user_id is None or not reconciler.settled(user_id, ACCOUNT) for user_id in ids):
                    progress.show(f"{len(people)} keys connected, {waiting} accounts to compare")
                    await anyio.sleep(LOOK_EVERY_S)
        except TimeoutError as error:
            raise Unavailable(what="venue", reason=f"not everybody could connect within {SETTLED_S:g} s") from error

    async def work(self, demand: Demand) -> None:
        """Let things go wrong from now on, and one user's calls hang for a part of the time."""
        self.began_ms = _now_ms()
        await self.venue.begin(self.faults)
        if self.hung_chat is None:
            return
        await anyio.sleep(HANG_FROM * demand.seconds)
        await self._anew(hang_of(str(self.hung_chat)), *self.faults)
        from_ms = _now_ms()
        await anyio.sleep((HANG_TO - HANG_FROM) * demand.seconds)
        await self._anew(*self.faults)
        self.hang_ms = from_ms, _now_ms()

    async def _anew(self, *faults: Fault) -> None:
        await self.venue.end()
        await self.venue.begin(faults)

    async def look(self, database: Path) -> None:
        """Once the service has stopped: its books against the venue's."""
        said = await ask(self.venue, database)
        database.with_name(SAID).write_bytes(msgspec.json.encode(said))
        self.books = compare(said, database)
        stats = await self.venue.control("stats")
        self.injected = dict(sorted(stats["injected"].items()))


@asynccontextmanager
async def open_chaos(directory: Path, demand: Demand, faults: str) -> AsyncIterator[Chaos]:
    """The venue's process, at work until the block ends.

    :param faults: as on the command line.
    :raises Unavailable: it does not start.
    """
    import aiohttp

    command = [sys.executable, "-m", "tradekit.testing.exchange_server", "--seed", str(demand.seed), *server_command()]
    timeout: Any = aiohttp.ClientTimeout(total=30)
    async with (
        server_process(command, errors=directory / ERRORS, what="venue") as (_, url),
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        hung = demand.hung_chat if hangs(faults) else None
        yield Chaos(venue=LoopbackVenue(url, session), faults=chosen(faults), hung_chat=hung)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
