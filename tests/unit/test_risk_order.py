"""Pre-trade checks: their order, that each is reached, and that a person can read what each of them says."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.unit.chat_support import Chat, unfilled
from tradekit.chat.errors import denied
from tradekit.chat.render import render
from tradekit.chat.texts import has_text
from tradekit.domain.checks import assess
from tradekit.domain.controls import EVERYWHERE, Control, GlobalState
from tradekit.domain.orders import PAPER, Bracket, OrderState, OrderType, Side
from tradekit.domain.portfolio import Position
from tradekit.domain.replies import Reply
from tradekit.domain.risk import Case, Check, Denial, OrderRequest, TradingPolicy
from tradekit.domain.sessions import Guard, LockKind, SessionStatus, TradingLock
from tradekit.domain.tiers import DEFAULT_TIERS, TierName
from tradekit.domain.users import Sizing
from tradekit.testing.decisions import a_context, a_registered_state
from tradekit.testing.factories import NOW_MS, a_position, a_signal, an_instrument, an_order

D = Decimal
BTC = "BTC/USDT"
FAR = D(10) ** 12
replace = msgspec.structs.replace
Change = Callable[[Case], Case]

DESIGN = (
    "MAINTENANCE, SESSION_NOT_ACTIVE, HALTED, REDUCING_ONLY, ACCOUNT_INVALID, TIER_FEATURE, API_RATE_LIMIT, DAILY_TRADES_LIMIT, "
    "MAX_POSITIONS, DUPLICATE_SIGNAL, SIGNAL_EXPIRED, INSTRUMENT_UNKNOWN, INSTRUMENT_NOT_TRADABLE, LOCKED, STALE_PRICE, PRICE_DEVIATION, "
    "TRIGGER_PRICE, SIZING_NEEDS_STOP, QTY_PRECISION, QTY_MIN, QTY_MAX, NOTIONAL_MIN, NOTIONAL_MAX, MAX_RISK_PER_TRADE, MAX_EXPOSURE, "
    "MAX_DAILY_LOSS, MAX_DRAWDOWN, INSUFFICIENT_BALANCE, REDUCE_ONLY_WOULD_INCREASE, ORDER_RATE_LIMIT, UNRESOLVED_ORDER"
)
"""The order that the design fixes, with what it does not name: triggers, and sizes that need a stop, before the quantity."""


def an_entry() -> Case:
    """A signal's entry that passes."""
    ctx = a_context()
    state = a_registered_state(ctx=ctx)
    request = OrderRequest(symbol=BTC, side=Side.BUY, quantity=D("0.01"))
    limits = DEFAULT_TIERS[TierName.FREE].limits
    signal = a_signal(symbol=BTC)
    instrument = an_instrument(BTC)
    return Case(request, state, limits, TradingPolicy(), instrument, ctx.market.quote(BTC), ctx.equity(state), NOW_MS, signal=signal)


def an_exit() -> Case:
    """A sale at the market by hand that passes."""
    case = an_entry()
    state = replace(case.state, positions=(a_position(symbol=BTC, quantity=D(1)),))
    request = OrderRequest(symbol=BTC, side=Side.SELL, quantity=D("0.01"), price=D(50_000), type=OrderType.LIMIT)
    return replace(case, request=request, state=state, signal=None)


def request(**values: Any) -> Change:
    return lambda case: replace(case, request=replace(case.request, **values))


def policy(**values: Any) -> Change:
    return lambda case: replace(case, policy=replace(case.policy, **values))


def session(**values: Any) -> Change:
    return lambda case: replace(case, state=replace(case.state, session=replace(case.state.session, **values)))


def settings(**values: Any) -> Change:
    return lambda case: replace(case, state=replace(case.state, settings=replace(case.state.settings, **values)))


def instrument(**values: Any) -> Change:
    return lambda case: replace(case, instrument=None if case.instrument is None else replace(case.instrument, **values))


def limits(**values: Any) -> Change:
    return lambda case: replace(case, limits=replace(case.limits, **values))


def signal(**values: Any) -> Change:
    return lambda case: replace(case, signal=None if case.signal is None else replace(case.signal, **values))


def control(scope: str, state: GlobalState) -> Change:
    def change(case: Case) -> Case:
        added = {scope: Control(scope=scope, state=state, changed_ms=NOW_MS)}
        return replace(case, policy=replace(case.policy, controls={**case.policy.controls, **added}))

    return change


def a_full_day(case: Case) -> Case:
    day = replace(case.state.usage[-1], used=case.limits.daily_trades)
    return replace(case, state=replace(case.state, usage=(day,)))


def with_an_unknown_order(case: Case) -> Case:
    return replace(case, state=replace(case.state, orders=(an_order(side=Side.SELL, state=OrderState.UNKNOWN),)))


