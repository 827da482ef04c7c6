"""A spot exchange on 127.0.0.1 for tests, demos and fault campaigns, in Binance's words. Needs the `testing` extra (httptools)."""

from tradekit.testing.exchange_server.accounts import Account, ApiKey, Permissions
from tradekit.testing.exchange_server.client import configure
from tradekit.testing.exchange_server.dispatch import Call
from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.faults import Fault, FaultPlan
from tradekit.testing.exchange_server.klines import Candle
from tradekit.testing.exchange_server.limits import Limits
from tradekit.testing.exchange_server.markets import DEFAULT_MARKETS, MarketSpec
from tradekit.testing.exchange_server.orders import Trade, VenueOrder
from tradekit.testing.exchange_server.server import ExchangeServer

__all__ = [
    "DEFAULT_MARKETS",
    "Account",
    "ApiKey",
    "Call",
    "Candle",
    "ExchangeServer",
    "Fault",
    "FaultPlan",
    "Limits",
    "MarketSpec",
    "Permissions",
    "Trade",
    "VenueError",
    "VenueOrder",
    "configure",
]
