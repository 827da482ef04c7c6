"""A user's session: everything a decision may read or change, as one frozen value replaced whole after the commit."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.credentials import NO_CUSTODY, Custody
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import BUY, PAPER, SELL, TERMINAL, Order, OrderState
from tradekit.domain.portfolio import Position
from tradekit.domain.rules import UserRule
from tradekit.domain.signals import Subscription
from tradekit.domain.usage import DayUsage, MinuteUsage, Usage
from tradekit.domain.users import Identity, User, UserSettings


class SessionStatus(StrEnum):
    """Whether and how a user trades."""

    STOPPED = "stopped"
    STARTING = "starting"
    RECONCILING = "reconciling"
    RUNNING = "running"
    PAUSED = "paused"
    REDUCING = "reducing"
    HALTED = "halted"


class LockKind(StrEnum):
    """Why entries wait."""

    COOLDOWN = "cooldown"
    STOP_LOSS_GUARD = "stop_loss_guard"
    MAX_DRAWDOWN = "max_drawdown"
    LOW_PROFIT = "low_profit"


class TradingLock(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No entries for a while: of the whole account, of one instrument, or of one source's signals."""

    kind: LockKind
    until_ms: int
    symbol: Symbol = ""
    """Empty: every instrument."""
    source: str = ""
    """Empty: whoever asks."""


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What protections remember of a round trip."""

    symbol: Symbol
    source: str
    """Source of the signal that entered, or empty."""
    pnl: Decimal
    pnl_pct: Decimal
    """Of what was paid."""
    stopped: bool
    """Closed by a stop."""
    closed_ms: int


RECENT_TRADES_MAX = 20


class Guard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What keeps an account from trading, and what decides about it."""

    locks: tuple[TradingLock, ...] = ()
    frozen: tuple[Symbol, ...] = ()
    """Instruments whose position the venue does not confirm: no entries until it does."""
    recent: tuple[ClosedTrade, ...] = ()
    """The last round trips, oldest first, at most :data:`RECENT_TRADES_MAX`; kept only while a protection needs them."""


NO_GUARD = Guard()


