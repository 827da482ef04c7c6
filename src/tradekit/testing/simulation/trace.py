"""Everything that a simulated run did, hashed in order."""

import asyncio
import hashlib
from pathlib import Path
from typing import IO, Any

import msgspec

from tradekit.domain.changes import TABLES, Changes

_UNTRACED = frozenset({"metrics"})
"""Measured floats; everything else is exact."""

_encode = msgspec.json.Encoder().encode


class Trace:
    """SHA-256 over JSON lines of commits, venue calls and messages; the file, if asked for, holds exactly what was hashed."""

    def __init__(self, path: Path | None = None) -> None:
        self._hash = hashlib.sha256()
        self._file: IO[bytes] | None = path.open("wb") if path else None

    def add(self, kind: str, *what: Any) -> None:
        """Record one step; times are whole microseconds since the start."""
        line = _encode((round(asyncio.get_running_loop().time() * 1_000_000), kind, *what)) + b"\n"
        self._hash.update(line)
        if self._file is not None:
            self._file.write(line)

    def commit(self, outcome: str, changes: Changes) -> None:
        """Record the rows of a commit."""
        rows = {name: values for name in TABLES if name not in _UNTRACED and (values := getattr(changes, name))}
        if rows:
            self.add("commit", outcome, rows)

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 so far."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
