"""Time comes in through here."""

from typing import Protocol


class Clock(Protocol):
    """Wall time and a clock for durations. Waiting is done with anyio, whose loop the simulation replaces."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, from an arbitrary start."""
