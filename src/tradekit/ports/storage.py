"""Where everything durable lives."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tradekit.domain.alerts import Alert, MetricSample
from tradekit.domain.audit import AuditEntry
from tradekit.domain.changes import Changes
from tradekit.domain.controls import Control
from tradekit.domain.discrepancies import Discrepancy
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

Done = Callable[[Exception | None], None]


class Sequences(msgspec.Struct, frozen=True, kw_only=True):
    """The largest number in use of each kind."""

    user_id: int = 0
    inbox_id: int = 0
    outbox_id: int = 0
    alert_id: int = 0


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Counts for ``/users/overview`` and the page."""

    users: int
    by_tier: dict[str, int]
    by_role: dict[str, int]
    registered_since: int
    """Registered since the given time."""
    traded_since: int
    """Users with at least one fill since the given time."""
    open_orders: int
    open_positions: int
    orders: int
    fills: int


class ListedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user with what a list shows."""

    user: User
    identities: tuple[Identity, ...]


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A chained row as stored."""

    id: int
    """Place in the log of all partitions."""
    seq: int
    """Place in the chain of the row's partition, from 1 without a gap."""
    entry: AuditEntry
    hash: bytes


class Reader(Protocol):
    """Questions to the storage. Each sees what was committed before it was asked; none blocks the event loop."""

    async def ping(self) -> None:
        """Read something.

        :raises StorageFailed: the storage does not answer properly.
        """

    async def sequences(self) -> Sequences:
        """For numbering what comes next."""

    async def directory(self) -> list[tuple[Identity, int]]:
        """Every identity and its user."""

    async def followers(self) -> list[tuple[str, int]]:
        """Every (source, user) subscription."""

    async def sessions(self, user_ids: Sequence[int]) -> dict[int, SessionState]:
        """The sessions of registered users, whole: what :func:`~tradekit.domain.changes.state_changes` wrote; others are left out."""

    async def pending_inbox(self, after_id: int = 0, limit: int = 1000) -> list[InboxMessage]:
        """Messages neither done nor dead, oldest first."""

    async def recent_message_keys(self, limit: int) -> list[tuple[str, str]]:
        """(source, message_id) of the last messages received, for recognising repeats."""

    async def pending_outbox(self, after_id: int = 0, limit: int = 1000) -> list[OutgoingMessage]:
        """Messages not yet sent, oldest first."""

    async def pending_signals(self) -> list[Signal]:
        """Signals whose fan-out is not complete, oldest first."""

    async def delivered(self, signal_id: str) -> set[int]:
        """Users who have an outcome for the signal."""

    async def users_with_open_orders(self) -> list[int]:
        """Users whom the order path must look after at start."""

    async def users_with_keys(self, after_id: int = 0, limit: int = 1000) -> list[int]:
        """A page of users who have a data key, by number."""

    async def instruments(self) -> list[Instrument]:
        """Every instrument ever traded here."""

    async def user(self, user_id: int) -> ListedUser | None:
        """One user."""

    async def users(self, after_id: int = 0, limit: int = 100) -> list[ListedUser]:
        """A page of users by id."""

    async def overview(self, since_ms: int) -> Overview:
        """Counts."""

    async def order(self, client_order_id: str) -> Order | None:
        """One order, open or not."""

    async def orders(self, user_id: int, limit: int = 20, open_only: bool = False) -> list[Order]:
        """A user's orders, newest first."""

    async def fills(self, user_id: int, limit: int = 20) -> list[Fill]:
        """A user's fills, newest first."""

    async def trades(self, user_id: int, limit: int = 20) -> list[Trade]:
        """A user's round trips, newest first."""

    async def ledger(self, user_id: int, limit: int = 50) -> list[LedgerEntry]:
        """A user's cash flows, newest first."""

    async def signals(self, limit: int = 20) -> list[Signal]:
        """The last signals, newest first."""

    async def signal(self, signal_id: str) -> Signal | None:
        """One signal."""

    async def delivery(self, signal_id: str, user_id: int) -> Delivery | None:
        """What became of a signal for a user."""

    async def deliveries(self, user_id: int, limit: int = 10) -> list[Delivery]:
        """A user's last outcomes, newest first."""

    async def performance(self, user_id: int, limit: int = 30) -> list[DayPerformance]:
        """A user's days, newest first."""

    async def performance_between(self, user_id: int, day: str, starts_ms: int, ends_ms: int) -> list[DayPerformance]:
        """The day of each account with fills, computed from fills and round trips; by account."""

    async def traders_since(self, since_ms: int) -> list[int]:
        """Users with a fill since then."""

    async def discrepancies(self, user_id: int | None = None, limit: int = 50) -> list[Discrepancy]:
        """Differences between our books and the venues', newest first; of one user, or of all."""

    async def rules(self) -> list[tuple[int, UserRule]]:
        """Every rule and its user."""

    async def controls(self) -> list[Control]:
        """What the operator has limited, and what it was set back to."""

    async def users_with_accounts(self) -> list[int]:
        """Users with an account that is not on paper."""

    async def alerts(self, limit: int = 50, open_only: bool = False) -> list[Alert]:
        """Alerts, newest first."""

    async def metrics(self, name: str, since_ms: int) -> list[MetricSample]:
        """Samples of one metric, oldest first."""

    async def audit(self, partition: int, after_id: int = 0, limit: int = 1000) -> list[AuditRow]:
        """Chained rows of a partition, in order. For verification: it reads the log of all partitions from ``after_id`` on."""


class Storage(Reader, Protocol):
    """Takes sets of changes and keeps them.

    Implementations must pass :class:`tradekit.testing.contracts.storage.StorageContract`.
    """

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        """Queue the changes and return at once; ``done`` is called later, on the event loop, with None once they are durable.

        All or nothing. Changes of one caller are committed in the order they were submitted, commands before ``bulk``.
        ``done`` gets :class:`~tradekit.domain.errors.Duplicate` when a row that must be new exists, :class:`StorageFailed` for any
        other refusal or failure, :class:`OwnershipLost` when another owner has claimed the data.

        :raises Busy: the queue is full; nothing was accepted and ``done`` will not be called.
        """

    async def commit(self, changes: Changes) -> None:
        """Like :meth:`submit`, and wait; raises what ``done`` would have got."""

    async def forget(self, metrics_before_ms: int, inbox_before_ms: int) -> int:
        """Delete samples and finished inbox rows older than this; returns how many rows went."""

    @property
    def queued(self) -> int:
        """Commits waiting or being written."""

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now, such as a full disk; empty while writing works."""
