"""Cash and positions, computed again from what was executed."""

import sqlite3
from collections import defaultdict
from decimal import Decimal

from tradekit.domain.amounts import ZERO, money
from tradekit.testing.invariants.violation import Violations


def ledger_adds_up(db: sqlite3.Connection, found: Violations) -> None:
    """I6: each balance is the one before plus the flow, the last is the user's cash, and there is one deposit."""
    balances: dict[int, Decimal] = {}
    deposits: defaultdict[int, int] = defaultdict(int)
    for row in db.execute("SELECT user_id, kind, amount, balance, reference FROM ledger ORDER BY id"):
        user_id, amount, balance = row["user_id"], Decimal(row["amount"]), Decimal(row["balance"])
        if balances.get(user_id, ZERO) + amount != balance:
            found.add("I6", f"user {user_id}: {row['reference']} leaves {balance}, not {balances.get(user_id, ZERO) + amount}")
        balances[user_id] = balance
        deposits[user_id] += row["kind"] == "deposit"
    for row in db.execute("SELECT user_id, cash FROM trading_sessions"):
        if balances.get(row["user_id"]) != Decimal(row["cash"]):
            found.add("I6", f"user {row['user_id']}: cash {row['cash']}, ledger {balances.get(row['user_id'])}")
        if deposits[row["user_id"]] != 1:
            found.add("I6", f"user {row['user_id']}: {deposits[row['user_id']]} deposits")


def ledger_follows_fills(db: sqlite3.Connection, found: Violations) -> None:
    """I6: every fill moved cash by its cost and its fee, once, and nothing else did."""
    flows: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for row in db.execute("SELECT user_id, reference, amount FROM ledger WHERE kind <> 'deposit'"):
        flows[row["user_id"], row["reference"]] += Decimal(row["amount"])
    for row in db.execute("SELECT user_id, trade_id, side, quantity, price, fee FROM fills"):
        cost = money(Decimal(row["quantity"]) * Decimal(row["price"]))
        expected = (-cost if row["side"] == "buy" else cost) - money(Decimal(row["fee"]))
        moved = flows.pop((row["user_id"], row["trade_id"]), None)
        if moved != expected:
            found.add("I6", f"user {row['user_id']}: fill {row['trade_id']} moved {moved}, not {expected}")
    for (user_id, reference), amount in flows.items():
        found.add("I6", f"user {user_id}: {amount} moved by {reference}, which is no fill")


def positions_follow_fills(db: sqlite3.Connection, found: Violations) -> None:
    """I5: a position is the signed sum of its fills."""
    held: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for row in db.execute("SELECT user_id, symbol, side, quantity FROM fills"):
        held[row["user_id"], row["symbol"]] += Decimal(row["quantity"]) if row["side"] == "buy" else -Decimal(row["quantity"])
    for row in db.execute("SELECT user_id, symbol, quantity FROM positions"):
        expected = held.pop((row["user_id"], row["symbol"]), ZERO)
        if Decimal(row["quantity"]) != expected or not expected:
            found.add("I5", f"user {row['user_id']} holds {row['quantity']} {row['symbol']}, fills say {expected}")
    for (user_id, symbol), quantity in held.items():
        if quantity:
            found.add("I5", f"user {user_id} holds no {symbol}, fills say {quantity}")
