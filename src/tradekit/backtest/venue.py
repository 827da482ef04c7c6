"""The paper exchange of a backtest: the same matching model, without a clock, a disk or an event loop."""

from decimal import Decimal

import msgspec

from tradekit.backtest.market import BarMarket
from tradekit.domain.amounts import ZERO
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.matching import MatchingModel, execute, fill_resting, price_path
from tradekit.domain.orders import Order, OrderReport, OrderState, as_sent

EXACT = MatchingModel(spread_bps=ZERO, slippage_bps=ZERO, level_quote=Decimal("1e18"), depth_quote=Decimal("1e18"), noise_bps=ZERO)
"""Every market order fills whole at the price of the moment it arrives; fees are the instrument's."""


class BarVenue:
    """Orders sent while a bar closes arrive when the next one opens; what rests then is matched along each bar's prices.

    A bar is four prices, at its open, a quarter, half and end (:func:`tradekit.domain.matching.price_path`), as in a replay.
    """

    def __init__(self, market: BarMarket, model: MatchingModel) -> None:
        self._market, self._model = market, model
        self._fills: dict[str, int] = {}
        self.arriving: list[Order] = []
        self.resting: dict[str, Order] = {}

    def submit(self, order: Order) -> None:
        """Send an order; it meets the market at its instrument's next price."""
        self.arriving.append(as_sent(order))

    def cancel(self, order: Order, now_ms: int) -> OrderReport | None:
        """Take an order back; None if it is not here."""
        known = self.resting.pop(order.client_order_id, None)
        if known is None:
            known = next((each for each in self.arriving if each.client_order_id == order.client_order_id), None)
            if known is None:
                return None
            self.arriving.remove(known)
        self._fills.pop(order.client_order_id, None)
        return _report(known, OrderState.CANCELED, now_ms, "CANCELED_BY_USER")

    def opened(self, bar: Bar) -> list[OrderReport]:
        """The bar's first price: what rests meets it, then what has been sent since arrives."""
        self._market.move(bar.symbol, bar.open, bar.open_ms)
        reached = self.reached(bar.symbol, bar.open, bar.open_ms) if self.resting else []
        return [*reached, *self.arrive(bar.symbol, bar.open_ms)]

    def closed(self, bar: Bar) -> list[OrderReport]:
        """The rest of the bar's prices, up to its close."""
        _, first, second, close = price_path(bar)
        start, length, symbol = bar.open_ms, bar.timeframe_ms, bar.symbol
        found = self.reached(symbol, first, start + length // 4)
        found += self.reached(symbol, second, start + length // 2)
        return found + self.reached(symbol, close, start + length)

    def arrive(self, symbol: Symbol, now_ms: int) -> list[OrderReport]:
        """What was sent meets the market at its last price."""
        waiting = self.arriving
        if not waiting:
            return []
        self.arriving = [order for order in waiting if order.symbol != symbol]
        quote, instrument = self._market.quote(symbol), self._market.instrument(symbol)
        found: list[OrderReport] = []
        for order in waiting:
            if order.symbol == symbol:
                report = execute(order, quote, instrument, self._model, now_ms)
                if report.state in _OPEN:
                    self._rest(order, report)
                found.append(report)
        return found

    def _rest(self, order: Order, report: OrderReport) -> None:
        filled = sum((fill.quantity for fill in report.fills), ZERO)
        self.resting[order.client_order_id] = msgspec.structs.replace(order, cum_qty=filled)
        self._fills[order.client_order_id] = len(report.fills)

    def reached(self, symbol: Symbol, price: Decimal, now_ms: int) -> list[OrderReport]:
        """What rests and fills when a trade happens at a price."""
        instrument = self._market.instrument(symbol)
        assert instrument is not None
        found: list[OrderReport] = []
        for order in [order for order in self.resting.values() if order.symbol == symbol]:
            known = self._fills[order.client_order_id]
            fill = fill_resting(order, price, instrument, self._model, now_ms, known)
            if fill is None:
                continue
            moved = msgspec.structs.replace(order, cum_qty=order.cum_qty + fill.quantity)
            done = moved.cum_qty >= order.quantity
            if done:
                del self.resting[order.client_order_id], self._fills[order.client_order_id]
            else:
                self.resting[order.client_order_id] = moved
                self._fills[order.client_order_id] = known + 1
            report = _report(order, OrderState.FILLED if done else OrderState.PARTIALLY_FILLED, now_ms)
            found.append(msgspec.structs.replace(report, fills=(fill,)))
        return found


_OPEN = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


def _report(order: Order, state: OrderState, now_ms: int, reason: str = "") -> OrderReport:
    return OrderReport(client_order_id=order.client_order_id, user_id=order.user_id, state=state, reason=reason, time_ms=now_ms)