VIOLATIONS: dict[Check, Change] = {
    Check.MAINTENANCE: policy(maintenance=True),
    Check.SESSION_NOT_ACTIVE: lambda case: replace(case, settled=False),
    Check.HALTED: control(EVERYWHERE, GlobalState.HALTED),
    Check.REDUCING_ONLY: session(status=SessionStatus.REDUCING),
    Check.ACCOUNT_INVALID: lambda case: replace(case, account_problem="KEY_MISSING"),
    Check.TIER_FEATURE: signal(advanced=True),
    Check.DAILY_TRADES_LIMIT: a_full_day,
    Check.MAX_POSITIONS: limits(max_positions=0),
    Check.DUPLICATE_SIGNAL: lambda case: replace(case, duplicate=True),
    Check.SIGNAL_EXPIRED: signal(expires_ms=NOW_MS),
    Check.INSTRUMENT_UNKNOWN: lambda case: replace(case, instrument=None),
    Check.INSTRUMENT_NOT_TRADABLE: instrument(tradable=False),
    Check.LOCKED: session(guard=Guard(locks=(TradingLock(kind=LockKind.COOLDOWN, until_ms=NOW_MS + 1),))),
    Check.STALE_PRICE: policy(stale_price_after_s=-1),
    Check.PRICE_DEVIATION: request(type=OrderType.LIMIT, price=D(90_000)),
    Check.TRIGGER_PRICE: request(type=OrderType.STOP, trigger_price=D(49_000)),
    Check.SIZING_NEEDS_STOP: settings(sizing=Sizing.RISK_PERCENT),
    Check.QTY_PRECISION: instrument(step_size=D("0.02")),
    Check.QTY_MIN: instrument(min_qty=D(1)),
    Check.QTY_MAX: instrument(max_qty=D("0.001")),
    Check.NOTIONAL_MIN: instrument(min_notional=FAR),
    Check.NOTIONAL_MAX: instrument(max_notional=D(1)),
    Check.MAX_RISK_PER_TRADE: settings(risk_per_trade_pct=D("0.01")),
    Check.MAX_EXPOSURE: settings(max_exposure_pct=D("0.01")),
    Check.MAX_DAILY_LOSS: session(day_start_equity=FAR),
    Check.MAX_DRAWDOWN: session(peak_equity=FAR),
    Check.INSUFFICIENT_BALANCE: policy(market_buffer_pct=FAR),
    Check.ORDER_RATE_LIMIT: policy(open_orders_max=0),
    Check.UNRESOLVED_ORDER: with_an_unknown_order,
}
ENTRY = tuple(VIOLATIONS)
EXIT_VIOLATIONS: dict[Check, Change] = {
    Check.ACCOUNT_INVALID: VIOLATIONS[Check.ACCOUNT_INVALID],
    Check.INSTRUMENT_UNKNOWN: VIOLATIONS[Check.INSTRUMENT_UNKNOWN],
    Check.STALE_PRICE: lambda case: replace(case, quote=None),
    Check.PRICE_DEVIATION: request(price=D(10)),
    Check.TRIGGER_PRICE: request(type=OrderType.STOP, trigger_price=D(51_000)),
    Check.QTY_PRECISION: VIOLATIONS[Check.QTY_PRECISION],
    Check.QTY_MIN: VIOLATIONS[Check.QTY_MIN],
    Check.NOTIONAL_MIN: VIOLATIONS[Check.NOTIONAL_MIN],
    Check.REDUCE_ONLY_WOULD_INCREASE: lambda case: replace(case, state=replace(case.state, positions=())),
}
EXIT = tuple(EXIT_VIOLATIONS)


def violating(case: Case, *checks: Check, how: dict[Check, Change] = VIOLATIONS) -> Denial | None:
    for check in checks:
        case = how[check](case)
    return assess(case)


def test_the_checks_are_those_of_the_design_in_its_order() -> None:
    assert [check.value for check in Check] == DESIGN.split(", ")
    elsewhere = {Check.API_RATE_LIMIT, Check.REDUCE_ONLY_WOULD_INCREASE}
    assert [check for check in Check if check not in elsewhere] == list(ENTRY)
    assert [check for check in Check if check in EXIT] == list(EXIT)


@pytest.mark.parametrize(
    ("status", "check"),
    [
        (SessionStatus.STOPPED, Check.SESSION_NOT_ACTIVE),
        (SessionStatus.STARTING, Check.SESSION_NOT_ACTIVE),
        (SessionStatus.RECONCILING, Check.SESSION_NOT_ACTIVE),
        (SessionStatus.PAUSED, Check.SESSION_NOT_ACTIVE),
        (SessionStatus.HALTED, Check.HALTED),
        (SessionStatus.REDUCING, Check.REDUCING_ONLY),
    ],
)
def test_the_status_of_a_session_has_its_check_and_holds_no_exit_up(status: SessionStatus, check: Check) -> None:
    change = session(status=status)
    denial = assess(change(an_entry()))
    assert denial is not None
    assert denial.check is check
    assert assess(change(an_exit())) is None


