"""New orders, cancels and order lists."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import attrs

from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.errors import VenueError, duplicate_order, filter_failure, missing, rejected, unknown_order
from tradekit.testing.exchange_server.markets import ORDER_TYPES, Market
from tradekit.testing.exchange_server.orders import STOPS, WITHOUT_PRICE, OrderList, VenueOrder
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.venue import Venue

_CLIENT_ID = re.compile(r"[a-zA-Z0-9-_.:/]{1,36}", re.ASCII)
_WITH_TIME_IN_FORCE = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})


@attrs.frozen(kw_only=True)
class Manners:
    """What faults do to a new order."""

    fraction: Decimal | None = None
    invisible_s: float = 0.0


def place(venue: Venue, account: Account, parameters: Parameters, manners: Manners | None = None) -> dict[str, Any]:
    """POST order."""
    order = _read(venue, account, parameters, client_id=_client_id(parameters, "newClientOrderId"))
    _take(venue, order, manners or Manners())
    default = "FULL" if order.type in {"MARKET", "LIMIT"} else "ACK"
    return order.answer(parameters.text("newOrderRespType", default))


def test(venue: Venue, account: Account, parameters: Parameters) -> dict[str, Any]:
    """POST order/test: the checks without the order."""
    _read(venue, account, parameters, client_id=_client_id(parameters, "newClientOrderId"))
    return {}


def cancel(venue: Venue, account: Account, parameters: Parameters) -> dict[str, Any]:
    """DELETE order."""
    market = venue.market(parameters.text("symbol"))
    order = _named(venue, account, market, parameters, "orderId", "origClientOrderId")
    if order is None or not order.is_open:
        raise unknown_order()
    request_id = parameters.text("newClientOrderId", _made_up())
    if order.order_list is not None:
        return cancel_list_of(venue, order.order_list)
    venue.engine.cancel(order)
    return order.canceled(request_id)


def cancel_all(venue: Venue, account: Account, parameters: Parameters) -> list[dict[str, Any]]:
    """DELETE openOrders."""
    market = venue.market(parameters.text("symbol"))
    orders = venue.engine.open_orders(account, market.symbol)
    if not orders:
        raise unknown_order()
    for order in orders:
        if order.is_open:
            venue.engine.cancel(order)
    return [order.canceled(_made_up()) for order in orders]


def cancel_replace(venue: Venue, account: Account, parameters: Parameters) -> dict[str, Any]:
    """POST order/cancelReplace."""
    market = venue.market(parameters.text("symbol"))
    must_cancel = parameters.text("cancelReplaceMode") == "STOP_ON_FAILURE"
    if "cancelOrderId" not in parameters and "cancelOrigClientOrderId" not in parameters:
        raise missing("cancelOrigClientOrderId")
    old = _named(venue, account, market, parameters, "cancelOrderId", "cancelOrigClientOrderId")
    canceled = old is not None and old.is_open
    if old is not None and canceled:
        venue.engine.cancel(old)
    cancel_body: dict[str, Any] = old.canceled(_made_up()) if old is not None and canceled else unknown_order().body()
    new_body: dict[str, Any] | None = None
    placed = False
    if canceled or not must_cancel:
        try:
            new_body, placed = place(venue, account, parameters), True
        except VenueError as error:
            new_body = error.body()
    answer = {
        "cancelResult": "SUCCESS" if canceled else "FAILURE",
        "newOrderResult": "SUCCESS" if placed else ("FAILURE" if new_body is not None else "NOT_ATTEMPTED"),
        "cancelResponse": cancel_body,
        "newOrderResponse": new_body,
    }
    if canceled and placed:
        return answer
    raise CancelReplaceFailed(answer, partly=canceled or placed)


class CancelReplaceFailed(VenueError):
    """Half of it or nothing was done."""

    def __init__(self, answer: dict[str, Any], *, partly: bool) -> None:
        super().__init__(
            -2021 if partly else -2022,
            "Order cancel-replace partially failed." if partly else "Order cancel-replace failed.",
            409 if partly else 400,
        )
        self._answer = answer

    def body(self) -> dict[str, object]:
        return super().body() | {"data": self._answer}


def place_oco(venue: Venue, account: Account, parameters: Parameters) -> dict[str, Any]:
    """POST orderList/oco: a limit above and a stop below for a sell, and the reverse for a buy."""
    market = venue.market(parameters.text("symbol"))
    order_list = OrderList(
        list_id=len(venue.lists) + 1,
        client_list_id=_client_id(parameters, "listClientOrderId"),
        account=account,
        market=market,
        time_ms=venue.now_ms(),
    )
    legs = [_leg(venue, account, parameters, prefix) for prefix in ("above", "below")]
    if legs[0].client_order_id == legs[1].client_order_id or sum(leg.is_stop for leg in legs) == 0:
        raise rejected("The order list's legs do not fit together.")
    if any(other.is_open for leg in legs for other in venue.by_client_id(account, leg.client_order_id)):
        raise duplicate_order()
    buying = legs[0].buying
    limit = next((leg for leg in legs if leg.type in {"LIMIT_MAKER"}), None)
    if limit is not None and (limit.price >= market.last if buying else limit.price <= market.last):
        raise rejected("The relationship of the prices for the orders is not correct.")
    dearest = max(leg.price or leg.stop_price for leg in legs)
    spec = market.spec
    lock = account.lock(spec.quote, legs[0].quantity * dearest) if buying else account.lock(spec.base, legs[0].quantity)
    order_list.orders = legs
    accepted: list[VenueOrder] = []
    for offset, leg in enumerate(legs):
        leg.order_id, leg.lock, leg.order_list = venue.next_order_id() + offset, lock, order_list
    try:
        for leg in legs:
            venue.engine.accept(leg)
            accepted.append(leg)
    except VenueError:
        for leg in legs:
            leg.order_list = None
            leg.lock = None
        for leg in accepted:
            venue.engine.cancel(leg)
        account.release(lock)
        raise
    for leg in legs:
        venue.record(leg)
    venue.lists[order_list.list_id] = order_list
    return order_list.describe() | {"orderReports": [leg.answer("RESULT") for leg in legs]}


def cancel_list(venue: Venue, account: Account, parameters: Parameters) -> dict[str, Any]:
    """DELETE orderList."""
    order_list = named_list(venue, account, parameters)
    if order_list is None or not order_list.is_open:
        raise unknown_order()
    return cancel_list_of(venue, order_list)


def cancel_list_of(venue: Venue, order_list: OrderList) -> dict[str, Any]:
    """Cancel what is open of a list."""
    open_legs = [leg for leg in order_list.orders if leg.is_open]
    for leg in open_legs:
        venue.engine.cancel(leg)
    return order_list.describe() | {"orderReports": [leg.canceled(_made_up()) for leg in open_legs]}


def named_list(venue: Venue, account: Account, parameters: Parameters) -> OrderList | None:
    list_id, client_id = parameters.maybe_integer("orderListId"), parameters.text("listClientOrderId", "")
    client_id = parameters.text("origClientOrderId", client_id)
    for order_list in reversed(venue.lists.values()):
        if order_list.account is account and (
            order_list.list_id == list_id or (list_id is None and order_list.client_list_id == client_id)
        ):
            return order_list
    return None


def _take(venue: Venue, order: VenueOrder, manners: Manners) -> None:
    account, spec = order.account, order.market.spec
    if any(other.is_open for other in venue.by_client_id(account, order.client_order_id)):
        raise duplicate_order()
    if len(venue.engine.open_orders(account, order.market.symbol)) >= spec.open_orders_max:
        raise filter_failure("MAX_NUM_ORDERS")
    order.visible_from_s = venue.monotonic_s() + manners.invisible_s if manners.invisible_s else 0.0
    # Refusals come before anything is known of the order: a refused order leaves no trace, as on the real venue.
    venue.engine.accept(order, fraction=manners.fraction)
    venue.record(order)


def _read(venue: Venue, account: Account, parameters: Parameters, *, client_id: str) -> VenueOrder:
    market = venue.market(parameters.text("symbol"))
    return _checked(
        venue, account, market, parameters, parameters.text("type"), client_id, "price", "stopPrice", "trailingDelta", "timeInForce"
    )


def _leg(venue: Venue, account: Account, parameters: Parameters, prefix: str) -> VenueOrder:
    market = venue.market(parameters.text("symbol"))
    names = (f"{prefix}Price", f"{prefix}StopPrice", f"{prefix}TrailingDelta", f"{prefix}TimeInForce")
    client_id = _client_id(parameters, f"{prefix}ClientOrderId")
    return _checked(venue, account, market, parameters, parameters.text(f"{prefix}Type"), client_id, *names)


def _checked(
    venue: Venue,
    account: Account,
    market: Market,
    parameters: Parameters,
    kind: str,
    client_id: str,
    price_name: str,
    stop_name: str,
    delta_name: str,
    force_name: str,
) -> VenueOrder:
    side, quantity, quote = parameters.text("side"), parameters.amount("quantity"), parameters.amount("quoteOrderQty")
    price, stop, delta = parameters.amount(price_name), parameters.amount(stop_name), parameters.integer(delta_name, 0)
    if side not in {"BUY", "SELL"}:
        raise VenueError(-1117, "Invalid side.")
    if kind not in ORDER_TYPES:
        raise VenueError(-1116, "Invalid orderType.")
    if not account.can_trade:
        raise rejected("This action is disabled on this account.")
    if market.status != "TRADING":
        raise VenueError(-1013, "Market is closed.")
    if not quantity and not (quote and kind == "MARKET"):
        raise missing("quantity")
    if kind in WITHOUT_PRICE:
        if price:
            raise VenueError(-1106, f"Parameter '{price_name}' sent when not required.")
    elif not price:
        raise missing(price_name)
    if kind in STOPS and not stop and not delta:
        raise missing(stop_name)
    force = "GTC"
    if kind in _WITH_TIME_IN_FORCE:
        force = parameters.text(force_name)
        if force not in {"GTC", "IOC", "FOK"}:
            raise VenueError(-1115, "Invalid timeInForce.")
    elif force_name in parameters:
        raise VenueError(-1106, f"Parameter '{force_name}' sent when not required.")
    _filter(market, kind, quantity, price, stop, quote)
    now_ms = venue.now_ms()
    return VenueOrder(
        order_id=venue.next_order_id(),
        client_order_id=client_id,
        account=account,
        market=market,
        side=side,
        type=kind,
        time_in_force=force,
        quantity=quantity,
        price=price,
        stop_price=stop,
        trailing_delta=delta,
        quote_quantity=quote,
        time_ms=now_ms,
        update_ms=now_ms,
    )


def _filter(market: Market, kind: str, quantity: Decimal, price: Decimal, stop: Decimal, quote: Decimal) -> None:
    spec = market.spec
    if price % spec.tick_size or stop % spec.tick_size:
        raise filter_failure("PRICE_FILTER")
    if not quote and (quantity % spec.step_size or not spec.min_qty <= quantity <= spec.max_qty):
        raise filter_failure("LOT_SIZE")
    notional = quote or quantity * (price or stop or market.last)
    if notional < spec.min_notional or (notional > spec.max_notional and kind not in WITHOUT_PRICE):
        raise filter_failure("NOTIONAL")


def _named(venue: Venue, account: Account, market: Market, parameters: Parameters, by_id: str, by_client_id: str) -> VenueOrder | None:
    order_id = parameters.maybe_integer(by_id)
    client_id = parameters.text(by_client_id, "")
    if order_id is None and not client_id:
        raise missing(by_client_id)
    return venue.find(account, market.symbol, order_id, client_id)


def _client_id(parameters: Parameters, name: str) -> str:
    client_id = parameters.text(name, "") or _made_up()
    if not _CLIENT_ID.fullmatch(client_id):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[a-zA-Z0-9-_.:/]{{1,36}}$'.")
    return client_id


def _made_up() -> str:
    return uuid4().hex[:22]
