"""Each check of a database finds what it is there to find."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import msgspec
import pytest

from tests.simulation.worlds import harsh
from tradekit.adapters.paper.entries import decode, encode, key_of
from tradekit.testing.invariants import check_database, database_violations
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.node import BOOK, DATABASE

TAMPERED = (
    ("I6", "UPDATE ledger SET amount = '-1' WHERE id = (SELECT max(id) FROM ledger)"),
    ("I6", "UPDATE trading_sessions SET cash = '1000000' WHERE user_id = 1"),
    ("I6", "UPDATE fills SET fee = '0' WHERE id = (SELECT max(id) FROM fills)"),
    ("I5", "UPDATE positions SET quantity = '5'"),
    ("I5", "DELETE FROM fills WHERE id = (SELECT max(id) FROM fills)"),
    ("I5", "UPDATE orders SET cum_qty = '0' WHERE state = 'filled'"),
    ("I22", "UPDATE fills SET quantity = '5000' WHERE id = (SELECT max(id) FROM fills WHERE side = 'sell')"),
    ("I3", "UPDATE usage_counters SET reserved = reserved + 1 WHERE user_id = 1"),
    ("I3", "UPDATE usage_counters SET used = 1000"),
    ("I2", "UPDATE orders SET cause = 'same', symbol = 'BTC/USDT', user_id = 1"),
    ("I1", "UPDATE orders SET state = 'unknown', is_open = 1 WHERE id = 1"),
    ("I9", "UPDATE orders SET partition = 999 WHERE id = 1"),
    ("I9", "UPDATE fills SET user_id = user_id + 1 WHERE id = 1"),
    ("I10", "UPDATE audit SET detail = 'nothing happened' WHERE seq = 2"),
    ("I10", "DELETE FROM audit WHERE seq = 2"),
    ("I14", "UPDATE fills SET price = '1' WHERE id = (SELECT min(id) FROM fills WHERE account = 'paper')"),
    ("I14", "UPDATE orders SET state = 'rejected' WHERE id = (SELECT min(id) FROM orders WHERE state = 'filled' AND account = 'paper')"),
    ("I15", "UPDATE orders SET signal_id = 'x', user_id = 1"),
    ("I15", "UPDATE deliveries SET outcome = 'executed', client_order_id = ''"),
    ("I19", "UPDATE inbox SET state = 0 WHERE inbox_id = 1"),
    ("I19", "UPDATE signals SET done = 0"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("world") / "kept"

    report = simulate(attrs.evolve(harsh(2), keep=directory))
    assert report.violations == []
    assert report.deliveries
    return directory


@pytest.fixture
def copies(files: Path, tmp_path: Path) -> tuple[Path, Path]:
    for name in (DATABASE, BOOK):
        for suffix in ("", "-wal"):
            if (files / f"{name}{suffix}").exists():
                shutil.copy(files / f"{name}{suffix}", tmp_path)
    return tmp_path / DATABASE, tmp_path / BOOK


@pytest.mark.parametrize(("invariant", "statement"), TAMPERED)
def test_what_was_tampered_with_is_found(copies: tuple[Path, Path], invariant: str, statement: str) -> None:
    database, book = copies
    assert check_database(database, book) == []
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        assert db.execute(statement).rowcount > 0
    assert invariant in {violation.invariant for violation in check_database(database, book)}


@pytest.mark.anyio
async def test_an_order_that_only_the_venue_knows_is_found(copies: tuple[Path, Path]) -> None:
    database, book = copies
    with closing(sqlite3.connect(book, isolation_level=None)) as venue:
        (body,) = venue.execute("SELECT body FROM orders LIMIT 1").fetchone()
        stray = msgspec.structs.replace(decode(body), seq=10_000, client_order_id="f" * 32)
        venue.execute("INSERT INTO orders (seq, key, open, body) VALUES (?, ?, 0, ?)", (10_000, key_of("f" * 32), encode(stray)))
    assert [violation.invariant for violation in await database_violations(database, book)] == ["I2"]


@pytest.mark.anyio
async def test_an_order_sent_twice_is_found(copies: tuple[Path, Path]) -> None:
    database, book = copies
    with closing(sqlite3.connect(book, isolation_level=None)) as venue:
        (body,) = venue.execute("SELECT body FROM orders WHERE open = 0 LIMIT 1").fetchone()
        twin = msgspec.structs.replace(decode(body), seq=10_000)
        venue.execute("INSERT INTO orders (seq, key, open, body) VALUES (?, ?, 0, ?)", (10_000, key_of(twin.client_order_id), encode(twin)))
    assert "I2" in {violation.invariant for violation in await database_violations(database, book)}


@pytest.mark.anyio
async def test_what_is_under_way_is_no_violation_before_the_service_has_settled(copies: tuple[Path, Path]) -> None:
    database, book = copies
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("UPDATE inbox SET state = 0 WHERE inbox_id = 1")
    assert await database_violations(database, book, settled=False) == []
