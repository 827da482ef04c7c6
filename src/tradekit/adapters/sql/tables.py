"""The schema. Column order is the order of the tuples in ``rows.py``; indexes exist only where a read needs one."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from tradekit.domain.amounts import decimal_of, text_of

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COMPACT = {"sqlite_with_rowid": False}
"""For tables found by their whole key: the key is the table, there is no second tree."""


class Amount(sa.types.TypeDecorator[Decimal]):
    """An exact decimal: canonical text in SQLite, which has no decimals of its own; NUMERIC in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Numeric() if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else text_of(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        return value if value is None or isinstance(value, Decimal) else decimal_of(value)


class Row(SQLModel, registry=registry(metadata=metadata)):
    """Base with a registry of its own: tables of an application around tradekit stay apart."""


def _key(**options: Any) -> Any:
    return Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False, **options})


def _appended() -> Any:
    return Field(default=None, primary_key=True, sa_type=BIG)


def _big(**options: Any) -> Any:
    return Field(sa_type=BIG, **options)


def _amount(**options: Any) -> Any:
    return Field(sa_type=Amount, **options)


class Users(Row, table=True):
    __tablename__ = "users"
    __table_args__ = (sa.Index(None, "tier", "role"), sa.Index(None, "created_ms"))
    user_id: int = _key()
    partition: int
    tier: str
    role: str
    status: str
    display_name: str
    created_ms: int = _big()
    disclosure_ms: int = _big()
    reachable: bool
    audit_subject: str


class Identities(Row, table=True):
    __tablename__ = "identities"
    __table_args__ = (sa.UniqueConstraint("transport", "external_id"), sa.Index(None, "user_id"))
    id: int | None = _appended()
    transport: str
    external_id: str
    user_id: int = _big()
    partition: int


class Settings(Row, table=True):
    __tablename__ = "user_settings"
    user_id: int = _key()
    partition: int
    language: str
    time_zone: str
    symbols: str
    """JSON list."""
    sizing: str
    size: Decimal = _amount()
    risk_per_trade_pct: Decimal = _amount()
    max_exposure_pct: Decimal = _amount()
    stop_loss_pct: Decimal | None = _amount()
    take_profit_pct: Decimal | None = _amount()
    max_daily_loss_pct: Decimal = _amount()
    max_drawdown_pct: Decimal = _amount()
    cooldown_s: int
    notify_fills: bool
    notify_signals: bool


class TradingSessions(Row, table=True):
    __tablename__ = "trading_sessions"
    user_id: int = _key()
    partition: int
    status: str
    cash: Decimal = _amount()
    realized_today: Decimal = _amount()
    day_start_equity: Decimal = _amount()
    peak_equity: Decimal = _amount()
    locked_until_ms: int = _big()
    api_minute: int = _big()
    api_calls: int


class UsageCounters(Row, table=True):
    __tablename__ = "usage_counters"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    day: str = Field(primary_key=True)
    partition: int
    zone: str
    starts_ms: int = _big()
    ends_ms: int = _big()
    used: int
    reserved: int


class Subscriptions(Row, table=True):
    __tablename__ = "subscriptions"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    source: str = Field(primary_key=True)
    partition: int
    symbols: str
    """JSON list."""
    size: Decimal | None = _amount()
    since_ms: int = _big()


class DataKeys(Row, table=True):
    __tablename__ = "data_keys"
    user_id: int = _key()
    partition: int
    key_id: str
    wrapped: bytes


class Credentials(Row, table=True):
    __tablename__ = "credentials"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    venue: str = Field(primary_key=True)
    partition: int
    version: int
    ciphertext: bytes
    sandbox: bool
    permissions: str
    """JSON."""
    status: str
    reason: str
    created_ms: int = _big()
    verified_ms: int = _big()


class ExchangeAccounts(Row, table=True):
    __tablename__ = "exchange_accounts"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    venue: str = Field(primary_key=True)
    partition: int
    mode: str
    changed_ms: int = _big()


