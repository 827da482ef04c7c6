"""The matching engine: users' orders against each other and against the house, in order of price and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_DOWN, Decimal

import attrs

from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.errors import insufficient_balance, rejected
from tradekit.testing.exchange_server.markets import Market
from tradekit.testing.exchange_server.orders import WITHOUT_PRICE, Trade, VenueOrder

_ZERO = Decimal(0)
_BASIS_POINT = Decimal("0.0001")
_COMMISSION_STEP = Decimal("0.00000001")


@attrs.frozen
class Part:
    """A planned execution."""

    price: Decimal
    quantity: Decimal
    maker: VenueOrder | None
    """None: the house."""


@attrs.define(eq=False)
class Listeners:
    """Who hears of what happens; called at once."""

    execution: Callable[[VenueOrder, str, Trade | None], None] = lambda order, execution, trade: None
    """An order, the execution type (``NEW``, ``TRADE``, ``EXPIRED``, ``CANCELED``) and the trade if it is one."""
    trade: Callable[[Market, Decimal, Decimal, bool], None] = lambda market, price, quantity, buyer_is_maker: None
    """A trade of the market: price, quantity, whether the buyer was the maker."""


class Engine:
    """Holds what rests. Every method leaves balances and locks consistent or raises before it changes anything."""

    def __init__(self, markets: dict[str, Market], listeners: Listeners, now_ms: Callable[[], int]) -> None:
        self._markets = markets
        self._listeners = listeners
        self._now_ms = now_ms
        self._resting: dict[str, dict[int, VenueOrder]] = {symbol: {} for symbol in markets}

    def open_orders(self, account: Account, symbol: str | None = None) -> list[VenueOrder]:
        symbols = self._markets if symbol is None else (symbol,)
        return [order for each in symbols for order in self._resting[each].values() if order.account is account]

    def add_market(self, market: Market) -> None:
        self._resting.setdefault(market.symbol, {})

    def accept(self, order: VenueOrder, *, fraction: Decimal | None = None) -> None:
        """Take a new order: rest it, or execute it. The order of a list brings its lock with it.

        :param fraction: of what could execute at once, the share that does.
        :raises VenueError: insufficient balance, or a stop that would trigger at once; nothing has changed then.
        """
        if order.is_stop:
            if not order.trailing_delta and self._triggered(order, order.market.last):
                raise rejected("Stop price would trigger immediately.")
            self._set_aside(order, order.price or order.stop_price or order.market.last)
            order.working = False
            self._rest(order)
            return
        parts = self._plan(order)
        if order.type == "LIMIT_MAKER" and parts:
            raise rejected("Order would immediately match and take.")
        if order.type == "MARKET":
            self._check_market(order, parts)
        else:
            self._set_aside(order, order.price)
        if fraction is not None:
            parts = self._share(order, parts, fraction)
        self._rest(order)
        self._execute(order, parts)

    def cancel(self, order: VenueOrder) -> None:
        """Take an open order off the book."""
        self._end(order, "CANCELED")

    def trade_at(self, market: Market, price: Decimal, quantity: Decimal | None = None) -> None:
        """Somebody else trades at this price: resting orders that it reaches fill at their own price, stops trigger.

        :param quantity: of base, shared by price and time; None: enough for everybody.
        """
        falling = price <= market.last
        market.last = price
        self._listeners.trade(market, price, quantity if quantity is not None else market.spec.step_size, not falling)
        left = quantity
        for order in self._reached(market, price):
            amount = order.left if left is None else min(order.left, left)
            if amount <= 0 or not order.is_open:
                continue
            self._fill(order, order.price, amount, maker=True, trade_id=self._next_trade(market))
            left = None if left is None else left - amount
        self._trigger(market, price)

    def fill(self, order: VenueOrder, quantity: Decimal, price: Decimal | None = None) -> None:
        """Execute this much of an order at its own price or a given one, even if it is over: then it is a late fill."""
        at = price or order.price or order.market.last
        self._fill(order, at, min(quantity, order.left), maker=True, trade_id=self._next_trade(order.market))

    def _plan(self, order: VenueOrder) -> list[Part]:
        """What it would meet now, best price first, users before the house at the same price."""
        market, buying = order.market, order.buying
        limit = None if order.type in WITHOUT_PRICE else order.price
        offers: list[tuple[Decimal, int, int, Decimal | None, VenueOrder | None]] = [
            (other.price, 0, other.order_id, other.left, other)
            for other in self._resting[market.symbol].values()
            if other.working and other.buying is not buying and other is not order and other.account is not order.account
        ]
        offers += [(price, 1, index, size, None) for index, (price, size) in enumerate(market.house(buying))]
        offers.sort(key=lambda offer: (offer[0] if buying else -offer[0], offer[1], offer[2]))
        left, budget = order.left, order.quote_quantity
        parts: list[Part] = []
        for price, _, _, size, maker in offers:
            if limit is not None and (price > limit if buying else price < limit):
                break
            if order.quote_quantity:
                left = ((budget / price) / market.spec.step_size).to_integral_value(ROUND_DOWN) * market.spec.step_size
            quantity = left if size is None else min(left, size)
            if quantity <= 0:
                break
            parts.append(Part(price, quantity, maker))
            left -= quantity
            budget -= quantity * price
        return parts

    def _share(self, order: VenueOrder, parts: list[Part], fraction: Decimal) -> list[Part]:
        step = order.market.spec.step_size
        total = sum((part.quantity for part in parts), _ZERO)
        left = max(step, (total * fraction / step).to_integral_value(ROUND_DOWN) * step) if parts else _ZERO
        shared: list[Part] = []
        for part in parts:
            quantity = min(part.quantity, left)
            if quantity > 0:
                shared.append(Part(part.price, quantity, part.maker))
                left -= quantity
        return shared

    def _check_market(self, order: VenueOrder, parts: list[Part]) -> None:
        spec, free = order.market.spec, order.account.free
        if order.buying:
            enough = free.get(spec.quote, _ZERO) >= sum((part.quantity * part.price for part in parts), _ZERO)
        else:
            enough = free.get(spec.base, _ZERO) >= (order.quantity or sum((part.quantity for part in parts), _ZERO))
        if not enough:
            raise insufficient_balance()

    def _set_aside(self, order: VenueOrder, price: Decimal) -> None:
        if order.lock is None:
            spec = order.market.spec
            asset, amount = (spec.quote, order.quantity * price) if order.buying else (spec.base, order.quantity)
            order.lock = order.account.lock(asset, amount)

    def _rest(self, order: VenueOrder) -> None:
        self._resting[order.market.symbol][order.order_id] = order
        order.update_ms = self._now_ms()
        self._listeners.execution(order, "NEW", None)

    def _execute(self, order: VenueOrder, parts: Iterable[Part]) -> None:
        parts = list(parts)
        if order.quote_quantity:
            order.quantity = sum((part.quantity for part in parts), _ZERO)
        if order.time_in_force == "FOK" and sum((part.quantity for part in parts), _ZERO) < order.left:
            parts = []
        for part in parts:
            trade_id = self._next_trade(order.market)
            self._fill(order, part.price, part.quantity, maker=False, trade_id=trade_id)
            if part.maker is not None:
                self._fill(part.maker, part.price, part.quantity, maker=True, trade_id=trade_id)
            else:
                order.market.take_from_house(order.buying, part.price, part.quantity)
            self._listeners.trade(order.market, part.price, part.quantity, not order.buying)
        if order.is_open and (order.type in WITHOUT_PRICE or order.time_in_force in {"IOC", "FOK"}):
            self._end(order, "EXPIRED")

    def _reached(self, market: Market, price: Decimal) -> list[VenueOrder]:
        reached = [
            order
            for order in self._resting[market.symbol].values()
            if order.working and (order.price >= price if order.buying else order.price <= price)
        ]
        return sorted(reached, key=lambda order: (-order.price if order.buying else order.price, order.order_id))

    def _trigger(self, market: Market, price: Decimal) -> None:
        for order in [order for order in self._resting[market.symbol].values() if not order.working]:
            if order.is_open and self._triggered(order, price):
                order.working = True
                if order.order_list is not None:
                    self._end_others(order)
                order.update_ms = self._now_ms()
                self._listeners.execution(order, "NEW", None)
                self._execute(order, self._plan(order))

    def _triggered(self, order: VenueOrder, price: Decimal) -> bool:
        up = order.buying == order.type.startswith("STOP_LOSS")
        if not order.trailing_delta:
            return price >= order.stop_price if up else price <= order.stop_price
        if not order.extreme and order.stop_price and not (price <= order.stop_price if up else price >= order.stop_price):
            return False
        best = min if up else max
        order.extreme = best(order.extreme, price) if order.extreme else price
        distance = order.extreme * order.trailing_delta * _BASIS_POINT
        return price >= order.extreme + distance if up else price <= order.extreme - distance

    def _fill(self, order: VenueOrder, price: Decimal, quantity: Decimal, *, maker: bool, trade_id: int) -> None:
        if quantity <= 0:
            return
        spec, account = order.market.spec, order.account
        paid, paid_amount = (spec.quote, quantity * price) if order.buying else (spec.base, quantity)
        got, got_amount = (spec.base, quantity) if order.buying else (spec.quote, quantity * price)
        account.pay(paid, paid_amount, order.lock)
        account.receive(got, got_amount)
        commission, asset = self._commission(order, got, got_amount, quantity * price, maker=maker)
        account.pay(asset, commission, None)
        trade = Trade(trade_id, price, quantity, commission, asset, maker, self._now_ms())
        late = not order.is_open
        order.trades.append(trade)
        order.executed += quantity
        order.cum_quote += quantity * price
        order.update_ms = trade.time_ms
        if order.left <= 0:
            order.status = "FILLED"
            self._leave(order)
        elif not late:
            order.status = "PARTIALLY_FILLED"
        if order.order_list is not None:
            self._end_others(order)
        self._listeners.execution(order, "TRADE", trade)

    def _commission(self, order: VenueOrder, got: str, amount: Decimal, quote: Decimal, *, maker: bool) -> tuple[Decimal, str]:
        spec, account = order.market.spec, order.account
        rate = spec.maker_fee if maker else spec.taker_fee
        asset = account.fee_asset
        market = self._markets.get(f"{asset}{spec.quote}") if asset is not None else None
        if asset is not None and market is not None:
            commission = (quote * rate / market.last).quantize(_COMMISSION_STEP)
            if account.free.get(asset, _ZERO) >= commission:
                return commission, asset
        return (amount * rate).quantize(_COMMISSION_STEP), got

    def _end(self, order: VenueOrder, status: str) -> None:
        order.status = status
        order.update_ms = self._now_ms()
        self._leave(order)
        self._listeners.execution(order, status, None)

    def _end_others(self, order: VenueOrder) -> None:
        assert order.order_list is not None
        for other in order.order_list.orders:
            if other is not order and other.is_open:
                self._end(other, "EXPIRED")

    def _leave(self, order: VenueOrder) -> None:
        self._resting[order.market.symbol].pop(order.order_id, None)
        if order.lock is not None and (order.order_list is None or not order.order_list.is_open):
            order.account.release(order.lock)

    def _next_trade(self, market: Market) -> int:
        market.trade_id += 1
        return market.trade_id
