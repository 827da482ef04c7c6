"""How much a signal's entry buys: never more than the user said, in whole steps; refused when it cannot be known or is too little."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.chat_support import Chat, unfilled
from tradekit.chat.render import render
from tradekit.domain.orders import Order, Side
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Delivery, Outcome, Signal
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Sizing
from tradekit.services import signals
from tradekit.services.decisions import Context, Decision
from tradekit.testing.decisions import FixedMarket, a_context, a_registered_state
from tradekit.testing.factories import NOW_MS, a_position, a_signal, a_subscription, an_instrument

D = Decimal
BTC = "BTC/USDT"
replace = msgspec.structs.replace


def a_market(price: str = "50000", **steps: Any) -> FixedMarket:
    market = FixedMarket({BTC: price})
    market.define(an_instrument(BTC, **steps))
    return market


def a_follower(market: FixedMarket, *, cash: Decimal = D(10_000), size: Decimal | None = None, **settings: Any) -> SessionState:
    state = a_registered_state(ctx=a_context(market=market))
    assert state.user is not None
    bold = {"risk_per_trade_pct": D(100), "max_drawdown_pct": D(100), "max_daily_loss_pct": D(100)}
    session = replace(state.session, cash=cash, day_start_equity=cash, peak_equity=cash)
    return replace(
        state,
        user=replace(state.user, tier=TierName.ENTERPRISE),
        settings=replace(state.settings, **{**bold, **settings}),
        session=session,
        subscriptions=(a_subscription(size=size),),
    )


def delivered(state: SessionState, market: FixedMarket, signal: Signal | None = None, **context: Any) -> tuple[Delivery, Order | None]:
    ctx = a_context(market=market, **context)
    decision = signals.deliver(state, signal or a_signal(symbol=BTC), ctx)
    assert set().union(*map(unfilled, decision.notices)) == set()
    delivery = decision.result
    assert isinstance(delivery, Delivery)
    assert delivery.reason == "" or decision.submit == ()
    return delivery, decision.submit[0] if decision.submit else None


amounts = st.decimals("0.01", "1e6", places=2)
prices = st.decimals("0.0001", "200000", places=4)
steps = st.sampled_from([D("1e-8"), D("0.00001"), D("0.001"), D("0.3"), D(1), D(7)])
percents = st.decimals("0.01", "100", places=2)
fractions = st.decimals("0.05", "4", places=2)


def quantity_of(state: SessionState, market: FixedMarket, fraction: Decimal) -> Decimal:
    return signals.entry_quantity(state, a_signal(symbol=BTC, fraction=fraction), a_context(market=market))


def check_rounding(quantity: Decimal, spend: Decimal, price: Decimal, step: Decimal) -> None:
    assert quantity >= 0
    assert quantity % step == 0
    assert quantity * price <= spend
    assert (quantity + step) * price > spend * D("0.9999999999"), "more would have fitted"


@given(size=amounts, price=prices, step=steps, fraction=fractions)
def test_a_fixed_amount_is_never_exceeded(size: Decimal, price: Decimal, step: Decimal, fraction: Decimal) -> None:
    market = a_market(f"{price:f}", step_size=step)
    state = a_follower(market, sizing=Sizing.QUOTE_AMOUNT, size=size)
    check_rounding(quantity_of(state, market, fraction), size * fraction, price, step)


@given(size=percents, cash=amounts, held=st.integers(0, 50), price=prices, step=steps)
def test_a_share_of_the_equity_counts_positions_at_market(size: Decimal, cash: Decimal, held: int, price: Decimal, step: Decimal) -> None:
    market = a_market(f"{price:f}", step_size=step)
    state = a_follower(market, cash=cash, sizing=Sizing.PERCENT_OF_EQUITY, size=size)
    if held:
        state = replace(state, positions=(a_position(symbol=BTC, quantity=D(held), cost=D(1)),))
    equity = cash + (held * price).quantize(D("1e-8"))
    check_rounding(quantity_of(state, market, D(1)), equity * size / 100, price, step)


@given(size=percents, cash=amounts, stop=percents, trail=st.one_of(st.none(), percents), price=prices, step=steps)
def test_what_the_stop_can_lose_is_never_more_than_the_share_at_risk(
    size: Decimal, cash: Decimal, stop: Decimal, trail: Decimal | None, price: Decimal, step: Decimal
) -> None:
    market = a_market(f"{price:f}", step_size=step)
    state = a_follower(market, cash=cash, sizing=Sizing.RISK_PERCENT, size=size, stop_loss_pct=stop, trailing_stop_pct=trail)
    nearest = min(pct for pct in (stop, trail) if pct is not None)
    quantity = quantity_of(state, market, D(1))
    at_risk = quantity * price * nearest / 100
    assert at_risk <= cash * size / 100 * (1 + D("1e-25"))
    assert quantity % step == 0
    assert (quantity + step) * price * nearest / 100 > cash * size / 100 * D("0.9999999999")


def test_a_size_of_the_subscription_goes_before_that_of_the_settings() -> None:
    market = a_market()
    assert quantity_of(a_follower(market, size=D(500)), market, D(1)) == D("0.01")
    assert quantity_of(a_follower(market), market, D(1)) == D("0.002")


def test_a_share_at_risk_without_a_stop_is_refused_and_says_how_to_mend_it() -> None:
    market = a_market()
    state = a_follower(market, sizing=Sizing.RISK_PERCENT, size=D(1), take_profit_pct=D(5))
    delivery, order = delivered(state, market)
    assert (delivery.outcome, delivery.reason, order) == (Outcome.SKIPPED, "SIZING_NEEDS_STOP", None)
    decision = signals.deliver(state, a_signal(symbol=BTC), a_context(market=market))
    (notice,) = decision.notices
    assert "/risk stop_loss_pct 2" in render(notice).text
    for mended in ({"stop_loss_pct": D(2)}, {"trailing_stop_pct": D(2)}, {"sizing": Sizing.PERCENT_OF_EQUITY}):
        better = replace(state, settings=replace(state.settings, **mended))
        assert delivered(better, market)[0].outcome is Outcome.EXECUTED, mended


def test_the_command_that_the_refusal_names_mends_it() -> None:
    chat = Chat()
    chat.says("/settings sizing risk_percent")
    chat.says("/settings size 1")
    chat.says("/risk stop_loss_pct 2")
    assert chat.state.settings.bracket.stop_pct == 2


@given(size=amounts, price=prices, step=steps, stop=st.one_of(st.none(), st.decimals("0.1", "50", places=1)))
def test_what_rounding_leaves_too_small_is_refused_and_anything_sent_can_be_sold_again(
    size: Decimal, price: Decimal, step: Decimal, stop: Decimal | None
) -> None:
    market = a_market(f"{price:f}", step_size=step, min_qty=step, max_qty=D(10) ** 12)
    cash = size * 3
    assume(cash < 10_000_000)
    state = a_follower(market, cash=cash, size=size, stop_loss_pct=stop)
    instrument = market.instrument(BTC)
    assert instrument is not None
    delivery, order = delivered(state, market)
    if order is None:
        assert delivery.reason in {"QTY_MIN", "NOTIONAL_MIN"}, delivery
        return
    assert order.quantity * price <= size
    worst = order.quantity * price * (1 - instrument.taker_fee) * (1 - (stop or D(0)) / 100)
    assert worst >= instrument.min_notional
    assert order.reserved >= order.quantity * price * (1 + instrument.taker_fee)


@pytest.mark.parametrize(
    ("steps", "size", "reason", "limit"),
    [
        ({"step_size": D("0.0002"), "min_qty": D("0.0002")}, "19.99", "NOTIONAL_MIN", "minimum=10"),
        ({"step_size": D("0.001"), "min_qty": D("0.001")}, "49.99", "QTY_MIN", "minimum=0.001"),
        ({"max_qty": D("0.001")}, "100", "QTY_MAX", "maximum=0.001"),
        ({"max_notional": D(50)}, "100", "NOTIONAL_MAX", "maximum=50"),
        ({"tradable": False}, "100", "INSTRUMENT_NOT_TRADABLE", f"symbol={BTC}"),
    ],
)
def test_what_the_venue_does_not_take_is_not_sent(steps: dict[str, Any], size: str, reason: str, limit: str) -> None:
    market = a_market(**steps)
    delivery, order = delivered(a_follower(market, size=D(size)), market)
    assert (delivery.outcome, delivery.reason, order) == (Outcome.SKIPPED, reason, None)
    assert limit in delivery.detail


def test_nothing_is_set_aside_by_a_refusal() -> None:
    market = a_market(tradable=False)
    state = a_follower(market)
    decision = signals.deliver(state, a_signal(symbol=BTC), a_context(market=market))
    assert (decision.state.orders, decision.state.reserved, decision.state.today.reserved) == ((), 0, 0)
    assert decision.changes.orders == ()
    assert len(decision.changes.deliveries) == 1


def test_an_instrument_that_the_venue_halted_can_be_asked_to_be_sold() -> None:
    chat = Chat().holds()
    held = chat.market.instrument

    def halted(symbol: str) -> Any:
        found = held(symbol)
        return None if found is None else replace(found, tradable=False)

    chat.market.instrument = halted  # type: ignore[method-assign]
    assert "cannot be bought for now" in chat.says("/buy btc 0.01")
    chat.says("/close btc")
    assert chat.keys == ["order.submitted"]


# What a signal's own checks say, among the others.


def test_a_signal_of_another_plan_or_too_late_is_told_after_what_stops_everything() -> None:
    market = a_market()
    state = a_follower(market)
    assert state.user is not None
    free = replace(state, user=replace(state.user, tier=TierName.FREE))
    late = a_signal(symbol=BTC, advanced=True, expires_ms=NOW_MS)
    stopped = a_context().policy
    assert delivered(free, market, late, policy=replace(stopped, maintenance=True))[0].reason == "MAINTENANCE"
    assert delivered(free, market, late)[0].reason == "TIER_FEATURE"
    delivery, _ = delivered(state, market, late)
    assert (delivery.outcome, delivery.reason) == (Outcome.EXPIRED, "SIGNAL_EXPIRED")
    assert delivered(state, market, a_signal(symbol=BTC, advanced=True))[0].outcome is Outcome.EXECUTED


def test_the_same_signal_twice_is_told_as_such_and_makes_no_second_order() -> None:
    market = a_market()
    state, ctx = a_follower(market), a_context(market=market)
    first = signals.deliver(state, a_signal(symbol=BTC), ctx)
    assert isinstance(first, Decision)
    delivery, order = delivered(first.state, market)
    assert (delivery.outcome, delivery.reason, order) == (Outcome.SKIPPED, "DUPLICATE_SIGNAL", None)


@pytest.mark.parametrize(("source", "outcome"), [("ema-cross", Outcome.EXECUTED), ("", Outcome.SKIPPED), ("rsi", Outcome.SKIPPED)])
def test_after_a_downgrade_a_source_still_sells_what_it_has_bought_and_nothing_else(source: str, outcome: Outcome) -> None:
    market = a_market()
    state = a_follower(market)
    assert state.user is not None
    free = replace(
        state, user=replace(state.user, tier=TierName.FREE), positions=(a_position(symbol=BTC, quantity=D("0.01"), source=source),)
    )
    delivery, order = delivered(free, market, a_signal(symbol=BTC, side=Side.SELL, advanced=True))
    assert delivery.outcome is outcome
    assert delivery.reason == ("" if order else "TIER_FEATURE")


def test_an_exit_that_comes_too_late_is_not_made() -> None:
    market = a_market()
    state = replace(a_follower(market), positions=(a_position(symbol=BTC, quantity=D("0.01")),))
    sell = a_signal(symbol=BTC, side=Side.SELL)

    def at(ms: int) -> Context:
        return a_context(market=market, now_ms=ms)

    assert signals.deliver(state, sell, at(sell.expires_ms)).result.outcome is Outcome.EXPIRED
    assert signals.deliver(state, sell, at(sell.expires_ms - 1)).result.outcome is Outcome.EXECUTED
