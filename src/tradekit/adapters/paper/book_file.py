"""The file behind the paper exchange. Synchronous: the exchange calls it from a worker thread, the simulation at once."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tradekit.adapters.paper.entries import Entry, decode, encode, key_of
from tradekit.domain.errors import DataError, SchemaMismatch

SCHEMA_VERSION = 1

UNREADABLE = (sqlite3.Error, msgspec.MsgspecError)
"""What reading or writing the file may raise."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, open INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_key ON orders (key);
CREATE INDEX IF NOT EXISTS orders_open ON orders (seq) WHERE open = 1;
"""
_WRITE = (
    "INSERT INTO orders (seq, key, open, body) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (seq) DO UPDATE SET open = excluded.open, body = excluded.body"
)


class BookFile:
    """Orders by number and by client_order_id, in SQLite (WAL, synchronous=FULL)."""

    def __init__(self, path: str) -> None:
        """Open or create the file; ``:memory:`` keeps nothing.

        :raises DataError: not a SQLite file, or it cannot be opened.
        :raises SchemaMismatch: written by a newer release; the file is left as it was.
        """
        self._path = path
        if path != ":memory:" and Path(path).parent.is_dir():
            Path(path).touch(mode=0o600)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._damaged(error) from error
        except SchemaMismatch:
            self._db.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            fix = f"run the release of tradekit that wrote it, or move {self._path} away to begin an empty book"
            raise SchemaMismatch(found=str(version), expected=str(SCHEMA_VERSION), fix=fix)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _damaged(self, error: Exception) -> DataError:
        exists = self._path != ":memory:" and Path(self._path).exists()
        fix = "restore it from a backup, or move it away to begin an empty book" if exists else "create its folder, or choose another"
        return DataError(path=self._path, problem=str(error), fix=fix)

    def write(self, entries: Iterable[Entry]) -> None:
        """Insert or replace the rows, all in one transaction; durable on return.

        :raises sqlite3.Error: nothing was written, or the file's state is unknown: load the book again.
        """
        rows = [(entry.seq, key_of(entry.client_order_id), entry.is_open, encode(entry)) for entry in entries]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_WRITE, rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def submissions(self, client_order_id: str) -> list[Entry]:
        """Every order that was submitted under this id, oldest first."""
        rows = self._db.execute("SELECT body FROM orders WHERE key = ? ORDER BY seq", (key_of(client_order_id),))
        return [entry for (body,) in rows if (entry := decode(body)).client_order_id == client_order_id]

    def load(self) -> tuple[int, list[Entry]]:
        """The largest number in use, and the open orders in order of submission."""
        (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM orders").fetchone()
        return last, [decode(body) for (body,) in self._db.execute("SELECT body FROM orders WHERE open = 1 ORDER BY seq")]

    def first(self) -> tuple[int, list[Entry]]:
        """:meth:`load` at start.

        :raises DataError: rows are damaged.
        """
        try:
            return self.load()
        except UNREADABLE as error:
            raise self._damaged(error) from error

    def close(self) -> None:
        self._db.close()