class TradingSession(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The scalar part of an account: one row per user and account."""

    status: SessionStatus = SessionStatus.RUNNING
    cash: Decimal = ZERO
    """Quote currency, reservations included."""
    realized_today: Decimal = ZERO
    """Profit or loss realised on the current trading day, fees included."""
    day_start_equity: Decimal = ZERO
    peak_equity: Decimal = ZERO
    day_ends_ms: int = 0
    """When ``realized_today`` and ``day_start_equity`` start anew; 0: with the next trading day."""
    flattening: bool = False
    """/panic was asked for: what open orders still hold back is sold as soon as they are gone."""
    api: MinuteUsage = MinuteUsage()
    """Of the user; the account in use has it."""
    guard: Guard = NO_GUARD
    booked_ms: int = 0
    """When the last fill was booked; kept in memory only, for comparisons with a venue's balance."""


NEW_SESSION = TradingSession(status=SessionStatus.STARTING)
"""Of an account at a venue whose balance is not known yet."""


class Book(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One account of a user: what it may do, what it holds, what it has open."""

    account: str
    session: TradingSession
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()


class Dialog(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question put to the user: what a confirmation button will do."""

    nonce: str
    action: str
    argument: str
    expires_ms: int


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one user that decisions depend on. ``user`` is None until ``/start``."""

    user_id: int
    partition: int
    user: User | None = None
    identities: tuple[Identity, ...] = ()
    settings: UserSettings = UserSettings()
    account: str = PAPER
    """Whose ``session``, ``positions`` and ``orders`` these are: of the account in use, or for the length of a report of its own."""
    session: TradingSession = TradingSession()
    usage: Usage = ()
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    """Open orders only."""
    shelf: tuple[Book, ...] = ()
    """The user's other accounts; most users have none."""
    rules: tuple[UserRule, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    custody: Custody = NO_CUSTODY
    """Sealed keys of venues, and which accounts are real."""
    dialog: Dialog | None = None
    """Kept in memory only: after a restart the user is asked again."""

    def position(self, symbol: Symbol) -> Position | None:
        """The position in an instrument, or None when flat."""
        for position in self.positions:
            if position.symbol == symbol:
                return position
        return None

    def order(self, client_order_id: str) -> Order | None:
        """The open order of this id."""
        for order in self.orders:
            if order.client_order_id == client_order_id:
                return order
        return None

    @property
    def today(self) -> DayUsage:
        """The current trading day."""
        return self.usage[-1]

    @property
    def reserved(self) -> Decimal:
        """Quote currency set aside for open buys."""
        if not self.orders:
            return ZERO
        return sum((order.reserved for order in self.orders), ZERO)

    @property
    def free(self) -> Decimal:
        """Quote currency that a new entry may spend."""
        return self.session.cash - self.reserved

    def sellable(self, symbol: Symbol, *, with_guards: bool = False) -> Decimal:
        """Base currency held and not already promised to a sell at the venue.

        :param with_guards: count in what stops and targets at the venue promise, for they make way.
        """
        held = self.position(symbol)
        if held is None or not self.orders:
            return ZERO if held is None else held.quantity
        promised = sum((o.leaves_qty for o in self.orders if _promises(o, symbol, with_guards=with_guards)), ZERO)
        return held.quantity - promised

    def unresolved(self, symbol: Symbol) -> bool:
        """Whether an order on this instrument has an unknown fate."""
        return bool(self.orders) and any(order.symbol == symbol and order.state is OrderState.UNKNOWN for order in self.orders)

    @property
    def instruments_used(self) -> frozenset[Symbol]:
        """Instruments held or about to be held."""
        return frozenset([p.symbol for p in self.positions] + [o.symbol for o in self.orders if o.side is BUY])


def _promises(order: Order, symbol: Symbol, *, with_guards: bool) -> bool:
    return order.symbol == symbol and order.side is SELL and not order.held and not (with_guards and order.guards_at_venue)


def on_account(state: SessionState, account: str) -> SessionState:
    """The same user with this account's book on the table, and the former one on the shelf."""
    if state.account == account:
        return state
    book = next((each for each in state.shelf if each.account == account), None) or Book(account=account, session=NEW_SESSION)
    away = Book(account=state.account, session=state.session, positions=state.positions, orders=state.orders)
    return msgspec.structs.replace(
        state,
        account=account,
        session=msgspec.structs.replace(book.session, api=state.session.api),
        positions=book.positions,
        orders=book.orders,
        shelf=(*(each for each in state.shelf if each.account != account), away),
    )


def find_order(state: SessionState, client_order_id: str) -> Order | None:
    """The open order of this id in any of the user's accounts."""
    return state.order(client_order_id) or next(
        (order for book in state.shelf for order in book.orders if order.client_order_id == client_order_id), None
    )


def books(state: SessionState) -> tuple[Book, ...]:
    """Every account of the user, that on the table first."""
    table = Book(account=state.account, session=state.session, positions=state.positions, orders=state.orders)
    return (table, *state.shelf)


def replace_position(positions: tuple[Position, ...], symbol: Symbol, position: Position | None) -> tuple[Position, ...]:
    """The positions with that of ``symbol`` replaced, added, or (None) removed."""
    others = [held for held in positions if held.symbol != symbol] if positions else []
    return tuple(others) if position is None else (*others, position)


def replace_order(orders: tuple[Order, ...], order: Order) -> tuple[Order, ...]:
    """The open orders with this one replaced, added, or (if it is over) removed."""
    kept: list[Order] = []
    known = False
    for old in orders:
        same = old.client_order_id == order.client_order_id
        known = known or same
        now = order if same else old
        if now.state not in TERMINAL:
            kept.append(now)
    if not known and order.state not in TERMINAL:
        kept.append(order)
    return tuple(kept)
