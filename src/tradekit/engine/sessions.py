"""The sessions in memory: found, loaded, and evicted when idle."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

import anyio

from tradekit.domain.errors import Busy
from tradekit.domain.sessions import SessionState
from tradekit.domain.tiers import Tiers
from tradekit.domain.users import partition_of
from tradekit.engine.lanes import Lanes, Slot
from tradekit.ports.storage import Reader

EVICTION_SCAN_MAX = 256
LOAD_BATCH = 500


class Sessions:
    """At most ``size_max`` users in memory; the idle ones that were not used longest make room."""

    def __init__(self, *, reader: Reader, lanes: Lanes, tiers: Tiers, partitions: int, size_max: int) -> None:
        self._reader, self._lanes, self._tiers, self._partitions, self._size_max = reader, lanes, tiers, partitions, size_max
        self._slots: OrderedDict[int, Slot] = OrderedDict()
        self._to_load: dict[int, Slot] = {}
        self._wake = anyio.Event()
        self._waiters: dict[int, list[anyio.Event]] = {}
        self.on_loaded: Callable[[SessionState], None] = lambda state: None
        """Told of every registered user read from the storage: what was committed without an answer shows only here."""

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, user_id: int) -> Slot | None:
        """The user's slot if it is in memory."""
        return self._slots.get(user_id)

    def slot(self, user_id: int, *, must: bool = False) -> Slot:
        """The user's slot, being loaded if it was not in memory.

        :raises Busy: memory is full of users at work, unless ``must`` (what already happened has to be booked).
        """
        slot = self._slots.get(user_id)
        if slot is not None:
            self._slots.move_to_end(user_id)
            return slot
        self._make_room(must)
        slot = self._slots[user_id] = Slot(user_id, None)
        self._load_later(slot)
        return slot

    def _make_room(self, must: bool) -> None:
        self._shrink(self._size_max - 1)
        if len(self._slots) >= self._size_max and not must:
            raise Busy(queue="sessions", limit=self._size_max)

    def _shrink(self, size: int) -> None:
        """Evict idle users until so many are left, looking at the least recently used ones only."""
        if len(self._slots) <= size:
            return
        oldest = list(islice(self._slots.values(), EVICTION_SCAN_MAX))
        for slot in oldest:
            if slot.idle:
                del self._slots[slot.user_id]
                if len(self._slots) <= size:
                    return

    def drop(self, slot: Slot) -> None:
        """Forget what is in memory of this user: it may not be what is stored. It is loaded again before anything else happens."""
        slot.state = None
        self._load_later(slot)

    def _load_later(self, slot: Slot) -> None:
        self._to_load[slot.user_id] = slot
        self._wake.set()

    async def hold(self, user_ids: list[int]) -> list[Slot]:
        """The slots of registered users, loaded and pinned in memory until :meth:`let_go`. Waits for room and for the storage."""
        slots = []
        for user_id in user_ids:
            while True:
                try:
                    slot = self.slot(user_id)
                    break
                except Busy:
                    await anyio.sleep(0.05)
            slot.pinned += 1
            slots.append(slot)
        for slot in slots:
            while slot.state is None:
                loaded = anyio.Event()
                self._waiters.setdefault(slot.user_id, []).append(loaded)
                await loaded.wait()
        return slots

    def let_go(self, slots: list[Slot]) -> None:
        """End a hold."""
        for slot in slots:
            slot.pinned -= 1
        self._shrink(self._size_max)

    async def run(self) -> None:
        """Load what is asked for, many users per read, until cancelled."""
        while True:
            await self._wake.wait()
            batch = dict(list(self._to_load.items())[:LOAD_BATCH])
            if not batch:
                self._wake = anyio.Event()
                continue
            for user_id in batch:
                del self._to_load[user_id]
            try:
                states = await self._reader.sessions(list(batch))
            except Exception:  # noqa: BLE001 - the storage fails: health says so, the lanes wait
                self._to_load.update(batch)
                await anyio.sleep(0.5)
                continue
            for user_id, slot in batch.items():
                self._arrived(slot, states.get(user_id))

    def _arrived(self, slot: Slot, state: SessionState | None) -> None:
        if state is None:
            state = SessionState(user_id=slot.user_id, partition=partition_of(slot.user_id, self._partitions))
        else:
            self.on_loaded(state)
        slot.state = state
        self.weigh(slot)
        for waiter in self._waiters.pop(slot.user_id, ()):
            waiter.set()
        self._lanes.loaded(slot)

    def weigh(self, slot: Slot) -> None:
        """Take the lane's weight from the user's tier."""
        if slot.state is not None and slot.state.user is not None:
            slot.weight = self._tiers[slot.state.user.tier].weight

    def loaded(self) -> list[SessionState]:
        """The states in memory."""
        return [slot.state for slot in self._slots.values() if slot.state is not None]
