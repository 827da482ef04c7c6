"""What a pre-trade check looks at, and the codes it may answer with; the checks are in :mod:`tradekit.domain.checks`."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum

import msgspec

from tradekit.domain.amounts import HUNDRED, ZERO, money
from tradekit.domain.controls import EVERYWHERE, Controls, GlobalState, state_of
from tradekit.domain.instruments import Instrument, Quote
from tradekit.domain.orders import Bracket, OrderType, Side, TimeInForce, venue_of
from tradekit.domain.portfolio import Position
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Signal
from tradekit.domain.tiers import Limits

derive = msgspec.structs.force_setattr
UNLIMITED = GlobalState.NORMAL


class Check(StrEnum):
    """Codes of the pre-trade checks."""

    MAINTENANCE = "MAINTENANCE"
    SESSION_NOT_ACTIVE = "SESSION_NOT_ACTIVE"
    HALTED = "HALTED"
    REDUCING_ONLY = "REDUCING_ONLY"
    ACCOUNT_INVALID = "ACCOUNT_INVALID"
    TIER_FEATURE = "TIER_FEATURE"
    API_RATE_LIMIT = "API_RATE_LIMIT"
    DAILY_TRADES_LIMIT = "DAILY_TRADES_LIMIT"
    MAX_POSITIONS = "MAX_POSITIONS"
    DUPLICATE_SIGNAL = "DUPLICATE_SIGNAL"
    SIGNAL_EXPIRED = "SIGNAL_EXPIRED"
    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    LOCKED = "LOCKED"
    STALE_PRICE = "STALE_PRICE"
    PRICE_DEVIATION = "PRICE_DEVIATION"
    TRIGGER_PRICE = "TRIGGER_PRICE"
    SIZING_NEEDS_STOP = "SIZING_NEEDS_STOP"
    QTY_PRECISION = "QTY_PRECISION"
    QTY_MIN = "QTY_MIN"
    QTY_MAX = "QTY_MAX"
    NOTIONAL_MIN = "NOTIONAL_MIN"
    NOTIONAL_MAX = "NOTIONAL_MAX"
    MAX_RISK_PER_TRADE = "MAX_RISK_PER_TRADE"
    MAX_EXPOSURE = "MAX_EXPOSURE"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    ORDER_RATE_LIMIT = "ORDER_RATE_LIMIT"
    UNRESOLVED_ORDER = "UNRESOLVED_ORDER"


class Denial(msgspec.Struct, frozen=True):
    """Why an order is refused: the code and the facts behind it, as text."""

    check: Check
    facts: dict[str, str] = {}


class TradingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every user."""

    maintenance: bool = False
    controls: Controls = {}
    """What the operator has limited."""
    stale_price_after_s: int = 300
    price_deviation_max_pct: Decimal = Decimal(20)
    """A limit price further from the market than this is taken for a slip of the finger."""
    open_orders_max: int = 50
    """Orders one user may have open."""
    market_buffer_pct: Decimal = Decimal(1)
    """Extra quote currency set aside for a market buy, for the price may move."""


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order somebody wants, before any check."""

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    trigger_price: Decimal | None = None
    """Of a conditional order, except a trailing stop, which gets its own."""
    trail_pct: Decimal | None = None
    trigger_ms: int = 0
    """Of a time exit: when it sells."""
    bracket: Bracket | None = None
    """Exits of an entry; None: those of the user's settings."""


class Case(msgspec.Struct, frozen=True, gc=False):
    """Everything the checks look at."""

    request: OrderRequest
    state: SessionState
    limits: Limits
    policy: TradingPolicy
    instrument: Instrument | None
    quote: Quote | None
    equity: Decimal
    """Cash plus positions at market, quote currency."""
    now_ms: int
    settled: bool = True
    """Whether the account agrees with its venue."""
    account_problem: str = ""
    """Code of why nothing can be sent from the account."""
    signal: Signal | None = None
    """The signal that asks; None: the user."""
    duplicate: bool = False
    """Whether the signal's order is open already."""
    notional: Decimal = ZERO
    """Quote currency at the assumed price. Derived, as is what follows: many checks ask for it."""
    stop_pct: Decimal | None = None
    """How far the price may go against an entry before it is sold."""
    allowed: GlobalState = UNLIMITED
    """What the operator allows this user at this venue."""

    def __post_init__(self) -> None:
        request, controls = self.request, self.policy.controls
        try:
            derive(self, "notional", request.quantity * self.price)
        except InvalidOperation:
            # No numbers: the check of their precision says so.
            derive(self, "notional", ZERO)
        derive(self, "stop_pct", None if request.bracket is None else request.bracket.stop_pct)
        derive(self, "allowed", state_of(controls, venue_of(self.state.account), self.state.user_id) if controls else UNLIMITED)

    @property
    def limited_by(self) -> str:
        """``service``, ``venue`` or ``user``: where a halt comes from."""
        controls = self.policy.controls
        for scope, name in ((EVERYWHERE, "service"), (venue_of(self.state.account), "venue")):
            if scope in controls and controls[scope].state is GlobalState.HALTED:
                return name
        return "user"

    @property
    def price(self) -> Decimal:
        """What one unit is assumed to cost."""
        request = self.request
        return request.price or request.trigger_price or (self.quote.price if self.quote else ZERO)


def equity_of(cash: Decimal, positions: tuple[Position, ...], price_of: Callable[[str], Decimal | None]) -> Decimal:
    """Cash plus positions at market; a position without a price counts at cost."""
    worth = cash
    for position in positions:
        price = price_of(position.symbol)
        worth += position.cost if price is None else money(position.quantity * price)
    return worth


def reservation(case: Case) -> Decimal:
    """Quote currency a buy sets aside: notional, fee, and without a limit a buffer against the price moving."""
    assert case.instrument is not None
    fee = case.instrument.taker_fee
    buffer = case.policy.market_buffer_pct / HUNDRED if case.request.price is None else ZERO
    return money(case.notional * (1 + buffer) * (1 + fee))
