"""One signal to every subscriber: batches of decisions, one commit per batch, never a task per user."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.lowlevel

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Busy, StorageFailed, Temporary
from tradekit.domain.inbox import LaneClass
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Signal, signal_cause
from tradekit.engine.directory import Directory
from tradekit.engine.lanes import Completed, Envelope, Slot
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.sessions import Sessions
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage
from tradekit.services.decisions import Context, Decision
from tradekit.services.signals import deliver, not_decided

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_USERS = 50
"""Larger ones cost hardly less and keep commands waiting for longer."""
BATCHES_IN_FLIGHT_MAX = 2
WAITING_MAX = 1000
"""Signals that may wait; a further one is refused to its maker."""
RETRY_S = 1.0


class Fanout:
    """Expands stored signals. A signal is done when every subscriber has an outcome; a crash resumes where none is stored."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        directory: Directory,
        sessions: Sessions,
        orchestrator: Orchestrator,
        telemetry: Telemetry,
        sessions_max: int,
    ) -> None:
        self._storage, self._clock, self._directory, self._sessions = storage, clock, directory, sessions
        self._orchestrator, self._telemetry = orchestrator, telemetry
        # What all batches hold in memory stays below half of what fits, so that two of them never wait for each other.
        self._batch_users = max(1, min(BATCH_USERS, sessions_max // (2 * BATCHES_IN_FLIGHT_MAX)))
        self._queue: deque[tuple[Signal, bool]] = deque()
        self._postponed = False
        self._wake = anyio.Event()
        self._working = False

    def publish(self, signal: Signal, *, resumed: bool = False) -> None:
        """Fan a stored signal out.

        Above the bound it stays in the storage and is taken up from there once the queue is empty.
        """
        if len(self._queue) >= WAITING_MAX:
            log.error("fan-out: %s signals wait; %s stays in the storage", WAITING_MAX, signal.signal_id)
            self._telemetry.count("signals.postponed")
            self._postponed = True
            return
        self._queue.append((signal, resumed))
        self._wake.set()

    def rescan(self) -> None:
        """Look into the storage: a signal may be there although the commit was not confirmed."""
        self._postponed = True
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Signals not yet done."""
        return len(self._queue) + self._working

    async def run(self) -> None:
        """Fan out until cancelled, one signal after the other."""
        await self._take_up()
        while True:
            await self._wake.wait()
            while self._queue:
                self._working = True
                await self._fan_out(*self._queue.popleft())
                self._working = False
            self._wake = anyio.Event()
            if self._postponed:
                await self._take_up()

    async def _take_up(self) -> None:
        """Continue with what the storage knows to be unfinished."""
        self._postponed = False
        for signal in await self._insist(self._storage.pending_signals):
            self.publish(signal, resumed=True)

    async def _fan_out(self, signal: Signal, resumed: bool) -> None:
        users = self._directory.followers(signal.source)
        if resumed:
            delivered = await self._insist(partial(self._storage.delivered, signal.signal_id))
            users = [user_id for user_id in users if user_id not in delivered]
        started = self._clock.monotonic()
        while users:
            users = await self._round(signal, users)
            if users:
                log.warning("signal %s: %s users again", signal.signal_id, len(users))
                await anyio.sleep(RETRY_S)
        await self._finish(signal)
        self._telemetry.count("signals.done")
        self._telemetry.observe("fanout_ms", (self._clock.monotonic() - started) * 1000)

    async def _finish(self, signal: Signal) -> None:
        await self._insist(partial(self._storage.commit, Changes(signals_done=(signal.signal_id,))))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the storage until it answers: a signal must not end half-way."""
        while True:
            try:
                return await ask()
            except (StorageFailed, Busy) as error:
                log.error("fan-out: the storage does not answer, trying again: %s", error)
                await anyio.sleep(RETRY_S)

    async def _round(self, signal: Signal, users: list[int]) -> list[int]:
        """Offer the signal to these users; returns those whose outcome could not be stored."""
        failed: list[int] = []
        slots = anyio.Semaphore(BATCHES_IN_FLIGHT_MAX, fast_acquire=True)
        async with anyio.create_task_group() as batches:
            for start in range(0, len(users), self._batch_users):
                await slots.acquire()
                batches.start_soon(self._batch, signal, users[start : start + self._batch_users], slots, failed)
                await anyio.lowlevel.checkpoint()
        return failed

    async def _batch(self, signal: Signal, user_ids: list[int], slots: anyio.Semaphore, failed: list[int]) -> None:
        held = await self._sessions.hold(user_ids)
        missing = {slot.user_id for slot in held}
        finished = anyio.Event()

        def done(slot: Slot, error: Exception | None) -> None:
            if slot.user_id in missing:
                missing.discard(slot.user_id)
                if error is not None:
                    failed.append(slot.user_id)
            if not missing:
                finished.set()

        try:
            self._offer(signal, held, done)
            await finished.wait()
        finally:
            self._sessions.let_go(held)
            slots.release()

    def _offer(self, signal: Signal, held: list[Slot], done: Callable[[Slot, Exception | None], None]) -> None:
        cause, now_s = signal_cause(signal), self._clock.monotonic()

        def handler(state: SessionState, ctx: Context) -> Decision:
            return deliver(state, signal, ctx)

        def otherwise(state: SessionState, ctx: Context) -> Decision:
            return not_decided(state, signal, ctx)

        self._orchestrator.post_together(
            [
                Envelope(
                    user_id=slot.user_id,
                    lane_class=LaneClass.SIGNAL,
                    handler=handler,
                    otherwise=otherwise,
                    cause=cause,
                    posted_s=now_s,
                    done=partial(_told, slot, done),
                )
                for slot in held
            ]
        )


def _told(slot: Slot, done: Callable[[Slot, Exception | None], None], completed: Completed) -> None:
    """Only what kept the outcome from being stored makes the user try again."""
    done(slot, completed.error if isinstance(completed.error, Temporary) else None)
