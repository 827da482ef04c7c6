"""Orders, their trades and how the API writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from tradekit.testing.exchange_server.accounts import Account, Lock
from tradekit.testing.exchange_server.markets import Market, format_amount

OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
STOPS = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
WITHOUT_PRICE = frozenset({"MARKET", "STOP_LOSS", "TAKE_PROFIT"})
_ZERO = Decimal(0)


@attrs.define(eq=False)
class Trade:
    """One side of an execution."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    maker: bool
    time_ms: int


@attrs.define(eq=False, kw_only=True)
class VenueOrder:
    """An order and what became of it."""

    order_id: int
    client_order_id: str
    account: Account
    market: Market
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal = _ZERO
    stop_price: Decimal = _ZERO
    trailing_delta: int = 0
    """In basis points from the best price since the order became active; 0: none."""
    quote_quantity: Decimal = _ZERO
    status: str = "NEW"
    working: bool = True
    """Whether it is on the book or executing; a stop that has not been triggered is not."""
    executed: Decimal = _ZERO
    cum_quote: Decimal = _ZERO
    lock: Lock | None = None
    order_list: OrderList | None = None
    trades: list[Trade] = attrs.field(factory=list)
    extreme: Decimal = _ZERO
    """Best price since a trailing stop became active; 0: it is not yet."""
    time_ms: int
    update_ms: int
    visible_from_s: float = 0.0
    """Monotonic time before which queries do not know it."""

    @property
    def buying(self) -> bool:
        return self.side == "BUY"

    @property
    def left(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_stop(self) -> bool:
        return self.type in STOPS

    def describe(self) -> dict[str, Any]:
        """As GET order has it."""
        text = format_amount
        body: dict[str, Any] = {
            "symbol": self.market.symbol,
            "orderId": self.order_id,
            "orderListId": self.order_list.list_id if self.order_list is not None else -1,
            "clientOrderId": self.client_order_id,
            "price": text(self.price),
            "origQty": text(self.quantity),
            "executedQty": text(self.executed),
            "origQuoteOrderQty": text(self.quote_quantity),
            "cummulativeQuoteQty": text(self.cum_quote),
            "status": self.status,
            "timeInForce": self.time_in_force,
            "type": self.type,
            "side": self.side,
            "stopPrice": text(self.stop_price),
            "icebergQty": text(_ZERO),
            "time": self.time_ms,
            "updateTime": self.update_ms,
            "isWorking": self.working,
            "workingTime": self.time_ms if self.working else -1,
            "selfTradePreventionMode": "NONE",
        }
        if self.trailing_delta:
            body["trailingDelta"] = self.trailing_delta
        return body

    def answer(self, kind: str) -> dict[str, Any]:
        """As POST order has it. :param kind: ``ACK``, ``RESULT`` or ``FULL``."""
        body = self.describe()
        body["transactTime"] = self.update_ms
        for name in ("time", "updateTime", "icebergQty", "isWorking"):
            body.pop(name, None)
        if kind == "ACK":
            return {name: body[name] for name in ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")}
        if kind == "FULL":
            body["fills"] = [
                {
                    "price": format_amount(trade.price),
                    "qty": format_amount(trade.quantity),
                    "commission": format_amount(trade.commission),
                    "commissionAsset": trade.commission_asset,
                    "tradeId": trade.trade_id,
                }
                for trade in self.trades
            ]
        return body

    def canceled(self, request_id: str) -> dict[str, Any]:
        """As DELETE order has it. :param request_id: the cancel's own client order id."""
        body = self.answer("RESULT")
        return body | {"origClientOrderId": self.client_order_id, "clientOrderId": request_id}

    def describe_trade(self, trade: Trade) -> dict[str, Any]:
        """As myTrades has it."""
        return {
            "symbol": self.market.symbol,
            "id": trade.trade_id,
            "orderId": self.order_id,
            "orderListId": self.order_list.list_id if self.order_list is not None else -1,
            "price": format_amount(trade.price),
            "qty": format_amount(trade.quantity),
            "quoteQty": format_amount(trade.quantity * trade.price),
            "commission": format_amount(trade.commission),
            "commissionAsset": trade.commission_asset,
            "time": trade.time_ms,
            "isBuyer": self.buying,
            "isMaker": trade.maker,
            "isBestMatch": True,
        }

    def event(
        self, execution: str, now_ms: int, *, trade: Trade | None = None, request_id: str = "", reason: str = "NONE"
    ) -> dict[str, Any]:
        """As the user's stream has it: an executionReport. :param request_id: of a cancel; the order's own id then stands under ``C``."""
        text = format_amount
        quantity, price = (trade.quantity, trade.price) if trade is not None else (_ZERO, _ZERO)
        return {
            "e": "executionReport",
            "E": now_ms,
            "s": self.market.symbol,
            "c": request_id or self.client_order_id,
            "S": self.side,
            "o": self.type,
            "f": self.time_in_force,
            "q": text(self.quantity),
            "p": text(self.price),
            "P": text(self.stop_price),
            "F": text(_ZERO),
            "g": self.order_list.list_id if self.order_list is not None else -1,
            "C": self.client_order_id if request_id else "",
            "x": execution,
            "X": self.status,
            "r": reason,
            "i": self.order_id,
            "l": text(quantity),
            "z": text(self.executed),
            "L": text(price),
            "n": text(trade.commission) if trade is not None else "0",
            "N": trade.commission_asset if trade is not None else None,
            "T": self.update_ms,
            "t": trade.trade_id if trade is not None else -1,
            "w": self.is_open and self.working,
            "m": trade.maker if trade is not None else False,
            "M": False,
            "O": self.time_ms,
            "Z": text(self.cum_quote),
            "Y": text(quantity * price),
            "Q": text(self.quote_quantity),
            "W": self.time_ms,
            "V": "NONE",
        }


@attrs.define(eq=False, kw_only=True)
class OrderList:
    """Two orders of which one cancels the other. They share one lock."""

    list_id: int
    client_list_id: str
    account: Account
    market: Market
    orders: list[VenueOrder] = attrs.field(factory=list)
    time_ms: int

    @property
    def is_open(self) -> bool:
        return any(order.is_open for order in self.orders)

    def describe(self) -> dict[str, Any]:
        done = not self.is_open
        return {
            "orderListId": self.list_id,
            "contingencyType": "OCO",
            "listStatusType": "ALL_DONE" if done else "EXEC_STARTED",
            "listOrderStatus": "ALL_DONE" if done else "EXECUTING",
            "listClientOrderId": self.client_list_id,
            "transactionTime": self.time_ms,
            "symbol": self.market.symbol,
            "orders": [
                {"symbol": order.market.symbol, "orderId": order.order_id, "clientOrderId": order.client_order_id} for order in self.orders
            ],
        }
