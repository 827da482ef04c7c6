import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradekit.adapters.sql import database
from tradekit.adapters.sql.writer import SqliteWriter, partitions_of
from tradekit.domain.changes import TABLES, Changes
from tradekit.domain.credentials import DataKey
from tradekit.domain.errors import Duplicate, OwnershipLost, StorageFailed
from tradekit.domain.users import UserSettings
from tradekit.testing.factories import (
    a_credential,
    a_day,
    a_delivery,
    a_discrepancy,
    a_fill,
    a_ledger_entry,
    a_link,
    a_performance,
    a_position,
    a_rule,
    a_session,
    a_subscription,
    a_trade,
    a_user,
    an_account,
    an_audit_entry,
    an_identity,
    an_inbox_message,
    an_order,
    an_outgoing_message,
)

OF_NOBODY = {
    "inbox", "instruments", "unsubscriptions", "signals", "signals_done", "positions_closed", "outbox_done", "inbox_done",
    "dead_letters", "metrics", "alerts", "data_keys_gone", "links_gone", "rules_gone",
    "controls",
}  # fmt: skip
"""Rows of the service, and keys that come along with rows of their user."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "tradekit.db")
    database.prepare(made)
    return made


@pytest.fixture
def writer(path: str) -> Iterator[SqliteWriter]:
    db = database.open_writer(path)
    db.execute("PRAGMA busy_timeout = 1")
    made = SqliteWriter(db, database.claim(db, "first", 4))
    yield made
    made.close()


def audit_of(path: str, partition: int = 0) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT seq, detail FROM audit WHERE partition = ? ORDER BY seq", (partition,)).fetchall()
    db.close()
    return found


def entry(detail: str, partition: int = 0) -> Changes:
    return Changes(audit=(an_audit_entry(partition=partition, detail=detail),))


def test_once_another_has_claimed_the_partitions_nothing_is_committed(path: str, writer: SqliteWriter) -> None:
    assert writer.write([entry("mine")]) == [None]
    other = database.open_writer(path)
    database.claim(other, "second", 4)
    outcomes = writer.write([entry("late"), Changes(inbox=(an_inbox_message(),))])
    other.close()
    assert [type(outcome) for outcome in outcomes] == [OwnershipLost, OwnershipLost]
    assert isinstance(outcomes[0], OwnershipLost)
    assert outcomes[0].epoch == 1
    assert audit_of(path) == [(1, "mine")]
    assert isinstance(writer.write([entry("later")])[0], OwnershipLost)


def test_losing_one_partition_leaves_the_others(path: str, writer: SqliteWriter) -> None:
    with sqlite3.connect(path) as other:
        other.execute("UPDATE partitions SET epoch = epoch + 1, owner = 'second' WHERE partition = 2")
    other.close()
    outcomes = writer.write([entry("a", 1), entry("b", 2), entry("c", 3), Changes(inbox=(an_inbox_message(),))])
    assert [type(outcome) for outcome in outcomes] == [type(None), OwnershipLost, type(None), type(None)]
    assert (audit_of(path, 1), audit_of(path, 2), audit_of(path, 3)) == ([(1, "a")], [], [(1, "c")])


def test_another_connections_writes_do_not_lose_ownership(path: str, writer: SqliteWriter) -> None:
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO service_meta (key, value) VALUES ('note', 'x')")
    other.close()
    assert writer.write([entry("mine")]) == [None]


@pytest.mark.parametrize("field", sorted(set(TABLES) - OF_NOBODY))
def test_the_fence_finds_the_partition_of_every_row_of_a_user(field: str) -> None:
    rows = {
        "users": a_user(partition=3),
        "identities": (an_identity(), 1, 3),
        "settings": (1, 3, UserSettings()),
        "sessions": (1, 3, "paper", a_session().session),
        "discrepancies": a_discrepancy(partition=3),
        "rules": (1, 3, a_rule()),
        "usage": (1, 3, a_day()),
        "subscriptions": (1, 3, a_subscription()),
        "data_keys": (1, 3, DataKey(key_id="k", wrapped=b"w")),
        "credentials": a_credential(partition=3),
        "accounts": (1, 3, an_account()),
        "links": (1, 3, a_link()),
        "deliveries": a_delivery(partition=3),
        "delivery_updates": a_delivery(partition=3),
        "orders": an_order(partition=3),
        "order_updates": an_order(partition=3),
        "fills": a_fill(partition=3),
        "positions": (1, 3, "paper", a_position()),
        "trades": a_trade(partition=3),
        "ledger": a_ledger_entry(partition=3),
        "audit": an_audit_entry(partition=3),
        "performance": a_performance(partition=3),
        "outbox": an_outgoing_message(partition=3),
    }
    assert partitions_of(Changes(**{field: (rows[field],)})) == {3}  # type: ignore[arg-type]


def test_a_full_disk_fails_the_group_and_the_next_goes_on(path: str) -> None:
    db = database.open_writer(path)
    writer = SqliteWriter(db, database.claim(db, "first", 4))
    assert writer.write([entry("before")]) == [None]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    outcomes = writer.write([entry("small"), entry("x" * 100_000)])
    assert [type(outcome) for outcome in outcomes] == [StorageFailed, StorageFailed]
    assert outcomes[0] is not outcomes[1]
    assert "full" in str(outcomes[0])
    db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert writer.write([entry("after")]) == [None]
    writer.close()
    assert audit_of(path) == [(1, "before"), (2, "after")]


def test_a_locked_database_fails_the_group_and_the_next_goes_on(path: str, writer: SqliteWriter) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert [type(outcome) for outcome in writer.write([entry("a"), entry("b")])] == [StorageFailed, StorageFailed]
    other.execute("ROLLBACK")
    other.close()
    assert writer.write([entry("c")]) == [None]
    assert audit_of(path) == [(1, "c")]


def test_the_chain_has_no_gap_after_a_refused_commit(path: str, writer: SqliteWriter) -> None:
    order = an_order(partition=0)
    refused = Changes(orders=(order,), audit=(an_audit_entry(detail="refused"),))
    outcomes = writer.write([Changes(orders=(order,)), entry("a"), refused, entry("b")])
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Duplicate, type(None)]
    assert writer.write([refused, entry("c")])[1] is None
    assert audit_of(path) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_duplicate_says_what_exists(writer: SqliteWriter) -> None:
    message = Changes(inbox=(an_inbox_message(1, source="telegram:9", message_id="77"),))
    again = Changes(inbox=(an_inbox_message(2, source="telegram:9", message_id="77"),))
    outcome = writer.write([message, again])[1]
    assert isinstance(outcome, Duplicate)
    assert (outcome.kind, outcome.name) == ("inbox", "telegram:9/77")


def test_a_value_of_the_wrong_type_fails_its_commit_only(path: str, writer: SqliteWriter) -> None:
    broken = Changes(audit=(an_audit_entry(detail=object()),))
    unreadable = Changes(users=("not a user",))  # type: ignore[arg-type]
    outcomes = writer.write([entry("a"), broken, unreadable, entry("b")])
    assert [type(outcome) for outcome in outcomes] == [type(None), StorageFailed, StorageFailed, type(None)]
    assert audit_of(path) == [(1, "a"), (2, "b")]
