"""Orders on their way to one venue: bounded at once, exits first, and nobody's slow answer holds up another user."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

from tradekit.domain.orders import Order, Side
from tradekit.ports.exchange import Exchange

BATCH_ORDERS = 50
BATCHES_IN_FLIGHT_MAX = 4
REQUESTS_IN_FLIGHT_MAX = 64
"""At a venue that takes one order per request."""
REQUESTS_PER_USER_MAX = 2
"""Of these, for one user: a venue that hangs for one key leaves the places of the others."""

Held = tuple[Order, bool]
Send = Callable[[list[Order]], Awaitable[None]]
Cancel = Callable[[Order], Awaitable[None]]


class Desk:
    """Two queues of one venue. ``send`` and ``cancel`` do the asking and never raise; the desk decides who is next."""

    def __init__(self, exchange: Exchange, *, send: Send, cancel: Cancel) -> None:
        self.exchange = exchange
        self._send, self._cancel = send, cancel
        self._batch = min(BATCH_ORDERS, exchange.capabilities.batch_max)
        self._places = BATCHES_IN_FLIGHT_MAX if self._batch > 1 else REQUESTS_IN_FLIGHT_MAX
        self._cancels: deque[Order] = deque()
        self._exits: deque[Order] = deque()
        self._entries: deque[Order] = deque()
        self._busy: Counter[int] = Counter()
        """Requests under way per user; not counted where orders go in batches."""
        self._held: dict[int, deque[Held]] = {}
        """What waits for another request of the same user, and whether it is a cancel."""
        self._wake = anyio.Event()
        self.in_flight = 0

    def submit(self, order: Order) -> None:
        """Queue an order; exits go first."""
        (self._exits if order.side is Side.SELL else self._entries).append(order)
        self._wake.set()

    def cancel(self, order: Order) -> None:
        """Queue a cancel, before every order."""
        self._cancels.append(order)
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Orders not yet sent."""
        return len(self._exits) + len(self._entries) + sum(map(len, self._held.values()))

    @property
    def at_work(self) -> int:
        """Everything queued or under way."""
        return self.waiting + len(self._cancels) + self.in_flight

    async def run(self) -> None:
        """Send until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._wake.wait()
                self._wake = anyio.Event()
                while self._places and self._next(tasks):
                    pass

    def _next(self, tasks: anyio.abc.TaskGroup) -> bool:
        """Start the next request; False when nothing waits."""
        if self._cancels:
            order = self._cancels.popleft()
            if self._batch > 1 or self._admit(order, is_cancel=True):
                self._start(tasks, [order], is_cancel=True)
            return True
        queue = self._exits or self._entries
        if not queue:
            return False
        if self._batch > 1:
            orders = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
            while self._entries and len(orders) < self._batch:
                orders.append(self._entries.popleft())
            self._start(tasks, orders, is_cancel=False)
        elif self._admit(order := queue.popleft(), is_cancel=False):
            self._start(tasks, [order], is_cancel=False)
        return True

    def _admit(self, order: Order, *, is_cancel: bool) -> bool:
        """Whether the user may have one more request under way; otherwise the order waits for one of theirs."""
        if self._busy[order.user_id] < REQUESTS_PER_USER_MAX:
            self._busy[order.user_id] += 1
            return True
        self._held.setdefault(order.user_id, deque()).append((order, is_cancel))
        return False

    def _start(self, tasks: anyio.abc.TaskGroup, orders: list[Order], *, is_cancel: bool) -> None:
        self._places -= 1
        self.in_flight += len(orders)
        tasks.start_soon(self._ask, orders, is_cancel)

    async def _ask(self, orders: list[Order], is_cancel: bool) -> None:
        try:
            await (self._cancel(orders[0]) if is_cancel else self._send(orders))
            if self._batch == 1:
                await self._go_on(orders[0].user_id)
        finally:
            self._places += 1
            self.in_flight -= len(orders)
            self._wake.set()

    async def _go_on(self, user_id: int) -> None:
        """What waited for a request of this user takes its place: cancels first, then exits, then entries, each in the order it came."""
        while held := self._held.get(user_id):
            order, is_cancel = min(held, key=_urgency)
            held.remove((order, is_cancel))
            if not held:
                del self._held[user_id]
            await (self._cancel(order) if is_cancel else self._send([order]))
        self._busy[user_id] -= 1
        if not self._busy[user_id]:
            del self._busy[user_id]


def _urgency(held: Held) -> int:
    order, is_cancel = held
    return 0 if is_cancel else 1 if order.side is Side.SELL else 2
