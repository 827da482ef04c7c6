"""Waits that grow, with jitter so that many instances do not come back at once."""

from random import SystemRandom

_random = SystemRandom()


class Backoff:
    """Doubles from ``first_s`` to ``max_s``; each wait is drawn from its upper half."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling_s = min(self._max_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return _random.uniform(ceiling_s / 2, ceiling_s)

    def reset(self) -> None:
        """Something worked."""
        self._failures = 0
