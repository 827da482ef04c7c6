import re
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlmodel import Session, select

from tradekit.adapters.sql import database, migrations, open_storage, queries, statements, tables
from tradekit.adapters.sql.statements import Query, Write
from tradekit.domain.changes import Changes
from tradekit.domain.errors import ConfigurationError, DataError, SchemaMismatch
from tradekit.testing.factories import FixedClock, a_user

QUERIES = {name: value for name, value in vars(queries).items() if isinstance(value, Query)}

WRITES = [
    *statements.BEFORE_SUBSCRIPTIONS,
    statements.SUBSCRIPTIONS,
    statements.UNSUBSCRIPTIONS,
    statements.DATA_KEYS,
    statements.DATA_KEYS_GONE,
    statements.LINKS,
    statements.LINKS_GONE,
    *statements.BEFORE_POSITIONS,
    statements.POSITIONS,
    statements.POSITIONS_CLOSED,
    statements.RULES,
    statements.RULES_GONE,
    *statements.BEFORE_AUDIT,
    statements.AUDIT,
    *statements.AFTER_AUDIT,
]

SCANS_ALLOWED = {
    "DIRECTORY": {"identities"},  # asks for every identity
    "FOLLOWERS": {"subscriptions"},  # asks for every subscription
    "INSTRUMENTS": {"instruments"},  # asks for every instrument
    "RULES": {"rules"},  # asks for every rule
    "CONTROLS": {"controls"},  # asks for every limit
    "USERS_WITH_ACCOUNTS": {"exchange_accounts"},  # asks for every account
    "DISCREPANCIES": {"discrepancies"},  # the last rows by their index
    "RECENT_MESSAGE_KEYS": {"inbox"},  # the last rows by primary key
    "SIGNALS": {"signals"},  # the last rows by primary key
    "ALERTS": {"alerts"},  # the last rows by primary key
    "TRADERS_SINCE": {"users"},  # one look-up per user
    "USERS_BY_KIND": {"users"},  # counts every user
    "COUNTS": {"users", "positions"},  # counts every user and every position
}
PARTIAL_INDEXES = ("ix_signals_pending", "ix_orders_open", "ix_alerts_open")
"""They hold what is open only: reading all of one is the point."""


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = database.open_writer(":memory:")
    migrations.upgrade(connection)
    yield connection
    connection.close()


def scanned(db: sqlite3.Connection, sql: str, values: object) -> set[str]:
    """The tables that a statement reads from end to end."""
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    found = {match[1] for line in plan if (match := re.match(r"SCAN (\w+)", line)) and not any(index in line for index in PARTIAL_INDEXES)}
    return found & set(tables.metadata.tables)


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_reads_a_growing_table_from_end_to_end(db: sqlite3.Connection, name: str) -> None:
    query = QUERIES[name]
    values = dict.fromkeys(re.findall(r":(\w+)", query.sql))
    assert scanned(db, query.sql, values) == SCANS_ALLOWED.get(name, set())


@pytest.mark.parametrize("name", ["SESSION_ORDERS", "OPEN_ORDERS", "USERS_WITH_OPEN_ORDERS"])
def test_what_is_open_is_found_without_reading_a_users_history(db: sqlite3.Connection, name: str) -> None:
    query = QUERIES[name]
    plan = db.execute(f"EXPLAIN QUERY PLAN {query.sql}", dict.fromkeys(re.findall(r":(\w+)", query.sql))).fetchall()
    assert any("ix_orders_open" in row[3] for row in plan), plan


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.field)
def test_no_write_reads_a_table_from_end_to_end(db: sqlite3.Connection, write: Write) -> None:
    assert scanned(db, write.sql, [None] * write.sql.count("?")) == set()


def test_a_scan_would_be_seen(db: sqlite3.Connection) -> None:
    assert scanned(db, "SELECT * FROM orders WHERE reason = ?", ["x"]) == {"orders"}


def test_every_field_of_changes_is_written_once() -> None:
    assert sorted(write.field for write in WRITES) == sorted(Changes.__struct_fields__)


def test_tables_of_users_carry_the_partition() -> None:
    owned = {name for name, table in tables.metadata.tables.items() if "user_id" in table.columns}
    assert owned == {name for name in owned if "partition" in tables.metadata.tables[name].columns}
    assert len(owned) > 10


