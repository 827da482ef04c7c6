"""Any spot venue that ccxt knows, as an exchange and as a feed. Needs the `exchange` extra, which is imported only when one is opened."""

from tradekit.adapters.ccxt.budget import WeightBudget
from tradekit.adapters.ccxt.credentials import Credentials, NoCredentials
from tradekit.adapters.ccxt.exchange import CcxtExchange
from tradekit.adapters.ccxt.feed import CcxtFeed
from tradekit.adapters.ccxt.profiles import PROFILES, Lookup, VenueProfile, Weights, profile_for
from tradekit.adapters.ccxt.standby import StandbyExchange

__all__ = [
    "PROFILES",
    "CcxtExchange",
    "CcxtFeed",
    "Credentials",
    "Lookup",
    "NoCredentials",
    "StandbyExchange",
    "VenueProfile",
    "WeightBudget",
    "Weights",
    "profile_for",
]
