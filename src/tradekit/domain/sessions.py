"""A user's session: everything a decision may read or change, as one frozen value replaced whole after the commit."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.credentials import NO_CUSTODY, Custody
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Order, OrderState, Side
from tradekit.domain.portfolio import Position
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


class TradingSession(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The scalar part of a session: one row per user."""

    status: SessionStatus = SessionStatus.RUNNING
    cash: Decimal = ZERO
    """Quote currency, reservations included."""
    realized_today: Decimal = ZERO
    """Profit or loss realised on the current trading day, fees included."""
    day_start_equity: Decimal = ZERO
    peak_equity: Decimal = ZERO
    locked_until_ms: int = 0
    """Cooldown: no entries before this."""
    flattening: bool = False
    """/panic was asked for: what open orders still hold back is sold as soon as they are gone."""
    api: MinuteUsage = MinuteUsage()


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
    session: TradingSession = TradingSession()
    usage: Usage = ()
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    """Open orders only."""
    subscriptions: tuple[Subscription, ...] = ()
    custody: Custody = NO_CUSTODY
    """Sealed keys of venues, and which accounts are real."""
    dialog: Dialog | None = None
    """Kept in memory only: after a restart the user is asked again."""

    def position(self, symbol: Symbol) -> Position | None:
        """The position in an instrument, or None when flat."""
        return next((position for position in self.positions if position.symbol == symbol), None)

    def order(self, client_order_id: str) -> Order | None:
        """The open order of this id."""
        return next((order for order in self.orders if order.client_order_id == client_order_id), None)

    @property
    def today(self) -> DayUsage:
        """The current trading day."""
        return self.usage[-1]

    @property
    def reserved(self) -> Decimal:
        """Quote currency set aside for open buys."""
        return sum((order.reserved for order in self.orders), ZERO)

    @property
    def free(self) -> Decimal:
        """Quote currency that a new entry may spend."""
        return self.session.cash - self.reserved

    def sellable(self, symbol: Symbol) -> Decimal:
        """Base currency held and not already promised to an open sell."""
        held = self.position(symbol)
        if held is None:
            return ZERO
        promised = sum((o.leaves_qty for o in self.orders if o.symbol == symbol and o.side is Side.SELL), ZERO)
        return held.quantity - promised

    def unresolved(self, symbol: Symbol) -> bool:
        """Whether an order on this instrument has an unknown fate."""
        return any(order.symbol == symbol and order.state is OrderState.UNKNOWN for order in self.orders)

    @property
    def instruments_used(self) -> frozenset[Symbol]:
        """Instruments held or about to be held."""
        return frozenset(p.symbol for p in self.positions) | frozenset(o.symbol for o in self.orders if o.side is Side.BUY)


def replace_position(positions: tuple[Position, ...], symbol: Symbol, position: Position | None) -> tuple[Position, ...]:
    """The positions with that of ``symbol`` replaced, added, or (None) removed."""
    others = tuple(held for held in positions if held.symbol != symbol)
    return others if position is None else (*others, position)


def replace_order(orders: tuple[Order, ...], order: Order) -> tuple[Order, ...]:
    """The open orders with this one replaced, added, or (if it is over) removed."""
    kept = tuple(order if old.client_order_id == order.client_order_id else old for old in orders)
    if order not in kept:
        kept = (*kept, order)
    return tuple(old for old in kept if old.is_open)
