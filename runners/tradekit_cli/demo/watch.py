"""Progress on stderr, errors in the log, and what the service's process uses."""

import logging
import sys
import time

import attrs
import psutil

BAR_CHARACTERS = 30
LINE_EVERY_S = 10.0


class ErrorCounter(logging.Handler):
    """Counts what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@attrs.frozen
class Usage:
    """Of this process."""

    rss_mib: float
    cpu_s: float

    @classmethod
    def now(cls) -> "Usage":
        return cls(round(psutil.Process().memory_info().rss / 2**20, 1), time.process_time())


class Progress:
    """One line that moves on a terminal; elsewhere a line every ten seconds."""

    def __init__(self, total_s: float) -> None:
        self._total_s = max(total_s, 1.0)
        self._began_s = time.monotonic()
        self._moves = sys.stderr.isatty()
        self._next_s = 0.0

    def show(self, what: str, *, last: bool = False) -> None:
        passed_s = time.monotonic() - self._began_s
        if not self._moves and passed_s < self._next_s and not last:
            return
        self._next_s = passed_s + LINE_EVERY_S
        part = min(1.0, passed_s / self._total_s)
        bar = ("#" * round(part * BAR_CHARACTERS)).ljust(BAR_CHARACTERS, ".")
        text = f"[{bar}] {min(passed_s, self._total_s):.0f}/{self._total_s:.0f} s  {what}"
        end = "\n" if last or not self._moves else ""
        sys.stderr.write(("\r\x1b[K" if self._moves else "") + text + end)
        sys.stderr.flush()
