"""Tables of what is traded: signals and their outcomes, orders and what came of them."""

from decimal import Decimal

import sqlalchemy as sa
from sqlmodel import Field

from tradekit.adapters.sql.tables.base import COMPACT, Row, appended, big, decimal, key


class Instruments(Row, table=True):
    __tablename__ = "instruments"
    symbol: str = Field(primary_key=True)
    base: str
    quote: str
    tick_size: Decimal = decimal()
    step_size: Decimal = decimal()
    min_qty: Decimal = decimal()
    max_qty: Decimal = decimal()
    min_notional: Decimal = decimal()
    max_notional: Decimal = decimal()
    maker_fee: Decimal = decimal()
    taker_fee: Decimal = decimal()
    tradable: bool


class Signals(Row, table=True):
    __tablename__ = "signals"
    __table_args__ = (
        sa.UniqueConstraint("signal_id"),
        sa.Index("ix_signals_pending", "id", sqlite_where=sa.text("done = 0"), postgresql_where=sa.text("done = 0")),
    )
    id: int | None = appended()
    signal_id: str
    source: str
    symbol: str
    side: str
    price: Decimal = decimal()
    bar_ms: int = big()
    created_ms: int = big()
    expires_ms: int = big()
    advanced: bool
    note: str
    fraction: Decimal = decimal()
    done: int = Field(sa_column_kwargs={"server_default": sa.text("0")})


class Deliveries(Row, table=True):
    __tablename__ = "deliveries"
    __table_args__ = (sa.Index(None, "user_id", "time_ms"), COMPACT)
    signal_id: str = Field(primary_key=True)
    user_id: int = key()
    partition: int
    outcome: str
    reason: str
    detail: str
    client_order_id: str
    time_ms: int = big()


class Orders(Row, table=True):
    __tablename__ = "orders"
    __table_args__ = (
        sa.UniqueConstraint("client_order_id"),
        sa.Index(None, "user_id"),
        sa.Index("ix_orders_open", "user_id", "is_open", sqlite_where=sa.text("is_open = 1"), postgresql_where=sa.text("is_open = 1")),
    )
    id: int | None = appended()
    """Appended: a hash as the key of a large table costs four times as much."""
    client_order_id: str
    user_id: int = big()
    partition: int
    cause: str
    symbol: str
    side: str
    type: str
    quantity: Decimal = decimal()
    price: Decimal | None = decimal()
    time_in_force: str
    post_only: bool
    reduce_only: bool
    mode: str
    account: str
    state: str
    reason: str
    venue_order_id: str
    signal_id: str
    reserved: Decimal = decimal()
    quota_day: str
    cum_qty: Decimal = decimal()
    cum_quote: Decimal = decimal()
    cum_fee: Decimal = decimal()
    trade_ids: str
    """JSON list: fills that are booked already."""
    terms: str
    """JSON; empty of a plain order."""
    created_ms: int = big()
    updated_ms: int = big()
    is_open: int


class Fills(Row, table=True):
    __tablename__ = "fills"
    __table_args__ = (sa.UniqueConstraint("user_id", "trade_id"), sa.Index(None, "user_id", "time_ms"))
    id: int | None = appended()
    trade_id: str
    client_order_id: str
    user_id: int = big()
    partition: int
    symbol: str
    side: str
    quantity: Decimal = decimal()
    price: Decimal = decimal()
    fee: Decimal = decimal()
    liquidity: str
    time_ms: int = big()
    account: str
    fee_currency: str
    fee_paid: Decimal = decimal()


class Positions(Row, table=True):
    __tablename__ = "positions"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    account: str = Field(primary_key=True)
    symbol: str = Field(primary_key=True)
    partition: int
    quantity: Decimal = decimal()
    cost: Decimal = decimal()
    opened_ms: int = big()
    bought: Decimal = decimal()
    spent: Decimal = decimal()
    received: Decimal = decimal()
    fees: Decimal = decimal()
    entry_orders: int
    source: str


class UserTrades(Row, table=True):
    __tablename__ = "user_trades"
    __table_args__ = (sa.UniqueConstraint("closing_order"), sa.Index(None, "user_id", "closed_ms"))
    id: int | None = appended()
    user_id: int = big()
    partition: int
    symbol: str
    quantity: Decimal = decimal()
    entry_price: Decimal = decimal()
    exit_price: Decimal = decimal()
    pnl: Decimal = decimal()
    fees: Decimal = decimal()
    opened_ms: int = big()
    closed_ms: int = big()
    closing_order: str
    account: str


class Ledger(Row, table=True):
    __tablename__ = "ledger"
    __table_args__ = (sa.Index(None, "user_id"),)
    id: int | None = appended()
    user_id: int = big()
    partition: int
    kind: str
    amount: Decimal = decimal()
    fee: Decimal = decimal()
    balance: Decimal = decimal()
    reference: str
    time_ms: int = big()
    account: str


class Discrepancies(Row, table=True):
    """Where our books and a venue's did not agree."""

    __tablename__ = "discrepancies"
    __table_args__ = (sa.Index(None, "user_id", "raised_ms"), sa.Index(None, "raised_ms"))
    key: str = Field(primary_key=True)
    user_id: int = big()
    partition: int
    account: str
    kind: str
    symbol: str
    detail: str
    raised_ms: int = big()
    resolved_ms: int = big()
