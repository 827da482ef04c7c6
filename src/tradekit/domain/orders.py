"""Orders, fills and what a venue reports of them. Vocabulary: FIX and ccxt."""

from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.instruments import Symbol


class Side(StrEnum):
    """Buy base with quote, or sell base for quote."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How the order is priced."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long the order rests."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class TradingMode(StrEnum):
    """Whose money: the paper exchange's, a venue's sandbox, or real."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


class OrderState(StrEnum):
    """Where an order stands; ``trading.md`` of the design draws the graph, :data:`TRANSITIONS` holds it."""

    INITIALIZED = "initialized"
    DENIED = "denied"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    TRIGGERED = "triggered"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


_S = OrderState

TERMINAL = frozenset({_S.DENIED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})
"""States that end an order. A late fill may still arrive; it is applied and recorded as a discrepancy."""

VENUE_STATES = frozenset({_S.ACCEPTED, _S.TRIGGERED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})
"""States that only a venue can tell."""

TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    _S.INITIALIZED: frozenset({_S.DENIED, _S.SUBMITTED, _S.CANCELED}),
    _S.SUBMITTED: VENUE_STATES - {_S.TRIGGERED} | {_S.PENDING_CANCEL, _S.UNKNOWN},
    _S.ACCEPTED: frozenset({_S.TRIGGERED, _S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED, _S.REJECTED}),
    _S.TRIGGERED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED, _S.REJECTED}),
    _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED}),
    # REJECTED as well: a cancel may be asked for before the venue has said a word.
    _S.PENDING_CANCEL: frozenset({_S.CANCELED, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.EXPIRED, _S.REJECTED}),
    _S.UNKNOWN: VENUE_STATES,
}


def may_become(old: OrderState, new: OrderState) -> bool:
    """Whether the transition is legal; staying in the same open state is."""
    return new in TRANSITIONS.get(old, frozenset()) or (old == new and old not in TERMINAL)


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user wants of a venue, and how far it has come."""

    client_order_id: str
    """Chosen before sending, derived from the cause (:func:`client_order_id`)."""
    user_id: int
    partition: int
    cause: str
    """The message, signal or idempotency key that asked for it."""
    symbol: Symbol
    side: Side
    type: OrderType
    quantity: Decimal
    """In base currency: 0.5 of BTC/USDT is half a bitcoin."""
    price: Decimal | None = None
    """Limit price; None for market."""
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    """An exit: it may only make the position smaller."""
    mode: TradingMode = TradingMode.PAPER
    state: OrderState = OrderState.SUBMITTED
    reason: str = ""
    """Code of a denial, rejection or cancellation."""
    venue_order_id: str = ""
    signal_id: str = ""
    reserved: Decimal = ZERO
    """Quote currency still set aside for the unfilled part of a buy, fee included."""
    quota_day: str = ""
    """The trading day whose quota holds this entry's reservation; empty for exits, and once it is committed or released."""
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    """Quote currency exchanged so far, without fees."""
    cum_fee: Decimal = ZERO
    trade_ids: tuple[str, ...] = ()
    """Fills already applied, so that a repeated report changes nothing."""
    created_ms: int
    updated_ms: int

    @property
    def leaves_qty(self) -> Decimal:
        """Base currency not yet filled; zero once the order is over."""
        return ZERO if self.state in TERMINAL else self.quantity - self.cum_qty

    @property
    def avg_px(self) -> Decimal | None:
        """Average fill price, or None without fills."""
        return self.cum_quote / self.cum_qty if self.cum_qty else None

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.state not in TERMINAL


class Liquidity(StrEnum):
    """Whether the fill made or took the price."""

    MAKER = "maker"
    TAKER = "taker"


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution, unique per user and ``trade_id``."""

    trade_id: str
    client_order_id: str
    user_id: int
    partition: int
    symbol: Symbol
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    """In quote currency."""
    liquidity: Liquidity = Liquidity.TAKER
    time_ms: int
    """When the venue executed it."""


class OrderReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a venue says of an order: its state and every fill it knows so far (repeats are harmless)."""

    client_order_id: str
    user_id: int
    state: OrderState
    venue_order_id: str = ""
    fills: tuple[Fill, ...] = ()
    reason: str = ""
    time_ms: int


def client_order_id(user_id: int, cause: str, leg: int = 0) -> str:
    """The id of the order that this cause makes: 32 characters of [0-9a-f], the same however often it is asked."""
    return blake2b(f"{user_id}/{cause}/{leg}".encode(), digest_size=16).hexdigest()
