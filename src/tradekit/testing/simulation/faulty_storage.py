"""A storage that loses, delays and refuses; what really became durable goes to the observer."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import anyio

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Busy, StorageFailed
from tradekit.ports.storage import Done, Storage
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.observer import Observer

REMEMBERED = 5


class _Ticket(NamedTuple):
    changes: Changes
    done: Done
    bulk: bool
    users: tuple[int, ...]


class FaultyStorage:
    """Implements :class:`tradekit.ports.storage.Storage` for one run of the service (``node``).

    Once :attr:`dead`, it belongs to a process that is gone: nothing is accepted and nobody is answered any more.
    """

    def __init__(self, inner: Storage, *, node: int, faults: Faults, observer: Observer) -> None:
        self._inner, self._node, self._faults, self._observer = inner, node, faults, observer
        self._held: deque[_Ticket] = deque()
        self._stalled = False
        self._answers: deque[tuple[float, _Ticket, Exception | None]] = deque()
        self._last: deque[Changes] = deque(maxlen=REMEMBERED)
        self.dead = False

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        if self.dead:
            return
        ticket = _Ticket(changes, done, bulk, self._observer.decided(self._node, changes))
        if self._stalled:
            self._held.append(ticket)
            return
        try:
            self._pass_on(ticket)
        except Busy:
            self._observer.answered(self._node, ticket.users, changes, None)
            raise

    async def commit(self, changes: Changes) -> None:
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

    @property
    def queued(self) -> int:
        return self._inner.queued + len(self._held)

    def __getattr__(self, name: str) -> Any:
        """Questions: those of the inner storage, some without an answer."""
        asked = getattr(self._inner, name)
        return partial(self._ask, asked) if inspect.iscoroutinefunction(asked) else asked

    async def _ask(self, asked: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.dead:
            await anyio.sleep_forever()
        if self._faults.hit("read_fails"):
            await anyio.sleep(self._faults.between(0, 0.5))
            raise StorageFailed(reason="simulated: cannot read")
        return await asked(*args, **options)

    def stall(self, seconds: float) -> None:
        """Keep what comes for a while; order is kept."""
        self._stalled = True
        asyncio.get_running_loop().call_later(seconds, self._flow)

    def _flow(self) -> None:
        self._stalled = False
        while self._held and not self.dead:
            ticket = self._held.popleft()
            try:
                self._pass_on(ticket)
            except Busy as error:
                self._answer(ticket, StorageFailed(reason=str(error)))

    def _pass_on(self, ticket: _Ticket) -> None:
        if self._faults.hit("commit_fails"):
            self._later(ticket, StorageFailed(reason="simulated: not written"))
            return
        lost, slow = self._faults.hit("commit_answer_lost"), self._faults.hit("commit_slow")
        self._inner.submit(ticket.changes, partial(self._written, ticket, lost, slow), bulk=ticket.bulk)

    def _written(self, ticket: _Ticket, lost: bool, slow: bool, error: Exception | None) -> None:
        if error is None:
            self._observer.durable(self._node, ticket.changes)
            if ticket.changes.sessions:
                self._last.append(ticket.changes)
        if lost and error is None:
            self._later(ticket, StorageFailed(reason="simulated: answer lost"))
        elif slow:
            self._later(ticket, error)
        else:
            self._line_up(ticket, error, 0)

    def _later(self, ticket: _Ticket, error: Exception | None) -> None:
        self._line_up(ticket, error, self._faults.between(0.001, 2))

    def _line_up(self, ticket: _Ticket, error: Exception | None, delay_s: float) -> None:
        """Answers come in order: a slow one holds up those behind it."""
        loop = asyncio.get_running_loop()
        self._answers.append((loop.time() + delay_s, ticket, error))
        if delay_s:
            loop.call_later(delay_s, self._answer_due)
        self._answer_due()

    def _answer_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._answers and self._answers[0][0] <= now:
            _, ticket, error = self._answers.popleft()
            self._answer(ticket, error)

    def _answer(self, ticket: _Ticket, error: Exception | None) -> None:
        if self.dead:
            return
        self._observer.answered(self._node, ticket.users, ticket.changes, error)
        try:
            ticket.done(error)
        except Exception as failure:  # noqa: BLE001 - a real storage survives this as well, the service need not
            self._observer.broken("I19", f"a completion failed: {failure!r}")

    async def haunt(self) -> None:
        """What a stopped process does when it wakes up after its successor took over: it goes on with the commits it has.

        Current state that it remembers, and what its queue held. The observer hears if any of it becomes durable.
        """
        left = [ticket.changes for ticket in self._held]
        left += [Changes(sessions=changes.sessions, usage=changes.usage, positions=changes.positions) for changes in self._last]
        for changes in left:
            try:
                await self._inner.commit(changes)
            except Exception:  # noqa: BLE001 - whatever the refusal, it was refused
                self._faults.count("zombie_commits_refused")
            else:
                self._observer.durable(self._node, changes)
