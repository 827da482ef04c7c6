"""Randomness comes in through here."""

from typing import Protocol


class Entropy(Protocol):
    """Unpredictable in production, seeded in the simulation."""

    def token(self, size: int) -> str:
        """``size`` random bytes as lower-case hexadecimal text."""

    def uniform(self) -> float:
        """A number in [0, 1): for jitter, never for money."""
