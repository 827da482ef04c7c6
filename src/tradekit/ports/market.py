"""What decisions may know of the market."""

from typing import Protocol

from tradekit.domain.instruments import Instrument, Quote, Symbol


class MarketView(Protocol):
    """The last known prices, shared by all users."""

    def quote(self, symbol: Symbol) -> Quote | None:
        """The last price, or None before the first."""

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Steps and limits of a symbol, or None when the service does not trade it."""

    def symbols(self) -> tuple[Symbol, ...]:
        """Every symbol, in a stable order."""

    @property
    def source(self) -> str:
        """``simulated``, ``replay`` or ``live``: pages and replies mark the first two."""

    @property
    def origin(self) -> str:
        """For people: where the prices come from and why, such as ``live from binance``; the source if there is no more to say."""
