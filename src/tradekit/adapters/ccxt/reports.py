"""ccxt's orders and trades as reports and fills."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tradekit.adapters.ccxt.fees import Commission
from tradekit.adapters.ccxt.instruments import decimal_or_none
from tradekit.adapters.ccxt.session import Failed
from tradekit.adapters.ccxt.verdicts import Kind, Verdict
from tradekit.domain.amounts import ZERO
from tradekit.domain.orders import CONDITIONAL, Fill, Liquidity, Order, OrderReport, OrderState, TimeInForce

Raw = Mapping[str, Any]
"""An order or a trade in ccxt's unified form."""


def filled_of(raw: Raw) -> Decimal:
    """Base currency filled so far, as the venue says."""
    return decimal_or_none(raw.get("filled")) or ZERO


def tells_filled(raw: Raw) -> bool:
    """Whether the end of an order comes with how much was filled; what is still open may leave it out."""
    return raw.get("status") not in {"closed", "canceled", "expired"} or decimal_or_none(raw.get("filled")) is not None


def state_of(raw: Raw, order: Order, filled: Decimal) -> OrderState | None:
    """The state that ccxt's status means; None if it has none, as of a venue that only acknowledges."""
    status = raw.get("status")
    if status == "closed" or filled >= order.quantity:
        # Closed with a rest: a market order that found nobody for it.
        return OrderState.FILLED if filled >= order.quantity else OrderState.CANCELED
    if status in {"open", "canceling"}:
        return OrderState.PARTIALLY_FILLED if filled else OrderState.ACCEPTED
    return {"canceled": OrderState.CANCELED, "expired": OrderState.EXPIRED, "rejected": OrderState.REJECTED}.get(str(status))


def reason_of(state: OrderState, order: Order, *, asked: bool) -> str:
    """The code of an end without a fill. :param asked: whether we asked for a cancel."""
    if state is OrderState.CANCELED and asked:
        return "CANCELED_BY_USER"
    if state is OrderState.CANCELED and order.type in CONDITIONAL:
        # Somebody took it back at the venue before it triggered.
        return state.name
    if state in {OrderState.CANCELED, OrderState.EXPIRED}:
        if order.time_in_force is TimeInForce.FOK:
            return "FOK_NOT_FILLED"
        if order.price is None or order.time_in_force is TimeInForce.IOC:
            return "NO_LIQUIDITY"
    return "" if state is OrderState.FILLED else state.name if state in _ENDED else ""


_ENDED = frozenset({OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})


def report_of(order: Order, state: OrderState, raw: Raw, fills: Sequence[Fill], now_ms: int, *, asked: bool = False) -> OrderReport:
    """What the venue said."""
    return OrderReport(
        client_order_id=order.client_order_id,
        user_id=order.user_id,
        state=state,
        venue_order_id=str(raw.get("id") or order.venue_order_id or ""),
        fills=tuple(fills),
        reason=reason_of(state, order, asked=asked),
        time_ms=int(raw.get("lastUpdateTimestamp") or raw.get("timestamp") or now_ms),
    )


def refusal_of(order: Order, reason: str, now_ms: int) -> OrderReport:
    """The venue, or what stands before it, said no; the order does not exist there."""
    return OrderReport(
        client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.REJECTED, reason=reason, time_ms=now_ms
    )


def fill_of(order: Order, trade: Raw, fee: Commission, venue: str, now_ms: int) -> Fill:
    """A trade as a fill. Venues count trades per market, so the market is part of its id.

    :raises Failed: it has no quantity or no price: booked like that, something would be had for nothing.
    """
    quantity, price = decimal_or_none(trade.get("amount")) or ZERO, decimal_or_none(trade.get("price")) or ZERO
    if quantity <= 0 or price <= 0:
        raise Failed(Verdict(kind=Kind.SILENT, reason=f"trade {trade['id']} comes without a quantity or a price"))
    return Fill(
        trade_id=f"{venue}:{order.symbol}:{trade['id']}",
        client_order_id=order.client_order_id,
        user_id=order.user_id,
        partition=order.partition,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        fee=fee.worth,
        fee_currency=fee.currency if fee.paid else "",
        fee_paid=fee.paid,
        liquidity=Liquidity.MAKER if trade.get("takerOrMaker") == "maker" else Liquidity.TAKER,
        time_ms=int(trade.get("timestamp") or now_ms),
    )
