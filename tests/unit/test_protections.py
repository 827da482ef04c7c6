"""What losing trades bring about: which entries wait, for whom, how long; exits never do."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat_support import Chat
from tradekit.domain.errors import OrderDenied
from tradekit.domain.orders import Fill, Order, OrderReport, OrderState, OrderType, Side
from tradekit.domain.protections import STOPS_MAX, after_trade, holding
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import NO_GUARD, RECENT_TRADES_MAX, ClosedTrade, Guard, LockKind, TradingLock
from tradekit.domain.signals import signal_cause
from tradekit.domain.usage import day_at
from tradekit.domain.users import UserSettings
from tradekit.services import trading
from tradekit.services.decisions import Context, Decision
from tradekit.services.reports import apply_report
from tradekit.testing.decisions import FixedMarket, a_context, a_registered_state
from tradekit.testing.factories import DAY_MS, NOW_MS, a_signal

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
replace = msgspec.structs.replace
GUARDED = UserSettings(stop_guard_losses=2, guard_window_s=3_600, guard_lock_s=600)


def a_trade(pnl: str = "-1", pct: str = "-1", **values: Any) -> ClosedTrade:
    defaults = {"symbol": BTC, "source": "", "stopped": True, "closed_ms": NOW_MS}
    return ClosedTrade(**{**defaults, **values}, pnl=D(pnl), pnl_pct=D(pct))


def after(settings: UserSettings, *trades: ClosedTrade) -> Guard:
    guard = NO_GUARD
    for trade in trades:
        guard = after_trade(guard, trade, settings, trade.closed_ms)
    return guard


def test_a_loss_cools_down_and_a_win_does_not() -> None:
    settings = UserSettings(cooldown_s=60)
    assert after(settings, a_trade("1")).locks == ()
    (lock,) = after(settings, a_trade(stopped=False)).locks
    assert (lock.kind, lock.until_ms, lock.symbol, lock.source) == (LockKind.COOLDOWN, NOW_MS + 60_000, "", "")
    guard = Guard(locks=(lock,))
    assert holding(guard, ETH, "ema-cross", NOW_MS + 59_999) == lock
    assert holding(guard, ETH, "ema-cross", NOW_MS + 60_000) is None


def test_stops_of_one_source_lock_that_source_and_twice_as_many_lock_everything() -> None:
    two = after(GUARDED, a_trade(source="ema"), a_trade(source="ema", symbol=ETH))
    assert [(lock.source, lock.symbol) for lock in two.locks] == [("ema", "")]
    assert holding(two, "SOL/USDT", "ema", NOW_MS) is not None
    assert holding(two, BTC, "rsi", NOW_MS) is None
    assert holding(two, BTC, "", NOW_MS) is None, "the user's own hand"
    mixed = after(GUARDED, a_trade(source="a"), a_trade(source="b"), a_trade(source="c"), a_trade(source="d"))
    assert [lock.source for lock in mixed.locks] == [""]
    assert holding(mixed, BTC, "e", NOW_MS) is not None


def test_the_users_own_stops_lock_everything() -> None:
    (lock,) = after(GUARDED, a_trade(), a_trade()).locks
    assert (lock.kind, lock.source) == (LockKind.STOP_LOSS_GUARD, "")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (a_trade(source="ema", closed_ms=NOW_MS - 3_600_000), "outside the window"),
        (a_trade(source="ema", stopped=False), "not stopped"),
        (a_trade("1", source="ema"), "a trailing stop in profit"),
        (a_trade(source="rsi"), "another source"),
    ],
)
def test_what_does_not_count_as_a_further_stop(other: ClosedTrade, why: str) -> None:
    assert after(GUARDED, other, a_trade(source="ema")).locks == (), why


def test_an_instrument_that_loses_is_locked_alone_and_not_by_its_first_trade() -> None:
    settings = UserSettings(low_profit_pct=D(-2))
    assert after(settings, a_trade(pct="-9")).locks == ()
    (lock,) = after(settings, a_trade(pct="-1"), a_trade(pct="-1.5")).locks
    assert (lock.kind, lock.symbol, lock.source) == (LockKind.LOW_PROFIT, BTC, "")
    assert holding(Guard(locks=(lock,)), ETH, "", NOW_MS) is None
    assert after(settings, a_trade(pct="-1"), a_trade(pct="-1")).locks == (), "exactly the limit is not below it"
    assert after(settings, a_trade(pct="-3"), a_trade("1", "2")).locks == ()


def test_the_stops_that_lock_everything_can_be_remembered() -> None:
    settings = replace(GUARDED, stop_guard_losses=STOPS_MAX)
    guard = after(settings, *(a_trade(source=f"s{number}") for number in range(2 * STOPS_MAX)))
    assert [lock.source for lock in guard.locks] == [""]
    chat = Chat()
    assert f"up to {STOPS_MAX}" in chat.says(f"/risk stop_guard_losses {STOPS_MAX + 1}")
    chat.says(f"/risk stop_guard_losses {STOPS_MAX}")
    assert chat.state.settings.stop_guard_losses == STOPS_MAX


trades = st.builds(
    ClosedTrade,
    symbol=st.sampled_from([BTC, ETH]),
    source=st.sampled_from(["", "ema", "rsi"]),
    pnl=st.integers(-100, 100).map(D),
    pnl_pct=st.integers(-20, 20).map(D),
    stopped=st.booleans(),
    closed_ms=st.just(0),
)
choices = st.builds(
    UserSettings,
    cooldown_s=st.sampled_from([0, 30, 900]),
    stop_guard_losses=st.integers(0, 4),
    guard_window_s=st.sampled_from([60, 3_600]),
    guard_lock_s=st.sampled_from([10, 1_000]),
    low_profit_pct=st.one_of(st.none(), st.integers(-10, 2).map(D)),
)


@given(moves=st.lists(st.tuples(trades, choices, st.integers(0, 900_000)), max_size=60))
def test_no_lock_is_lost_early_none_lasts_longer_than_asked_and_memory_is_bounded(
    moves: list[tuple[ClosedTrade, UserSettings, int]],
) -> None:
    guard, now_ms = NO_GUARD, NOW_MS
    for trade, settings, wait_ms in moves:
        now_ms += wait_ms
        before, closed = guard, replace(trade, closed_ms=now_ms)
        guard = after_trade(guard, closed, settings, now_ms)
        scopes = [(lock.kind, lock.symbol, lock.source) for lock in guard.locks]
        assert len(scopes) == len(set(scopes))
        assert all(lock.until_ms > now_ms for lock in guard.locks)
        for lock in before.locks:
            if lock.until_ms > now_ms:
                assert holding(guard, lock.symbol or BTC, lock.source, lock.until_ms - 1) is not None
        longest_ms = 1_000 * max(settings.cooldown_s, settings.guard_lock_s)
        assert all(lock in before.locks or lock.until_ms <= now_ms + longest_ms for lock in guard.locks)
        assert len(guard.recent) <= RECENT_TRADES_MAX
        assert all(now_ms - settings.guard_window_s * 1_000 < each.closed_ms <= now_ms for each in guard.recent)
        if closed.pnl >= 0 and settings.low_profit_pct is None:
            assert set(guard.locks) <= set(before.locks), "a win locks nothing"


locks = st.builds(
    TradingLock,
    kind=st.sampled_from(LockKind),
    until_ms=st.integers(NOW_MS - 5, NOW_MS + 5),
    symbol=st.sampled_from(["", BTC, ETH]),
    source=st.sampled_from(["", "ema", "rsi"]),
)


@given(held=st.lists(locks, max_size=6), symbol=st.sampled_from([BTC, ETH]), source=st.sampled_from(["", "ema", "rsi"]))
def test_a_lock_holds_its_scope_until_its_time_and_nothing_else(held: list[TradingLock], symbol: str, source: str) -> None:
    found = holding(Guard(locks=tuple(held)), symbol, source, NOW_MS)
    fitting = [lock for lock in held if lock.until_ms > NOW_MS and lock.symbol in {"", symbol} and lock.source in {"", source}]
    assert (found is None) == (not fitting)
    assert found is None or (found in fitting and found.until_ms == max(lock.until_ms for lock in fitting))


# In a user's account.


class Trader:
    """One user who buys and sells at prices that a test sets."""

    def __init__(self, user_id: int = 1, **settings: Any) -> None:
        self.market, self.now_ms, self.number = FixedMarket(), NOW_MS, 0
        state = a_registered_state(user_id, self.ctx())
        bold = {"risk_per_trade_pct": D(100), "max_daily_loss_pct": D(100), "max_drawdown_pct": D(100)}
        self.state = replace(state, settings=replace(state.settings, **{**bold, **settings}))
        self.state = replace(self.state, usage=(day_at(NOW_MS, self.state.settings.time_zone),))

    def ctx(self) -> Context:
        self.number += 1
        return a_context(market=self.market, now_ms=self.now_ms, cause=f"test/{self.number}")

    def at(self, price: str, *, later_s: int = 0, symbol: str = BTC) -> "Trader":
        self.now_ms += later_s * 1_000
        for known in self.market.symbols():
            quote = self.market.quote(known)
            assert quote is not None
            self.market.set(known, price if known == symbol else f"{quote.price:f}", self.now_ms)
        return self

    def asks(self, side: Side, quantity: str, symbol: str = BTC, source: str = "") -> Decision:
        request = OrderRequest(symbol=symbol, side=side, quantity=D(quantity))
        if not source:
            return trading.place(self.state, request, self.ctx())
        signal = a_signal(source, symbol=symbol, bar_ms=NOW_MS + self.number)
        return trading.place(self.state, request, self.ctx(), signal=signal, cause=signal_cause(signal))

    def trades(self, side: Side, quantity: str, symbol: str = BTC, source: str = "", *, stop: bool = False) -> None:
        decision = self.asks(side, quantity, symbol, source)
        assert decision.error is None, decision.error
        order: Order = decision.result
        quote = self.market.quote(symbol)
        assert quote is not None
        fill = Fill(
            trade_id=f"t{self.number}",
            client_order_id=order.client_order_id,
            user_id=order.user_id,
            partition=order.partition,
            symbol=symbol,
            side=side,
            quantity=order.quantity,
            price=quote.price,
            fee=D(0),
            time_ms=self.now_ms,
        )
        state = decision.state
        if stop:
            stopped = replace(order, type=OrderType.STOP)
            state = replace(state, orders=tuple(stopped if each is order else each for each in state.orders))
        report = OrderReport(
            client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.FILLED, fills=(fill,), time_ms=self.now_ms
        )
        booked = apply_report(state, report, self.ctx())
        assert isinstance(booked, Decision)
        self.state = booked.state

    def loses(self, symbol: str = BTC, source: str = "", *, stop: bool = True) -> None:
        quote = self.market.quote(symbol)
        assert quote is not None
        before = f"{quote.price:f}"
        self.trades(Side.BUY, "0.01", symbol, source)
        self.at(f"{quote.price * D('0.98'):f}", symbol=symbol)
        self.trades(Side.SELL, "0.01", symbol, stop=stop)
        self.at(before, symbol=symbol)

    def refusal(self, symbol: str = BTC, source: str = "") -> tuple[str, dict[str, str]]:
        error = self.asks(Side.BUY, "0.01", symbol, source).error
        if error is None:
            return "", {}
        assert isinstance(error, OrderDenied)
        return error.check, error.detail


def test_after_a_loss_entries_wait_and_exits_do_not() -> None:
    trader = Trader(cooldown_s=600)
    trader.trades(Side.BUY, "0.01", ETH)
    trader.loses()
    code, facts = trader.refusal()
    assert (code, facts["lock"], facts["until_ms"]) == ("LOCKED", "cooldown", str(NOW_MS + 600_000))
    assert trader.refusal(ETH, "ema-cross")[0] == "LOCKED"
    trader.trades(Side.SELL, "0.01", ETH)
    assert trader.at("50000", later_s=600).refusal() == ("", {})


def test_a_guard_of_a_strategy_is_its_own_and_another_user_knows_nothing_of_it() -> None:
    trader, other = Trader(stop_guard_losses=2), Trader(2, stop_guard_losses=2)
    for _ in range(2):
        trader.loses(source="ema-cross")
    assert trader.refusal(source="ema-cross")[1]["lock"] == "stop_loss_guard"
    assert trader.refusal(ETH, "ema-cross")[0] == "LOCKED"
    assert trader.refusal(source="rsi-reversion") == ("", {})
    assert trader.refusal() == ("", {})
    assert other.refusal(source="ema-cross") == ("", {})


def test_closing_by_hand_is_no_stop() -> None:
    trader = Trader(stop_guard_losses=1)
    trader.loses(stop=False)
    assert trader.refusal() == ("", {})
    trader.loses()
    assert trader.refusal()[1]["lock"] == "stop_loss_guard"


def test_an_instrument_that_loses_waits_and_the_others_do_not() -> None:
    trader = Trader(low_profit_pct=D(-3))
    trader.loses(stop=False)
    trader.loses(stop=False)
    assert trader.refusal()[1]["lock"] == "low_profit"
    assert trader.refusal(ETH) == ("", {})
    assert trader.at("50000", later_s=3_600).refusal() == ("", {})


def test_a_drawdown_holds_entries_until_the_equity_is_back() -> None:
    trader = Trader(max_drawdown_pct=D(4))
    trader.trades(Side.BUY, "0.1")
    trader.at("44000")
    code, facts = trader.refusal()
    assert code == "MAX_DRAWDOWN"
    assert D(facts["drawdown_pct"]) >= 4
    assert facts["limit_pct"] == "4"
    assert trader.at("47000").refusal() == ("", {})
    assert trader.asks(Side.SELL, "0.1").error is None


ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kathmandu"]


@pytest.mark.parametrize("zone", ZONES)
def test_a_days_loss_counts_until_the_users_own_midnight(zone: str) -> None:
    trader = Trader(max_daily_loss_pct=D(3), time_zone=zone)
    ends_ms = day_at(NOW_MS, zone).ends_ms
    assert 0 < ends_ms - NOW_MS <= DAY_MS
    trader.trades(Side.BUY, "0.1")
    trader.at("46000")
    code, facts = trader.refusal()
    assert (code, D(facts["limit"]), D(facts["loss"])) == ("MAX_DAILY_LOSS", 300, 400)
    assert trader.asks(Side.SELL, "0.1").error is None
    trader.now_ms = ends_ms - 1
    assert trader.at("46000").refusal()[0] == "MAX_DAILY_LOSS"
    trader.now_ms = ends_ms
    assert trader.at("46000").refusal() == ("", {})


def test_the_zones_end_their_days_at_different_times() -> None:
    assert len({day_at(NOW_MS, zone).ends_ms for zone in ZONES}) == len(ZONES)


@given(held=st.lists(locks, max_size=4), frozen=st.booleans())
def test_no_lock_ever_holds_an_exit_up(held: list[TradingLock], frozen: bool) -> None:
    trader = Trader()
    trader.trades(Side.BUY, "0.01")
    guard = Guard(locks=tuple(held), frozen=(BTC,) if frozen else ())
    trader.state = replace(trader.state, session=replace(trader.state.session, guard=guard))
    assert trader.asks(Side.SELL, "0.01").error is None
    assert (trader.refusal()[0] == "LOCKED") == (frozen or holding(guard, BTC, "", NOW_MS) is not None)


def test_status_says_what_waits_and_what_of_it_is_everything() -> None:
    chat = Chat()
    assert "no entries" not in chat.says("/status")

    def with_guard(**guard: Any) -> str:
        chat.state = replace(chat.state, session=replace(chat.state.session, guard=Guard(**guard)))
        return chat.says("/status")

    later = chat.now_ms + 60_000
    of_some = with_guard(
        locks=(
            TradingLock(kind=LockKind.LOW_PROFIT, until_ms=later, symbol=ETH),
            TradingLock(kind=LockKind.STOP_LOSS_GUARD, until_ms=later, source="ema-cross"),
        )
    )
    assert f"For a while no entries: {ETH}, ema-cross" in of_some
    assert "Cooling down" not in of_some
    assert "Cooling down" in with_guard(locks=(TradingLock(kind=LockKind.COOLDOWN, until_ms=later),))
    assert "no entries" not in with_guard(locks=(TradingLock(kind=LockKind.COOLDOWN, until_ms=chat.now_ms),))
    assert f"until the venue agrees: {BTC}" in with_guard(frozen=(BTC,))
