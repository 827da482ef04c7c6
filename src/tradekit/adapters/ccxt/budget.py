"""One budget of request weight for everything that leaves this source address, exits first."""

import heapq
import itertools
from collections import deque
from enum import IntEnum

import anyio
import attrs

from tradekit.domain.errors import Temporary
from tradekit.ports.clock import Clock

WAITING_MAX = 20_000


class Rank(IntEnum):
    """Who goes first. Each may use the budget only up to its share, so that the lower ones can never use up what the higher need."""

    EXIT = 0
    QUESTION = 1
    """What became of an order."""
    ENTRY = 2
    DATA = 3
    """Prices, markets, the clock."""
    RECONCILE = 4
    """Balances, and orders that somebody else may have placed."""


SHARES = {Rank.EXIT: 1.0, Rank.QUESTION: 0.9, Rank.ENTRY: 0.8, Rank.DATA: 0.7, Rank.RECONCILE: 0.6}


@attrs.define(kw_only=True, eq=False)
class VenueBusy(Temporary):
    """The request was not sent: the venue's limit or ban leaves no room for it in time."""

    venue: str
    reason: str
    """``VENUE_BUSY`` or ``VENUE_BANNED``."""
    retry_s: float


class WeightBudget:
    """Weight used in the last window, by us and as the venue tells it."""

    def __init__(self, venue: str, weight_max: int, window_s: float, clock: Clock) -> None:
        self._venue, self._max, self._window_s, self._clock = venue, weight_max, window_s, clock
        self._spent: deque[tuple[float, int]] = deque()
        self._used = 0
        self._banned_until = 0.0
        self._queue: list[tuple[Rank, int]] = []
        self._numbers = itertools.count()
        self._changed = anyio.Event()

    @property
    def used(self) -> int:
        """Weight of the last window."""
        self._expire()
        return self._used

    @property
    def banned_for_s(self) -> float:
        """How long nothing may be sent; 0: now."""
        return max(0.0, self._banned_until - self._clock.monotonic())

    @property
    def waiting(self) -> int:
        """Requests that wait for room."""
        return len(self._queue)

    def ban(self, seconds: float) -> None:
        """The venue wants no request for this long."""
        self._banned_until = max(self._banned_until, self._clock.monotonic() + seconds)

    def observe(self, used: int) -> None:
        """The venue's own count: others at this address use it as well."""
        self._expire()
        if used > self._used:
            self._spend(used - self._used)

    async def acquire(self, weight: int, rank: Rank, wait_max_s: float) -> None:
        """Wait for room, at most this long.

        :raises VenueBusy: there is none in time; nothing may be sent.
        """
        if not self._queue and self._delay(weight, rank) <= 0:
            self._spend(weight)
            return
        if len(self._queue) >= WAITING_MAX:
            raise VenueBusy(venue=self._venue, reason="VENUE_BUSY", retry_s=self._window_s)
        ticket = (rank, next(self._numbers))
        heapq.heappush(self._queue, ticket)
        try:
            await self._wait(ticket, weight, self._clock.monotonic() + wait_max_s)
        finally:
            self._queue.remove(ticket)
            heapq.heapify(self._queue)
            self._wake()

    async def _wait(self, ticket: tuple[Rank, int], weight: int, deadline: float) -> None:
        while True:
            delay_s = self._delay(weight, ticket[0])
            first = self._queue[0] == ticket
            if delay_s <= 0 and first:
                self._spend(weight)
                return
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0 or (first and delay_s > left_s):
                reason = "VENUE_BANNED" if self.banned_for_s > 0 else "VENUE_BUSY"
                raise VenueBusy(venue=self._venue, reason=reason, retry_s=max(delay_s, self.banned_for_s))
            with anyio.move_on_after(min(left_s, delay_s) if first else left_s):
                await self._changed.wait()

    def _delay(self, weight: int, rank: Rank) -> float:
        """Seconds until this weight fits."""
        now = self._clock.monotonic()
        self._expire()
        if now < self._banned_until:
            return self._banned_until - now
        # A request that is heavier than its share may go once nothing else counts.
        excess = self._used + weight - max(weight, self._max * SHARES[rank])
        if excess <= 0:
            return 0.0
        for spent_at, spent in self._spent:
            excess -= spent
            if excess <= 0:
                return spent_at + self._window_s - now
        return self._window_s

    def _spend(self, weight: int) -> None:
        self._used += weight
        self._spent.append((self._clock.monotonic(), weight))

    def _expire(self) -> None:
        until = self._clock.monotonic() - self._window_s
        while self._spent and self._spent[0][0] <= until:
            self._used -= self._spent.popleft()[1]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
