"""The hand-off between the event loop and the writer: what has queued becomes one transaction, every owner hears once.

All queue state lives on the event loop and the writer's thread sees only the list it is given, so nothing needs a lock.
"""

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Busy, StorageFailed, TradekitError, Unavailable
from tradekit.ports.storage import Done

log = logging.getLogger(__name__)

BULK_ROWS_MAX = 600
"""Bulk rows in one transaction: a command that comes meanwhile waits for its end."""
BULK_ROWS_BESIDE_COMMANDS = 100
"""A bulk commit of more rows lets groups with commands go first."""
BULK_WAITS_MAX = 4
"""Groups with commands that a bulk commit lets go first before it goes along all the same."""
SLOW_S = 3.0
"""A write that takes longer is trouble."""


class Writer(Protocol):
    """Writes a group; see :class:`~tradekit.adapters.sql.writer.SqliteWriter`."""

    def write(self, group: Sequence[Changes]) -> list[TradekitError | None]:
        """The outcome of each."""


class _Ticket(NamedTuple):
    changes: Changes
    rows: int
    done: Done


class GroupCommit:
    """Queues commits and writes them in groups of about ``rows_max`` rows, commands before bulk, each queue in order.

    ``inline`` writes on the event loop instead of a thread: for the simulation, which must not depend on threads.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        limiter: anyio.CapacityLimiter,
        inline: bool = False,
        queue_max: int = 20_000,
        rows_max: int = 2_000,
        drain_s: float = 10,
    ) -> None:
        self._writer = writer
        self._limiter = limiter
        self._inline = inline
        self._queue_max = queue_max
        self._rows_max = rows_max
        self._drain_s = drain_s
        self._commands: deque[_Ticket] = deque()
        self._bulk: deque[_Ticket] = deque()
        self._bulk_waits = 0
        self._in_flight = 0
        self._began_s = 0.0
        self._failure = ""
        self._wake = anyio.Event()
        self._stopped = False
        self.groups = 0
        """Transactions so far."""
        self.commits = 0
        """Commits answered so far."""

    @property
    def queued(self) -> int:
        """Commits waiting or being written."""
        return len(self._commands) + len(self._bulk) + self._in_flight

    @property
    def trouble(self) -> str:
        """See :attr:`tradekit.ports.storage.Storage.trouble`."""
        took_s = anyio.current_time() - self._began_s if self._in_flight else 0.0
        return f"a write has taken {took_s:.0f} s so far" if took_s > SLOW_S else self._failure

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        """See :meth:`tradekit.ports.storage.Storage.submit`.

        :raises Busy: the queue is full.
        :raises Unavailable: the storage is closed.
        """
        if self._stopped:
            raise Unavailable(what="storage", reason="closed")
        if self.queued >= self._queue_max:
            raise Busy(queue="storage", limit=self._queue_max)
        rows = sum(map(len, msgspec.structs.astuple(changes)))
        (self._bulk if bulk else self._commands).append(_Ticket(changes, rows, done))
        self._wake.set()

    async def commit(self, changes: Changes) -> None:
        """Submit and wait; raises what the completion got."""
        answered = anyio.Event()
        outcome: list[Exception] = []

        def done(error: Exception | None) -> None:
            if error is not None:
                outcome.append(error)
            answered.set()

        self.submit(changes, done)
        await answered.wait()
        if outcome:
            raise outcome[0]

    async def run(self) -> None:
        """Write until cancelled, then write what has queued, for ``drain_s`` at most; what is left hears StorageFailed."""
        try:
            while True:
                await self._wake.wait()
                await self._write_group()
                if not (self._commands or self._bulk):
                    self._wake = anyio.Event()
        finally:
            with anyio.move_on_after(self._drain_s, shield=True):
                while self._commands or self._bulk:
                    await anyio.lowlevel.checkpoint_if_cancelled()
                    await self._write_group()
            self._stopped = True
            left = [*self._commands, *self._bulk]
            self._commands.clear()
            self._bulk.clear()
            self._answer(left, [StorageFailed(reason="the storage was closed before it was written") for _ in left])

    async def _write_group(self) -> None:
        tickets = self._next_group()
        group = [ticket.changes for ticket in tickets]
        self._in_flight, self._began_s = len(tickets), anyio.current_time()
        try:
            with anyio.CancelScope(shield=True):
                outcomes = await self._write(group)
        except Exception as error:
            log.exception("writing %d commits failed", len(group))
            outcomes = [StorageFailed(reason=repr(error)) for _ in group]
        self._in_flight = 0
        self._note(outcomes)
        self.groups += 1
        self._answer(tickets, outcomes)

    def _note(self, outcomes: Sequence[TradekitError | None]) -> None:
        failure = next((error.reason for error in outcomes if isinstance(error, StorageFailed)), "")
        if failure and not self._failure:
            log.error("nothing can be written: %s", failure)
        elif self._failure and not failure:
            log.warning("writing works again")
        self._failure = failure

    async def _write(self, group: list[Changes]) -> list[TradekitError | None]:
        if self._inline:
            await anyio.lowlevel.checkpoint()
            return self._writer.write(group)
        return await anyio.to_thread.run_sync(partial(self._writer.write, group), limiter=self._limiter)

    def _next_group(self) -> list[_Ticket]:
        group: list[_Ticket] = []
        room = self._take(self._commands, group, self._rows_max)
        bulk_room = min(room, BULK_ROWS_BESIDE_COMMANDS) if group else BULK_ROWS_MAX
        if self._bulk and group and self._bulk[0].rows > bulk_room:
            self._bulk_waits += 1
            if self._bulk_waits <= BULK_WAITS_MAX:
                return group
            bulk_room = 1
        self._bulk_waits = 0
        self._take(self._bulk, group, bulk_room)
        return group

    @staticmethod
    def _take(queue: deque[_Ticket], group: list[_Ticket], room: int) -> int:
        """Move commits into the group until there is no room; the last one may be larger than the room."""
        while queue and room > 0:
            ticket = queue.popleft()
            group.append(ticket)
            room -= ticket.rows or 1
        return room

    def _answer(self, tickets: Sequence[_Ticket], outcomes: Sequence[TradekitError | None]) -> None:
        for ticket, error in zip(tickets, outcomes, strict=True):
            self.commits += 1
            try:
                ticket.done(error)
            except Exception:
                log.exception("a completion failed; its commit %s", "was refused" if error else "is durable")
