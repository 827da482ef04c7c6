"""What happened in a backtest: fills, round trips, and signals that led to nothing."""

from collections.abc import Sequence
from decimal import Decimal

import attrs
import msgspec

from tradekit.domain.amounts import DIGITS_MAX, ZERO, money
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import BUY, Fill
from tradekit.domain.portfolio import Trade


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """From flat to flat. Prices are averages over the fills, to eight decimals, without fees; ``pnl`` has the fees deducted."""

    symbol: Symbol
    quantity: Decimal
    """Base currency bought."""
    entry_ms: int
    entry_price: Decimal
    exit_ms: int
    exit_price: Decimal
    fees: Decimal
    """Quote currency, entry and exit."""
    pnl: Decimal
    """Quote currency, fees deducted."""
    return_pct: float
    """``pnl`` in percent of what was paid, fees included."""


@attrs.define
class _Open:
    bought: Decimal = ZERO
    spent: Decimal = ZERO
    sold: Decimal = ZERO
    received: Decimal = ZERO
    entry_fees: Decimal = ZERO

    def add(self, fill: Fill) -> None:
        if fill.side is BUY:
            self.bought += fill.quantity
            self.entry_fees += fill.fee
            self.spent += fill.quantity * fill.price
        else:
            self.sold += fill.quantity
            self.received += fill.quantity * fill.price


@attrs.define
class Book:
    """Written while the time runs, read when it is over."""

    orders: int = 0
    fills: list[Fill] = attrs.field(factory=list)
    skipped: dict[str, int] = attrs.field(factory=dict)
    """Signals without an order, by the code of the reason."""
    closed: list[Trade] = attrs.field(factory=list)

    def skip(self, reason: str) -> None:
        """Count a signal that led to no order."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def take(self, fills: Sequence[Fill], trades: Sequence[Trade]) -> None:
        """Note fills, and the round trips that they ended."""
        self.fills.extend(fills)
        self.closed.extend(trades)

    @property
    def fees(self) -> Decimal:
        """Paid so far, in quote currency."""
        return sum((fill.fee for fill in self.fills), ZERO)

    def round_trips(self) -> list[RoundTrip]:
        """From flat to flat, in the order in which they ended."""
        ends = {trade.closing_order: trade for trade in self.closed}
        open_: dict[Symbol, _Open] = {}
        found: list[RoundTrip] = []
        for fill in self.fills:
            held = open_.get(fill.symbol)
            if held is None:
                held = open_[fill.symbol] = _Open()
            held.add(fill)
            trade = ends.get(fill.client_order_id)
            if trade is not None and held.bought == held.sold:
                found.append(_round_trip(trade, open_.pop(fill.symbol)))
        return found


def _round_trip(trade: Trade, held: _Open) -> RoundTrip:
    return RoundTrip(
        symbol=trade.symbol,
        quantity=held.bought,
        entry_ms=trade.opened_ms,
        entry_price=_average(held.spent, held.bought),
        exit_ms=trade.closed_ms,
        exit_price=_average(held.received, held.sold),
        fees=trade.fees,
        pnl=trade.pnl,
        return_pct=100 * float(trade.pnl) / float(held.spent + held.entry_fees),
    )


def _average(quote: Decimal, base: Decimal) -> Decimal:
    # A quotient that needs all the digits of the context was cut: nobody wants to read it, and it is not exact either.
    price = quote / base
    rounded = money(price)
    return price if rounded == price or len(price.as_tuple().digits) < DIGITS_MAX else rounded
