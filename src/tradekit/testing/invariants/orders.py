"""Orders against their fills, their quota and the venue's book."""

import sqlite3
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from decimal import Decimal

import msgspec

from tradekit.adapters.paper.entries import decode
from tradekit.domain.amounts import ZERO, money
from tradekit.domain.orders import CONDITIONAL, PAPER, TERMINAL, Fill, OrderReport, OrderState, OrderType
from tradekit.domain.tiers import DEFAULT_TIERS, TierName
from tradekit.testing.invariants.violation import Violations

RESTING = frozenset({OrderState.ACCEPTED, OrderState.TRIGGERED, OrderState.PARTIALLY_FILLED})
NEVER_THERE = frozenset({OrderState.REJECTED, OrderState.CANCELED, OrderState.INITIALIZED})
"""States of orders that a venue need not know: turned away at the gate, taken back before they were sent, or waiting here."""


def progress_follows_fills(db: sqlite3.Connection, found: Violations) -> None:
    """I5: what an order says it filled is the sum of its fills, and FILLED means all of it."""
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
    for row in db.execute("SELECT client_order_id, quantity, price, fee FROM fills"):
        quantity, total = Decimal(row["quantity"]), sums[row["client_order_id"]]
        total[0] += quantity
        total[1] += money(quantity * Decimal(row["price"]))
        total[2] += money(Decimal(row["fee"]))
    for row in db.execute("SELECT client_order_id, state, quantity, cum_qty, cum_quote, cum_fee, is_open FROM orders"):
        order_id, state = row["client_order_id"], OrderState(row["state"])
        said = [Decimal(row["cum_qty"]), Decimal(row["cum_quote"]), Decimal(row["cum_fee"])]
        expected = sums.pop(order_id, [ZERO, ZERO, ZERO])
        if said != expected:
            found.add("I5", f"order {order_id} says {said}, its fills say {expected}")
        if (state is OrderState.FILLED) != (said[0] >= Decimal(row["quantity"])):
            found.add("I5", f"order {order_id} is {state} with {said[0]} of {row['quantity']}")
        if bool(row["is_open"]) == (state in TERMINAL):
            found.add("I13", f"order {order_id} is {state} but is_open={row['is_open']}")
    for order_id in sums:
        found.add("I5", f"fills of order {order_id}, which does not exist")


def quotas_hold(db: sqlite3.Connection, found: Violations) -> None:
    """I3: used and reserved entries of a day are within the tier, and every reservation belongs to an open order without a fill."""
    reserved: defaultdict[tuple[int, str], int] = defaultdict(int)
    for row in db.execute("SELECT user_id, quota_day, client_order_id, is_open FROM orders WHERE quota_day <> ''"):
        reserved[row["user_id"], row["quota_day"]] += 1
        if not row["is_open"]:
            found.add("I3", f"order {row['client_order_id']} is over and still holds a reservation")
    tiers = {row["user_id"]: TierName(row["tier"]) for row in db.execute("SELECT user_id, tier FROM users")}
    for row in db.execute("SELECT user_id, day, used, reserved FROM usage_counters"):
        held = reserved.pop((row["user_id"], row["day"]), 0)
        if row["reserved"] != held:
            found.add("I3", f"user {row['user_id']} on {row['day']}: {row['reserved']} reserved, {held} orders hold one")
        limit = DEFAULT_TIERS[tiers[row["user_id"]]].limits.daily_trades
        if row["used"] < 0 or row["used"] + row["reserved"] > limit:
            found.add("I3", f"user {row['user_id']} on {row['day']}: {row['used']} used and {row['reserved']} reserved of {limit}")
    for (user_id, day), count in reserved.items():
        found.add("I3", f"user {user_id}: {count} reservations on {day}, a day that is not counted")


def one_order_per_cause(db: sqlite3.Connection, found: Violations) -> None:
    """I2: a message or signal makes one entry per user, and at most one order per instrument in all."""
    query = "SELECT user_id, cause, symbol, count(*) AS orders FROM orders GROUP BY user_id, cause, symbol HAVING count(*) > 1"
    for row in db.execute(query):
        found.add("I2", f"user {row['user_id']}: {row['orders']} orders on {row['symbol']} because of {row['cause']}")


def every_order_ended_or_rests(db: sqlite3.Connection, found: Violations) -> None:
    """I1: nothing is left between the states; what waits here waits for a trigger."""
    for row in db.execute("SELECT client_order_id, state, type FROM orders WHERE is_open = 1"):
        state = OrderState(row["state"])
        if state not in RESTING and not (state is OrderState.INITIALIZED and OrderType(row["type"]) in CONDITIONAL):
            found.add("I1", f"order {row['client_order_id']} is still {row['state']}")


def venue_agrees(db: sqlite3.Connection, venue: sqlite3.Connection, found: Violations, *, settled: bool) -> None:
    """:func:`orders_agree` for the paper account and its book."""
    reports: defaultdict[str, list[OrderReport]] = defaultdict(list)
    for row in venue.execute("SELECT body FROM orders ORDER BY seq"):
        entry = decode(row["body"])
        reports[entry.client_order_id].append(entry.report())
    orders_agree(db, PAPER, reports, found, settled=settled)


def orders_agree(
    db: sqlite3.Connection,
    account: str,
    reports: Mapping[str, Sequence[OrderReport]],
    found: Violations,
    *,
    settled: bool,
    left_out: Container[str] = (),
) -> None:
    """I2 and I14: one venue order per order of ours and none without; once settled, equal states and equal fills.

    :param reports: what the venue says of every order that was ever sent there, by client_order_id, oldest first.
    :param left_out: ids that are not compared.
    """
    entries = dict(reports)
    fills: defaultdict[str, set[tuple[str, Decimal, Decimal, Decimal]]] = defaultdict(set)
    for row in db.execute("SELECT client_order_id, trade_id, quantity, price, fee FROM fills"):
        fills[row["client_order_id"]].add((row["trade_id"], Decimal(row["quantity"]), Decimal(row["price"]), Decimal(row["fee"])))
    for row in db.execute("SELECT client_order_id, state, reason FROM orders WHERE state <> 'denied' AND account = ?", (account,)):
        order_id, state = row["client_order_id"], OrderState(row["state"])
        submissions = entries.pop(order_id, ())
        if len(submissions) > 1:
            found.add("I2", f"order {order_id} was sent {len(submissions)} times")
        if settled and order_id not in left_out:
            _compare(order_id, state, row["reason"], submissions, fills[order_id], found)
    for order_id, submissions in entries.items():
        found.add("I2", f"the venue has {len(submissions)} order(s) under {order_id}, which we do not know")


def _compare(
    order_id: str,
    state: OrderState,
    reason: str,
    there: Sequence[OrderReport],
    ours: set[tuple[str, Decimal, Decimal, Decimal]],
    found: Violations,
) -> None:
    if not there:
        if state not in NEVER_THERE or ours:
            found.add("I14", f"order {order_id} is {state}, the venue does not know it")
        return
    theirs = {_key(fill) for report in there for fill in report.fills}
    if state is not there[-1].state:
        found.add("I14", f"order {order_id} is {state} ({reason}), the venue says {there[-1].state}")
    if ours != theirs:
        found.add("I14", f"order {order_id}: fills {msgspec.json.encode(sorted(ours ^ theirs)).decode()} are not on both sides")


def _key(fill: Fill) -> tuple[str, Decimal, Decimal, Decimal]:
    return fill.trade_id, fill.quantity, fill.price, fill.fee
