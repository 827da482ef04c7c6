"""Questions to the storage, answered from pooled connections in worker threads."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from tradekit.adapters.sql import queries, rows
from tradekit.adapters.sql.sessions import load_sessions
from tradekit.adapters.sql.statements import Query
from tradekit.domain.alerts import Alert, MetricSample
from tradekit.domain.amounts import ZERO, money
from tradekit.domain.controls import Control
from tradekit.domain.discrepancies import Discrepancy
from tradekit.domain.errors import DataError, StorageFailed
from tradekit.domain.inbox import InboxMessage
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import Fill, Order
from tradekit.domain.performance import DayPerformance
from tradekit.domain.portfolio import LedgerEntry, Trade
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.rules import UserRule
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Delivery, Signal
from tradekit.domain.users import Identity, User
from tradekit.ports.storage import AuditRow, ListedUser, Overview, Sequences

T = TypeVar("T")

Connect = Callable[[], sqlite3.Connection]


class Pool:
    """Connections that read; at most as many as the limiter lets run at once. ``inline`` asks on the event loop."""

    def __init__(self, connect: Connect, *, path: str, limiter: anyio.CapacityLimiter, inline: bool) -> None:
        self._connect = connect
        self._path = path
        self._limiter = limiter
        self._inline = inline
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run the question in one read transaction: all its selects see the same state.

        :raises StorageFailed: the file cannot be read.
        :raises DataError: a row holds something that is not a value of its column.
        """
        if self._inline:
            await anyio.lowlevel.checkpoint()
            return self._answer(question)
        return await anyio.to_thread.run_sync(partial(self._answer, question), limiter=self._limiter)

    def close(self) -> None:
        """Close what is idle; what is still being asked closes when it has answered."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._idle.pop() if self._idle else self._connect()
        except sqlite3.Error as error:
            raise StorageFailed(reason=str(error)) from error
        try:
            db.execute("BEGIN")
            return question(db)
        except sqlite3.Error as error:
            raise StorageFailed(reason=str(error)) from error
        except (ValueError, KeyError, msgspec.MsgspecError) as error:
            raise DataError(path=self._path, problem=f"a stored value cannot be read: {error!r}", fix="restore a backup") from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._idle.append(db)
            if self._closed:
                self.close()


def _select(db: sqlite3.Connection, query: Query, values: dict[str, Any]) -> list[Any]:
    return db.execute(query.sql, query.bind(values)).fetchall()


def _decoded(query: Query, decode: Callable[[rows.Row], T], values: dict[str, Any], db: sqlite3.Connection) -> list[T]:
    return [decode(row) for row in db.execute(query.sql, query.bind(values))]


def _ids(user_ids: Iterable[int]) -> str:
    return msgspec.json.encode(list(user_ids)).decode()


class SqlReader:
    """Implements :class:`tradekit.ports.storage.Reader`, except ``forget``, which writes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _list(self, query: Query, decode: Callable[[rows.Row], T], **values: Any) -> list[T]:
        return await self._pool.ask(partial(_decoded, query, decode, values))

    async def _one(self, query: Query, decode: Callable[[rows.Row], T], **values: Any) -> T | None:
        found = await self._list(query, decode, **values)
        return found[0] if found else None

    async def ping(self) -> None:
        await self._list(queries.SEQUENCES, tuple)

    async def sequences(self) -> Sequences:
        user_id, inbox_id, outbox_id, alert_id = (await self._list(queries.SEQUENCES, tuple))[0]
        return Sequences(user_id=user_id, inbox_id=inbox_id, outbox_id=outbox_id, alert_id=alert_id)

    async def directory(self) -> list[tuple[Identity, int]]:
        return await self._list(queries.DIRECTORY, lambda row: (Identity(row[0], row[1]), row[2]))

    async def followers(self) -> list[tuple[str, int]]:
        return await self._list(queries.FOLLOWERS, lambda row: (row[0], row[1]))

    async def sessions(self, user_ids: Sequence[int]) -> dict[int, SessionState]:
        return await self._pool.ask(partial(load_sessions, _ids(user_ids)))

    async def pending_inbox(self, after_id: int = 0, limit: int = 1000) -> list[InboxMessage]:
        return await self._list(queries.PENDING_INBOX, rows.inbox_of, after=after_id, limit=limit)

    async def recent_message_keys(self, limit: int) -> list[tuple[str, str]]:
        return await self._list(queries.RECENT_MESSAGE_KEYS, lambda row: (row[0], row[1]), limit=limit)

    async def pending_outbox(self, after_id: int = 0, limit: int = 1000) -> list[OutgoingMessage]:
        return await self._list(queries.PENDING_OUTBOX, rows.outbox_of, after=after_id, limit=limit)

    async def pending_signals(self) -> list[Signal]:
        return await self._list(queries.PENDING_SIGNALS, rows.signal_of)

    async def delivered(self, signal_id: str) -> set[int]:
        return set(await self._list(queries.DELIVERED, _first, signal_id=signal_id))

    async def users_with_open_orders(self) -> list[int]:
        return await self._list(queries.USERS_WITH_OPEN_ORDERS, _first)

    async def users_with_keys(self, after_id: int = 0, limit: int = 1000) -> list[int]:
        return await self._list(queries.USERS_WITH_KEYS, _first, after=after_id, limit=limit)

    async def instruments(self) -> list[Instrument]:
        return await self._list(queries.INSTRUMENTS, rows.instrument_of)

    async def user(self, user_id: int) -> ListedUser | None:
        found = await self._pool.ask(partial(_listed_users, queries.USER, {"user_id": user_id}))
        return found[0] if found else None

    async def users(self, after_id: int = 0, limit: int = 100) -> list[ListedUser]:
        return await self._pool.ask(partial(_listed_users, queries.USERS, {"after": after_id, "limit": limit}))

    async def overview(self, since_ms: int) -> Overview:
        return await self._pool.ask(partial(_overview, since_ms))

    async def order(self, client_order_id: str) -> Order | None:
        return await self._one(queries.ORDER, rows.order_of, client_order_id=client_order_id)

    async def orders(self, user_id: int, limit: int = 20, open_only: bool = False) -> list[Order]:
        query = queries.OPEN_ORDERS if open_only else queries.ORDERS
        return await self._list(query, rows.order_of, user_id=user_id, limit=limit)

    async def fills(self, user_id: int, limit: int = 20) -> list[Fill]:
        return await self._list(queries.FILLS, rows.fill_of, user_id=user_id, limit=limit)

    async def trades(self, user_id: int, limit: int = 20) -> list[Trade]:
        return await self._list(queries.TRADES, rows.trade_of, user_id=user_id, limit=limit)

    async def ledger(self, user_id: int, limit: int = 50) -> list[LedgerEntry]:
        return await self._list(queries.LEDGER, rows.ledger_of, user_id=user_id, limit=limit)

    async def signals(self, limit: int = 20) -> list[Signal]:
        return await self._list(queries.SIGNALS, rows.signal_of, limit=limit)

    async def signal(self, signal_id: str) -> Signal | None:
        return await self._one(queries.SIGNAL, rows.signal_of, signal_id=signal_id)

    async def delivery(self, signal_id: str, user_id: int) -> Delivery | None:
        return await self._one(queries.DELIVERY, rows.delivery_of, signal_id=signal_id, user_id=user_id)

    async def deliveries(self, user_id: int, limit: int = 10) -> list[Delivery]:
        return await self._list(queries.DELIVERIES, rows.delivery_of, user_id=user_id, limit=limit)

    async def performance(self, user_id: int, limit: int = 30) -> list[DayPerformance]:
        return await self._list(queries.PERFORMANCE, rows.performance_of, user_id=user_id, limit=limit)

    async def performance_between(self, user_id: int, day: str, starts_ms: int, ends_ms: int) -> list[DayPerformance]:
        return await self._pool.ask(partial(_performance_between, user_id, day, starts_ms, ends_ms))

    async def traders_since(self, since_ms: int) -> list[int]:
        return await self._list(queries.TRADERS_SINCE, _first, since_ms=since_ms)

    async def discrepancies(self, user_id: int | None = None, limit: int = 50) -> list[Discrepancy]:
        if user_id is None:
            return await self._list(queries.DISCREPANCIES, rows.discrepancy_of, limit=limit)
        return await self._list(queries.DISCREPANCIES_OF, rows.discrepancy_of, user_id=user_id, limit=limit)

    async def rules(self) -> list[tuple[int, UserRule]]:
        return await self._list(queries.RULES, lambda row: (row[0], rows.rule_of(row)))

    async def controls(self) -> list[Control]:
        return await self._list(queries.CONTROLS, rows.control_of)

    async def users_with_accounts(self) -> list[int]:
        return await self._list(queries.USERS_WITH_ACCOUNTS, _first)

    async def alerts(self, limit: int = 50, open_only: bool = False) -> list[Alert]:
        return await self._list(queries.OPEN_ALERTS if open_only else queries.ALERTS, rows.alert_of, limit=limit)

    async def metrics(self, name: str, since_ms: int) -> list[MetricSample]:
        return await self._list(queries.METRICS, rows.metric_of, name=name, since_ms=since_ms)

    async def audit(self, partition: int, after_id: int = 0, limit: int = 1000) -> list[AuditRow]:
        def decode(row: rows.Row) -> AuditRow:
            return AuditRow(id=row[8], seq=row[1], entry=rows.audit_of(row), hash=row[7])

        return await self._list(queries.AUDIT, decode, partition=partition, after=after_id, limit=limit)


