"""The storage of one process over one SQLite file."""

import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs

from tradekit.adapters.sql import database, migrations
from tradekit.adapters.sql.database import MEMORY
from tradekit.adapters.sql.group_commit import GroupCommit
from tradekit.adapters.sql.ownership import owned
from tradekit.adapters.sql.reader import Pool, SqlReader
from tradekit.adapters.sql.writer import SqliteWriter
from tradekit.domain.changes import Changes
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Done

T = TypeVar("T")

READERS_MAX = 4


class SqlStorage(SqlReader):
    """Implements :class:`tradekit.ports.storage.Storage`; made by :func:`open_storage`."""

    def __init__(
        self, *, pool: Pool, writer: SqliteWriter, group_commit: GroupCommit, limiter: anyio.CapacityLimiter, inline: bool
    ) -> None:
        super().__init__(pool)
        self._writer = writer
        self._group_commit = group_commit
        self._limiter = limiter
        self._inline = inline

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        self._group_commit.submit(changes, done, bulk=bulk)

    async def commit(self, changes: Changes) -> None:
        await self._group_commit.commit(changes)

    @property
    def queued(self) -> int:
        return self._group_commit.queued

    @property
    def trouble(self) -> str:
        return self._group_commit.trouble

    @property
    def groups(self) -> int:
        """Transactions so far."""
        return self._group_commit.groups

    @property
    def commits(self) -> int:
        """Commits answered so far."""
        return self._group_commit.commits

    async def forget(self, metrics_before_ms: int, inbox_before_ms: int) -> int:
        # The writer's limiter keeps it from running beside a group.
        return await _call(partial(self._writer.forget, metrics_before_ms, inbox_before_ms), self._limiter, inline=self._inline)


@attrs.frozen
class _Opened:
    writer: sqlite3.Connection
    epochs: dict[int, int]


@asynccontextmanager
async def open_storage(
    path: str | Path,
    *,
    clock: Clock,
    inline: bool = False,
    partitions: int = 256,
    holder: str = "tradekit",
    queue_max: int = 20_000,
    rows_max: int = 2_000,
    drain_s: float = 10,
) -> AsyncIterator[SqlStorage]:
    """Open, migrate and claim the database at ``path`` (or ``":memory:"``) and write until the block ends; then what has queued is written.

    ``inline`` does everything on the event loop, without threads, for the simulation. ``holder`` says in the lock file who we are.

    :raises DataDirectoryInUse: another storage has the directory.
    :raises SchemaMismatch: another version wrote the file; it was left as it is.
    :raises DataError: the file is damaged; the error says what to restore.
    :raises ConfigurationError: ``partitions`` differs from the number the database was created with.
    """
    name = str(path)
    # One connection serves a database in memory: what uses it takes turns.
    writes = anyio.CapacityLimiter(1)
    reads = writes if name == MEMORY else anyio.CapacityLimiter(READERS_MAX)
    with ExitStack() as stack:
        if name != MEMORY:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(owned(Path(name).parent, clock=clock, command=holder))
        owner = f"{socket.gethostname()}:{os.getpid()}:{clock.now_ms()}"
        opened = await _call(partial(_open, name, owner, partitions), writes, inline=inline)
        stack.callback(opened.writer.close)
        writer = SqliteWriter(opened.writer, opened.epochs)
        group_commit = GroupCommit(writer, limiter=writes, inline=inline, queue_max=queue_max, rows_max=rows_max, drain_s=drain_s)
        connect = (lambda: opened.writer) if name == MEMORY else partial(database.open_reader, name)
        pool = Pool(connect, path=name, limiter=reads, inline=inline)
        stack.callback(pool.close)
        storage = SqlStorage(pool=pool, writer=writer, group_commit=group_commit, limiter=writes, inline=inline)
        failed: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group_commit.run, name="storage writer")
            try:
                yield storage
            except Exception as error:  # noqa: BLE001 - raised below: the task group would wrap it
                failed = error
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed


def _open(path: str, owner: str, partitions: int) -> _Opened:
    if path != MEMORY:
        database.prepare(path)
    writer = database.open_writer(path)
    try:
        if path == MEMORY:
            migrations.upgrade(writer)
        return _Opened(writer, database.claim(writer, owner, partitions))
    except BaseException:
        writer.close()
        raise


async def _call(job: Callable[[], T], limiter: anyio.CapacityLimiter, *, inline: bool) -> T:
    if inline:
        await anyio.lowlevel.checkpoint()
        return job()
    return await anyio.to_thread.run_sync(job, limiter=limiter)
