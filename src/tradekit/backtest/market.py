"""The market as the bars show it, moment by moment."""

from collections.abc import Iterable
from decimal import Decimal

from tradekit.domain.instruments import Bar, Instrument, Quote, Symbol


class BarMarket:
    """The last price of every instrument, read off its last bar when asked. Implements :class:`tradekit.ports.market.MarketView`."""

    source = origin = "replay"

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self.shown: dict[Symbol, Bar | Quote] = {}
        """What was seen last: a bar that closed, written by whoever drives the time, or a price since. Nearly always nobody asks."""

    def quote(self, symbol: Symbol) -> Quote | None:
        """The last price, or None before the first."""
        shown = self.shown.get(symbol)
        return self.move(symbol, shown.close, shown.close_ms) if isinstance(shown, Bar) else shown

    def move(self, symbol: Symbol, price: Decimal, time_ms: int) -> Quote:
        """A price between two closings."""
        quote = self.shown[symbol] = Quote(symbol=symbol, price=price, time_ms=time_ms)
        return quote

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Steps and limits of a symbol, or None."""
        return self._instruments.get(symbol)

    def symbols(self) -> tuple[Symbol, ...]:
        """Every symbol."""
        return tuple(self._instruments)
