"""The machine's clock and randomness."""

import secrets
import time

UNIFORM_BITS = 53
"""What a float holds exactly."""


class SystemClock:
    """The operating system's wall clock and monotonic clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class SystemEntropy:
    """The operating system's randomness, fit for secrets."""

    def token(self, size: int) -> str:
        return secrets.token_hex(size)

    def uniform(self) -> float:
        return secrets.randbits(UNIFORM_BITS) / (1 << UNIFORM_BITS)
