"""tradekit: a trading bot as a service for thousands of users.

Importing this loads no adapter and no third-party transport, database or venue library; names are resolved when first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tradekit.api.users import Account
    from tradekit.app import Tradekit
    from tradekit.config import Settings
    from tradekit.domain.errors import TradekitError
    from tradekit.domain.instruments import Bar, Instrument, Quote
    from tradekit.domain.orders import Fill, Order, OrderState, OrderType, Side, TimeInForce
    from tradekit.domain.portfolio import Position
    from tradekit.domain.replies import Reply
    from tradekit.domain.risk import OrderRequest
    from tradekit.domain.signals import Signal
    from tradekit.domain.tiers import TierName
    from tradekit.domain.users import Identity, Role

_HOME = {
    "Account": "tradekit.api.users",
    "Tradekit": "tradekit.app",
    "Settings": "tradekit.config",
    "TradekitError": "tradekit.domain.errors",
    "Bar": "tradekit.domain.instruments",
    "Instrument": "tradekit.domain.instruments",
    "Quote": "tradekit.domain.instruments",
    "Fill": "tradekit.domain.orders",
    "Order": "tradekit.domain.orders",
    "OrderState": "tradekit.domain.orders",
    "OrderType": "tradekit.domain.orders",
    "Side": "tradekit.domain.orders",
    "TimeInForce": "tradekit.domain.orders",
    "Position": "tradekit.domain.portfolio",
    "Reply": "tradekit.domain.replies",
    "OrderRequest": "tradekit.domain.risk",
    "Signal": "tradekit.domain.signals",
    "TierName": "tradekit.domain.tiers",
    "Identity": "tradekit.domain.users",
    "Role": "tradekit.domain.users",
}

__all__ = [
    "Account",
    "Bar",
    "Fill",
    "Identity",
    "Instrument",
    "Order",
    "OrderRequest",
    "OrderState",
    "OrderType",
    "Position",
    "Quote",
    "Reply",
    "Role",
    "Settings",
    "Side",
    "Signal",
    "TierName",
    "TimeInForce",
    "Tradekit",
    "TradekitError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tradekit' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
