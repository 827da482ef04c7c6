"""Tables of the service itself: audit, messages under way, alerts, ownership."""

import sqlalchemy as sa
from sqlmodel import Field

from tradekit.adapters.sql.tables.base import COMPACT, Row, appended, big, key


class Audit(Row, table=True):
    """Appended, without an index by partition: a signal writes to all partitions at once, and each would change a page of its own."""

    __tablename__ = "audit"
    id: int | None = appended()
    partition: int
    seq: int = big()
    subject: str
    actor: str
    action: str
    detail: str
    time_ms: int = big()
    hash: bytes


class AuditHeads(Row, table=True):
    """Where each partition's chain ends."""

    __tablename__ = "audit_heads"
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = big()
    hash: bytes


class SystemMetrics(Row, table=True):
    __tablename__ = "system_metrics"
    __table_args__ = (sa.Index(None, "time_ms"), COMPACT)
    name: str = Field(primary_key=True)
    time_ms: int = key()
    value: float


class Alerts(Row, table=True):
    __tablename__ = "alerts"
    __table_args__ = (
        sa.Index(
            "ix_alerts_open", "alert_id", sqlite_where=sa.text("resolved_ms IS NULL"), postgresql_where=sa.text("resolved_ms IS NULL")
        ),
    )
    alert_id: int = key()
    rule: str
    severity: str
    detail: str
    raised_ms: int = big()
    resolved_ms: int | None = big()


PENDING, DONE, DEAD = 0, 1, 2
"""Values of ``inbox.state``."""


class Inbox(Row, table=True):
    __tablename__ = "inbox"
    __table_args__ = (
        sa.UniqueConstraint("source", "message_id"),
        sa.Index("ix_inbox_pending", "inbox_id", sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0")),
    )
    inbox_id: int = key()
    partition: int
    source: str
    message_id: str
    transport: str | None
    external_id: str | None
    text: str
    display_name: str
    raw: bytes
    received_ms: int = big()
    problem: str
    state: int = Field(sa_column_kwargs={"server_default": sa.text("0")})
    given_up: str = Field(sa_column_kwargs={"server_default": sa.text("''")})
    """Why it is a dead letter."""


class Outbox(Row, table=True):
    __tablename__ = "outbox"
    outbox_id: int = key()
    user_id: int = big()
    partition: int
    transport: str
    address: str
    reply: bytes
    """JSON."""
    language: str
    created_ms: int = big()
    expires_ms: int = big()
    tries: int


class Partitions(Row, table=True):
    __tablename__ = "partitions"
    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    owner: str
    epoch: int = big()


class ServiceMeta(Row, table=True):
    __tablename__ = "service_meta"
    key: str = Field(primary_key=True)
    value: str


class Controls(Row, table=True):
    """What the operator allows, everywhere or at one venue."""

    __tablename__ = "controls"
    scope: str = Field(primary_key=True)
    state: str
    reason: str
    by: str
    changed_ms: int = big()
