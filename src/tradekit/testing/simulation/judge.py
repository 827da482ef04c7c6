"""The end of a simulation: what the database says of live accounts, against the live venue itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

from tradekit.domain.amounts import ZERO
from tradekit.testing.invariants import Violations
from tradekit.testing.invariants.orders import orders_agree
from tradekit.testing.simulation.sim_venue import ACCOUNT, CASH, SimVenue


def judge_live(database: Path, venue: SimVenue, found: Violations) -> None:
    """I2 and I14: every order is there once and alike, cash is what the venue holds, and no position is larger than its coins.

    What an order filled after it was over can be missed by whoever was not listening: those orders are left out, not their accounts.
    """
    with _reading(database) as db:
        late = {listed.order.client_order_id for orders in venue.orders.values() for listed in orders if listed.late}
        ours = {row["client_order_id"] for row in db.execute("SELECT client_order_id FROM orders WHERE account = ?", (ACCOUNT,))}
        reports = {
            client_order_id: [listed.report() for listed in orders]
            for (_, client_order_id), orders in venue.orders.items()
            if client_order_id not in late and (not orders[0].foreign or client_order_id in ours)
        }
        orders_agree(db, ACCOUNT, reports, found, settled=True, left_out=late)
        _balances_agree(db, venue, found)


def _balances_agree(db: sqlite3.Connection, venue: SimVenue, found: Violations) -> None:
    query = "SELECT user_id, cash, status FROM trading_sessions WHERE account = ?"
    for row in db.execute(query, (ACCOUNT,)):
        there = venue.customer(row["user_id"]).totals[CASH]
        if Decimal(row["cash"]) != there and row["status"] != "starting":
            found.add("I14", f"user {row['user_id']}: cash {row['cash']}, the venue holds {there}")
    query = (
        "SELECT p.user_id, p.symbol, p.quantity, d.key FROM positions AS p LEFT JOIN discrepancies AS d ON d.user_id = p.user_id"
        " AND d.account = p.account AND d.symbol = p.symbol AND d.kind = 'position_short' AND d.resolved_ms = 0 WHERE p.account = ?"
    )
    for row in db.execute(query, (ACCOUNT,)):
        coins = venue.customer(row["user_id"]).totals.get(row["symbol"].partition("/")[0], ZERO)
        step = venue.instrument(row["symbol"])
        short = Decimal(row["quantity"]) - coins > (step.step_size if step is not None else ZERO)
        if short and row["key"] is None:
            found.add("I14", f"user {row['user_id']} holds {row['quantity']} {row['symbol']}, the venue {coins}: not on record")


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        yield db
