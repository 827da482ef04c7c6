"""What happened in a backtest: fills, round trips, and signals that led to nothing."""

from decimal import Decimal

import attrs
import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Fill, Side
from tradekit.domain.portfolio import Trade


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """From flat to flat. Prices are averages over the fills, without fees; ``pnl`` has the fees deducted."""

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
    """``pnl`` in percent of what was paid."""


@attrs.define
class _Open:
    bought: Decimal = ZERO
    spent: Decimal = ZERO
    sold: Decimal = ZERO
    received: Decimal = ZERO


@attrs.define
class Book:
    """Written while the time runs, read when it is over."""

    orders: int = 0
    fills: list[Fill] = attrs.field(factory=list)
    trades: list[RoundTrip] = attrs.field(factory=list)
    skipped: dict[str, int] = attrs.field(factory=dict)
    """Signals without an order, by the code of the reason."""
    fees: Decimal = ZERO
    _open: dict[Symbol, _Open] = attrs.field(factory=dict)

    def skip(self, reason: str) -> None:
        """Count a signal that led to no order."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def take(self, fills: tuple[Fill, ...], trades: tuple[Trade, ...]) -> None:
        """Note fills, and the round trips that they ended."""
        for fill in fills:
            self.fills.append(fill)
            self.fees += fill.fee
            held = self._open.get(fill.symbol)
            if held is None:
                held = self._open[fill.symbol] = _Open()
            if fill.side is Side.BUY:
                held.bought += fill.quantity
                held.spent += fill.quantity * fill.price
            else:
                held.sold += fill.quantity
                held.received += fill.quantity * fill.price
        for trade in trades:
            self.trades.append(_round_trip(trade, self._open.pop(trade.symbol)))


def _round_trip(trade: Trade, held: _Open) -> RoundTrip:
    return RoundTrip(
        symbol=trade.symbol,
        quantity=held.bought,
        entry_ms=trade.opened_ms,
        entry_price=held.spent / held.bought,
        exit_ms=trade.closed_ms,
        exit_price=held.received / held.sold,
        fees=trade.fees,
        pnl=trade.pnl,
        return_pct=float(trade.pnl / (trade.entry_price * trade.quantity)) * 100,
    )
