"""What can be asked: of the venue, of a market, of an account."""

from __future__ import annotations

from typing import Any

from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.errors import missing, no_such_order
from tradekit.testing.exchange_server.markets import Market, format_amount
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.trading import named_list
from tradekit.testing.exchange_server.venue import Venue

_DAY_MS = 86_400_000


def exchange_info(venue: Venue, parameters: Parameters) -> dict[str, Any]:
    chosen = [venue.market(parameters.text("symbol"))] if "symbol" in parameters else list(venue.markets.values())
    limits = venue.weights.limits
    return {
        "timezone": "UTC",
        "serverTime": venue.now_ms(),
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limits.weight_max},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": limits.orders_per_10_s},
        ],
        "exchangeFilters": [],
        "symbols": [market.describe() for market in chosen],
    }


def no_contracts(venue: Venue, parameters: Parameters) -> dict[str, Any]:
    """The futures' exchangeInfo: there are none here."""
    return {"timezone": "UTC", "serverTime": venue.now_ms(), "rateLimits": [], "exchangeFilters": [], "assets": [], "symbols": []}


def depth(venue: Venue, parameters: Parameters) -> dict[str, Any]:
    """The house's levels and users' resting orders; a level without end is shown with the largest quantity."""
    market = venue.market(parameters.text("symbol"))
    limit = parameters.integer("limit", 100)
    return {
        "lastUpdateId": market.book_update_id,
        "bids": _levels(venue, market, False)[:limit],
        "asks": _levels(venue, market, True)[:limit],
    }


def _levels(venue: Venue, market: Market, asks: bool) -> list[list[str]]:
    sizes = {price: (market.spec.max_qty if size is None else size) for price, size in market.house(asks)}
    for account in venue.accounts.values():
        for order in venue.engine.open_orders(account, market.symbol):
            if order.working and order.buying is not asks:
                sizes[order.price] = sizes.get(order.price, order.left * 0) + order.left
    return [[format_amount(price), format_amount(sizes[price])] for price in sorted(sizes, reverse=not asks)]


def trades(venue: Venue, parameters: Parameters) -> list[dict[str, Any]]:
    market = venue.market(parameters.text("symbol"))
    return [
        {
            "id": trade_id,
            "price": format_amount(price),
            "qty": format_amount(quantity),
            "quoteQty": format_amount(price * quantity),
            "time": time_ms,
            "isBuyerMaker": buyer_is_maker,
            "isBestMatch": True,
        }
        for trade_id, price, quantity, time_ms, buyer_is_maker in venue.recent[market.symbol][-parameters.integer("limit", 500) :]
    ]


def aggregate_trades(venue: Venue, parameters: Parameters) -> list[dict[str, Any]]:
    return [
        {
            "a": row["id"],
            "p": row["price"],
            "q": row["qty"],
            "f": row["id"],
            "l": row["id"],
            "T": row["time"],
            "m": row["isBuyerMaker"],
            "M": True,
        }
        for row in trades(venue, parameters)
    ]


def klines(venue: Venue, parameters: Parameters) -> list[list[Any]]:
    market = venue.market(parameters.text("symbol"))
    return venue.candles[market.symbol].query(
        parameters.text("interval"),
        market.last,
        venue.now_ms(),
        start_ms=parameters.maybe_integer("startTime"),
        end_ms=parameters.maybe_integer("endTime"),
        limit=min(1_000, parameters.integer("limit", 500)),
    )


def _several(venue: Venue, parameters: Parameters) -> tuple[list[Market], bool]:
    """The markets asked for, and whether it was exactly one by ``symbol``."""
    if "symbol" in parameters:
        return [venue.market(parameters.text("symbol"))], True
    if "symbols" in parameters:
        names = [name.strip(' "') for name in parameters.text("symbols").strip("[]").split(",")]
        return [venue.market(name) for name in names], False
    return list(venue.markets.values()), False


def prices(venue: Venue, parameters: Parameters) -> Any:
    markets, single = _several(venue, parameters)
    rows = [{"symbol": market.symbol, "price": format_amount(market.last)} for market in markets]
    return rows[0] if single else rows


def book_tickers(venue: Venue, parameters: Parameters) -> Any:
    markets, single = _several(venue, parameters)
    rows = [book_ticker(venue, market) for market in markets]
    return rows[0] if single else rows


def book_ticker(venue: Venue, market: Market) -> dict[str, Any]:
    bids, asks = _levels(venue, market, False), _levels(venue, market, True)
    bid, ask = bids[0] if bids else ["0", "0"], asks[0] if asks else ["0", "0"]
    return {"symbol": market.symbol, "bidPrice": bid[0], "bidQty": bid[1], "askPrice": ask[0], "askQty": ask[1]}


def day_tickers(venue: Venue, parameters: Parameters) -> Any:
    markets, single = _several(venue, parameters)
    rows = [day_ticker(venue, market) for market in markets]
    return rows[0] if single else rows


