"""The invariants that can be read off a database and, for a paper account, the venue's book."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio.to_thread

from tradekit.testing.invariants import chain, messages, money, orders
from tradekit.testing.invariants.violation import Violation, Violations

Check = Callable[[sqlite3.Connection, Violations], None]

ALWAYS: tuple[Check, ...] = (
    money.ledger_adds_up,
    money.ledger_follows_fills,
    money.positions_follow_fills,
    orders.progress_follows_fills,
    orders.quotas_hold,
    orders.one_order_per_cause,
    messages.one_outcome_per_signal,
    messages.rows_belong_to_their_user,
    chain.audit_verifies,
)
SETTLED: tuple[Check, ...] = (orders.every_order_ended_or_rests, messages.queues_are_empty)
"""Hold once nothing is under way any more."""


def check_database(database: Path, book: Path | None = None, *, settled: bool = True) -> list[Violation]:
    """Read both files and check. ``settled``: the service has come to rest, so that nothing may be pending.

    Blocks while it reads; nothing is written.
    """
    found = Violations()
    with closing(_open(database)) as db:
        for check in (*ALWAYS, *SETTLED) if settled else ALWAYS:
            check(db, found)
        if book is not None:
            with closing(_open(book)) as venue:
                orders.venue_agrees(db, venue, found, settled=settled)
    return found.found


async def database_violations(database: Path, book: Path | None = None, *, settled: bool = True) -> list[Violation]:
    """:func:`check_database` in a thread."""
    return await anyio.to_thread.run_sync(partial(check_database, database, book, settled=settled))


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db
