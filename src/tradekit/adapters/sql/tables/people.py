"""Tables of users: who they are, what they chose, which accounts and keys they have."""

from decimal import Decimal

import sqlalchemy as sa
from sqlmodel import Field

from tradekit.adapters.sql.tables.base import COMPACT, Row, appended, big, decimal, key


class Users(Row, table=True):
    __tablename__ = "users"
    __table_args__ = (sa.Index(None, "tier", "role"), sa.Index(None, "created_ms"))
    user_id: int = key()
    partition: int
    tier: str
    role: str
    status: str
    display_name: str
    created_ms: int = big()
    disclosure_ms: int = big()
    reachable: bool
    audit_subject: str


class Identities(Row, table=True):
    __tablename__ = "identities"
    __table_args__ = (sa.UniqueConstraint("transport", "external_id"), sa.Index(None, "user_id"))
    id: int | None = appended()
    transport: str
    external_id: str
    user_id: int = big()
    partition: int


class Settings(Row, table=True):
    __tablename__ = "user_settings"
    user_id: int = key()
    partition: int
    language: str
    time_zone: str
    symbols: str
    """JSON list."""
    sizing: str
    size: Decimal = decimal()
    risk_per_trade_pct: Decimal = decimal()
    max_exposure_pct: Decimal = decimal()
    stop_loss_pct: Decimal | None = decimal()
    take_profit_pct: Decimal | None = decimal()
    max_daily_loss_pct: Decimal = decimal()
    max_drawdown_pct: Decimal = decimal()
    cooldown_s: int
    notify_fills: bool
    notify_signals: bool
    account: str
    exits: str
    """JSON of the exits and protections that differ from the default; empty when none does."""


class TradingSessions(Row, table=True):
    __tablename__ = "trading_sessions"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    account: str = Field(primary_key=True)
    partition: int
    status: str
    cash: Decimal = decimal()
    realized_today: Decimal = decimal()
    day_start_equity: Decimal = decimal()
    peak_equity: Decimal = decimal()
    day_ends_ms: int = big()
    flattening: bool
    api_minute: int = big()
    api_calls: int
    guard: str
    """JSON; empty without locks."""


class UsageCounters(Row, table=True):
    __tablename__ = "usage_counters"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    day: str = Field(primary_key=True)
    partition: int
    zone: str
    starts_ms: int = big()
    ends_ms: int = big()
    used: int
    reserved: int


class Subscriptions(Row, table=True):
    __tablename__ = "subscriptions"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    source: str = Field(primary_key=True)
    partition: int
    symbols: str
    """JSON list."""
    size: Decimal | None = decimal()
    since_ms: int = big()


class DataKeys(Row, table=True):
    __tablename__ = "data_keys"
    user_id: int = key()
    partition: int
    key_id: str
    wrapped: bytes


class Credentials(Row, table=True):
    __tablename__ = "credentials"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    venue: str = Field(primary_key=True)
    partition: int
    version: int
    ciphertext: bytes
    sandbox: bool
    permissions: str
    """JSON."""
    status: str
    reason: str
    created_ms: int = big()
    verified_ms: int = big()


class ExchangeAccounts(Row, table=True):
    __tablename__ = "exchange_accounts"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    venue: str = Field(primary_key=True)
    partition: int
    mode: str
    changed_ms: int = big()


class ConnectLinks(Row, table=True):
    __tablename__ = "connect_links"
    user_id: int = key()
    partition: int
    token_hash: bytes
    venue: str
    sandbox: bool
    expires_ms: int = big()


class UserPerformance(Row, table=True):
    __tablename__ = "user_performance"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    account: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    partition: int
    fills: int
    trades: int
    wins: int
    volume: Decimal = decimal()
    fees: Decimal = decimal()
    pnl: Decimal = decimal()


class Rules(Row, table=True):
    """Signals that a user wrote."""

    __tablename__ = "rules"
    __table_args__ = (COMPACT,)
    user_id: int = key()
    name: str = Field(primary_key=True)
    partition: int
    text: str
    created_ms: int = big()