def test_migrations_and_declared_tables_agree(tmp_path: Path) -> None:
    path = str(tmp_path / "tradekit.db")
    database.prepare(path)
    assert migrations.heads() == [migrations.HEAD]
    assert migrations.current(path) == migrations.HEAD
    with migrations.connected(path) as connection:
        options = migrations.configured(connection)
        del options["connection"], options["target_metadata"]
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_migrations_and_declared_tables_agree_to_the_letter(tmp_path: Path) -> None:
    """Alembic compares neither WITHOUT ROWID nor partial indexes."""

    def schema(connection: sa.Connection) -> dict[str, str]:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
        return {name: " ".join(sql.split()).replace("('')", "''") for name, sql in found}

    database.prepare(str(tmp_path / "migrated.db"))
    with migrations.connected(str(tmp_path / "migrated.db")) as connection:
        migrated = schema(connection)
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        tables.metadata.create_all(connection)
        declared = schema(connection)
    engine.dispose()
    assert migrated == declared


def test_a_failing_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "tradekit.db")
    with migrations.connected(path) as connection:
        connection.exec_driver_sql("CREATE TABLE users (user_id INTEGER)")
        connection.commit()
    before = Path(path).read_bytes()
    with pytest.raises(sa.exc.OperationalError, match="users already exists"):
        migrations.upgrade(path)
    assert Path(path).read_bytes() == before


@pytest.mark.anyio
@pytest.mark.parametrize("revision", ["9999", "tables of another program"])
async def test_a_database_of_another_version_is_left_untouched(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "tradekit.db"
    async with open_storage(path, clock=FixedClock()) as storage:
        await storage.commit(Changes(users=(a_user(),)))
    with sqlite3.connect(path) as db:
        db.execute(
            "UPDATE alembic_version SET version_num = ?" if revision == "9999" else "DROP TABLE alembic_version",
            ["9999"] * (revision == "9999"),
        )
    db.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch) as refused:
        async with open_storage(path, clock=FixedClock()):
            pytest.fail("opened")
    assert refused.value.found == revision
    assert refused.value.expected == migrations.HEAD
    assert path.read_bytes() == before


@pytest.mark.anyio
@pytest.mark.parametrize(("start", "length"), [(0, 100), (4096 * 3, 4096 * 20)], ids=["header", "pages"])
async def test_a_damaged_database_is_refused_with_what_to_do(tmp_path: Path, start: int, length: int) -> None:
    path = tmp_path / "tradekit.db"
    async with open_storage(path, clock=FixedClock()) as storage:
        await storage.commit(Changes(users=tuple(a_user(user_id=number) for number in range(1, 2000))))
    with path.open("r+b") as file:
        file.seek(start)
        flipped = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(start)
        file.write(flipped)
    with pytest.raises(DataError) as refused:
        async with open_storage(path, clock=FixedClock()):
            pytest.fail("opened")
    assert refused.value.path == str(path)
    assert "restore the newest backup" in refused.value.fix


@pytest.mark.anyio
async def test_what_was_committed_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tradekit.db"
    for number in (1, 2, 3):
        async with open_storage(path, clock=FixedClock()) as storage:
            assert (await storage.sequences()).user_id == number - 1
            await storage.commit(Changes(users=(a_user(user_id=number),)))
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.anyio
async def test_the_number_of_partitions_is_fixed_when_the_database_is_made(tmp_path: Path) -> None:
    async with open_storage(tmp_path / "tradekit.db", clock=FixedClock(), partitions=16):
        pass
    with pytest.raises(ConfigurationError, match="was created with 16"):
        async with open_storage(tmp_path / "tradekit.db", clock=FixedClock(), partitions=32):
            pytest.fail("opened")


@pytest.mark.anyio
async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with open_storage(":memory:", clock=FixedClock()):
            raise ValueError("of the block")


def test_the_tables_can_be_read_as_models_with_exact_amounts(tmp_path: Path) -> None:
    """What reports and admin pages use: SQLModel over the same file."""
    path = str(tmp_path / "tradekit.db")
    database.prepare(path)
    amount = Decimal("-0.1234567890123456789012345678")
    row = {
        "user_id": 1,
        "partition": 2,
        "kind": "buy",
        "amount": amount,
        "fee": Decimal(0),
        "balance": Decimal("1.50"),
        "reference": "T1",
        "time_ms": 3,
        "account": "paper",
    }
    with migrations.connected(path) as connection, Session(connection) as session:
        session.add(tables.Ledger(**row))
        session.commit()
    with migrations.connected(path) as connection, Session(connection) as session:
        stored = session.exec(select(tables.Ledger)).one()
        assert (stored.amount, stored.balance) == (amount, Decimal("1.5"))
        assert connection.exec_driver_sql("SELECT typeof(amount), balance FROM ledger").one() == ("text", "1.5")
