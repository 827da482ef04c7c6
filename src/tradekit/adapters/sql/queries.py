"""Every question the reader asks, compiled once. A test explains each: none may scan a table that grows."""

from typing import Any

import sqlalchemy as sa

from tradekit.adapters.sql import tables
from tradekit.adapters.sql.statements import Model, Query, columns
from tradekit.adapters.sql.tables import table

users = table(tables.Users)
identities = table(tables.Identities)
usage = table(tables.UsageCounters)
subscriptions = table(tables.Subscriptions)
data_keys = table(tables.DataKeys)
credentials = table(tables.Credentials)
accounts = table(tables.ExchangeAccounts)
signals = table(tables.Signals)
deliveries = table(tables.Deliveries)
orders = table(tables.Orders)
fills = table(tables.Fills)
positions = table(tables.Positions)
trades = table(tables.UserTrades)
ledger = table(tables.Ledger)
audit = table(tables.Audit)
days = table(tables.UserPerformance)
samples = table(tables.SystemMetrics)
alerts = table(tables.Alerts)
inbox = table(tables.Inbox)
outbox = table(tables.Outbox)
discrepancies = table(tables.Discrepancies)
rules = table(tables.Rules)
controls = table(tables.Controls)

_limit: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
_user: sa.BindParameter[int] = sa.bindparam("user_id", type_=sa.Integer)
_since: sa.BindParameter[int] = sa.bindparam("since_ms", type_=sa.Integer)
_after: sa.BindParameter[int] = sa.bindparam("after", type_=sa.Integer)
_signal: sa.BindParameter[str] = sa.bindparam("signal_id", type_=sa.String)

_chosen = sa.func.json_each(sa.bindparam("ids", type_=sa.String)).table_valued("value")
_IDS = sa.select(_chosen.c.value)


def _rows(model: Model, *left_out: str) -> sa.Select[Any]:
    return sa.select(*columns(model, *left_out))


def _largest(column: sa.Column[Any]) -> Any:
    return sa.select(sa.func.coalesce(sa.func.max(column), 0)).scalar_subquery()


def _count(statement: Any) -> Any:
    return sa.select(sa.func.count()).select_from(statement.subquery()).scalar_subquery()


_INBOX = _rows(tables.Inbox, "state", "given_up")
_SIGNALS = _rows(tables.Signals, "id", "done")
_ORDERS = _rows(tables.Orders, "id")
_OPEN = orders.c.is_open == sa.text("1")
_FILLS = _rows(tables.Fills, "id")
_TRADES = _rows(tables.UserTrades, "id")

PING = Query(sa.select(sa.literal_column("1")))
SEQUENCES = Query(
    sa.select(_largest(users.c.user_id), _largest(inbox.c.inbox_id), _largest(outbox.c.outbox_id), _largest(alerts.c.alert_id))
)
DIRECTORY = Query(sa.select(identities.c.transport, identities.c.external_id, identities.c.user_id).order_by(identities.c.id))
FOLLOWERS = Query(sa.select(subscriptions.c.source, subscriptions.c.user_id))
INSTRUMENTS = Query(_rows(tables.Instruments))


def _of_users(model: Model, *left_out: str) -> sa.Select[Any]:
    return _rows(model, *left_out).where(table(model).c.user_id.in_(_IDS))


_later = usage.alias("later")
_current_day = (
    sa.select(_later.c.day)
    .where(_later.c.user_id == _chosen.c.value)
    .order_by(_later.c.starts_ms.desc())
    .limit(sa.literal_column("1"))
    .scalar_subquery()
)

SESSION_USERS = Query(_of_users(tables.Users))
SESSION_IDENTITIES = Query(
    sa.select(identities.c.user_id, identities.c.transport, identities.c.external_id)
    .where(identities.c.user_id.in_(_IDS))
    .order_by(identities.c.id)
)
SESSION_SETTINGS = Query(_of_users(tables.Settings))
SESSION_SCALARS = Query(_of_users(tables.TradingSessions))
SESSION_CURRENT_DAY = Query(
    _rows(tables.UsageCounters).select_from(
        sa.join(_chosen, usage, sa.and_(usage.c.user_id == _chosen.c.value, usage.c.day == _current_day))
    )
)
# Reads every day of the user, a few hundred short rows lying together: an index would cost two writes per order.
SESSION_OPEN_DAYS = Query(_of_users(tables.UsageCounters).where(usage.c.reserved > sa.text("0")))
SESSION_POSITIONS = Query(_of_users(tables.Positions).order_by(positions.c.user_id, positions.c.opened_ms, positions.c.symbol))
SESSION_ORDERS = Query(_of_users(tables.Orders, "id").where(_OPEN).order_by(orders.c.id))
SESSION_SUBSCRIPTIONS = Query(
    _of_users(tables.Subscriptions).order_by(subscriptions.c.user_id, subscriptions.c.since_ms, subscriptions.c.source)
)

SESSION_DATA_KEYS = Query(_of_users(tables.DataKeys))
SESSION_CREDENTIALS = Query(_of_users(tables.Credentials).order_by(credentials.c.user_id, credentials.c.venue))
SESSION_ACCOUNTS = Query(_of_users(tables.ExchangeAccounts).order_by(accounts.c.user_id, accounts.c.venue))
SESSION_RULES = Query(_of_users(tables.Rules).order_by(rules.c.user_id, rules.c.created_ms, rules.c.name))
SESSION_LINKS = Query(_of_users(tables.ConnectLinks))
USERS_WITH_KEYS = Query(sa.select(data_keys.c.user_id).where(data_keys.c.user_id > _after).order_by(data_keys.c.user_id).limit(_limit))