def day_ticker(venue: Venue, market: Market) -> dict[str, Any]:
    now_ms = venue.now_ms()
    recent = [row for row in venue.recent[market.symbol] if row[3] > now_ms - _DAY_MS]
    opened = recent[0][1] if recent else market.last
    low, high = min([row[1] for row in recent], default=market.last), max([row[1] for row in recent], default=market.last)
    volume = sum((row[2] for row in recent), market.last * 0)
    text = format_amount
    return book_ticker(venue, market) | {
        "priceChange": text(market.last - opened),
        "priceChangePercent": f"{(market.last - opened) / opened * 100:.3f}",
        "weightedAvgPrice": text(market.last),
        "prevClosePrice": text(opened),
        "lastPrice": text(market.last),
        "lastQty": text(recent[-1][2] if recent else volume),
        "openPrice": text(opened),
        "highPrice": text(high),
        "lowPrice": text(low),
        "volume": text(volume),
        "quoteVolume": text(volume * market.last),
        "openTime": now_ms - _DAY_MS,
        "closeTime": now_ms,
        "firstId": recent[0][0] if recent else -1,
        "lastId": recent[-1][0] if recent else -1,
        "count": len(recent),
    }


def average_price(venue: Venue, parameters: Parameters) -> dict[str, Any]:
    market = venue.market(parameters.text("symbol"))
    return {"mins": 5, "price": format_amount(market.last), "closeTime": venue.now_ms()}


def account(venue: Venue, owner: Account, parameters: Parameters) -> dict[str, Any]:
    hide = parameters.text("omitZeroBalances", "false") == "true"
    zero = next(iter(venue.markets.values())).spec.tick_size * 0
    rows = [(asset, owner.free.get(asset, zero), owner.locked.get(asset, zero)) for asset in owner.assets()]
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"},
        "canTrade": owner.can_trade,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": venue.now_ms(),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": format_amount(free), "locked": format_amount(locked)}
            for asset, free, locked in rows
            if not hide or free or locked
        ],
        "permissions": ["SPOT"],
        "uid": owner.number,
    }


def order(venue: Venue, owner: Account, parameters: Parameters) -> dict[str, Any]:
    market = venue.market(parameters.text("symbol"))
    order_id, client_id = parameters.maybe_integer("orderId"), parameters.text("origClientOrderId", "")
    if order_id is None and not client_id:
        raise missing("origClientOrderId")
    found = venue.find(owner, market.symbol, order_id, client_id)
    if found is None:
        raise no_such_order()
    return found.describe()


def open_orders(venue: Venue, owner: Account, parameters: Parameters) -> list[dict[str, Any]]:
    symbol = venue.market(parameters.text("symbol")).symbol if "symbol" in parameters else None
    return [order.describe() for order in venue.orders_of(owner, symbol) if order.is_open]


def all_orders(venue: Venue, owner: Account, parameters: Parameters) -> list[dict[str, Any]]:
    """From an id, or within times; else the newest."""
    market = venue.market(parameters.text("symbol"))
    first_id, limit = parameters.maybe_integer("orderId"), min(1_000, parameters.integer("limit", 500))
    start_ms, end_ms = parameters.maybe_integer("startTime"), parameters.maybe_integer("endTime")
    found = [
        order
        for order in venue.orders_of(owner, market.symbol)
        if (first_id is None or order.order_id >= first_id)
        and (start_ms is None or order.time_ms >= start_ms)
        and (end_ms is None or order.time_ms <= end_ms)
    ]
    chosen = found[-limit:] if first_id is None and start_ms is None else found[:limit]
    return [order.describe() for order in chosen]


def my_trades(venue: Venue, owner: Account, parameters: Parameters) -> list[dict[str, Any]]:
    """Of an order, from an id, or within times; else the newest."""
    market = venue.market(parameters.text("symbol"))
    order_id, first_id = parameters.maybe_integer("orderId"), parameters.maybe_integer("fromId")
    start_ms, end_ms = parameters.maybe_integer("startTime"), parameters.maybe_integer("endTime")
    limit = min(1_000, parameters.integer("limit", 500))
    found = [
        order.describe_trade(trade)
        for order, trade in venue.trades_of(owner, market.symbol)
        if (order_id is None or order.order_id == order_id)
        and (first_id is None or trade.trade_id >= first_id)
        and (start_ms is None or trade.time_ms >= start_ms)
        and (end_ms is None or trade.time_ms <= end_ms)
    ]
    return found[-limit:] if first_id is None and start_ms is None else found[:limit]


def order_list(venue: Venue, owner: Account, parameters: Parameters) -> dict[str, Any]:
    found = named_list(venue, owner, parameters)
    if found is None:
        raise no_such_order()
    return found.describe()


def open_order_lists(venue: Venue, owner: Account, parameters: Parameters) -> list[dict[str, Any]]:
    return [each.describe() for each in venue.lists.values() if each.account is owner and each.is_open]


def coins(venue: Venue, owner: Account, parameters: Parameters) -> list[dict[str, Any]]:
    """As ``sapi/v1/capital/config/getall`` has it, without networks."""
    return [
        {
            "coin": asset,
            "name": asset,
            "depositAllEnable": True,
            "withdrawAllEnable": True,
            "free": format_amount(owner.free.get(asset, next(iter(venue.markets.values())).last * 0)),
            "locked": "0",
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for asset in owner.assets()
    ]
