"""Group commit: what arrives while a commit runs shares the next one."""

from collections.abc import Callable

import anyio
import anyio.to_thread

from tradekit.adapters.paper.book_file import UNREADABLE, BookFile
from tradekit.adapters.paper.entries import Entry

Committed = Callable[["Group"], None]


class Group:
    """Rows of one transaction, and questions to be answered after it."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        """By number: of a row that changed twice, the last state counts."""
        self.changed: list[Entry] = []
        """Resting orders whose news the listeners must hear."""
        self.questions: list[str] = []
        self.answers: dict[str, list[Entry]] = {}
        self.reload = False
        self.awaited = False
        """Somebody waits for ``done``, even if nothing was to be written."""
        self.loaded: tuple[int, list[Entry]] | None = None
        self.error: Exception | None = None
        self.done = anyio.Event()

    def run(self, file: BookFile) -> None:
        """Write and read; an error is kept for those who wait."""
        try:
            if self.entries:
                file.write(self.entries.values())
            for client_order_id in self.questions:
                self.answers[client_order_id] = file.submissions(client_order_id)
            if self.reload:
                self.loaded = file.load()
        except UNREADABLE as error:
            self.error = error


class Writer:
    """Collects a group while the one before is written. With ``inline`` every group is written at once, on the caller's thread."""

    def __init__(self, file: BookFile, committed: Committed, *, inline: bool) -> None:
        self._file = file
        self._committed = committed
        self._inline = inline
        self._group = Group()
        self._wake = anyio.Event()
        self._closing = False
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def group(self) -> Group:
        """What to add to. Call :meth:`flush` afterwards, without an await between."""
        return self._group

    def flush(self) -> Group:
        """Have the open group written; wait for its ``done``."""
        group = self._group
        group.awaited = True
        if self._inline:
            self._next()
            group.run(self._file)
            self._finish(group)
        else:
            self._wake.set()
        return group

    async def serve(self) -> None:
        """Write groups until :meth:`close`, and then what is left."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._group.awaited:
                group = self._next()
                await anyio.to_thread.run_sync(group.run, self._file, limiter=self._limiter)
                self._finish(group)
            if self._closing:
                return

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def _next(self) -> Group:
        group, self._group = self._group, Group()
        return group

    def _finish(self, group: Group) -> None:
        failed = [group]
        if group.error is not None and self._group.awaited:
            # What queued behind was decided on a book that the file does not hold.
            behind = self._next()
            behind.error = group.error
            failed.append(behind)
        for each in failed:
            self._committed(each)
            each.done.set()