PENDING_INBOX = Query(_INBOX.where(inbox.c.state == sa.text("0"), inbox.c.inbox_id > _after).order_by(inbox.c.inbox_id).limit(_limit))
RECENT_MESSAGE_KEYS = Query(sa.select(inbox.c.source, inbox.c.message_id).order_by(inbox.c.inbox_id.desc()).limit(_limit))
PENDING_OUTBOX = Query(_rows(tables.Outbox).where(outbox.c.outbox_id > _after).order_by(outbox.c.outbox_id).limit(_limit))
PENDING_SIGNALS = Query(_SIGNALS.where(signals.c.done == sa.text("0")).order_by(signals.c.id))
DELIVERED = Query(sa.select(deliveries.c.user_id).where(deliveries.c.signal_id == _signal))
USERS_WITH_OPEN_ORDERS = Query(sa.select(orders.c.user_id).where(_OPEN).distinct().order_by(orders.c.user_id))

USER = Query(_rows(tables.Users).where(users.c.user_id == _user))
USERS = Query(_rows(tables.Users).where(users.c.user_id > _after).order_by(users.c.user_id).limit(_limit))

_traded = sa.exists().where(fills.c.user_id == users.c.user_id, fills.c.time_ms >= _since)
TRADERS_SINCE = Query(sa.select(users.c.user_id).where(_traded).order_by(users.c.user_id))
USERS_BY_KIND = Query(sa.select(users.c.tier, users.c.role, sa.func.count()).group_by(users.c.tier, users.c.role))
COUNTS = Query(
    sa.select(
        _count(sa.select(users.c.user_id).where(users.c.created_ms >= _since)),
        _count(sa.select(users.c.user_id).where(_traded)),
        _count(sa.select(orders.c.user_id).where(_OPEN)),
        _count(sa.select(positions.c.user_id)),
        # Orders and fills are only ever appended: their last number is their count, at no cost.
        _largest(orders.c.id),
        _largest(fills.c.id),
    )
)

ORDER = Query(_ORDERS.where(orders.c.client_order_id == sa.bindparam("client_order_id")))
ORDERS = Query(_ORDERS.where(orders.c.user_id == _user).order_by(orders.c.id.desc()).limit(_limit))
OPEN_ORDERS = Query(_ORDERS.where(orders.c.user_id == _user, _OPEN).order_by(orders.c.id.desc()).limit(_limit))
FILLS = Query(_FILLS.where(fills.c.user_id == _user).order_by(fills.c.time_ms.desc(), fills.c.id.desc()).limit(_limit))
TRADES = Query(_TRADES.where(trades.c.user_id == _user).order_by(trades.c.closed_ms.desc(), trades.c.id.desc()).limit(_limit))
LEDGER = Query(_rows(tables.Ledger, "id").where(ledger.c.user_id == _user).order_by(ledger.c.id.desc()).limit(_limit))

SIGNALS = Query(_SIGNALS.order_by(signals.c.id.desc()).limit(_limit))
SIGNAL = Query(_SIGNALS.where(signals.c.signal_id == _signal))
DELIVERY = Query(_rows(tables.Deliveries).where(deliveries.c.signal_id == _signal, deliveries.c.user_id == _user))
DELIVERIES = Query(
    _rows(tables.Deliveries)
    .where(deliveries.c.user_id == _user)
    .order_by(deliveries.c.time_ms.desc(), deliveries.c.signal_id.desc())
    .limit(_limit)
)

PERFORMANCE = Query(_rows(tables.UserPerformance).where(days.c.user_id == _user).order_by(days.c.day.desc()).limit(_limit))
_ends: sa.BindParameter[int] = sa.bindparam("ends_ms", type_=sa.Integer)
FILLS_BETWEEN = Query(_FILLS.where(fills.c.user_id == _user, fills.c.time_ms >= _since, fills.c.time_ms < _ends))
TRADES_BETWEEN = Query(_TRADES.where(trades.c.user_id == _user, trades.c.closed_ms >= _since, trades.c.closed_ms < _ends))

_DISCREPANCIES = _rows(tables.Discrepancies).order_by(discrepancies.c.raised_ms.desc(), discrepancies.c.key).limit(_limit)
DISCREPANCIES = Query(_DISCREPANCIES)
DISCREPANCIES_OF = Query(_DISCREPANCIES.where(discrepancies.c.user_id == _user))
RULES = Query(_rows(tables.Rules))
CONTROLS = Query(_rows(tables.Controls))
USERS_WITH_ACCOUNTS = Query(
    sa.select(accounts.c.user_id).where(accounts.c.mode != sa.literal_column("'paper'")).distinct().order_by(accounts.c.user_id)
)

ALERTS = Query(_rows(tables.Alerts).order_by(alerts.c.alert_id.desc()).limit(_limit))
OPEN_ALERTS = Query(_rows(tables.Alerts).where(alerts.c.resolved_ms.is_(None)).order_by(alerts.c.alert_id.desc()).limit(_limit))
METRICS = Query(
    _rows(tables.SystemMetrics).where(samples.c.name == sa.bindparam("name"), samples.c.time_ms >= _since).order_by(samples.c.time_ms)
)
AUDIT = Query(
    _rows(tables.Audit, "id")
    .add_columns(audit.c.id)
    .where(audit.c.id > _after, audit.c.partition == sa.bindparam("partition"))
    .order_by(audit.c.id)
    .limit(_limit)
)
