from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.amounts import is_multiple, money
from tradekit.domain.instruments import Bar, Quote
from tradekit.domain.matching import MatchingModel, execute, fill_resting, price_path
from tradekit.domain.orders import Liquidity, Order, OrderReport, OrderState, OrderType, Side, TimeInForce
from tradekit.testing.contracts.exchange import INSTRUMENT, PRICE, limit_order, market_order

D = Decimal
QUOTE = Quote(symbol="BTC/USDT", price=PRICE, time_ms=5)
PLAIN = MatchingModel(spread_bps=D(2), slippage_bps=D(1), level_quote=D(40_000), depth_quote=D(120_000), noise_bps=D(0))


def run(order: Order, model: MatchingModel = PLAIN) -> OrderReport:
    return execute(order, QUOTE, INSTRUMENT, model, 7)


def test_taker_pays_half_the_spread_and_the_fee():
    (bought,) = run(market_order("a")).fills
    (sold,) = run(market_order("a", side=Side.SELL)).fills
    assert (bought.price, sold.price) == (D("40004.00"), D("39996.00"))
    assert bought.fee == D("0.40004") == money(bought.price * bought.quantity * INSTRUMENT.taker_fee)
    assert (bought.liquidity, bought.time_ms) == (Liquidity.TAKER, 7)


def test_large_order_walks_the_book_level_by_level():
    report = run(market_order("a", quantity=D(2)))
    assert report.state is OrderState.FILLED
    assert [fill.price for fill in report.fills] == [D("40004.00"), D("40008.01"), D("40012.01")]
    assert [fill.quantity for fill in report.fills] == [D("0.99990"), D("0.99979"), D("0.00031")]
    assert [fill.trade_id[-2:] for fill in report.fills] == ["-1", "-2", "-3"]


def test_market_order_beyond_the_depth_fills_in_part_and_the_rest_is_canceled():
    report = run(market_order("a", quantity=D(9), side=Side.SELL))
    assert (report.state, report.reason) == (OrderState.CANCELED, "NO_LIQUIDITY")
    assert D(3) < sum(fill.quantity for fill in report.fills) < D("3.01")
    assert sum(fill.quantity * fill.price for fill in report.fills) <= PLAIN.depth_quote


def test_limit_order_takes_up_to_its_price_and_rests_with_the_remainder():
    report = run(limit_order("a", 40_005, quantity=D(2)))
    assert (report.state, [fill.price for fill in report.fills]) == (OrderState.PARTIALLY_FILLED, [D("40004.00")])
    ioc = run(limit_order("a", 40_005, quantity=D(2), time_in_force=TimeInForce.IOC))
    assert (ioc.state, ioc.fills) == (OrderState.CANCELED, report.fills)


def test_fill_or_kill_is_whole_or_nothing():
    none = run(limit_order("a", 40_005, quantity=D(2), time_in_force=TimeInForce.FOK))
    assert (none.state, none.fills, none.reason) == (OrderState.EXPIRED, (), "FOK_NOT_FILLED")
    whole = run(limit_order("a", 40_013, quantity=D(2), time_in_force=TimeInForce.FOK))
    assert (whole.state, len(whole.fills)) == (OrderState.FILLED, 3)


def test_post_only_order_is_refused_if_it_would_take_and_rests_otherwise():
    taking = run(limit_order("a", 40_004, post_only=True))
    assert (taking.state, taking.fills, taking.reason) == (OrderState.REJECTED, (), "POST_ONLY_WOULD_TAKE")
    assert run(limit_order("a", 40_003, post_only=True)).state is OrderState.ACCEPTED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": D("0.010001")}, "QTY_PRECISION"),
        ({"quantity": D(0)}, "QTY_MIN"),
        ({"quantity": D("0.00024")}, "NOTIONAL_MIN"),
        ({"quantity": D(1_000_001)}, "QTY_MAX"),
        ({"quantity": D(251)}, "NOTIONAL_MAX"),
        ({"type": OrderType.LIMIT}, "PRICE_MISSING"),
        ({"type": OrderType.LIMIT, "price": D("39000.001")}, "PRICE_PRECISION"),
        ({"type": OrderType.LIMIT, "price": D(-1)}, "PRICE_MISSING"),
        ({"price": D(39_000)}, "PRICE_NOT_ALLOWED"),
        ({"time_in_force": TimeInForce.GTD}, "TIME_IN_FORCE_UNSUPPORTED"),
        ({"type": OrderType.LIMIT, "price": D(1), "post_only": True, "time_in_force": TimeInForce.IOC}, "TIME_IN_FORCE_UNSUPPORTED"),
    ],
)
def test_order_against_the_steps_and_limits_is_rejected(fields: dict[str, object], reason: str):
    report = run(market_order("a", **fields))
    assert (report.state, report.reason, report.fills) == (OrderState.REJECTED, reason, ())


