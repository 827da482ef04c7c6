"""Writes groups of changes in one transaction each. Synchronous: production calls it from a thread, the simulation inline."""

import sqlite3
from collections.abc import Callable, Sequence

import attrs

from tradekit.adapters.sql import statements
from tradekit.adapters.sql.rows import Row
from tradekit.adapters.sql.statements import Write
from tradekit.domain.audit import GENESIS, link
from tradekit.domain.changes import Changes
from tradekit.domain.errors import Duplicate, OwnershipLost, StorageFailed, TradekitError

Outcomes = list[TradekitError | None]

BAD_VALUE = (ValueError, TypeError, AttributeError, OverflowError)
"""What a value of the wrong kind raises on its way to a row."""

# What one commit's rows can do wrong; anything else that sqlite3 raises concerns the file and fails the whole group.
BAD_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError, *BAD_VALUE)

_UNIQUE = "UNIQUE constraint failed: "


@attrs.define
class _Refused(Exception):
    """One commit cannot be written as it is."""

    error: TradekitError


class SqliteWriter:
    """Owns the connection that writes; called from one thread at a time.

    ``epochs`` are those under which the partitions were claimed: once another owner has claimed one, nothing more is
    committed for it.
    """

    def __init__(self, db: sqlite3.Connection, epochs: dict[int, int]) -> None:
        self._db = db
        self._epochs = epochs
        self._lost: frozenset[int] = frozenset()
        self._version = -1
        self._heads: dict[int, tuple[int, bytes]] = {}

    def write(self, group: Sequence[Changes]) -> Outcomes:
        """Write all in one transaction and make it durable; the outcome of each. One wait for the disk even if some are refused.

        Never raises for a failing disk or file: then every outcome is :class:`StorageFailed`.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                outcomes = self._write(group, self._all)
            except _Refused:
                # Savepoints make SQLite copy every page it changes: only a group that needs them pays.
                self._abandon()
                self._db.execute("BEGIN IMMEDIATE")
                outcomes = self._write(group, self._each)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            return [StorageFailed(reason=str(error)) for _ in group]
        except BaseException:
            self._abandon()
            raise
        return outcomes

    def forget(self, metrics_before_ms: int, inbox_before_ms: int) -> int:
        """Delete old samples and finished inbox rows; dead letters stay until somebody decides about them.

        :raises StorageFailed: the disk or file fails; what was deleted before stays deleted.
        """
        try:
            return self._forget_metrics(metrics_before_ms) + self._forget_inbox(inbox_before_ms)
        except sqlite3.Error as error:
            raise StorageFailed(reason=str(error)) from error

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _forget_metrics(self, before_ms: int) -> int:
        gone = 0
        while some := self._db.execute(statements.FORGET_METRICS, (before_ms,)).rowcount:
            gone += some
        return gone

    def _forget_inbox(self, before_ms: int) -> int:
        gone = after_id = 0
        while True:
            last_id, oldest_ms = self._db.execute(statements.INBOX_CHUNK, (after_id,)).fetchone()
            if last_id is None or oldest_ms >= before_ms:
                return gone
            gone += self._db.execute(statements.FORGET_INBOX, (after_id, last_id, before_ms)).rowcount
            after_id = last_id

    def _abandon(self) -> None:
        self._heads.clear()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _write(self, group: Sequence[Changes], attempt: Callable[[Sequence[Changes]], Outcomes]) -> Outcomes:
        if not self._lost_partitions():
            return attempt(group)
        outcomes: Outcomes = [self._fenced(changes) for changes in group]
        allowed = [index for index, error in enumerate(outcomes) if error is None]
        for index, outcome in zip(allowed, attempt([group[index] for index in allowed]), strict=True):
            outcomes[index] = outcome
        return outcomes

    def _lost_partitions(self) -> frozenset[int]:
        """Partitions that another owner has claimed. Their epochs are read again only after another connection has written."""
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            now = dict(self._db.execute("SELECT partition, epoch FROM partitions"))
            self._lost = frozenset(partition for partition, epoch in self._epochs.items() if now.get(partition) != epoch)
            self._version = version
        return self._lost

    def _fenced(self, changes: Changes) -> OwnershipLost | None:
        lost = self._lost if len(self._lost) == len(self._epochs) else self._lost & partitions_of(changes)
        return OwnershipLost(partition=min(lost), epoch=self._epochs[min(lost)]) if lost else None

    def _all(self, group: Sequence[Changes]) -> Outcomes:
        self._insert(group)
        return [None] * len(group)

    def _each(self, group: Sequence[Changes]) -> Outcomes:
        """A savepoint per attempt: the guilty one is found by halving, without another wait for the disk."""
        self._db.execute("SAVEPOINT attempt")
        try:
            self._insert(group)
        except _Refused as refused:
            refusal = refused.error
        else:
            self._db.execute("RELEASE attempt")
            return [None] * len(group)
        self._db.execute("ROLLBACK TO attempt")
        self._db.execute("RELEASE attempt")
        self._heads.clear()
        if len(group) == 1:
            return [refusal]
        half = len(group) // 2
        return self._each(group[:half]) + self._each(group[half:])

    def _insert(self, group: Sequence[Changes]) -> None:
        try:
            self._insert_tables(group)
        except BAD_VALUE as error:
            raise _Refused(StorageFailed(reason=repr(error))) from error

    def _insert_tables(self, group: Sequence[Changes]) -> None:
        for write in statements.BEFORE_SUBSCRIPTIONS:
            self._rows(write, group)
        self._current(statements.SUBSCRIPTIONS, statements.UNSUBSCRIPTIONS, group)
        self._current(statements.DATA_KEYS, statements.DATA_KEYS_GONE, group)
        self._current(statements.LINKS, statements.LINKS_GONE, group)
        for write in statements.BEFORE_POSITIONS:
            self._rows(write, group)
        self._current(statements.POSITIONS, statements.POSITIONS_CLOSED, group)
        for write in statements.BEFORE_AUDIT:
            self._rows(write, group)
        self._current(statements.RULES, statements.RULES_GONE, group)
        self._audit(group)
        for write in statements.AFTER_AUDIT:
            self._rows(write, group)

    def _rows(self, write: Write, group: Sequence[Changes]) -> None:
        field, encode = write.field, write.encode
        rows = [encode(value) for changes in group if (values := getattr(changes, field)) for value in values]
        if rows:
            self._execute(write, rows)

    def _execute(self, write: Write, rows: list[Row]) -> None:
        try:
            written = self._db.executemany(write.sql, rows).rowcount
        except BAD_ROW as error:
            raise _Refused(self._explain(write, rows, error)) from error
        if write.exact and written != len(rows):
            raise _Refused(StorageFailed(reason=f"{write.field}: a row to change does not exist"))

    def _explain(self, write: Write, rows: list[Row], error: Exception) -> TradekitError:
        text = str(error)
        if not text.startswith(_UNIQUE):
            return StorageFailed(reason=f"{write.table}: {text}")
        columns = [column.rpartition(".")[2] for column in text.removeprefix(_UNIQUE).split(", ")]
        # Of several rows the guilty one is not told; a user who repeats a request sends one.
        known = len(rows) == 1 and all(column in write.columns for column in columns)
        name = "/".join(str(rows[0][write.columns.index(column)]) for column in columns) if known else ", ".join(columns)
        return Duplicate(kind=write.table, name=name)

    def _current(self, write: Write, end: Write, group: Sequence[Changes]) -> None:
        """Rows that come and go: within a group the last word on each key counts."""
        if not any(getattr(changes, end.field) for changes in group):
            self._rows(write, group)
            return
        last: dict[Row, Row | None] = {}
        key_columns = end.sql.count("?")
        for changes in group:
            for key in getattr(changes, end.field):
                last[end.encode(key)] = None
            for value in getattr(changes, write.field):
                row = write.encode(value)
                last[row[:key_columns]] = row
        if kept := [row for row in last.values() if row is not None]:
            self._execute(write, kept)
        if gone := [key for key, row in last.items() if row is None]:
            self._execute(end, gone)

    def _audit(self, group: Sequence[Changes]) -> None:
        """Number and chain the rows of each partition."""
        rows: list[Row] = []
        heads, touched = self._heads, set[int]()
        for changes in group:
            for entry in changes.audit:
                touched.add(entry.partition)
                seq, head = heads.get(entry.partition) or self._head(entry.partition)
                seq, head = seq + 1, link(head, seq + 1, entry)
                heads[entry.partition] = (seq, head)
                rows.append((entry.partition, seq, entry.subject, entry.actor, entry.action, entry.detail, entry.time_ms, head))
        if rows:
            self._execute(statements.AUDIT, rows)
            self._execute(statements.AUDIT_HEADS, [(partition, *heads[partition]) for partition in touched])

    def _head(self, partition: int) -> tuple[int, bytes]:
        found: tuple[int, bytes] | None = self._db.execute(statements.AUDIT_HEAD, (partition,)).fetchone()
        return found or (0, GENESIS)


def partitions_of(changes: Changes) -> set[int]:
    """The partitions whose rows these are."""
    held = {value.partition for field in _HOLD for value in getattr(changes, field)}
    return held | {value[at] for field, at in _KEYED.items() for value in getattr(changes, field)}


_HOLD = (
    "users", "credentials", "deliveries", "delivery_updates", "orders", "order_updates", "fills", "trades", "ledger", "audit",
    "performance", "outbox", "discrepancies",
)  # fmt: skip
_KEYED = {
    "identities": 2, "settings": 1, "sessions": 1, "usage": 1, "subscriptions": 1, "positions": 1, "data_keys": 1, "accounts": 1,
    "links": 1, "rules": 1,
}  # fmt: skip
"""Where the plain tuples of Changes hold the partition."""
