"""The machine that the simulated service believes to run on: its clock, its randomness, its load."""

import asyncio
import random

from tradekit.ports.host import HostSample

START_MS = 1_700_000_000_000
"""14 November 2023, 22:13:20 UTC: the first midnight comes early."""


class SimClock:
    """Wall time that starts at ``start_ms`` and follows the loop, except for :meth:`jump`. Monotonic time is the loop's."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._start_ms = start_ms
        self._offset_ms = 0

    def now_ms(self) -> int:
        return self._start_ms + self._offset_ms + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def jump(self, by_ms: int) -> None:
        """Set the wall clock forward or back, as a time server would."""
        self._offset_ms += by_ms


class SeededEntropy:
    """Tokens and jitter from a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> str:
        return self._random.randbytes(size).hex()

    def uniform(self) -> float:
        return self._random.random()


class SimHost:
    """A machine at ease."""

    def sample(self) -> HostSample:
        return HostSample(cpu_percent=10.0, memory_percent=20.0, rss_mib=100.0, disk_percent=30.0, disk_free_mib=50_000.0)
