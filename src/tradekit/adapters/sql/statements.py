"""Statements written with SQLAlchemy Core and compiled once; sqlite3 runs the text at a fraction of Core's cost."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tradekit.adapters.sql import rows, tables
from tradekit.adapters.sql.tables import DEAD, DONE, table

_POSITIONAL = sqlite.dialect(paramstyle="qmark")
_NAMED = sqlite.dialect(paramstyle="named")

Model = type[tables.Row]
Encode = Callable[[Any], rows.Row]


class Write(NamedTuple):
    """How the rows of one field of Changes are written."""

    field: str
    table: str
    sql: str
    encode: Encode
    columns: tuple[str, ...] = ()
    """Of an insert: what its parameters are."""
    exact: bool = False
    """Of an update: every row must hit one that exists."""


class Query:
    """A select with named parameters."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        compiled = statement.compile(dialect=_NAMED)
        self.sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def bind(self, values: dict[str, Any]) -> dict[str, Any]:
        """All parameters, those fixed in the statement included."""
        return {**self._constants, **values}


def positional(statement: sa.ClauseElement) -> str:
    """The text of an insert, update or delete; its parameters are the bound names in order of appearance."""
    return str(statement.compile(dialect=_POSITIONAL))


def columns(model: Model, *left_out: str) -> list[sa.Column[Any]]:
    """Columns in the order of the rows."""
    return [column for column in table(model).columns if column.name not in left_out]


def _new(field: str, model: Model, encode: Encode, *left_out: str) -> Write:
    """Rows that must not exist yet."""
    names = tuple(column.name for column in columns(model, *left_out))
    sql = positional(sa.insert(table(model)).values({name: sa.bindparam(name) for name in names}))
    return Write(field, table(model).name, sql, encode, names)


def _latest(field: str, model: Model, encode: Encode) -> Write:
    """Rows that replace what is there."""
    names = tuple(column.name for column in columns(model))
    key = table(model).primary_key.columns
    insert = sqlite.insert(table(model)).values({name: sa.bindparam(name) for name in names})
    changed = {name: insert.excluded[name] for name in names if name not in key}
    return Write(field, table(model).name, positional(insert.on_conflict_do_update(index_elements=list(key), set_=changed)), encode, names)


def _changed(
    field: str, model: Model, encode: Encode, names: Iterable[str], key: Iterable[str], *, exact: bool = False, **fixed: int
) -> Write:
    """An update; parameters are the changed columns, then the key."""
    there = table(model)
    update = sa.update(there).where(*(there.c[name] == sa.bindparam(f"_{name}") for name in key))
    # Text, because a value would become a parameter.
    values = {name: sa.text(str(value)) for name, value in fixed.items()}
    sql = positional(update.values({name: sa.bindparam(name) for name in names} | values))
    return Write(field, there.name, sql, encode, exact=exact)


def _gone(field: str, model: Model, encode: Encode, *key: str) -> Write:
    there = table(model)
    return Write(field, there.name, positional(sa.delete(there).where(*(there.c[name] == sa.bindparam(name) for name in key))), encode)


def _one(value: Any) -> rows.Row:
    return (value,)


def _dead_letter(letter: tuple[int, str]) -> rows.Row:
    return letter[1], letter[0]


_ORDER_PROGRESS = (
    "quantity", "state", "reason", "venue_order_id", "reserved", "quota_day", "cum_qty", "cum_quote", "cum_fee", "trade_ids", "terms",
    "updated_ms", "is_open",
)  # fmt: skip
_DELIVERY_PROGRESS = ("outcome", "reason", "detail", "client_order_id", "time_ms")

