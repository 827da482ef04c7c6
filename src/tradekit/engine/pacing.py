"""GCRA: a pace with a burst, as one number."""

import attrs


@attrs.define(eq=False)
class Pacer:
    """Admits ``per_s`` events a second after a burst of ``burst``. A rate of 0 admits everything."""

    per_s: float
    burst: float = 1
    _arrival: float = 0.0
    """Theoretical arrival time, in seconds of the caller's clock."""

    def wait(self, now: float) -> float:
        """Seconds until the next event is within the pace; 0 when it is now."""
        if not self.per_s:
            return 0.0
        return max(0.0, self._arrival - (self.burst - 1) / self.per_s - now)

    def spend(self, now: float) -> None:
        """Count an event."""
        if self.per_s:
            self._arrival = max(self._arrival, now) + 1 / self.per_s

    @property
    def settled_at(self) -> float:
        """From this time on the pacer holds no memory of past events."""
        return self._arrival
