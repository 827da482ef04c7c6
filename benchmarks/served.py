"""``tradekit up`` as a process, for the rows that measure it from outside."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from benchmarks.measure import TRADEKIT, cpu_s

READY_WITHIN_S = 120


@attrs.frozen
class Served:
    pid: int
    url: str
    ready_wall_s: float
    ready_cpu_s: float


@contextmanager
def up(data: Path, **environment: str) -> Iterator[Served]:
    """The service on a free port until the block ends, then drained."""
    command = [*TRADEKIT, "up", "--port", "0", "--data", str(data)]
    started = time.perf_counter()
    with (data / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "TRADEKIT_FEED": "simulated", **environment}
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("ready "):
                raise RuntimeError(f"not ready: {(data / 'log').read_text()[-2000:]}")
            yield Served(process.pid, line.split()[1], time.perf_counter() - started, cpu_s(process.pid))
        finally:
            process.terminate()
            process.wait(READY_WITHIN_S)