BEFORE_SUBSCRIPTIONS = (
    _new("inbox", tables.Inbox, rows.inbox_row, "state", "given_up"),
    _latest("instruments", tables.Instruments, rows.instrument_row),
    _latest("users", tables.Users, rows.user_row),
    _new("identities", tables.Identities, rows.identity_row, "id"),
    _latest("settings", tables.Settings, rows.settings_row),
    _latest("sessions", tables.TradingSessions, rows.session_row),
    _latest("usage", tables.UsageCounters, rows.usage_row),
    _latest("credentials", tables.Credentials, rows.credential_row),
    _latest("accounts", tables.ExchangeAccounts, rows.account_row),
)
SUBSCRIPTIONS = _latest("subscriptions", tables.Subscriptions, rows.subscription_row)
UNSUBSCRIPTIONS = _gone("unsubscriptions", tables.Subscriptions, tuple, "user_id", "source")
DATA_KEYS = _latest("data_keys", tables.DataKeys, rows.data_key_row)
DATA_KEYS_GONE = _gone("data_keys_gone", tables.DataKeys, _one, "user_id")
LINKS = _latest("links", tables.ConnectLinks, rows.link_row)
LINKS_GONE = _gone("links_gone", tables.ConnectLinks, _one, "user_id")
BEFORE_POSITIONS = (
    _new("signals", tables.Signals, rows.signal_row, "id", "done"),
    _changed("signals_done", tables.Signals, _one, (), ("signal_id",), done=1),
    _new("deliveries", tables.Deliveries, rows.delivery_row),
    _changed("delivery_updates", tables.Deliveries, rows.delivery_progress, _DELIVERY_PROGRESS, ("signal_id", "user_id"), exact=True),
    _new("orders", tables.Orders, rows.order_row, "id"),
    _changed("order_updates", tables.Orders, rows.order_progress, _ORDER_PROGRESS, ("client_order_id",), exact=True),
    _new("fills", tables.Fills, rows.fill_row, "id"),
)
POSITIONS = _latest("positions", tables.Positions, rows.position_row)
POSITIONS_CLOSED = _gone("positions_closed", tables.Positions, tuple, "user_id", "account", "symbol")
BEFORE_AUDIT = (
    _new("trades", tables.UserTrades, rows.trade_row, "id"),
    _new("ledger", tables.Ledger, rows.ledger_row, "id"),
    _latest("discrepancies", tables.Discrepancies, rows.discrepancy_row),
    _latest("controls", tables.Controls, rows.control_row),
)
RULES = _latest("rules", tables.Rules, rows.rule_row)
RULES_GONE = _gone("rules_gone", tables.Rules, tuple, "user_id", "name")
AUDIT = _new("audit", tables.Audit, tuple, "id")
AUDIT_HEADS = _latest("audit", tables.AuditHeads, tuple)
AFTER_AUDIT = (
    _latest("performance", tables.UserPerformance, rows.performance_row),
    _latest("outbox", tables.Outbox, rows.outbox_row),
    _gone("outbox_done", tables.Outbox, _one, "outbox_id"),
    _changed("inbox_done", tables.Inbox, _one, (), ("inbox_id",), exact=True, state=DONE),
    _changed("dead_letters", tables.Inbox, _dead_letter, ("given_up",), ("inbox_id",), exact=True, state=DEAD),
    _latest("metrics", tables.SystemMetrics, rows.metric_row),
    _latest("alerts", tables.Alerts, rows.alert_row),
)

_heads, _inbox, _metrics = table(tables.AuditHeads), table(tables.Inbox), table(tables.SystemMetrics)
AUDIT_HEAD = positional(sa.select(_heads.c.seq, _heads.c.hash).where(_heads.c.partition == sa.bindparam("partition")))

CHUNK = 1000
"""Rows deleted in one transaction, so that commits need not wait long."""

_chunk: sa.ColumnClause[int] = sa.literal_column(str(CHUNK))
_old_metrics = sa.select(_metrics.c.name, _metrics.c.time_ms).where(_metrics.c.time_ms < sa.bindparam("before_ms")).limit(_chunk)
FORGET_METRICS = positional(
    sa.delete(_metrics).where(sa.tuple_(_metrics.c.name, _metrics.c.time_ms).in_(_old_metrics.offset(sa.literal_column("0"))))
)
_next = (
    sa.select(_inbox.c.inbox_id, _inbox.c.received_ms)
    .where(_inbox.c.inbox_id > sa.bindparam("after_id"))
    .order_by(_inbox.c.inbox_id)
    .limit(_chunk)
    .offset(sa.literal_column("0"))
    .subquery()
)
INBOX_CHUNK = positional(sa.select(sa.func.max(_next.c.inbox_id), sa.func.min(_next.c.received_ms)))
"""Walks by id, because rows arrive in the order of their ids: no index on the time is needed."""
FORGET_INBOX = positional(
    sa.delete(_inbox).where(
        _inbox.c.inbox_id > sa.bindparam("after_id"),
        _inbox.c.inbox_id <= sa.bindparam("last_id"),
        _inbox.c.received_ms < sa.bindparam("before_ms"),
        _inbox.c.state == sa.text(str(DONE)),
    )
)