def test_without_a_violation_both_pass() -> None:
    assert assess(an_entry()) is None
    assert assess(an_exit()) is None


@pytest.mark.parametrize("check", ENTRY)
def test_every_check_of_an_entry_is_reached_alone(check: Check) -> None:
    denial = violating(an_entry(), check)
    assert denial is not None
    assert denial.check is check


@pytest.mark.parametrize("check", EXIT)
def test_every_check_of_an_exit_is_reached_alone(check: Check) -> None:
    denial = violating(an_exit(), check, how=EXIT_VIOLATIONS)
    assert denial is not None
    assert denial.check is check


@pytest.mark.parametrize(("first", "second"), list(pairwise(ENTRY)))
def test_of_two_neighbours_the_earlier_is_told(first: Check, second: Check) -> None:
    for order in ((first, second), (second, first)):
        denial = violating(an_entry(), *order)
        assert denial is not None
        assert denial.check is first


@pytest.mark.parametrize(("first", "second"), list(pairwise(EXIT)))
def test_of_two_neighbours_of_an_exit_the_earlier_is_told(first: Check, second: Check) -> None:
    denial = violating(an_exit(), second, first, how=EXIT_VIOLATIONS)
    assert denial is not None
    assert denial.check is first


@pytest.mark.parametrize("check", ENTRY)
def test_with_everything_wrong_from_here_on_this_is_told(check: Check) -> None:
    later = [each for each in ENTRY[ENTRY.index(check) :] if each is not Check.INSTRUMENT_UNKNOWN or each is check]
    denial = violating(an_entry(), *reversed(later))
    assert denial is not None
    assert denial.check is check


NEVER_FOR_EXITS = [check for check in ENTRY if check not in EXIT]


def test_no_other_check_holds_an_exit_up() -> None:
    case = an_exit()
    for check in NEVER_FOR_EXITS:
        assert violating(case, check) is None, check
    everything = [check for check in NEVER_FOR_EXITS if check not in {Check.QTY_MAX, Check.NOTIONAL_MAX}]
    assert violating(case, *everything) is None


@pytest.mark.parametrize(
    ("check", "facts"),
    [
        (Check.HALTED, {"level"}),
        (Check.DAILY_TRADES_LIMIT, {"limit", "used", "reserved", "resets_ms"}),
        (Check.MAX_POSITIONS, {"limit"}),
        (Check.LOCKED, {"lock", "until_ms"}),
        (Check.STALE_PRICE, {"symbol", "age_s"}),
        (Check.PRICE_DEVIATION, {"price", "market", "limit_pct"}),
        (Check.QTY_PRECISION, {"step", "what"}),
        (Check.QTY_MIN, {"minimum"}),
        (Check.QTY_MAX, {"maximum"}),
        (Check.NOTIONAL_MIN, {"minimum", "notional"}),
        (Check.NOTIONAL_MAX, {"maximum"}),
        (Check.MAX_RISK_PER_TRADE, {"limit", "risk", "limit_pct"}),
        (Check.MAX_EXPOSURE, {"limit", "exposure"}),
        (Check.MAX_DAILY_LOSS, {"limit", "loss"}),
        (Check.MAX_DRAWDOWN, {"limit_pct", "drawdown_pct"}),
        (Check.INSUFFICIENT_BALANCE, {"free", "needed"}),
        (Check.ORDER_RATE_LIMIT, {"open_orders_max"}),
    ],
)
def test_a_limit_is_among_the_facts(check: Check, facts: set[str]) -> None:
    denial = violating(an_entry(), check)
    assert denial is not None
    assert facts <= denial.facts.keys()


@pytest.mark.parametrize("check", [*ENTRY, Check.REDUCE_ONLY_WOULD_INCREASE])
def test_every_denial_has_words_for_whoever_asked_and_for_a_signal(check: Check) -> None:
    denial = violating(an_entry(), check) if check in VIOLATIONS else violating(an_exit(), check, how=EXIT_VIOLATIONS)
    assert denial is not None
    chat = Chat()
    reply = denied(denial.check, denial.facts, chat.state, chat.ctx())
    assert unfilled(reply) == set()
    assert len(render(reply).text) > 10
    assert has_text(f"why.{check}")
    about = {
        "reason": check.value,
        "source": "s",
        "side": "buy",
        "symbol": BTC,
        "price": "1",
        "quote": "USDT",
        "signal_id": "0",
        "market": "",
    }
    skipped = Reply(key="signal.skipped", args={**denial.facts, **about})
    assert unfilled(skipped) == set()
    assert "{" not in render(skipped).text


