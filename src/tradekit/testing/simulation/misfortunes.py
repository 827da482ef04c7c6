"""What goes wrong by the clock: crashes, stalls, a venue that is closed, customers who act behind our back, an operator who halts."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import attrs

from tradekit.domain.controls import EVERYWHERE
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.faulty_venue import Trouble
from tradekit.testing.simulation.machine import SimClock
from tradekit.testing.simulation.node import Node
from tradekit.testing.simulation.observer import Observer
from tradekit.testing.simulation.plan import FaultRates
from tradekit.testing.simulation.sim_venue import VENUE, SimVenue

JUMP_MS = 20_000
MAINTENANCE_S = 300.0
CLOSED_S = 120.0
HANG_S = 120.0
HALT_S = 300.0
ORDER_WITHIN_S = 120.0


@attrs.frozen(kw_only=True, eq=False)
class Misfortunes:
    """Each kind is a task; its pauses are drawn from the dice, on average the rate's."""

    rates: FaultRates
    faults: Faults
    clock: SimClock
    observer: Observer
    node: Callable[[], Node | None]
    venue: SimVenue
    trouble: Trouble
    live_users: list[int]
    set_maintenance: Callable[[bool], None]
    operate: Callable[[str], None]

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Let them happen until cancelled."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "crash_every_s": self._crash,
            "storage_stalls_every_s": self._stall,
            "clock_jump_every_s": self._jump,
            "maintenance_every_s": self._maintenance,
            "venue_maintenance_every_s": self._close,
            "ban_every_s": self._ban,
            "stream_cut_every_s": self._cut,
            "hang_every_s": self._hang,
            "transfer_every_s": self._transfer,
            "foreign_order_every_s": self._foreign,
            "halt_every_s": self._halt,
        }
        for name, happen in kinds.items():
            every_s: float = getattr(self.rates, name)
            if every_s:
                tasks.start_soon(self._now_and_then, every_s, happen)

    async def _now_and_then(self, every_s: float, happen: Callable[[], Awaitable[None]]) -> None:
        while True:
            await anyio.sleep(self.faults.pause(every_s))
            await happen()

    async def _crash(self) -> None:
        node = self.node()
        if node is None or node.over.is_set():
            return
        if self.faults.even():
            # The worst moment: an order has just gone out.
            with anyio.move_on_after(ORDER_WITHIN_S):
                await self.observer.sending.wait()
            await anyio.sleep(self.faults.between(0, 0.2))
            if node.over.is_set():
                return
        self.faults.count("crash_every_s")
        if self.faults.hit("crash_is_drain"):
            await node.drain()
            return
        zombie = self.faults.hit("crash_is_zombie")
        if zombie and node.storage is not None:
            node.storage.stall(30)
            await anyio.sleep(self.faults.between(0, 3))
        node.crash(zombie=zombie)
        if self.rates.venue_maintenance_every_s and self.faults.even():
            # The next run finds the venue closed: its users' accounts cannot be compared.
            await self._close()

    async def _stall(self) -> None:
        node = self.node()
        if node is not None and node.storage is not None:
            self.faults.count("storage_stalls_every_s")
            node.storage.stall(self.faults.between(0.5, 8))

    async def _jump(self) -> None:
        if not self.observer.maintenance:
            self.faults.count("clock_jump_every_s")
            self.clock.jump(self.faults.below(2 * JUMP_MS) - JUMP_MS)

    async def _maintenance(self) -> None:
        self.faults.count("maintenance_every_s")
        self.set_maintenance(True)
        await anyio.sleep(MAINTENANCE_S)
        self.set_maintenance(False)

    # At the live venue

    async def _close(self) -> None:
        self.faults.count("venue_maintenance_every_s")
        self.trouble.closed = True
        await anyio.sleep(self.faults.between(5, CLOSED_S))
        self.trouble.closed = False

    async def _ban(self) -> None:
        self.faults.count("ban_every_s")
        self.trouble.banned = True
        await anyio.sleep(self.faults.between(5, CLOSED_S))
        self.trouble.banned = False

    async def _cut(self) -> None:
        self.faults.count("stream_cut_every_s")
        self.trouble.stream_down = True
        await anyio.sleep(self.faults.between(1, CLOSED_S))
        self.trouble.stream_down = False

    async def _hang(self) -> None:
        if self.live_users:
            self.faults.count("hang_every_s")
            user_id = self._anybody()
            self.trouble.hanging.add(user_id)
            await anyio.sleep(self.faults.between(5, HANG_S))
            self.trouble.hanging.discard(user_id)

    async def _transfer(self) -> None:
        if self.live_users:
            self.faults.count("transfer_every_s")
            self.venue.transfer(self._anybody())

    async def _foreign(self) -> None:
        if self.live_users:
            user_id = self._anybody()
            if (self.faults.even() and self.venue.cancel_foreign(user_id)) or self.venue.place_foreign(user_id):
                self.faults.count("foreign_order_every_s")

    def _anybody(self) -> int:
        return self.live_users[self.faults.below(len(self.live_users))]

    # The operator

    async def _halt(self) -> None:
        users = self.live_users
        scopes = (EVERYWHERE, VENUE, "paper", str(users[self.faults.below(len(users))]) if users else EVERYWHERE)
        scope = scopes[self.faults.below(len(scopes))]
        self.faults.count("halt_every_s")
        self.operate(f"/{'halt' if self.faults.even() else 'reduce'} {scope} simulated")
        await anyio.sleep(self.faults.between(60, HALT_S))
        self.operate(f"/allow {scope}")
