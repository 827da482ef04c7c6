"""Looking at a database without owning it, and migrating one that nobody uses."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import anyio
import sqlalchemy as sa

from tradekit.adapters.sql import database, migrations
from tradekit.adapters.sql.ownership import owned
from tradekit.adapters.sql.reader import Pool, SqlReader
from tradekit.domain.errors import DataError, SchemaMismatch
from tradekit.domain.health import Finding, HealthStatus
from tradekit.ports.clock import Clock

READERS_MAX = 2
PROBLEMS_SHOWN = 5


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[SqlReader]:
    """Read the database, whether or not a service has it open. Nothing is written, claimed or migrated.

    :raises DataError: there is none, or it is damaged.
    :raises SchemaMismatch: another version of tradekit wrote it.
    """
    found = await anyio.to_thread.run_sync(revision, path)
    if found != migrations.HEAD:
        older = found is None or found in migrations.known()
        fix = "run `tradekit db migrate`" if older else "use the version of tradekit that wrote it"
        raise SchemaMismatch(found=found or "none", expected=migrations.HEAD, fix=fix)
    pool = Pool(partial(database.open_reader, str(path)), path=str(path), limiter=anyio.CapacityLimiter(READERS_MAX), inline=False)
    try:
        yield SqlReader(pool)
    finally:
        pool.close()


def migrate(path: Path, *, clock: Clock, holder: str) -> tuple[str | None, str]:
    """Make the database or bring it to this version's schema; returns the revision before and after.

    :raises DataDirectoryInUse: a service has it open.
    :raises SchemaMismatch: a newer version wrote it; it is left untouched.
    :raises DataError: it is damaged.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with owned(path.parent, clock=clock, command=holder):
        before = revision(path) if path.exists() else None
        database.prepare(str(path))
        return before, migrations.HEAD


def examine(path: Path) -> list[tuple[str, Finding]]:
    """Revision, integrity and drift of the schema, each with what was found; reads the file whole."""
    found = revision(path)
    findings = [("revision", _revision_finding(found))]
    with closing(database.open_reader(str(path))) as db:
        findings.append(("integrity", _integrity(db)))
        if found == migrations.HEAD:
            findings.append(("schema", _drift(db)))
    return findings


def revision(path: Path) -> str | None:
    """The schema's revision, as alembic recorded it; None for a database without any table.

    :raises DataError: the file is not a readable database.
    """
    if not path.exists():
        raise DataError(path=str(path), problem="does not exist", fix="`tradekit up` makes it, or name another directory with --data")
    try:
        with closing(database.open_reader(str(path))) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if migrations.VERSION_TABLE not in tables:
                return "tables of another program" if tables else None
            row = db.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
    except sqlite3.Error as error:
        raise DataError(path=str(path), problem=f"cannot be read: {error}", fix="restore a backup, or name another directory") from error
    return row[0] if row else None


def _revision_finding(found: str | None) -> Finding:
    if found == migrations.HEAD:
        return Finding(status=HealthStatus.HEALTHY, detail=f"{found}, current")
    if found is None or found in migrations.known():
        return Finding(status=HealthStatus.DEGRADED, detail=f"{found or 'none'}, {migrations.HEAD} is current: run `tradekit db migrate`")
    return Finding(status=HealthStatus.UNHEALTHY, detail=f"{found} is unknown to this version: use the tradekit that wrote it")


def _integrity(db: sqlite3.Connection) -> Finding:
    try:
        problems = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({PROBLEMS_SHOWN})") if row[0] != "ok"]
        problems += [
            f"a row of {table} refers to a missing one of {parent}" for table, _, parent, _ in db.execute("PRAGMA foreign_key_check")
        ]
    except sqlite3.Error as error:
        problems = [str(error)]
    if problems:
        return Finding(status=HealthStatus.UNHEALTHY, detail="; ".join(problems[:PROBLEMS_SHOWN]) + ": restore a backup")
    return Finding(status=HealthStatus.HEALTHY, detail="whole")


def _drift(db: sqlite3.Connection) -> Finding:
    """Whether the tables are those that this version declares."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    engine = sa.create_engine("sqlite://", creator=lambda: db, poolclass=sa.pool.StaticPool)
    with engine.connect() as connection:
        options = migrations.configured(connection)
        metadata = options.pop("target_metadata")
        differences = compare_metadata(MigrationContext.configure(options.pop("connection"), opts=options), metadata)
    if differences:
        return Finding(status=HealthStatus.UNHEALTHY, detail=f"differs from what this version declares: {str(differences)[:300]}")
    return Finding(status=HealthStatus.HEALTHY, detail="as declared")
