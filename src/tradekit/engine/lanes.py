"""Lanes: one message of a user at a time; among users by class, then round-robin by tier weight."""

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from tradekit.domain.errors import Busy, TradekitError
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import Reply
from tradekit.domain.sessions import SessionState
from tradekit.domain.users import Identity
from tradekit.services.decisions import Handler


@attrs.frozen
class Completed:
    """What became of a message, for whoever waits for it."""

    result: Any = None
    replies: tuple[Reply, ...] = ()
    error: TradekitError | None = None


@attrs.define(eq=False, kw_only=True)
class Envelope:
    """A message on its way through a lane."""

    user_id: int
    lane_class: LaneClass
    handler: Handler
    cause: str
    posted_s: float
    """Monotonic time of posting."""
    inbox_id: int | None = None
    reply_to: Identity | None = None
    """Where replies go through the outbox; None: they are handed to ``done``."""
    confirm_orders: bool = True
    done: Callable[[Completed], None] | None = None
    tries: int = 0
    otherwise: Handler | None = None
    """What is decided instead once the handler has failed for good; it must not fail itself."""
    reload: bool = False
    """The session is read anew after this message: what it found stored was not in memory."""


@attrs.define(eq=False)
class Slot:
    """A user's place in memory. ``lane`` is None while idle: an empty deque alone weighs 600 bytes."""

    user_id: int
    state: SessionState | None
    """None while it is being loaded."""
    weight: int = 1
    lane: deque[Envelope] | None = None
    busy: bool = False
    """A decision of this user is with the storage, or a read of theirs is under way."""
    pinned: int = 0
    """Fan-out batches that hold this session in memory."""

    @property
    def idle(self) -> bool:
        """Whether it may leave memory."""
        return not self.busy and not self.lane and not self.pinned and self.state is not None


class _Ring:
    """Weighted round-robin over tiers: a tier of weight 4 gets four turns for one of weight 1."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Slot]] = {}
        self._turn: deque[int] = deque()
        self._credit = 0

    def push(self, slot: Slot) -> None:
        queue = self._queues.setdefault(slot.weight, deque())
        if not queue:
            self._turn.append(slot.weight)
        queue.append(slot)

    def pop(self) -> Slot | None:
        if not self._turn:
            return None
        weight = self._turn[0]
        queue = self._queues[weight]
        if not self._credit:
            self._credit = weight
        slot = queue.popleft()
        self._credit -= 1
        if not queue:
            self._turn.popleft()
            self._credit = 0
        elif not self._credit:
            self._turn.rotate(-1)
        return slot


class Lanes:
    """What is waiting. Knows nothing of commits."""

    def __init__(self, lane_size_max: int = 64) -> None:
        self._lane_size_max = lane_size_max
        self._rings = tuple(_Ring() for _ in LaneClass)
        self._ready = 0
        self.waiting = 0
        """Messages in all lanes."""
        self.on_ready: Callable[[], None] = lambda: None

    def offer(self, slot: Slot, envelope: Envelope) -> None:
        """Queue a message for its user.

        :raises Busy: the lane is full. Control messages and reports of what already happened always find a place; what they follow
            from is bounded elsewhere.
        """
        if slot.lane is None:
            slot.lane = deque()
        control = envelope.lane_class is LaneClass.CONTROL
        if len(slot.lane) >= self._lane_size_max and not control and envelope.lane_class is not LaneClass.REPORT:
            raise Busy(queue="lane", limit=self._lane_size_max)
        if control and len(slot.lane) >= 2 * self._lane_size_max:
            raise Busy(queue="lane", limit=2 * self._lane_size_max)
        self._insert(slot.lane, envelope)
        self.waiting += 1
        # A message that overtakes makes a waiting lane ready a second time, in its own class; take() passes over empty entries.
        if not slot.busy and slot.state is not None and (len(slot.lane) == 1 or slot.lane[0] is envelope):
            self._push(slot)

    @staticmethod
    def _insert(lane: deque[Envelope], envelope: Envelope) -> None:
        """Control goes before everything but earlier control."""
        if envelope.lane_class is not LaneClass.CONTROL:
            lane.append(envelope)
            return
        place = 0
        while place < len(lane) and lane[place].lane_class is LaneClass.CONTROL:
            place += 1
        lane.insert(place, envelope)

    def put_back(self, slot: Slot, envelope: Envelope) -> None:
        """Return a message that was taken but not decided to the head of its lane; the slot stays busy until released."""
        if slot.lane is None:
            slot.lane = deque()
        slot.lane.appendleft(envelope)
        self.waiting += 1

    def loaded(self, slot: Slot) -> None:
        """The session is in memory now: its lane may run."""
        if slot.lane and not slot.busy:
            self._push(slot)

    def _push(self, slot: Slot) -> None:
        assert slot.lane
        self._rings[slot.lane[0].lane_class].push(slot)
        self._ready += 1
        self.on_ready()

    def take(self) -> tuple[Slot, Envelope] | None:
        """The next message, its lane held until :meth:`release`."""
        while self._ready:
            self._ready -= 1
            slot = next(filter(None, (ring.pop() for ring in self._rings)))
            if not slot.busy and slot.lane and slot.state is not None:
                slot.busy = True
                self.waiting -= 1
                return slot, slot.lane.popleft()
        return None

    def release(self, slot: Slot) -> None:
        """Let the lane go on."""
        slot.busy = False
        if slot.lane:
            if slot.state is not None:
                self._push(slot)
        else:
            slot.lane = None