def test_without_instrument_price_or_trading_nothing_fills():
    order = market_order("a")
    halted = msgspec.structs.replace(INSTRUMENT, tradable=False)
    assert execute(order, QUOTE, None, PLAIN, 7).reason == "INSTRUMENT_UNKNOWN"
    assert execute(order, None, INSTRUMENT, PLAIN, 7).reason == "NO_PRICE"
    assert execute(order, QUOTE, halted, PLAIN, 7).reason == "INSTRUMENT_NOT_TRADABLE"


@pytest.mark.parametrize(("side", "missed", "touched"), [(Side.BUY, D("40000.01"), D(40_000)), (Side.SELL, D("39999.99"), D(40_000))])
def test_resting_order_fills_as_maker_at_its_price_once_it_is_touched(side: Side, missed: Decimal, touched: Decimal):
    order = limit_order("a", 40_000, side=side)
    instrument = msgspec.structs.replace(INSTRUMENT, maker_fee=D("0.0002"))
    assert fill_resting(order, missed, instrument, PLAIN, 9, 0) is None
    fill = fill_resting(order, touched, instrument, PLAIN, 9, 0)
    assert fill is not None
    assert (fill.price, fill.quantity, fill.fee, fill.liquidity) == (D(40_000), D("0.01"), D("0.08"), Liquidity.MAKER)


def test_resting_order_gets_at_most_the_depth_per_price():
    order = limit_order("a", 40_000, quantity=D(5))
    first = fill_resting(order, PRICE, INSTRUMENT, PLAIN, 9, 0)
    assert first is not None
    assert (first.quantity, first.trade_id[-2:]) == (D(3), "-1")
    second = fill_resting(msgspec.structs.replace(order, cum_qty=D(3)), PRICE, INSTRUMENT, PLAIN, 9, 1)
    assert second is not None
    assert (second.quantity, second.trade_id[-2:]) == (D(2), "-2")


def test_noise_depends_on_seed_and_order_and_only_hurts():
    noisy = MatchingModel(noise_bps=D(5), seed=1)
    prices = {cause: run(market_order(cause), noisy).fills[0].price for cause in "abcdefgh"}
    assert prices == {cause: run(market_order(cause), noisy).fills[0].price for cause in "abcdefgh"}
    assert len(set(prices.values())) > 4
    assert all(D(40_004) <= price <= D("40024.01") for price in prices.values())
    other = msgspec.structs.replace(noisy, seed=2)
    assert prices != {cause: run(market_order(cause), other).fills[0].price for cause in "abcdefgh"}


def test_path_of_a_bar_begins_at_its_open_and_ends_at_its_close():
    rising = Bar(symbol="X/Y", timeframe_ms=1, open_ms=0, open=D(2), high=D(5), low=D(1), close=D(4), volume=D(1))
    assert price_path(rising) == (D(2), D(1), D(5), D(4))
    assert price_path(msgspec.structs.replace(rising, open=D(4), close=D(2))) == (D(4), D(5), D(1), D(2))


@given(
    side=st.sampled_from(Side),
    lots=st.integers(25, 24_000_000),
    ticks=st.none() | st.integers(3_000_000, 5_000_000),
    time_in_force=st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
    seed=st.integers(0, 9),
)
def test_fills_never_exceed_the_order_cross_its_limit_or_leave_the_grid(
    side: Side, lots: int, ticks: int | None, time_in_force: TimeInForce, seed: int
):
    quantity = lots * INSTRUMENT.step_size
    price = None if ticks is None else ticks * INSTRUMENT.tick_size
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    order = market_order("p", side=side, quantity=quantity, price=price, type=kind, time_in_force=time_in_force)
    report = run(order, MatchingModel(seed=seed))
    filled = sum((fill.quantity for fill in report.fills), D(0))
    assert filled <= quantity
    assert (filled == quantity) == (report.state is OrderState.FILLED)
    worse = 1 if side is Side.BUY else -1
    for fill in report.fills:
        assert fill.quantity > 0
        assert is_multiple(fill.quantity, INSTRUMENT.step_size)
        assert is_multiple(fill.price, INSTRUMENT.tick_size)
        assert worse * (fill.price - PRICE) > 0
        assert price is None or worse * (price - fill.price) >= 0
    assert [worse * fill.price for fill in report.fills] == sorted(worse * fill.price for fill in report.fills)