def test_the_limit_of_calls_is_told_before_any_other_check_is_made() -> None:
    chat = Chat()
    chat.policy = replace(chat.policy, maintenance=True)
    limit = DEFAULT_TIERS[TierName.FREE].limits.api_calls_per_minute
    said = [chat.says("/buy btc 0.01") for _ in range(limit + 1)]
    assert "maintenance" in said[0]
    assert chat.reply.key == f"denied.{Check.API_RATE_LIMIT}"
    assert str(limit) in said[-1]


@pytest.mark.parametrize(
    ("controls", "level"),
    [
        ({EVERYWHERE: GlobalState.HALTED, PAPER: GlobalState.HALTED}, "service"),
        ({EVERYWHERE: GlobalState.REDUCING, PAPER: GlobalState.HALTED}, "venue"),
        ({EVERYWHERE: GlobalState.REDUCING, PAPER: GlobalState.REDUCING, "user:1": GlobalState.HALTED}, "user"),
        ({"user:1": GlobalState.HALTED}, "user"),
    ],
)
def test_a_halt_names_the_scope_that_is_halted_not_one_that_is_limited(controls: dict[str, GlobalState], level: str) -> None:
    case = an_entry()
    for scope, state in controls.items():
        case = control(scope, state)(case)
    assert assess(case) == Denial(Check.HALTED, {"level": level})


@pytest.mark.parametrize("controls", [{"binance": GlobalState.HALTED}, {"user:2": GlobalState.HALTED}, {EVERYWHERE: GlobalState.NORMAL}])
def test_a_halt_of_another_venue_or_user_is_not_this_ones(controls: dict[str, GlobalState]) -> None:
    case = an_entry()
    for scope, state in controls.items():
        case = control(scope, state)(case)
    assert assess(case) is None


ELSEWHERE = (a_position(symbol="ETH/USDT"), a_position(symbol="SOL/USDT"))


@pytest.mark.parametrize(
    ("positions", "ordered", "most", "denied"),
    [
        (ELSEWHERE[:1], (), 2, False),
        (ELSEWHERE, (), 2, True),
        (ELSEWHERE, (BTC,), 2, True),
        (ELSEWHERE[:1], (BTC,), 2, False),
        (ELSEWHERE[:1], (BTC,), 1, True),
        ((*ELSEWHERE, a_position(symbol=BTC)), (), 2, False),
        ((), ("ETH/USDT", "SOL/USDT"), 2, True),
        ((), ("ETH/USDT", "ETH/USDT", BTC), 2, False),
    ],
    ids=[
        "room for another", "no room", "an order placed at the venue takes a third", "the second place is its own", "after a downgrade",
        "more of what is held", "orders on their way count", "each instrument counts once",
    ],
)  # fmt: skip
def test_an_entry_never_takes_one_instrument_too_many(
    positions: tuple[Position, ...], ordered: tuple[str, ...], most: int, denied: bool
) -> None:
    case = an_entry()
    orders = tuple(an_order(f"by hand/{number}", symbol=symbol) for number, symbol in enumerate(ordered))
    denial = assess(limits(max_positions=most)(replace(case, state=replace(case.state, positions=positions, orders=orders))))
    assert (denial is not None and denial.check is Check.MAX_POSITIONS) is denied


@pytest.mark.parametrize("quantity", ["Infinity", "-Infinity", "NaN", "sNaN"])
@pytest.mark.parametrize("priced", [True, False])
def test_what_is_no_number_is_refused_with_a_code(quantity: str, priced: bool) -> None:
    case = replace(an_entry(), request=OrderRequest(symbol=BTC, side=Side.BUY, quantity=D(quantity)))
    denial = assess(case if priced else replace(case, quote=None))
    assert denial == (
        Denial(Check.QTY_PRECISION, {"step": f"{an_instrument(BTC).step_size:f}", "what": "quantity"})
        if priced
        else Denial(Check.STALE_PRICE, {"symbol": BTC, "age_s": "never"})
    )


def test_what_is_derived_follows_what_is_replaced() -> None:
    limited = control(EVERYWHERE, GlobalState.REDUCING)(an_entry())
    stopped = replace(limited, request=replace(limited.request, bracket=Bracket(stop_loss_pct=D(2))))
    assert (stopped.allowed, stopped.stop_pct) == (GlobalState.REDUCING, 2)
    free = replace(stopped, request=limited.request, policy=TradingPolicy())
    assert (free.allowed, free.stop_pct, free.notional) == (GlobalState.NORMAL, None, an_entry().notional)
