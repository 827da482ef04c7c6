"""Opening the database file: is it ours, whole and of this version; then migrate it and claim its partitions."""

import sqlite3
from pathlib import Path

from tradekit.adapters.sql import migrations
from tradekit.domain.errors import ConfigurationError, DataError, SchemaMismatch

MEMORY = ":memory:"

BUSY_TIMEOUT_S = 5.0
CHECKED_BYTES_MAX = 256 * 1024 * 1024
"""Larger files are not checked whole at the start: it would take seconds."""

# A checkpoint per 16 MB instead of 4: small commits, which rewrite the same pages, take half as long.
_WRITER = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -32768;
PRAGMA temp_store = MEMORY;
"""


def open_writer(path: str) -> sqlite3.Connection:
    """The connection that writes: WAL, every commit on the disk before it is acknowledged.

    :raises DataError: the file is damaged.
    """
    try:
        db = _connect(path)
        db.executescript(_WRITER)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    return db


def open_reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write."""
    return _connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)


def prepare(path: str) -> None:
    """Make the file, or bring it to this version's schema, unless it is not ours to touch.

    :raises SchemaMismatch: a newer tradekit or another program wrote it; not a byte was changed.
    :raises DataError: it is damaged.
    """
    file = Path(path)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    found = _revision(path) if file.stat().st_size else None
    if found == migrations.HEAD:
        return
    if found is not None and found not in migrations.known():
        raise _mismatch(found)
    migrations.upgrade(path)


def claim(db: sqlite3.Connection, owner: str, partitions: int) -> dict[int, int]:
    """Take every partition: the epoch of each grows by one, and writers of an earlier epoch commit no more.

    :raises ConfigurationError: the number of partitions differs from the one the database was created with.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("INSERT INTO service_meta (key, value) VALUES ('partitions', ?) ON CONFLICT DO NOTHING", (str(partitions),))
        created = int(db.execute("SELECT value FROM service_meta WHERE key = 'partitions'").fetchone()[0])
        if created != partitions:
            raise ConfigurationError(
                setting="partitions",
                origin="database",
                problem=f"is {partitions}, but the database was created with {created}",
                fix=f"set it to {created}",
            )
        numbers = [(number, owner) for number in range(partitions)]
        db.executemany(
            "INSERT INTO partitions (partition, owner, epoch) VALUES (?, ?, 1)"
            " ON CONFLICT (partition) DO UPDATE SET owner = excluded.owner, epoch = epoch + 1",
            numbers,
        )
        epochs = dict(db.execute("SELECT partition, epoch FROM partitions"))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return epochs


def _connect(database: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(database, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=BUSY_TIMEOUT_S, uri=uri)


def _revision(path: str) -> str | None:
    """The schema's revision, None when there is no table at all."""
    db = open_reader(path)
    try:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if Path(path).stat().st_size <= CHECKED_BYTES_MAX:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise _damaged(path, verdict)
        if not tables:
            return None
        if migrations.VERSION_TABLE not in tables:
            raise _mismatch("tables of another program")
        found = db.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
        return found[0] if found else None
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    finally:
        db.close()


def _mismatch(found: str) -> SchemaMismatch:
    fix = "start the tradekit version that wrote it, or restore the backup made before the upgrade"
    return SchemaMismatch(found=found, expected=migrations.HEAD, fix=fix)


def _damaged(path: str, problem: str) -> DataError:
    directory = Path(path).parent
    fix = f"stop every process that uses it, move {path} (with its -wal and -shm) away, restore the newest backup into {directory}"
    return DataError(path=path, problem=problem, fix=fix)
