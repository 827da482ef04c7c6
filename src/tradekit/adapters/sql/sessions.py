"""Loading whole sessions: a dozen selects for any number of users, two to four microseconds per row."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from tradekit.adapters.sql import queries, rows
from tradekit.adapters.sql.statements import Query
from tradekit.domain.credentials import NO_CUSTODY, Custody
from tradekit.domain.orders import Order
from tradekit.domain.portfolio import Position
from tradekit.domain.sessions import Book, SessionState, TradingSession
from tradekit.domain.usage import DayUsage, Usage
from tradekit.domain.users import Identity, UserSettings

T = TypeVar("T")


def load_sessions(ids: str, db: sqlite3.Connection) -> dict[int, SessionState]:
    """The sessions of the registered users among ``ids`` (a JSON list).

    Positions come in the order they were opened, orders and identities in the order they were made, subscriptions in the order
    they began, trading days with the current one last.
    """
    settings = _by_user(db, queries.SESSION_SETTINGS, ids, rows.settings_of)
    scalars = _by_account(db, queries.SESSION_SCALARS, ids, rows.session_of, account=1)
    identities = _lists(db, queries.SESSION_IDENTITIES, ids, lambda row: Identity(row[1], row[2]))
    current = _by_user(db, queries.SESSION_CURRENT_DAY, ids, rows.usage_of)
    reserved = _lists(db, queries.SESSION_OPEN_DAYS, ids, rows.usage_of)
    positions = _by_account(db, queries.SESSION_POSITIONS, ids, rows.position_of, account=1)
    orders = _by_account(db, queries.SESSION_ORDERS, ids, rows.order_of, account=13, owner=1)
    rules = _lists(db, queries.SESSION_RULES, ids, rows.rule_of)
    subscriptions = _lists(db, queries.SESSION_SUBSCRIPTIONS, ids, rows.subscription_of)
    custody = _custody(ids, db)
    sessions: dict[int, SessionState] = {}
    for row in db.execute(queries.SESSION_USERS.sql, {"ids": ids}):
        user_id = row[0]
        chosen = settings.get(user_id) or UserSettings()
        kept = _books(scalars.get(user_id, {}), positions.get(user_id, {}), orders.get(user_id, {}))
        table = kept.pop(chosen.account, None) or Book(account=chosen.account, session=TradingSession())
        sessions[user_id] = SessionState(
            user_id=user_id,
            partition=row[1],
            user=rows.user_of(row),
            identities=tuple(identities.get(user_id, ())),
            settings=chosen,
            account=table.account,
            session=table.session,
            usage=_usage(current.get(user_id), reserved.get(user_id, [])),
            positions=table.positions,
            orders=table.orders,
            shelf=tuple(kept.values()),
            rules=tuple(rules.get(user_id, ())),
            subscriptions=tuple(subscriptions.get(user_id, ())),
            custody=custody.get(user_id, NO_CUSTODY),
        )
    return sessions


def _books(
    sessions: dict[str, list[TradingSession]], positions: dict[str, list[Position]], orders: dict[str, list[Order]]
) -> dict[str, Book]:
    """A user's accounts by name."""
    return {
        account: Book(
            account=account,
            session=sessions[account][0] if account in sessions else TradingSession(),
            positions=tuple(positions.get(account, ())),
            orders=tuple(orders.get(account, ())),
        )
        for account in dict.fromkeys((*sessions, *positions, *orders))
    }


def _custody(ids: str, db: sqlite3.Connection) -> dict[int, Custody]:
    """Of those who have one."""
    data_keys = _by_user(db, queries.SESSION_DATA_KEYS, ids, rows.data_key_of)
    credentials = _lists(db, queries.SESSION_CREDENTIALS, ids, rows.credential_of)
    accounts = _lists(db, queries.SESSION_ACCOUNTS, ids, rows.account_of)
    links = _by_user(db, queries.SESSION_LINKS, ids, rows.link_of)
    return {
        user_id: Custody(
            data_key=data_keys.get(user_id),
            credentials=tuple(credentials.get(user_id, ())),
            accounts=tuple(accounts.get(user_id, ())),
            link=links.get(user_id),
        )
        for user_id in data_keys.keys() | credentials.keys() | accounts.keys() | links.keys()
    }


def _usage(current: DayUsage | None, reserved: list[DayUsage]) -> Usage:
    """The current day last; earlier ones only while something is reserved on them."""
    if current is None:
        return ()
    earlier = [day for day in reserved if day.day != current.day]
    return (*sorted(earlier, key=lambda day: day.starts_ms), current)


def _by_user(db: sqlite3.Connection, query: Query, ids: str, decode: Callable[[rows.Row], T]) -> dict[int, T]:
    return {row[0]: decode(row) for row in db.execute(query.sql, query.bind({"ids": ids}))}


def _by_account(
    db: sqlite3.Connection, query: Query, ids: str, decode: Callable[[rows.Row], T], account: int, owner: int = 0
) -> dict[int, dict[str, list[T]]]:
    found: defaultdict[int, dict[str, list[T]]] = defaultdict(dict)
    for row in db.execute(query.sql, query.bind({"ids": ids})):
        found[row[owner]].setdefault(row[account], []).append(decode(row))
    return found


def _lists(db: sqlite3.Connection, query: Query, ids: str, decode: Callable[[rows.Row], T], owner: int = 0) -> dict[int, list[T]]:
    found: defaultdict[int, list[T]] = defaultdict(list)
    for row in db.execute(query.sql, query.bind({"ids": ids})):
        found[row[owner]].append(decode(row))
    return found
