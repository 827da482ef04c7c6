"""The machine as psutil sees it."""

from pathlib import Path

import psutil

from tradekit.ports.host import HostSample

MIB = 1024 * 1024


class PsutilProbe:
    """Looks at processors, memory and the disk that holds ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = psutil.Process()
        psutil.cpu_percent(None)

    def sample(self) -> HostSample:
        """Look now."""
        disk = psutil.disk_usage(str(self._directory))
        return HostSample(
            cpu_percent=psutil.cpu_percent(None),
            memory_percent=psutil.virtual_memory().percent,
            rss_mib=self._process.memory_info().rss / MIB,
            disk_percent=disk.percent,
            disk_free_mib=disk.free / MIB,
        )