class ConnectLinks(Row, table=True):
    __tablename__ = "connect_links"
    user_id: int = _key()
    partition: int
    token_hash: bytes
    venue: str
    sandbox: bool
    expires_ms: int = _big()


class Instruments(Row, table=True):
    __tablename__ = "instruments"
    symbol: str = Field(primary_key=True)
    base: str
    quote: str
    tick_size: Decimal = _amount()
    step_size: Decimal = _amount()
    min_qty: Decimal = _amount()
    max_qty: Decimal = _amount()
    min_notional: Decimal = _amount()
    max_notional: Decimal = _amount()
    maker_fee: Decimal = _amount()
    taker_fee: Decimal = _amount()
    tradable: bool


class Signals(Row, table=True):
    __tablename__ = "signals"
    __table_args__ = (
        sa.UniqueConstraint("signal_id"),
        sa.Index("ix_signals_pending", "id", sqlite_where=sa.text("done = 0"), postgresql_where=sa.text("done = 0")),
    )
    id: int | None = _appended()
    signal_id: str
    source: str
    symbol: str
    side: str
    price: Decimal = _amount()
    bar_ms: int = _big()
    created_ms: int = _big()
    expires_ms: int = _big()
    advanced: bool
    note: str
    done: int = Field(sa_column_kwargs={"server_default": sa.text("0")})


class Deliveries(Row, table=True):
    __tablename__ = "deliveries"
    __table_args__ = (sa.Index(None, "user_id", "time_ms"), COMPACT)
    signal_id: str = Field(primary_key=True)
    user_id: int = _key()
    partition: int
    outcome: str
    reason: str
    detail: str
    client_order_id: str
    time_ms: int = _big()


class Orders(Row, table=True):
    __tablename__ = "orders"
    __table_args__ = (
        sa.UniqueConstraint("client_order_id"),
        sa.Index(None, "user_id"),
        sa.Index("ix_orders_open", "user_id", "is_open", sqlite_where=sa.text("is_open = 1"), postgresql_where=sa.text("is_open = 1")),
    )
    id: int | None = _appended()
    """Appended: a hash as the key of a large table costs four times as much."""
    client_order_id: str
    user_id: int = _big()
    partition: int
    cause: str
    symbol: str
    side: str
    type: str
    quantity: Decimal = _amount()
    price: Decimal | None = _amount()
    time_in_force: str
    post_only: bool
    reduce_only: bool
    mode: str
    state: str
    reason: str
    venue_order_id: str
    signal_id: str
    reserved: Decimal = _amount()
    quota_day: str
    cum_qty: Decimal = _amount()
    cum_quote: Decimal = _amount()
    cum_fee: Decimal = _amount()
    trade_ids: str
    """JSON list: fills that are booked already."""
    created_ms: int = _big()
    updated_ms: int = _big()
    is_open: int


class Fills(Row, table=True):
    __tablename__ = "fills"
    __table_args__ = (sa.UniqueConstraint("user_id", "trade_id"), sa.Index(None, "user_id", "time_ms"))
    id: int | None = _appended()
    trade_id: str
    client_order_id: str
    user_id: int = _big()
    partition: int
    symbol: str
    side: str
    quantity: Decimal = _amount()
    price: Decimal = _amount()
    fee: Decimal = _amount()
    liquidity: str
    time_ms: int = _big()


class Positions(Row, table=True):
    __tablename__ = "positions"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    symbol: str = Field(primary_key=True)
    partition: int
    quantity: Decimal = _amount()
    cost: Decimal = _amount()
    opened_ms: int = _big()
    bought: Decimal = _amount()
    spent: Decimal = _amount()
    received: Decimal = _amount()
    fees: Decimal = _amount()
    entry_orders: int


