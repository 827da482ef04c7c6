"""The REST interface: which path does what, at which weight, signed or not.

Weights: https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import attrs

from tradekit.testing.exchange_server import queries, trading
from tradekit.testing.exchange_server.accounts import Account, ApiKey
from tradekit.testing.exchange_server.errors import (
    VenueError,
    ahead_of_server,
    bad_key,
    bad_signature,
    missing,
    outside_recv_window,
)
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.venue import Venue

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MAX_MS = 60_000
AHEAD_MAX_MS = 1_000

Weight = int | Callable[[Parameters], int]
PublicHandler = Callable[[Venue, Parameters], Any]
SignedHandler = Callable[[Venue, Account, Parameters], Any]


@attrs.frozen
class Public:
    """Anybody may ask."""

    handler: PublicHandler
    weight: Weight


@attrs.frozen
class Signed:
    """Needs a key with the permission and a signature."""

    handler: SignedHandler
    weight: Weight
    trades: bool = False
    """Needs the permission to trade, not only to read."""


def _by_symbol(one: int, every: int) -> Callable[[Parameters], int]:
    return lambda parameters: one if "symbol" in parameters else every


def _day_ticker_weight(parameters: Parameters) -> int:
    if "symbols" in parameters:
        count = parameters.text("symbols").count(",") + 1
        return next(weight for most, weight in ((20, 2), (100, 40), (10**9, 80)) if count <= most)
    return 2 if "symbol" in parameters else 80


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.integer("limit", 100)
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (10**9, 250)) if limit <= most)


def _api_restrictions(venue: Venue, owner: Account, parameters: Parameters) -> dict[str, Any]:
    key: ApiKey = owner.keys[parameters.text("_key")]
    return key.permissions.describe(key.created_ms)


def _system_status(venue: Venue, parameters: Parameters) -> dict[str, Any]:
    return {"status": int(venue.maintenance), "msg": "system_maintenance" if venue.maintenance else "normal"}


_V3 = "/api/v3/"
ENDPOINTS: dict[str, Public | Signed] = {
    "GET /api/v3/ping": Public(lambda venue, parameters: {}, 1),
    "GET /api/v3/time": Public(lambda venue, parameters: {"serverTime": venue.now_ms()}, 1),
    "GET /api/v3/exchangeInfo": Public(queries.exchange_info, 20),
    "GET /api/v3/depth": Public(queries.depth, _depth_weight),
    "GET /api/v3/trades": Public(queries.trades, 25),
    "GET /api/v3/aggTrades": Public(queries.aggregate_trades, 4),
    "GET /api/v3/klines": Public(queries.klines, 2),
    "GET /api/v3/avgPrice": Public(queries.average_price, 2),
    "GET /api/v3/ticker/price": Public(queries.prices, _by_symbol(2, 4)),
    "GET /api/v3/ticker/bookTicker": Public(queries.book_tickers, _by_symbol(2, 4)),
    "GET /api/v3/ticker/24hr": Public(queries.day_tickers, _day_ticker_weight),
    "GET /api/v3/account": Signed(queries.account, 20),
    "GET /api/v3/order": Signed(queries.order, 4),
    "GET /api/v3/openOrders": Signed(queries.open_orders, _by_symbol(6, 80)),
    "GET /api/v3/allOrders": Signed(queries.all_orders, 20),
    "GET /api/v3/myTrades": Signed(queries.my_trades, lambda parameters: 5 if "orderId" in parameters else 20),
    "GET /api/v3/orderList": Signed(queries.order_list, 4),
    "GET /api/v3/openOrderList": Signed(queries.open_order_lists, 6),
    "POST /api/v3/order": Signed(trading.place, 1, trades=True),
    "POST /api/v3/order/test": Signed(trading.test, 1, trades=True),
    "POST /api/v3/order/cancelReplace": Signed(trading.cancel_replace, 1, trades=True),
    "POST /api/v3/orderList/oco": Signed(trading.place_oco, 1, trades=True),
    "DELETE /api/v3/order": Signed(trading.cancel, 1, trades=True),
    "DELETE /api/v3/openOrders": Signed(trading.cancel_all, 1, trades=True),
    "DELETE /api/v3/orderList": Signed(trading.cancel_list, 1, trades=True),
    "GET /sapi/v1/system/status": Public(_system_status, 1),
    "GET /sapi/v1/account/apiRestrictions": Signed(_api_restrictions, 1),
    "GET /sapi/v1/capital/config/getall": Signed(queries.coins, 10),
    "GET /sapi/v1/margin/allPairs": Public(lambda venue, parameters: [], 1),
    "GET /sapi/v1/margin/isolated/allPairs": Public(lambda venue, parameters: [], 10),
    "GET /fapi/v1/exchangeInfo": Public(queries.no_contracts, 1),
    "GET /dapi/v1/exchangeInfo": Public(queries.no_contracts, 1),
}

PLACES_ORDERS = frozenset({"POST /api/v3/order", "POST /api/v3/order/cancelReplace", "POST /api/v3/orderList/oco"})


def weight_of(endpoint: Public | Signed, parameters: Parameters) -> int:
    return endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(parameters)


def key_owner(venue: Venue, key: str | None) -> Account:
    """
    :raises VenueError: -2014, -2015.
    """
    if not key:
        raise VenueError(-2014, "API-key format invalid.", 401)
    owner = venue.by_key.get(key)
    if owner is None:
        raise bad_key()
    return owner


def check_signature(venue: Venue, owner: Account, key: str, signed: str, signature: str | None, parameters: Parameters) -> None:
    """HMAC-SHA256 over the parameters as they were sent, and the time window.

    :raises VenueError: -1102, -1022, -1021, -1131.
    """
    if "timestamp" not in parameters:
        raise missing("timestamp")
    if not signature:
        raise missing("signature")
    expected = hmac.new(owner.keys[key].secret.encode(), signed.encode(), sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise bad_signature()
    window_ms, timestamp_ms, now_ms = parameters.integer("recvWindow", RECV_WINDOW_MS), parameters.integer("timestamp"), venue.now_ms()
    if window_ms > RECV_WINDOW_MAX_MS:
        raise VenueError(-1131, "recvWindow must be less than 60000.")
    if timestamp_ms > now_ms + AHEAD_MAX_MS:
        raise ahead_of_server()
    if now_ms - timestamp_ms > window_ms:
        raise outside_recv_window()


def check_permission(owner: Account, key: str, endpoint: Signed) -> None:
    """
    :raises VenueError: -2015.
    """
    permissions = owner.keys[key].permissions
    if not (permissions.spot_trading if endpoint.trades else permissions.reading):
        raise bad_key()


def without_signature(text: str) -> tuple[str, str | None]:
    """What was signed, and the signature."""
    parts = text.split("&") if text else []
    signature = next((part.removeprefix("signature=") for part in parts if part.startswith("signature=")), None)
    return "&".join(part for part in parts if not part.startswith("signature=")), signature
