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


BUY, SELL = Side.BUY, Side.SELL
"""For what happens with every order: up to Python 3.11 looking up a member of an enum costs as much as a call."""


class OrderType(StrEnum):
    """How the order is priced, and what makes it go to market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    """Market once the trigger price is reached from the better side: a sell below the market, a buy above it."""
    STOP_LIMIT = "stop_limit"
    """Limit at ``price`` once the trigger price is reached."""
    TRAILING_STOP = "trailing_stop"
    """A stop whose trigger follows the best price at a distance of ``terms.trail_pct``."""
    TAKE_PROFIT = "take_profit"
    """Market once the trigger price is reached from the worse side: a sell above the market, a buy below it."""
    TIME_EXIT = "time_exit"
    """Market at a time."""


MARKET = OrderType.MARKET

CONDITIONAL = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP, OrderType.TAKE_PROFIT, OrderType.TIME_EXIT})
"""Types that wait for a trigger."""


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
    # REJECTED as well: a cancel may be asked for before the venue has said a word. ACCEPTED and PARTIALLY_FILLED only by the answer to the
    # cancel itself: whatever else finds the order open may be older than the wish.
    _S.PENDING_CANCEL: frozenset({_S.CANCELED, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.EXPIRED, _S.REJECTED}),
    _S.UNKNOWN: VENUE_STATES,
}


def may_become(old: OrderState, new: OrderState) -> bool:
    """Whether the transition is legal; staying in the same open state is."""
    return new in TRANSITIONS.get(old, frozenset()) or (old == new and old not in TERMINAL)


PAPER = "paper"
"""The account whose orders the paper exchange fills."""


def account_name(venue: str, mode: TradingMode) -> str:
    """The name of a user's account: ``paper``, ``binance:live``, ``binance:testnet``."""
    return PAPER if mode is TradingMode.PAPER else f"{venue}:{mode}"


def venue_of(account: str) -> str:
    """The venue of an account."""
    return account.partition(":")[0]


def mode_of(account: str) -> TradingMode:
    """Whose money an account holds."""
    return TradingMode.PAPER if account == PAPER else TradingMode(account.partition(":")[2] or TradingMode.PAPER)


class TakeProfit(msgspec.Struct, frozen=True, gc=False):
    """A rung of a take-profit ladder, in percent."""

    distance_pct: Decimal
    """Above the entry's average price."""
    share_pct: Decimal = Decimal(100)
    """Of what the entry bought."""


class Bracket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The exits an entry gets as soon as it fills; one cancels the other (OCO). Distances in percent of the entry's average price."""

    stop_loss_pct: Decimal | None = None
    trailing_pct: Decimal | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    """Nearest first; shares add up to 100 at most."""
    time_exit_s: int = 0
    """Sell what is left so long after the first fill; 0: never."""

    def __bool__(self) -> bool:
        """Whether there is any exit."""
        return bool(self.stop_loss_pct or self.trailing_pct or self.take_profits or self.time_exit_s)

    @property
    def stop_pct(self) -> Decimal | None:
        """How far the price may go against an entry before it is sold."""
        fixed, trailing = self.stop_loss_pct or None, self.trailing_pct or None
        return min(fixed, trailing) if fixed and trailing else fixed or trailing


NO_EXITS = Bracket()


class Amendment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order shall become once its cancellation is confirmed."""

    client_order_id: str
    """Of the replacement."""
    quantity: Decimal
    """Of the replacement, what the old order filled not included."""
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What only some orders have."""

    trigger_price: Decimal | None = None
    """Quote currency; of a trailing stop the present one."""
    trail_pct: Decimal | None = None
    """Distance of a trailing stop, percent of the best price."""
    trigger_ms: int = 0
    """Not before; of a time exit, when it goes to market."""
    native: bool = False
    """The trigger is the venue's; otherwise the order is held here until it fires."""
    list_id: str = ""
    """Orders of one list cancel each other; the id of the entry that made them, or of the first."""
    bracket: Bracket | None = None
    """Exits to set once this entry fills."""
    replaces: str = ""
    """client_order_id of the order that this one was amended from."""
    amendment: Amendment | None = None
    """Set while, and after, this order is canceled in order to be replaced."""
    leg: int = 0
    """Which exit of its entry this is."""
    armed: tuple[int, ...] = ()
    """Which exits of this entry were made; from then on they are only enlarged."""
    leaving: bool = False
    """An exit of this entry has sold what there was; what fills later is sold as well."""
    fired: bool = False
    """The trigger has fired, and what other orders hold back is awaited."""
    tries: int = 0
    """How often this exit was armed again."""
    foreign: bool = False
    """Placed at the venue by somebody else and adopted."""
    flattens: bool = False
    """Waits to sell for /panic until its venue is open, or takes it; /resume takes it back while it waits."""


PLAIN = Terms()
"""Of orders without any; one value for all, so that it costs nothing."""


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
    account: str = PAPER
    """Which of the user's accounts it belongs to (:func:`account_name`)."""
    terms: Terms = PLAIN
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

    @property
    def guards_at_venue(self) -> bool:
        """Whether it is a stop or target that waits at the venue to sell: it makes way for a sale that its user asks for."""
        return self.terms.native and self.side is Side.SELL and self.type in CONDITIONAL and self.state is OrderState.ACCEPTED

    @property
    def held(self) -> bool:
        """Whether it waits here for its trigger: no venue knows of it."""
        return self.state is OrderState.INITIALIZED


def as_sent(order: Order) -> Order:
    """The order as the venue gets it: once a trigger that is watched here has fired, market or limit."""
    if order.type not in CONDITIONAL or order.terms.native:
        return order
    kind = OrderType.LIMIT if order.price is not None else OrderType.MARKET
    return msgspec.structs.replace(order, type=kind)


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
    """In quote currency, or what the fee was worth in it."""
    fee_currency: str = ""
    """What the fee was paid in; empty: the quote currency."""
    fee_paid: Decimal = ZERO
    """In ``fee_currency``, when that is not the quote currency."""
    liquidity: Liquidity = Liquidity.TAKER
    time_ms: int
    """When the venue executed it."""
    account: str = PAPER

    @property
    def net_quantity(self) -> Decimal:
        """Base currency by which the position changes: a fee paid in it comes off what was bought, or is sold on top."""
        if not self.fee_paid or self.fee_currency != self.symbol.partition("/")[0]:
            return self.quantity
        return self.quantity - self.fee_paid if self.side is Side.BUY else self.quantity + self.fee_paid


class OrderReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a venue says of an order: its state and every fill it knows so far (repeats are harmless)."""

    client_order_id: str
    user_id: int
    state: OrderState
    venue_order_id: str = ""
    fills: tuple[Fill, ...] = ()
    reason: str = ""
    time_ms: int
    answers_cancel: bool = False
    """It is the answer to a cancel: an order that it finds open was not canceled. The gateway's word, no adapter's."""


def client_order_id(user_id: int, cause: str, leg: int = 0) -> str:
    """The id of the order that this cause makes: 32 characters of [0-9a-f], the same however often it is asked."""
    return blake2b(f"{user_id}/{cause}/{leg}".encode(), digest_size=16).hexdigest()
