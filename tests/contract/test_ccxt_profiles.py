"""The capability table against what ccxt itself says of its venues."""

import pytest

from tradekit.adapters.ccxt import PROFILES
from tradekit.adapters.ccxt.slim import load_venue

pytest.importorskip("ccxt")


def test_stops_are_left_to_a_venue_only_where_ccxt_lists_and_finds_them_like_other_orders():
    for name, profile in PROFILES.items():
        if not profile.native:
            continue
        venue_class, _, _ = load_venue(name)
        spot = venue_class().features["spot"]
        assert spot["createOrder"]["stopLossPrice"]
        assert spot["createOrder"]["takeProfitPrice"]
        assert not spot["fetchOrder"]["trigger"], f"{name} keeps stops in a list of their own"
        assert not spot["fetchOpenOrders"]["trigger"]
    assert PROFILES["binance"].native
    assert not PROFILES["okx"].native
