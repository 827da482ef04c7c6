"""A user's account as a venue shows it, in the port's terms."""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from tradekit.adapters.ccxt.instruments import decimal_or_none
from tradekit.adapters.ccxt.profiles import VenueProfile
from tradekit.adapters.ccxt.reports import Raw
from tradekit.domain.amounts import ZERO
from tradekit.domain.orders import OrderState, OrderType, Side
from tradekit.ports.exchange import Balance, VenueOrder

log = structlog.get_logger(__name__)

_LISTS = frozenset({"info", "free", "used", "total", "debt", "timestamp", "datetime"})


def balances_of(raw: Mapping[str, Any]) -> tuple[Balance, ...]:
    """What is not zero of ccxt's balance structure."""
    found: list[Balance] = []
    for currency, parts in raw.items():
        if currency in _LISTS or not isinstance(parts, Mapping):
            continue
        free, locked = decimal_or_none(parts.get("free")) or ZERO, decimal_or_none(parts.get("used")) or ZERO
        total = decimal_or_none(parts.get("total"))
        total = free + locked if total is None else total
        if total:
            found.append(Balance(currency=currency, total=total, locked=locked))
    return tuple(found)


def venue_orders_of(listed: Iterable[Raw], profile: VenueProfile, now_ms: int) -> tuple[VenueOrder, ...]:
    """A list of open orders. What the venue lists without a number, market, side or quantity is left out: ours would be asked about."""
    return tuple(venue_order_of(raw, profile, now_ms) for raw in listed if _is_readable(raw))


def _is_readable(raw: Raw) -> bool:
    quantity = decimal_or_none(raw.get("amount"))
    readable = bool(raw.get("id") and raw.get("symbol") and raw.get("side") in {"buy", "sell"} and quantity and quantity > 0)
    if not readable:
        log.warning("order_unreadable", venue_order_id=str(raw.get("id")))
    return readable


def venue_order_of(raw: Raw, profile: VenueProfile, now_ms: int) -> VenueOrder:
    """An open order of ccxt's."""
    filled = decimal_or_none(raw.get("filled")) or ZERO
    return VenueOrder(
        client_order_id=str(raw.get("clientOrderId") or "").removeprefix(profile.client_id_prefix),
        venue_order_id=str(raw["id"]),
        symbol=str(raw["symbol"]),
        side=Side(str(raw["side"])),
        type=_type_of(raw),
        quantity=decimal_or_none(raw.get("amount")) or ZERO,
        price=decimal_or_none(raw.get("price")) or None,
        trigger_price=decimal_or_none(raw.get("triggerPrice") or raw.get("stopPrice")) or None,
        cum_qty=filled,
        state=OrderState.PARTIALLY_FILLED if filled else OrderState.ACCEPTED,
        created_ms=int(raw.get("timestamp") or now_ms),
    )


def _type_of(raw: Raw) -> OrderType:
    limit = bool(decimal_or_none(raw.get("price")))
    if raw.get("takeProfitPrice"):
        return OrderType.TAKE_PROFIT
    if raw.get("triggerPrice") or raw.get("stopPrice") or raw.get("stopLossPrice"):
        return OrderType.STOP_LIMIT if limit else OrderType.STOP
    return OrderType.LIMIT if limit else OrderType.MARKET
