"""What the venue trades, and what it says of it."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import msgspec

ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_BASIS_POINT = Decimal("0.0001")


class MarketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spot market. Amounts of base unless said otherwise."""

    base: str
    quote: str
    price: Decimal
    """Of the last trade when the server starts."""
    tick_size: Decimal = Decimal("0.01")
    step_size: Decimal = Decimal("0.00001")
    min_qty: Decimal = Decimal("0.00001")
    max_qty: Decimal = Decimal(9_000)
    min_notional: Decimal = Decimal(10)
    """In quote currency."""
    max_notional: Decimal = Decimal(9_000_000)
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    spread_bps: Decimal = Decimal(2)
    """Between the house's bid and ask."""
    open_orders_max: int = 200
    """Per account."""

    @property
    def symbol(self) -> str:
        return self.base + self.quote


BTC_USDT = MarketSpec(base="BTC", quote="USDT", price=Decimal(40_000))
ETH_USDT = MarketSpec(base="ETH", quote="USDT", price=Decimal(2_500), step_size=Decimal("0.0001"), min_qty=Decimal("0.0001"))
BNB_USDT = MarketSpec(base="BNB", quote="USDT", price=Decimal(300), step_size=Decimal("0.001"), min_qty=Decimal("0.001"))
DEFAULT_MARKETS = (BTC_USDT, ETH_USDT, BNB_USDT)

Level = tuple[Decimal, Decimal | None]
"""Price and quantity; None: as much as anybody wants."""


class Market:
    """A market's state: last price, status, and what the house offers."""

    def __init__(self, spec: MarketSpec) -> None:
        self.spec = spec
        self.symbol = spec.symbol
        self.last = spec.price
        self.status = "TRADING"
        self.trade_id = 0
        self.book_update_id = 1
        self.bids: list[Level] | None = None
        self.asks: list[Level] | None = None

    def house(self, buying: bool) -> list[Level]:
        """What the house offers a taker, best first: the levels it was given, or the touch without end."""
        levels = self.asks if buying else self.bids
        if levels is not None:
            return list(levels)
        half = self.last * self.spec.spread_bps / 2 * _BASIS_POINT
        touch = self.last + half if buying else self.last - half
        tick = self.spec.tick_size
        return [((touch / tick).to_integral_value(ROUND_CEILING if buying else ROUND_FLOOR) * tick, None)]

    def take_from_house(self, buying: bool, price: Decimal, quantity: Decimal) -> None:
        """Take this much of a level away, if its levels are counted."""
        levels = self.asks if buying else self.bids
        if levels is None:
            return
        left = [(at, size - quantity if at == price and size is not None else size) for at, size in levels]
        levels[:] = [(at, size) for at, size in left if size is None or size > 0]

    def describe(self) -> dict[str, Any]:
        """As exchangeInfo has it."""
        spec = self.spec
        text = format_amount
        return {
            "symbol": self.symbol,
            "status": self.status,
            "baseAsset": spec.base,
            "baseAssetPrecision": 8,
            "quoteAsset": spec.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": text(spec.tick_size),
                    "maxPrice": "1000000.00000000",
                    "tickSize": text(spec.tick_size),
                },
                {"filterType": "LOT_SIZE", "minQty": text(spec.min_qty), "maxQty": text(spec.max_qty), "stepSize": text(spec.step_size)},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": text(spec.max_qty), "stepSize": "0.00000000"},
                {
                    "filterType": "NOTIONAL",
                    "minNotional": text(spec.min_notional),
                    "applyMinToMarket": True,
                    "maxNotional": text(spec.max_notional),
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.open_orders_max},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }


def format_amount(value: Decimal) -> str:
    """Eight decimals, as the real API writes every amount."""
    return f"{value:.8f}"
