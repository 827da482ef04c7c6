"""What each venue can do, as far as ccxt's unified API does not say it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from tradekit.domain.orders import Order, OrderType

BINANCE_OPTIONS: Mapping[str, Any] = {
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "fetchCurrencies": False,
    "warnOnFetchOpenOrdersWithoutSymbol": False,
}
"""Spot only: the futures' markets would cost three more requests and are not traded here."""


class Lookup(StrEnum):
    """How an order is found by the id we chose."""

    CLIENT_ID = "client_id"
    """The venue answers for it."""
    SCAN = "scan"
    """Open orders and those closed since are read and searched."""


@attrs.frozen(kw_only=True)
class Weights:
    """What a request counts against the venue's limit."""

    create: int = 1
    cancel: int = 1
    order: int = 1
    """A query of one order."""
    trades: int = 1
    """A query of one order's fills."""
    open_orders: int = 1
    closed_orders: int = 1
    ticker: int = 1
    """A query of one price, or of up to twenty at once."""
    bars: int = 1
    time: int = 1
    markets: int = 1
    balances: int = 1
    all_open_orders: int = 1
    """A query of the open orders of all markets."""


@attrs.frozen(kw_only=True)
class VenueProfile:
    """A row of the capability table."""

    venue: str
    lookup: Lookup = Lookup.SCAN
    stop_orders: bool = False
    """The venue itself keeps stop orders (``stopLossPrice``, ``takeProfitPrice`` of ccxt)."""
    native: frozenset[OrderType] = frozenset()
    """Conditional types that are left to it. Only where a stop is an order like any other: it keeps its id when it triggers, is found by
    it and listed with the rest. Elsewhere (OKX, Bybit, Bitget, KuCoin, Gate, HTX) stops live in a list of their own and become another
    order, so that a lost answer could hide one; there they are watched here."""
    oco: bool = False
    """The venue itself lets one order cancel another. ccxt's unified API has no way to ask for it, so brackets are kept here."""
    sandbox: bool = False
    client_id_prefix: str = ""
    client_id_length: int = 32
    """Characters of our id that fit after the prefix."""
    weight_max: int = 600
    """Of one source address in ``weight_window_s``."""
    weight_window_s: float = 60.0
    weight_header: str = ""
    """Where answers tell the weight used so far, in lower case; empty: nowhere."""
    weights: Weights = Weights()
    visibility_window_s: float = 900.0
    """After this long without a trace, an order never arrived."""
    duplicate_marks: tuple[str, ...] = ("uplicate",)
    """In a refusal: the venue holds an open order under this id, so the refusal tells nothing about the order's fate."""
    key_marks: tuple[str, ...] = ()
    """In an error that ccxt takes for a ban although the key is what is wrong."""
    options: Mapping[str, Any] = attrs.Factory(dict)
    """Of ccxt."""

    def client_id(self, client_order_id: str) -> str:
        """Our id as the venue takes it; still one to one, as 28 characters of it are 112 bits."""
        return self.client_id_prefix + client_order_id[: self.client_id_length]

    def id_of(self, order: Order) -> str:
        """The order's id as the venue has it: whole, if somebody else chose it there."""
        return order.client_order_id if order.terms.foreign else self.client_id(order.client_order_id)


_BINANCE = VenueProfile(
    venue="binance",
    lookup=Lookup.CLIENT_ID,
    stop_orders=True,
    native=frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT}),
    oco=True,
    sandbox=True,
    weight_max=6_000,
    weight_header="x-mbx-used-weight-1m",
    weights=Weights(order=4, trades=5, open_orders=6, closed_orders=20, ticker=2, bars=2, markets=20, balances=20, all_open_orders=80),
    duplicate_marks=("Duplicate order sent",),
    key_marks=('"code":-2015',),
    options=BINANCE_OPTIONS,
)

PROFILES: dict[str, VenueProfile] = {
    profile.venue: profile
    for profile in (
        _BINANCE,
        attrs.evolve(_BINANCE, venue="binanceus", sandbox=False),
        VenueProfile(venue="okx", lookup=Lookup.CLIENT_ID, stop_orders=True, oco=True, sandbox=True, weight_max=1_200),
        VenueProfile(venue="bitget", lookup=Lookup.CLIENT_ID, stop_orders=True, sandbox=True, weight_max=600),
        VenueProfile(venue="kucoin", lookup=Lookup.CLIENT_ID, stop_orders=True, oco=True, weight_max=1_500),
        VenueProfile(venue="mexc", lookup=Lookup.CLIENT_ID, weight_max=600),
        VenueProfile(venue="htx", lookup=Lookup.CLIENT_ID, stop_orders=True, weight_max=600),
        VenueProfile(venue="bybit", stop_orders=True, sandbox=True, weight_max=600),
        VenueProfile(venue="gate", stop_orders=True, sandbox=True, client_id_prefix="t-", client_id_length=28, weight_max=600),
        VenueProfile(venue="kraken", stop_orders=True, weight_max=60),
        VenueProfile(venue="coinbase", stop_orders=True, weight_max=600),
    )
}


def profile_for(venue: str) -> VenueProfile:
    """The venue's row; for one that is not in the table the careful defaults: orders are found by reading them all."""
    return PROFILES.get(venue, VenueProfile(venue=venue))
