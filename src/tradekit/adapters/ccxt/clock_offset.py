"""How far the venue's clock is from ours."""

from tradekit.ports.clock import Clock


class ClockOffset:
    """The last measurement. The venue's time is ours plus ``offset_ms``."""

    def __init__(self, clock: Clock, bound_ms: int) -> None:
        self._clock = clock
        self._bound_ms = bound_ms
        self.offset_ms = 0
        self.uncertainty_ms = 0
        """Half of the round trip: the offset is known to this."""
        self.measured_ms = 0

    def measured(self, sent_ms: int, venue_ms: int, received_ms: int) -> None:
        """The venue said its time between these two of ours."""
        self.offset_ms = venue_ms - (sent_ms + received_ms) // 2
        self.uncertainty_ms = (received_ms - sent_ms + 1) // 2
        self.measured_ms = received_ms

    @property
    def too_far(self) -> bool:
        """Whether the clocks differ for certain by more than the bound: signals, quotas and days would be counted at wrong times."""
        return abs(self.offset_ms) - self.uncertainty_ms > self._bound_ms
