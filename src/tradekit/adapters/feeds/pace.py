"""Waiting for the moment at which an event is due."""

import anyio
import anyio.lowlevel

from tradekit.ports.clock import Clock

TURN = 64
"""Events without a wait after which others get a turn."""


class Pace:
    """Due times in seconds from now. Late events are not waited for, and none is left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        self._unwaited = 0

    async def until(self, elapsed_s: float) -> None:
        """Return ``elapsed_s`` after the start, at once if that has passed."""
        delay_s = self._start + elapsed_s - self._clock.monotonic()
        if delay_s > 0:
            self._unwaited = 0
            await anyio.sleep(delay_s)
            return
        self._unwaited += 1
        if self._unwaited >= TURN:
            self._unwaited = 0
            await anyio.lowlevel.checkpoint()
