"""Held orders of a backtest along a bar's prices: what lies between two prices is reached on the way.

A live service sees single prices and sells at the first one past a stop. Between the prices of a bar the market is taken to have traded
everywhere, so a stop goes to market at its trigger; if the bar opens past it, at the open.
"""

from decimal import Decimal

from tradekit.backtest.account import Account
from tradekit.backtest.market import BarMarket
from tradekit.backtest.venue import BarVenue
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.matching import price_path
from tradekit.domain.orders import Order, OrderType
from tradekit.domain.triggers import fires, is_better, trigger_at, waits_for_fall


class Waiting:
    """Fires the held orders of one account."""

    def __init__(self, account: Account, market: BarMarket, venue: BarVenue) -> None:
        self._account, self._market, self._venue = account, market, venue

    def opened(self, bar: Bar) -> None:
        """The first price of a bar: whatever it is past goes to market there."""
        self._at(bar.symbol, bar.open, bar.open_ms)

    def closed(self, bar: Bar) -> None:
        """The rest of the bar's prices, resting orders included."""
        before, start, length = bar.open, bar.open_ms, bar.timeframe_ms
        for quarter, price in enumerate(price_path(bar)[1:], 1):
            now_ms = start + length * (quarter if quarter < 3 else 4) // 4
            self._between(bar.symbol, before, price, now_ms)
            self._account.hear_reports(self._venue.reached(bar.symbol, price, now_ms))
            before = price

    def _held(self, symbol: Symbol) -> list[Order]:
        return [order for order in self._account.state.orders if order.held and order.symbol == symbol]

    def _at(self, symbol: Symbol, price: Decimal, now_ms: int) -> None:
        self._market.move(symbol, price, now_ms)
        for order in self._held(symbol):
            if fires(order, price, now_ms):
                self._fire(order, now_ms)
        self._follow(symbol, price, now_ms)

    def _between(self, symbol: Symbol, before: Decimal, price: Decimal, now_ms: int) -> None:
        """Triggers on the way, nearest first; one that fires may end the others."""
        while True:
            crossed = [order for order in self._held(symbol) if self._crosses(order, before, price, now_ms)]
            if not crossed:
                break
            nearest = min(crossed, key=lambda order: abs((order.terms.trigger_price or price) - before))
            on_the_way = nearest.terms.trigger_price or price
            self._market.move(symbol, on_the_way if nearest.type is not OrderType.TIME_EXIT else price, now_ms)
            self._fire(nearest, now_ms)
        self._market.move(symbol, price, now_ms)
        self._follow(symbol, price, now_ms)

    @staticmethod
    def _crosses(order: Order, before: Decimal, price: Decimal, now_ms: int) -> bool:
        trigger = order.terms.trigger_price
        if trigger is None or now_ms < order.terms.trigger_ms:
            return order.type is OrderType.TIME_EXIT and now_ms >= order.terms.trigger_ms
        return price <= trigger <= before if waits_for_fall(order) else before <= trigger <= price

    def _follow(self, symbol: Symbol, price: Decimal, now_ms: int) -> None:
        instrument = self._market.instrument(symbol)
        assert instrument is not None
        for order in self._held(symbol):
            if order.type is OrderType.TRAILING_STOP and order.terms.trail_pct is not None and order.terms.trigger_price is not None:
                trigger = trigger_at(order.side, order.terms.trail_pct, price, instrument.tick_size)
                if is_better(order.side, trigger, order.terms.trigger_price):
                    self._account.trail(order, trigger, now_ms)

    def _fire(self, order: Order, now_ms: int) -> None:
        self._account.fire(order, now_ms)
        self._account.hear_reports(self._venue.arrive(order.symbol, now_ms))
