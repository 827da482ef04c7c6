"""One owner per data directory, held by a lock that the kernel releases when its holder dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tradekit.domain.errors import DataDirectoryInUse
from tradekit.ports.clock import Clock

LOCK_FILE = "tradekit.lock"


@contextmanager
def owned(directory: Path, *, clock: Clock, command: str) -> Iterator[None]:
    """Hold the directory while the block runs; what a dead holder left behind does not matter.

    :raises DataDirectoryInUse: another process, or another storage of this one, holds it; says which and since when.
    """
    file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 1000, 0).decode("utf-8", "replace").strip()
            raise DataDirectoryInUse(directory=str(directory), holder=holder or "unknown") from None
        since = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).isoformat(timespec="seconds")
        os.ftruncate(file, 0)
        os.pwrite(file, f"pid={os.getpid()} host={socket.gethostname()} since={since} command={command}\n".encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        # The file stays: removing it would let a third process lock a new one while a second waits on the old.
        os.close(file)
