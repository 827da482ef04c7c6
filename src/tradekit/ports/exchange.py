"""What the order path asks of a venue."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import Order, OrderReport, OrderState, OrderType, Side

ReportHandler = Callable[[OrderReport], None]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do, as far as the order path must know."""

    venue: str
    visibility_window_s: float
    """After this long without an order in :meth:`Exchange.find`, "not found" means that it never arrived."""
    answer_timeout_s: float
    """No answer within this counts as none."""
    batch_max: int = 1
    """Orders of several users in one call to :meth:`Exchange.submit_many`; 1 where every order is a request of its own."""
    native: frozenset[OrderType] = frozenset()
    """Conditional types whose trigger the venue watches itself; the others are held here."""
    balances: bool = True
    """Whether :meth:`Exchange.snapshot` tells balances."""


class Balance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the venue holds for a user in one currency."""

    currency: str
    total: Decimal
    """Locked by orders included."""
    locked: Decimal = ZERO
    """Of it, set aside for open orders."""


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order that rests at the venue, whoever placed it."""

    client_order_id: str
    """Empty when the venue has none."""
    venue_order_id: str
    symbol: Symbol
    side: Side
    type: OrderType
    quantity: Decimal
    """Base currency."""
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    cum_qty: Decimal = ZERO
    state: OrderState = OrderState.ACCEPTED
    created_ms: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's account at the venue, not older than the question."""

    balances: tuple[Balance, ...] = ()
    """Currencies that are not listed are zero; empty where :attr:`Capabilities.balances` is False."""
    orders: tuple[VenueOrder, ...] | None = None
    """Every open order; None when they were not asked for."""
    time_ms: int
    """By our clock, when the question was put."""

    def balance(self, currency: str) -> Balance:
        """What the venue holds of a currency."""
        found = next((each for each in self.balances if each.currency == currency), None)
        return found or Balance(currency=currency, total=ZERO)


class AccountsView(Protocol):
    """What a decision may know of the venue behind an account (``paper``, ``binance:live``)."""

    def instrument(self, account: str, symbol: Symbol) -> Instrument | None:
        """Steps and limits where the account trades, or None."""

    def native(self, account: str) -> frozenset[OrderType]:
        """Conditional order types whose trigger the venue watches itself."""

    def problem(self, account: str) -> str:
        """Why nothing can be sent there now, or empty text."""

    def settled(self, user_id: int, account: str) -> bool:
        """Whether the books agree with the venue's; until then no entries."""


class Exchange(Protocol):
    """A venue that takes orders and reports what became of them.

    Implementations must pass :class:`tradekit.testing.contracts.exchange.ExchangeContract`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Constant over the adapter's life."""

    async def submit(self, order: Order) -> OrderReport:
        """Send the order once and return what the venue said.

        Callers submit an id once. A venue need not refuse a repeated id.

        :raises ExchangeUnavailable: no answer came; the order may exist. Ask :meth:`find`, never submit again.
        """

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        """Like :meth:`submit` for many users' orders at once; one outcome per order, in order."""

    async def cancel(self, order: Order) -> OrderReport:
        """Ask for the rest of the order to be canceled; the report says what it has become (it may be FILLED instead).

        :raises ExchangeUnavailable: no answer came; the cancel may have happened.
        """

    async def find(self, order: Order) -> OrderReport | None:
        """What the venue knows of the order, with every fill; None when it knows nothing of it.

        :raises ExchangeUnavailable: no answer came, which is not "not found".
        """

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        """Balances of a user, and on demand every open order, for reconciliation. Waits behind everything else for the venue's limits.

        :param urgent: of somebody with money at stake: only exits go before it.
        :raises ExchangeUnavailable: no answer came.
        """

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's own steps and limits, or None when it does not trade the symbol or tells nothing of it."""

    def listen(self, handler: ReportHandler) -> None:
        """Call ``handler`` with every later report (fills of resting orders, expiries), on the event loop. At least once each."""
