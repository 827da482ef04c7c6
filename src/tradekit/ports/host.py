"""What the machine says of itself."""

from typing import Protocol

import msgspec


class HostSample(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the machine and this process."""

    cpu_percent: float
    """Of all processors, since the last look."""
    memory_percent: float
    rss_mib: float
    disk_percent: float
    """Of the file system that holds the data."""
    disk_free_mib: float


class HostProbe(Protocol):
    """Looks at the machine; cheap, never blocks for long."""

    def sample(self) -> HostSample:
        """Look now."""
