"""JSON lines of what the server handed out and received."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import BinaryIO

import msgspec


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`event` is `handed_out`, `acknowledged`, `message`, `unchanged` (an edit to what is there already) or `limited`."""

    event: str
    time_ms: int
    """Unix time."""
    monotonic_ms: float
    update_id: int | None = None
    chat_id: int | None = None
    text: str | None = None
    via: str | None = None
    """`getUpdates` or `webhook`."""
    attempt: int | None = None
    """1 for the first time an update is handed out."""
    method: str | None = None
    message_id: int | None = None
    answers_update_id: int | None = None
    latency_ms: float | None = None
    """From the update's being handed out to this message."""
    retry_after: int | None = None


class EventLog:
    """Appends lines to a file; writes when 64 KiB have gathered, every quarter second while a loop runs, and on `close`."""

    _FLUSH_BYTES = 65_536
    _FLUSH_EVERY_S = 0.25

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = path.open("ab", buffering=0) if path is not None else None
        self._buffer = bytearray()
        self._encoder = msgspec.json.Encoder()
        self._timer: asyncio.TimerHandle | None = None
        self.enabled = path is not None

    def write(self, event: str, *, now_ns: int, update_id: int | None = None, **fields: object) -> None:
        """:param now_ns: monotonic nanoseconds."""
        if not self.enabled:
            return
        line = LogLine(event=event, time_ms=time.time_ns() // 1_000_000, monotonic_ms=now_ns / 1e6, update_id=update_id, **fields)  # type: ignore[arg-type]
        self._buffer += self._encoder.encode(line)
        self._buffer += b"\n"
        if len(self._buffer) >= self._FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._FLUSH_EVERY_S, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._file is not None and self._buffer:
            self._file.write(self._buffer)
            self._buffer.clear()

    def close(self) -> None:
        self.flush()
        self.enabled = False
        if self._file is not None:
            self._file.close()
            self._file = None
