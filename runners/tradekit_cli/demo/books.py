"""The venue's books against ours, once everything has settled: every order, every fill, every balance."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tradekit_cli.demo.loopback import ACCOUNT, LoopbackVenue

ZERO = Decimal(0)
_STATES = {"FILLED": "filled", "CANCELED": "canceled", "EXPIRED": "expired", "EXPIRED_IN_MATCH": "expired", "REJECTED": "rejected"}


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a service that may be running, for questions only."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
        yield db


@attrs.define
class Books:
    """What the comparison found, in words, and how much there was to compare."""

    lost: list[str] = attrs.field(factory=list)
    """Ours has no end, or the venue executed what ours does not know."""
    duplicated: list[str] = attrs.field(factory=list)
    """The venue has more than one order for one of ours, or one for none."""
    violations: list[str] = attrs.field(factory=list)
    venue_orders: int = 0
    venue_trades: int = 0
    accounts: int = 0
    unknown_left: int = 0


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of one account: everything that it ever took, and what it holds."""

    orders: list[dict[str, Any]]
    balances: dict[str, dict[str, str]]


async def ask(venue: LoopbackVenue, database: Path) -> dict[str, Said]:
    """By external id, for everybody who has a key there."""
    query = (
        "SELECT DISTINCT external_id FROM exchange_accounts JOIN identities USING (user_id)"
        " WHERE transport = 'telegram' ORDER BY external_id"
    )
    with reading(database) as db:
        names = [name for (name,) in db.execute(query)]
    return {
        name: Said(orders=await venue.control("orders", name=name), balances=await venue.control("balances", name=name)) for name in names
    }


def compare(said: Mapping[str, Said], database: Path) -> Books:
    """Hold what the venue says against the database; who has a key there uses it nowhere else."""
    books = Books(accounts=len(said))
    with reading(database) as db:
        db.row_factory = sqlite3.Row
        people = {row["external_id"]: row["user_id"] for row in db.execute("SELECT user_id, external_id FROM identities")}
        for name, account in said.items():
            _orders(db, people[name], account.orders, books)
            _balances(db, people[name], account.balances, books)
        query = "SELECT count(*) FROM orders WHERE is_open = 1 AND state IN ('submitted', 'unknown', 'pending_cancel')"
        (books.unknown_left,) = db.execute(query).fetchone()
    return books


def _orders(db: sqlite3.Connection, user_id: int, taken: list[dict[str, Any]], books: Books) -> None:
    there: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in taken:
        there[order["clientOrderId"]].append(order)
        books.venue_orders += 1
        books.venue_trades += len(order["trades"])
    fills: defaultdict[str, dict[str, tuple[Decimal, Decimal, Decimal]]] = defaultdict(dict)
    query = "SELECT client_order_id, trade_id, quantity, price, fee, fee_paid FROM fills WHERE user_id = ? AND account = ?"
    for row in db.execute(query, (user_id, ACCOUNT)):
        paid = Decimal(row["fee_paid"]) or Decimal(row["fee"])
        fills[row["client_order_id"]][row["trade_id"].rpartition(":")[2]] = (Decimal(row["quantity"]), Decimal(row["price"]), paid)
    query = "SELECT client_order_id, state, reason, is_open FROM orders WHERE user_id = ? AND account = ? AND state <> 'denied'"
    for row in db.execute(query, (user_id, ACCOUNT)):
        order_id = row["client_order_id"]
        found = there.pop(order_id, [])
        if len(found) > 1:
            books.duplicated.append(f"the venue has {len(found)} orders under {order_id}")
        elif found:
            _same(row, found[0], fills[order_id], books)
        elif row["state"] not in {"rejected", "canceled", "initialized"} or fills[order_id]:
            books.lost.append(f"order {order_id} is {row['state']}, the venue never took it")
    for order_id, found in there.items():
        books.duplicated.append(f"the venue has {len(found)} order(s) of user {user_id} under {order_id}, which is none of ours")


def _same(row: sqlite3.Row, there: dict[str, Any], ours: Mapping[str, tuple[Decimal, Decimal, Decimal]], books: Books) -> None:
    """State and fills of one order on both sides."""
    order_id, ended = row["client_order_id"], _STATES.get(there["status"])
    theirs = {str(trade["id"]): (Decimal(trade["qty"]), Decimal(trade["price"]), Decimal(trade["commission"])) for trade in there["trades"]}
    if theirs.keys() - ours.keys():
        books.lost.append(f"order {order_id}: the venue executed {sorted(theirs.keys() - ours.keys())}, which is not booked")
    if ours.keys() - theirs.keys():
        books.duplicated.append(f"order {order_id}: {sorted(ours.keys() - theirs.keys())} are booked and never happened")
    differing = [trade for trade in ours.keys() & theirs.keys() if ours[trade][:2] != theirs[trade][:2]]
    if differing:
        books.violations.append(f"I14: order {order_id}: {differing} are booked otherwise than the venue did them")
    # A rest that the venue let go is CANCELED here or EXPIRED there, as ccxt tells it; what counts is that it is over at both.
    if bool(row["is_open"]) != (ended is None) or (row["state"] == "filled") != (ended == "filled"):
        books.violations.append(f"I14: order {order_id} is {row['state']} ({row['reason']}), the venue says {there['status']}")


def _balances(db: sqlite3.Connection, user_id: int, balances: dict[str, dict[str, str]], books: Books) -> None:
    """Cash and positions are what the venue holds: accounts were funded with cash alone, and nobody else trades there."""
    theirs = {asset: Decimal(amount["free"]) + Decimal(amount["locked"]) for asset, amount in balances.items()}
    row = db.execute("SELECT cash FROM trading_sessions WHERE user_id = ? AND account = ?", (user_id, ACCOUNT)).fetchone()
    cash = Decimal(row["cash"]) if row is not None else ZERO
    if cash != theirs.pop("USDT", ZERO):
        books.violations.append(f"I6: user {user_id} has {cash}, the venue holds {balances['USDT']}")
    query = "SELECT symbol, quantity FROM positions WHERE user_id = ? AND account = ?"
    held = {row["symbol"].partition("/")[0]: Decimal(row["quantity"]) for row in db.execute(query, (user_id, ACCOUNT))}
    for asset in sorted(held.keys() | theirs.keys()):
        if held.get(asset, ZERO) != theirs.get(asset, ZERO):
            books.violations.append(f"I5: user {user_id} holds {held.get(asset, ZERO)} {asset}, the venue {theirs.get(asset, ZERO)}")
    query = "SELECT kind, symbol, detail FROM discrepancies WHERE user_id = ? AND kind IN ('cash', 'position_short', 'foreign_order')"
    for row in db.execute(query, (user_id,)):
        books.violations.append(f"I14: user {user_id}: the service itself found {row['kind']} {row['symbol']} {row['detail']}")
