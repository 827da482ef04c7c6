"""A chat network between people and the service: numbers messages, delivers at least once, sometimes twice or out of order."""

from collections import deque
from collections.abc import Callable

import anyio

from tradekit.domain.errors import TradekitError
from tradekit.domain.users import Identity
from tradekit.engine.intake import Inbound
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.node import Node
from tradekit.testing.simulation.observer import Observer

BATCH_MAX = 100
REMEMBERED = 50
"""Old messages of which one may come again."""


class Transport:
    """What people typed waits here until the service has acknowledged it."""

    def __init__(self, name: str, *, source: str, node: Callable[[], Node | None], faults: Faults, observer: Observer) -> None:
        self.name, self._source, self._node, self._faults, self._observer = name, source, node, faults, observer
        self._waiting: deque[Inbound] = deque()
        self._old: deque[Inbound] = deque(maxlen=REMEMBERED)
        self._late: list[Inbound] = []
        self._number = 0
        self._wake = anyio.Event()
        self._delivering = False
        self.closed = False

    def post(self, identity: Identity, text: str, display_name: str) -> None:
        """Somebody typed a line or pressed a button; once :attr:`closed`, nobody does any more."""
        if self.closed:
            return
        self._number += 1
        self._waiting.append(
            Inbound(source=self._source, message_id=str(self._number), identity=identity, text=text, display_name=display_name)
        )
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Messages not acknowledged yet."""
        return len(self._waiting) + len(self._late) + self._delivering

    async def run(self) -> None:
        """Deliver until cancelled, one batch after the other."""
        while True:
            if not self._waiting:
                await self._wait()
            node = self._node()
            if node is None or not node.ready:
                await anyio.sleep(0.5)
                continue
            await self._deliver(node)

    async def _wait(self) -> None:
        self._wake = anyio.Event()
        with anyio.move_on_after(5):
            await self._wake.wait()
        self._waiting.extend(self._late)
        self._late.clear()

    async def _deliver(self, node: Node) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        sent = self._disturbed(batch)
        self._delivering = True
        try:
            if sent:
                await node.call(lambda service: service.intake.accept(sent))
        except TradekitError:
            # As a real network does: what is not acknowledged comes again, in order.
            self._waiting.extendleft(reversed(sent))
            await anyio.sleep(1)
        else:
            for message in sent:
                self._observer.acknowledged((message.source, message.message_id))
            self._old.extend(sent)
        finally:
            self._delivering = False

    def _disturbed(self, batch: list[Inbound]) -> list[Inbound]:
        """The batch as it arrives: some later, some again, some before others."""
        arriving: list[Inbound] = []
        for message in batch:
            if self._faults.hit("update_late"):
                self._out_of_turn(message)
                self._late.append(message)
            else:
                arriving.append(message)
        if self._old and self._faults.hit("update_repeated"):
            again = self._old[self._faults.below(len(self._old))]
            arriving.insert(self._faults.below(len(arriving) + 1), again)
        if len(arriving) > 1 and self._faults.hit("update_reordered"):
            for message in arriving:
                self._out_of_turn(message)
            arriving.append(arriving.pop(0))
        return arriving

    def _out_of_turn(self, message: Inbound) -> None:
        self._observer.out_of_turn((message.source, message.message_id))
