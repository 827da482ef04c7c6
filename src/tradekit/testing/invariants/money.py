"""Cash and positions, computed again from what was executed."""

import sqlite3
from collections import defaultdict
from decimal import Decimal

from tradekit.domain.amounts import ZERO, money
from tradekit.domain.sessions import SessionStatus
from tradekit.testing.invariants.violation import Violations

Account = tuple[int, str]
"""User and account."""


def ledger_adds_up(db: sqlite3.Connection, found: Violations) -> None:
    """I6: each balance is the one before plus the flow, the last is the account's cash, and there is one deposit."""
    balances: dict[Account, Decimal] = {}
    deposits: defaultdict[Account, int] = defaultdict(int)
    for row in db.execute("SELECT user_id, account, kind, amount, balance, reference FROM ledger ORDER BY id"):
        key, amount, balance = (row["user_id"], row["account"]), Decimal(row["amount"]), Decimal(row["balance"])
        if balances.get(key, ZERO) + amount != balance:
            found.add("I6", f"user {key}: {row['reference']} leaves {balance}, not {balances.get(key, ZERO) + amount}")
        balances[key] = balance
        deposits[key] += row["kind"] == "deposit"
    for row in db.execute("SELECT user_id, account, cash, status FROM trading_sessions"):
        key = row["user_id"], row["account"]
        if balances.get(key, ZERO) != Decimal(row["cash"]):
            found.add("I6", f"user {key}: cash {row['cash']}, ledger {balances.get(key)}")
        if deposits[key] != 1 and row["status"] != SessionStatus.STARTING:
            found.add("I6", f"user {key}: {deposits[key]} deposits")


def ledger_follows_fills(db: sqlite3.Connection, found: Violations) -> None:
    """I6: every fill moved cash by its cost and the fee that was paid in cash, once; nothing else did but the venue's own balance."""
    flows: defaultdict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    for row in db.execute("SELECT user_id, account, reference, amount FROM ledger WHERE kind NOT IN ('deposit', 'adjustment')"):
        flows[row["user_id"], row["account"], row["reference"]] += Decimal(row["amount"])
    for row in db.execute("SELECT user_id, account, trade_id, side, quantity, price, fee, fee_paid FROM fills"):
        cost = money(Decimal(row["quantity"]) * Decimal(row["price"]))
        from_cash = ZERO if Decimal(row["fee_paid"]) else money(Decimal(row["fee"]))
        expected = (-cost if row["side"] == "buy" else cost) - from_cash
        moved = flows.pop((row["user_id"], row["account"], row["trade_id"]), None)
        if moved != expected:
            found.add("I6", f"user {row['user_id']}: fill {row['trade_id']} moved {moved}, not {expected}")
    for (user_id, account, reference), amount in flows.items():
        found.add("I6", f"user {user_id}: {amount} moved on {account} by {reference}, which is no fill")


def positions_follow_fills(db: sqlite3.Connection, found: Violations) -> None:
    """I5 and I22: a position is what its fills bought less what they sold, fees paid in coins included; nothing is sold that is not held.

    What an order placed at the venue itself sells beyond the position is the user's own, and no part of it; so is what an order sold
    that filled after it was over, for by then its quantity was free to be sold again.
    """
    held: defaultdict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    late = {tuple(row) for row in db.execute("SELECT user_id, account, symbol FROM discrepancies WHERE kind = 'late_fill'")}
    query = (
        "SELECT f.user_id, f.account, f.symbol, f.side, f.quantity, f.fee_currency, f.fee_paid, f.trade_id, o.cause"
        " FROM fills AS f LEFT JOIN orders AS o USING (client_order_id) ORDER BY f.id"
    )
    for row in db.execute(query):
        key = row["user_id"], row["account"], row["symbol"]
        paid = Decimal(row["fee_paid"]) if row["fee_currency"] == row["symbol"].partition("/")[0] else ZERO
        quantity = Decimal(row["quantity"])
        held[key] += quantity - paid if row["side"] == "buy" else -quantity - paid
        if held[key] < 0:
            if key not in late and not str(row["cause"]).startswith("foreign/"):
                found.add("I22", f"user {key[0]}: fill {row['trade_id']} sold {-held[key]} {key[2]} more than was held on {key[1]}")
            held[key] = ZERO
    for row in db.execute("SELECT user_id, account, symbol, quantity FROM positions"):
        expected = held.pop((row["user_id"], row["account"], row["symbol"]), ZERO)
        if Decimal(row["quantity"]) != expected or not expected:
            found.add("I5", f"user {row['user_id']} holds {row['quantity']} {row['symbol']}, fills say {expected}")
    for (user_id, account, symbol), quantity in held.items():
        if quantity:
            found.add("I5", f"user {user_id} holds no {symbol} on {account}, fills say {quantity}")
