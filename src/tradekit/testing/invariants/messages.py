"""Messages, signals and whose they are."""

import sqlite3

from tradekit.testing.invariants.violation import Violations

_OWNED = ("user_settings", "trading_sessions", "subscriptions", "deliveries", "orders", "fills", "positions", "user_trades", "ledger")


def one_outcome_per_signal(db: sqlite3.Connection, found: Violations) -> None:
    """I15: one delivery and at most one order per signal and user; an executed delivery has its order."""
    several = "SELECT signal_id, user_id, count(*) AS number FROM {} WHERE signal_id <> '' GROUP BY signal_id, user_id HAVING count(*) > 1"
    for table in ("orders", "deliveries"):
        for row in db.execute(several.format(table)):
            found.add("I15", f"user {row['user_id']}: {row['number']} {table} because of signal {row['signal_id']}")
    query = (
        "SELECT d.signal_id, d.user_id FROM deliveries AS d LEFT JOIN orders AS o USING (client_order_id)"
        " WHERE d.outcome = 'executed' AND (o.signal_id IS NULL OR o.signal_id <> d.signal_id OR o.user_id <> d.user_id)"
    )
    for row in db.execute(query):
        found.add("I15", f"user {row['user_id']}: signal {row['signal_id']} is executed without an order")
    query = (
        "SELECT o.signal_id, o.user_id FROM orders AS o LEFT JOIN deliveries AS d USING (signal_id, user_id)"
        " WHERE o.signal_id <> '' AND d.signal_id IS NULL"
    )
    for row in db.execute(query):
        found.add("I15", f"user {row['user_id']}: an order because of signal {row['signal_id']}, but no outcome")


def rows_belong_to_their_user(db: sqlite3.Connection, found: Violations) -> None:
    """I9: every row carries its user's partition, every fill its order's user, every message its user's address."""
    strays = "SELECT r.user_id FROM {} AS r LEFT JOIN users AS u USING (user_id) WHERE u.user_id IS NULL OR u.partition <> r.partition"
    for table in _OWNED:
        for row in db.execute(strays.format(table)):
            found.add("I9", f"{table}: a row of user {row['user_id']} is not in their partition")
    query = "SELECT trade_id FROM fills AS f JOIN orders AS o USING (client_order_id) WHERE f.user_id <> o.user_id OR f.symbol <> o.symbol"
    for row in db.execute(query):
        found.add("I9", f"fill {row['trade_id']} is not of its order's user and instrument")
    query = (
        "SELECT m.outbox_id, m.user_id, i.user_id AS owner FROM outbox AS m"
        " JOIN identities AS i ON i.transport = m.transport AND i.external_id = m.address WHERE i.user_id <> m.user_id AND m.user_id <> 0"
    )
    for row in db.execute(query):
        found.add("I9", f"message {row['outbox_id']} for user {row['user_id']} goes to user {row['owner']}")


def queues_are_empty(db: sqlite3.Connection, found: Violations) -> None:
    """I19: no message, signal or reply waits."""
    for what, query in {
        "inbound messages": "SELECT count(*) FROM inbox WHERE state = 0",
        "outgoing messages": "SELECT count(*) FROM outbox",
        "signals": "SELECT count(*) FROM signals WHERE done = 0",
    }.items():
        (count,) = db.execute(query).fetchone()
        if count:
            found.add("I19", f"{count} {what} are left")