class UserTrades(Row, table=True):
    __tablename__ = "user_trades"
    __table_args__ = (sa.UniqueConstraint("closing_order"), sa.Index(None, "user_id", "closed_ms"))
    id: int | None = _appended()
    user_id: int = _big()
    partition: int
    symbol: str
    quantity: Decimal = _amount()
    entry_price: Decimal = _amount()
    exit_price: Decimal = _amount()
    pnl: Decimal = _amount()
    fees: Decimal = _amount()
    opened_ms: int = _big()
    closed_ms: int = _big()
    closing_order: str


class Ledger(Row, table=True):
    __tablename__ = "ledger"
    __table_args__ = (sa.Index(None, "user_id"),)
    id: int | None = _appended()
    user_id: int = _big()
    partition: int
    kind: str
    amount: Decimal = _amount()
    fee: Decimal = _amount()
    balance: Decimal = _amount()
    reference: str
    time_ms: int = _big()


class Audit(Row, table=True):
    """Appended, without an index by partition: a signal writes to all partitions at once, and each would change a page of its own."""

    __tablename__ = "audit"
    id: int | None = _appended()
    partition: int
    seq: int = _big()
    subject: str
    actor: str
    action: str
    detail: str
    time_ms: int = _big()
    hash: bytes


class AuditHeads(Row, table=True):
    """Where each partition's chain ends."""

    __tablename__ = "audit_heads"
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = _big()
    hash: bytes


class UserPerformance(Row, table=True):
    __tablename__ = "user_performance"
    __table_args__ = (COMPACT,)
    user_id: int = _key()
    day: str = Field(primary_key=True)
    partition: int
    fills: int
    trades: int
    wins: int
    volume: Decimal = _amount()
    fees: Decimal = _amount()
    pnl: Decimal = _amount()


class SystemMetrics(Row, table=True):
    __tablename__ = "system_metrics"
    __table_args__ = (sa.Index(None, "time_ms"), COMPACT)
    name: str = Field(primary_key=True)
    time_ms: int = _key()
    value: float


class Alerts(Row, table=True):
    __tablename__ = "alerts"
    __table_args__ = (
        sa.Index(
            "ix_alerts_open", "alert_id", sqlite_where=sa.text("resolved_ms IS NULL"), postgresql_where=sa.text("resolved_ms IS NULL")
        ),
    )
    alert_id: int = _key()
    rule: str
    severity: str
    detail: str
    raised_ms: int = _big()
    resolved_ms: int | None = _big()


PENDING, DONE, DEAD = 0, 1, 2
"""Values of ``inbox.state``."""


class Inbox(Row, table=True):
    __tablename__ = "inbox"
    __table_args__ = (
        sa.UniqueConstraint("source", "message_id"),
        sa.Index("ix_inbox_pending", "inbox_id", sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0")),
    )
    inbox_id: int = _key()
    partition: int
    source: str
    message_id: str
    transport: str | None
    external_id: str | None
    text: str
    display_name: str
    raw: bytes
    received_ms: int = _big()
    problem: str
    state: int = Field(sa_column_kwargs={"server_default": sa.text("0")})
    given_up: str = Field(sa_column_kwargs={"server_default": sa.text("''")})
    """Why it is a dead letter."""


class Outbox(Row, table=True):
    __tablename__ = "outbox"
    outbox_id: int = _key()
    user_id: int = _big()
    partition: int
    transport: str
    address: str
    reply: bytes
    """JSON."""
    language: str
    created_ms: int = _big()
    expires_ms: int = _big()
    tries: int


class Partitions(Row, table=True):
    __tablename__ = "partitions"
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    owner: str
    epoch: int = _big()


class ServiceMeta(Row, table=True):
    __tablename__ = "service_meta"
    key: str = Field(primary_key=True)
    value: str


def table(model: type[Row]) -> sa.Table:
    """The Core table behind a model."""
    found = model.__table__  # type: ignore[attr-defined]
    assert isinstance(found, sa.Table)
    return found