def _first(row: rows.Row) -> int:
    value: int = row[0]
    return value


def _listed_users(query: Query, values: dict[str, Any], db: sqlite3.Connection) -> list[ListedUser]:
    found: list[User] = _decoded(query, rows.user_of, values, db)
    known: defaultdict[int, list[Identity]] = defaultdict(list)
    for user_id, transport, external_id in _select(db, queries.SESSION_IDENTITIES, {"ids": _ids(user.user_id for user in found)}):
        known[user_id].append(Identity(transport, external_id))
    return [ListedUser(user=user, identities=tuple(known[user.user_id])) for user in found]


def _overview(since_ms: int, db: sqlite3.Connection) -> Overview:
    by_tier: defaultdict[str, int] = defaultdict(int)
    by_role: defaultdict[str, int] = defaultdict(int)
    for tier, role, count in _select(db, queries.USERS_BY_KIND, {}):
        by_tier[tier] += count
        by_role[role] += count
    registered, traded, open_orders, positions, orders, fills = _select(db, queries.COUNTS, {"since_ms": since_ms})[0]
    return Overview(
        users=sum(by_tier.values()),
        by_tier=dict(by_tier),
        by_role=dict(by_role),
        registered_since=registered,
        traded_since=traded,
        open_orders=open_orders,
        open_positions=positions,
        orders=orders,
        fills=fills,
    )


def _performance_between(user_id: int, day: str, starts_ms: int, ends_ms: int, db: sqlite3.Connection) -> list[DayPerformance]:
    window = {"user_id": user_id, "since_ms": starts_ms, "ends_ms": ends_ms}
    all_fills = _decoded(queries.FILLS_BETWEEN, rows.fill_of, window, db)
    all_trades = _decoded(queries.TRADES_BETWEEN, rows.trade_of, window, db)
    return [
        _performance(
            user_id,
            account,
            day,
            [fill for fill in all_fills if fill.account == account],
            [trade for trade in all_trades if trade.account == account],
        )
        for account in sorted({fill.account for fill in all_fills})
    ]


def _performance(user_id: int, account: str, day: str, fills: list[Fill], trades: list[Trade]) -> DayPerformance:
    return DayPerformance(
        user_id=user_id,
        account=account,
        partition=fills[0].partition,
        day=day,
        fills=len(fills),
        trades=len(trades),
        wins=sum(trade.pnl > 0 for trade in trades),
        volume=sum((money(fill.quantity * fill.price) for fill in fills), ZERO),
        fees=sum((money(fill.fee) for fill in fills), ZERO),
        pnl=sum((trade.pnl for trade in trades), ZERO),
    )
