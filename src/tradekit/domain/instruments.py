"""What can be traded, and the steps a venue imposes."""

from decimal import Decimal

import msgspec

Symbol = str
"""Unified name as in ccxt: ``BTC/USDT``."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A spot market."""

    symbol: Symbol
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.01")
    """Prices are multiples of this."""
    step_size: Decimal = Decimal("0.00001")
    """Quantities are multiples of this, in base currency."""
    min_qty: Decimal = Decimal("0.00001")
    max_qty: Decimal = Decimal(1_000_000)
    min_notional: Decimal = Decimal(10)
    """Smallest price times quantity, in quote currency."""
    max_notional: Decimal = Decimal(10_000_000)
    maker_fee: Decimal = Decimal("0.001")
    """Fraction of the notional: 0.001 is 0.1 %."""
    taker_fee: Decimal = Decimal("0.001")
    tradable: bool = True


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last known price of an instrument."""

    symbol: Symbol
    price: Decimal
    """Last trade, in quote currency per unit of base."""
    time_ms: int
    """When the market showed it."""
    final: bool = False
    """The feed has ended; this price stands."""


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One candle; ``open_ms`` is when it began, ``closed`` whether it is complete."""

    symbol: Symbol
    timeframe_ms: int
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def close_ms(self) -> int:
        """First millisecond after the bar."""
        return self.open_ms + self.timeframe_ms


def instrument_for(symbol: Symbol, price: Decimal) -> Instrument:
    """Reasonable steps for an instrument known only by its price: seven significant digits of price, steps worth 0.1 to 1 of quote.

    Live venues bring their own; this serves replayed and simulated markets.
    """
    base, _, quote = symbol.partition("/")
    tick_exponent = price.adjusted() - 6
    step_exponent = min(0, -1 - price.adjusted())
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(1).scaleb(min(tick_exponent, 0)),
        step_size=Decimal(1).scaleb(step_exponent),
        min_qty=Decimal(1).scaleb(step_exponent),
        max_qty=Decimal(1).scaleb(7 - price.adjusted()),
    )
