"""A progress bar on stderr, for people who wait."""

import sys
import time
from types import TracebackType
from typing import Self

DELAY_S = 0.5
"""What is done sooner needs no bar."""
EVERY_S = 0.1
WIDTH = 30


class Progress:
    """Call it with (done, total). Draws only on a terminal, and only once the work has taken a while."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._started = self._drawn = time.monotonic()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, done: int, total: int) -> None:
        """Tell how far it is."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._started < DELAY_S or now - self._drawn < EVERY_S:
            return
        self._drawn, self._shown = now, True
        sys.stderr.write("\r\x1b[K" + bar(done, total, self._unit, now - self._started))
        sys.stderr.flush()


def bar(done: int, total: int, unit: str, elapsed_s: float) -> str:
    """One line: how much, how fast, how much longer."""
    share = min(1.0, done / total) if total else 1.0
    full = round(share * WIDTH)
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    left_s = (total - done) / rate if rate else 0.0
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%} {done}/{total} {unit}, {rate:,.0f}/s, {left_s:.0f} s left"
