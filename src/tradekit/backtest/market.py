"""The market as the bars show it, moment by moment."""

from collections.abc import Iterable
from decimal import Decimal

from tradekit.domain.instruments import Bar, Instrument, Quote, Symbol


class BarMarket:
    """The last price of every instrument, read off its last bar when asked. Implements :class:`tradekit.ports.market.MarketView`."""

    source = origin = "replay"

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._quotes: dict[Symbol, Quote] = {}
        self._shown: dict[Symbol, Bar] = {}
        self.last: dict[Symbol, Bar] = {}
        """The last bar that closed; written by whoever drives the time."""

    def quote(self, symbol: Symbol) -> Quote | None:
        """The last price, or None before the first."""
        bar = self.last.get(symbol)
        if bar is not self._shown.get(symbol):
            assert bar is not None, "bars are replaced, never taken away"
            self._shown[symbol] = bar
            quote = self._quotes.get(symbol)
            if quote is None or quote.time_ms < bar.close_ms:
                return self.move(symbol, bar.close, bar.close_ms)
        return self._quotes.get(symbol)

    def move(self, symbol: Symbol, price: Decimal, time_ms: int) -> Quote:
        """A price between two closings."""
        quote = self._quotes[symbol] = Quote(symbol=symbol, price=price, time_ms=time_ms)
        return quote

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Steps and limits of a symbol, or None."""
        return self._instruments.get(symbol)

    def symbols(self) -> tuple[Symbol, ...]:
        """Every symbol."""
        return tuple(self._instruments)
