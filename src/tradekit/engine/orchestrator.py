"""The pump: take a message, decide, hand the changes to the storage, and act once they are durable."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from tradekit.domain.changes import NOTHING, Changes, together, with_state
from tradekit.domain.errors import Busy, Duplicate, StorageFailed, TradekitError, Unavailable
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import OutgoingMessage, Reply
from tradekit.domain.sessions import SessionState
from tradekit.domain.users import Identity
from tradekit.engine.lanes import Completed, Envelope, Lanes, Slot
from tradekit.engine.numbers import Numbers
from tradekit.engine.sessions import Sessions
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage
from tradekit.services.decisions import Context, Decision, Handler, Read

log = logging.getLogger(__name__)

SLICE_MESSAGES = 32
"""Decisions between two turns of the event loop."""
IN_FLIGHT_MAX = 2048
"""Commits handed to the storage and not yet answered."""
READS_MAX = 16
"""Handlers that ask the storage at the same time."""
TRIES_MAX = 3
"""A message whose handler fails this often goes to the dead letters."""

MakeContext = Callable[[Envelope], Context]
Act = Callable[[Slot, Decision, Changes], None]
_Decided = tuple[Slot, Envelope, Decision, Changes]


class Orchestrator:
    """Runs every user's messages, one at a time per user, against the session in memory.

    ``act`` is called after each commit with the decision and everything that was written: it sends orders, offers messages, fans
    signals out. State advances in :meth:`_committed` and nowhere else.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        sessions: Sessions,
        lanes: Lanes,
        numbers: Numbers,
        telemetry: Telemetry,
        context: MakeContext,
        act: Act,
        room: Callable[[], bool],
    ) -> None:
        self._storage, self._clock, self._sessions, self._lanes = storage, clock, sessions, lanes
        self._numbers, self._telemetry, self._context, self._act, self._room = numbers, telemetry, context, act, room
        self._in_flight = 0
        self._reading = 0
        self._parked: deque[Slot] = deque()
        self._wake = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._accepting = True
        self.on_failed_inbox: Callable[[int], None] = lambda inbox_id: None
        """Told of an inbox row whose message could not be committed and is still pending there."""
        self.on_doubt: Callable[[Changes], None] = lambda changes: None
        """Told of changes that were not confirmed: they may be stored all the same, and nobody acted on them."""
        lanes.on_ready = self.wake

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    @property
    def at_work(self) -> int:
        """Messages waiting, being read for, or being committed."""
        return self._lanes.waiting + self._in_flight + self._reading

    def quiet(self, user_id: int) -> bool:
        """Whether nothing of this user waits or is under way."""
        slot = self._sessions.get(user_id)
        return slot is None or (not slot.busy and not slot.lane)

    def stop_accepting(self) -> None:
        """Refuse new commands from now on; what is accepted is finished, and reports of orders are still booked."""
        self._accepting = False

    def post(self, envelope: Envelope, slot: Slot | None = None) -> None:
        """Queue a message for its user.

        :raises Busy: the lane or the memory for sessions is full.
        :raises Unavailable: the service is stopping.
        """
        must = envelope.lane_class is LaneClass.REPORT
        if not self._accepting and not must:
            raise Unavailable(what="service", reason="stopping")
        self._lanes.offer(slot or self._sessions.slot(envelope.user_id, must=must), envelope)
        self._telemetry.count("messages.received")

    async def call(self, user_id: int, handler: Handler, *, cause: str, lane_class: LaneClass = LaneClass.COMMAND) -> Completed:
        """Post a message and wait for what becomes of it.

        :raises TradekitError: what the use case refused with, Duplicate, or StorageFailed.
        """
        finished = anyio.Event()
        outcome: list[Completed] = []

        def done(completed: Completed) -> None:
            outcome.append(completed)
            finished.set()

        self.post(
            Envelope(user_id=user_id, lane_class=lane_class, handler=handler, cause=cause, posted_s=self._clock.monotonic(), done=done)
        )
        await finished.wait()
        if outcome[0].error is not None:
            raise outcome[0].error
        return outcome[0]

    async def run(self) -> None:
        """Pump until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            while True:
                await self._wake.wait()
                for _ in range(SLICE_MESSAGES):
                    if self._in_flight >= IN_FLIGHT_MAX or not self._room() or not (taken := self._lanes.take()):
                        self._wake = anyio.Event()
                        break
                    self._handle(*taken)
                await anyio.lowlevel.checkpoint()

    def _handle(self, slot: Slot, envelope: Envelope) -> None:
        assert slot.state is not None
        try:
            outcome = envelope.handler(slot.state, self._context(envelope))
        except TradekitError as error:
            self._commit(slot, envelope, Decision(state=slot.state, error=error))
        except Exception as error:  # noqa: BLE001 - supervisor: one user's message must not end the pump
            self._poisoned(slot, envelope, error)
        else:
            self._went_on(slot, envelope, outcome)

    def _went_on(self, slot: Slot, envelope: Envelope, outcome: Decision | Read) -> None:
        if isinstance(outcome, Decision):
            self._commit(slot, envelope, outcome)
            return
        if self._reading >= READS_MAX:
            # Rare: wait for a place without holding up the others.
            self._lanes.put_back(slot, envelope)
            self._parked.append(slot)
            return
        assert self._tasks is not None
        self._reading += 1
        self._tasks.start_soon(self._read, slot, envelope, outcome)

    async def _read(self, slot: Slot, envelope: Envelope, read: Read) -> None:
        assert slot.state is not None
        try:
            answer = await read.query(self._storage)
            decision = read.then(answer, self._context(envelope))
        except StorageFailed as error:
            # The message keeps its place; that the session is read anew makes the lane wait until the storage answers.
            if envelope.tries + 1 < TRIES_MAX:
                self._sessions.drop(slot)
            self._poisoned(slot, envelope, error)
        except TradekitError as error:
            self._commit(slot, envelope, Decision(state=slot.state, error=error))
        except Exception as error:  # noqa: BLE001 - supervisor: one user's message must not end the pump
            self._poisoned(slot, envelope, error)
        else:
            self._commit(slot, envelope, decision)
        finally:
            self._reading -= 1
            self._unpark()

    def _poisoned(self, slot: Slot, envelope: Envelope, error: Exception) -> None:
        """A handler failed: try again, then give the message up; only its user waits."""
        envelope.tries += 1
        self._telemetry.count("messages.failed")
        log.error("user %s: message %s failed (try %s)", slot.user_id, envelope.cause, envelope.tries, exc_info=error)
        if envelope.tries < TRIES_MAX:
            self._lanes.put_back(slot, envelope)
            self._lanes.release(slot)
            return
        assert slot.state is not None
        apology = Reply(key="error.internal", args={"reference": envelope.cause})
        dead = Changes(dead_letters=((envelope.inbox_id, repr(error)[:500]),)) if envelope.inbox_id is not None else Changes()
        if envelope.otherwise is not None:
            outcome = envelope.otherwise(slot.state, self._context(envelope))
            assert isinstance(outcome, Decision)
            dead = together(dead, outcome.changes)
        refusal = Unavailable(what="command", reason="internal error; it is on record")
        decision = Decision(state=slot.state, changes=dead, replies=(apology,), error=refusal)
        self._commit(slot, envelope, decision, dead=bool(dead.dead_letters))

    def _commit(self, slot: Slot, envelope: Envelope, decision: Decision, *, dead: bool = False) -> None:
        assert slot.state is not None
        changes = self._rows(slot.state, envelope, decision, dead)
        if not changes:
            self._committed(slot, envelope, decision, changes, None)
            return
        bulk = envelope.lane_class >= LaneClass.SIGNAL
        try:
            self._storage.submit(changes, partial(self._answered, slot, envelope, decision, changes, self._clock.monotonic()), bulk=bulk)
        except Busy:
            # Nothing was decided as far as anybody knows: the message goes back and its lane goes on when a commit is answered.
            self._lanes.put_back(slot, envelope)
            self._parked.append(slot)
        else:
            self._in_flight += 1

    def _rows(self, old: SessionState, envelope: Envelope, decision: Decision, dead: bool = False) -> Changes:
        """Everything the decision writes: current state, history, messages to send, and that the inbound message is done."""
        more: dict[str, Any] = {}
        if messages := self._outgoing(envelope, decision):
            more["outbox"] = messages
        if envelope.inbox_id is not None and not dead:
            more["inbox_done"] = (envelope.inbox_id,)
        return with_state(decision.changes, old, decision.state, **more)

    def _outgoing(self, envelope: Envelope, decision: Decision) -> tuple[OutgoingMessage, ...]:
        if not decision.replies and not decision.notices:
            return ()
        now_ms, state = self._clock.now_ms(), decision.state
        messages: list[OutgoingMessage] = []
        if envelope.reply_to is not None:
            messages += [self.message(state, envelope.reply_to, reply, now_ms) for reply in decision.replies]
        reachable = state.user is not None and state.user.reachable
        for identity in state.identities if reachable else ():
            messages += [self.message(state, identity, notice, now_ms) for notice in decision.notices]
        return tuple(messages)

    def message(self, state: SessionState, to: Identity, reply: Reply, now_ms: int) -> OutgoingMessage:
        """A reply with its place in the outbox."""
        return OutgoingMessage(
            outbox_id=self._numbers.outbox_id(),
            user_id=state.user_id,
            partition=state.partition,
            transport=to.transport,
            address=to.external_id,
            reply=reply,
            language=state.settings.language,
            created_ms=now_ms,
            expires_ms=now_ms + reply.ttl_s * 1000,
        )

    def _answered(
        self, slot: Slot, envelope: Envelope, decision: Decision, changes: Changes, submitted_s: float, error: Exception | None
    ) -> None:
        self._in_flight -= 1
        self._measure_commit(changes, submitted_s)
        self._committed(slot, envelope, decision, changes, error)
        self._unpark()
        self._wake.set()

    def _measure_commit(self, changes: Changes, submitted_s: float) -> None:
        self._telemetry.count("storage.commits")
        self._telemetry.count("storage.rows", len(changes))
        self._telemetry.observe("commit_ms", (self._clock.monotonic() - submitted_s) * 1000)

    def _unpark(self) -> None:
        if self._parked:
            self._lanes.release(self._parked.popleft())

    def _committed(self, slot: Slot, envelope: Envelope, decision: Decision, changes: Changes, error: Exception | None) -> None:
        if error is None:
            before, slot.state = slot.state, decision.state
            if before is None or before.user is not decision.state.user:
                self._sessions.weigh(slot)
            self._telemetry.count("messages.handled")
            self._telemetry.observe("handle_ms", (self._clock.monotonic() - envelope.posted_s) * 1000)
            self._act(slot, decision, changes)
            self._tell(envelope, Completed(decision.result, decision.replies, decision.error))
            if envelope.reload:
                self._sessions.drop(slot)
        elif isinstance(error, Duplicate):
            self._already_done(slot, envelope, error)
            return
        else:
            self._lost(slot, envelope, error, changes)
        self._lanes.release(slot)

    def _already_done(self, slot: Slot, envelope: Envelope, error: Duplicate) -> None:
        """The same cause acted before, and the session in memory missed it: close the message, then read the session anew."""
        if envelope.reload:
            self._lost(slot, envelope, error)
            self._lanes.release(slot)
            return
        assert slot.state is not None
        envelope.reload = True
        reply = Reply(key="error.duplicate", args={"kind": error.kind, "name": error.name})
        self._commit(slot, envelope, Decision(state=slot.state, replies=(reply,), error=error))

    def _lost(self, slot: Slot, envelope: Envelope, error: Exception, changes: Changes = NOTHING) -> None:
        """The commit failed or its fate is unknown: what is in memory is not to be trusted any more."""
        self._telemetry.count("messages.failed")
        log.error("user %s: commit of %s failed: %s", slot.user_id, envelope.cause, error)
        self._sessions.drop(slot)
        self.on_doubt(changes)
        if envelope.inbox_id is not None:
            self.on_failed_inbox(envelope.inbox_id)
        failure = error if isinstance(error, TradekitError) else StorageFailed(reason=str(error))
        self._tell(envelope, Completed(error=failure))

    @staticmethod
    def _tell(envelope: Envelope, completed: Completed) -> None:
        if envelope.done is None:
            return
        try:
            envelope.done(completed)
        except Exception:
            log.exception("whoever waited for %s failed to take the answer", envelope.cause)

    def post_together(self, envelopes: Sequence[Envelope]) -> None:
        """Decide now for all whose lane is free, with one commit for them all; the others find the message in their lane.

        Deciding on state that a commit in flight is about to change would spend money twice: hence only free lanes. If the commit is
        refused the users are decided again one by one, so that nobody pays for another's row. ``done`` of a message that finds no
        place is called with Busy.
        """
        decisions: list[_Decided] = []
        for envelope in envelopes:
            # Found one by one: making room for a later user may evict an earlier one who is not busy yet.
            slot = self._sessions.slot(envelope.user_id, must=True)
            if slot.busy or slot.lane or slot.state is None:
                self._offer_or_tell(slot, envelope)
                continue
            slot.busy = True
            try:
                outcome = envelope.handler(slot.state, self._context(envelope))
            except Exception as error:  # noqa: BLE001 - supervisor: one user's state must not cost the others theirs
                self._poisoned(slot, envelope, error)
                continue
            if isinstance(outcome, Decision):
                decisions.append((slot, envelope, outcome, self._rows(slot.state, envelope, outcome)))
            else:
                self._went_on(slot, envelope, outcome)
        if decisions:
            self._commit_together(decisions)

    def _offer_or_tell(self, slot: Slot, envelope: Envelope) -> None:
        try:
            self.post(envelope, slot)
        except TradekitError as error:
            self._tell(envelope, Completed(error=error))

    def _commit_together(self, decisions: list[_Decided]) -> None:
        bulk = len(decisions) > 1 or decisions[0][1].lane_class >= LaneClass.SIGNAL
        rows = together(*(changes for *_, changes in decisions))
        try:
            self._storage.submit(rows, partial(self._batch_answered, decisions, rows, self._clock.monotonic()), bulk=bulk)
        except Busy:
            for slot, envelope, _, _ in decisions:
                self._lanes.put_back(slot, envelope)
                self._parked.append(slot)
        else:
            self._in_flight += 1

    def _batch_answered(self, decisions: list[_Decided], rows: Changes, submitted_s: float, error: Exception | None) -> None:
        self._in_flight -= 1
        self._measure_commit(rows, submitted_s)
        if error is None or not isinstance(error, Duplicate):
            for slot, envelope, decision, changes in decisions:
                self._committed(slot, envelope, decision, changes, error)
        else:
            for slot, envelope, _, _ in decisions:
                self._handle(slot, envelope)
        self._unpark()
        self._wake.set()
