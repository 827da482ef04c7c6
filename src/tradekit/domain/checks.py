"""Pre-trade checks, in the order they are made, each with a stable code.

``assess`` is pure: it knows the state of one user, the instrument, the quote and the tier, and answers with the first
check that fails. Exits skip quota, pause, maintenance and downgrade.
"""

from collections.abc import Callable

from tradekit.domain.amounts import HUNDRED, ONE, is_multiple, money
from tradekit.domain.controls import GlobalState
from tradekit.domain.orders import BUY, CONDITIONAL, SELL, OrderType
from tradekit.domain.protections import holding
from tradekit.domain.risk import Case, Check, Denial, OrderRequest, reservation
from tradekit.domain.rules import RULE_PREFIX
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.signals import Signal
from tradekit.domain.tiers import Limits
from tradekit.domain.triggers import is_below_a_tick, least_trail_pct, would_fire_at_once
from tradekit.domain.users import Sizing


def assess(case: Case) -> Denial | None:
    """The first check an order fails, or None when it may be sent."""
    checks = ENTRY_CHECKS if case.request.side is BUY else EXIT_CHECKS
    for check in checks:
        if denial := check(case):
            return denial
    return None


INACTIVE = frozenset({SessionStatus.PAUSED, SessionStatus.STOPPED, SessionStatus.STARTING, SessionStatus.RECONCILING})
"""Sessions that take no entries until their user, or the service, starts them."""


def _maintenance(case: Case) -> Denial | None:
    return Denial(Check.MAINTENANCE) if case.policy.maintenance else None


def _session_active(case: Case) -> Denial | None:
    status = case.state.session.status
    if status in INACTIVE:
        return Denial(Check.SESSION_NOT_ACTIVE, {"status": status.value})
    return None if case.settled else Denial(Check.SESSION_NOT_ACTIVE, {"status": SessionStatus.RECONCILING.value})


def _not_halted(case: Case) -> Denial | None:
    if case.allowed is GlobalState.HALTED or case.state.session.status is SessionStatus.HALTED:
        return Denial(Check.HALTED, {"level": case.limited_by})
    return None


def _not_reducing(case: Case) -> Denial | None:
    if case.allowed is GlobalState.REDUCING or case.state.session.status is SessionStatus.REDUCING:
        return Denial(Check.REDUCING_ONLY)
    return None


def _account(case: Case) -> Denial | None:
    user = case.state.user
    if user is None or user.status != "active":
        return Denial(Check.ACCOUNT_INVALID, {"status": "unregistered" if user is None else user.status.value, "problem": ""})
    return _account_reachable(case)


def _account_reachable(case: Case) -> Denial | None:
    if case.account_problem:
        return Denial(Check.ACCOUNT_INVALID, {"status": "", "problem": case.account_problem, "account": case.state.account})
    return None


def _tier_feature(case: Case) -> Denial | None:
    return Denial(Check.TIER_FEATURE) if case.signal is not None and lacks_feature(case.signal, case.limits) else None


def lacks_feature(signal: Signal, limits: Limits) -> bool:
    """Whether a plan does not include what the signal comes from."""
    return (signal.advanced and not limits.advanced_signals) or (not limits.custom_strategies and signal.source.startswith(RULE_PREFIX))


def _daily_trades(case: Case) -> Denial | None:
    day = case.state.today
    if day.used + day.reserved >= case.limits.daily_trades:
        facts = {"limit": str(case.limits.daily_trades), "used": str(day.used), "reserved": str(day.reserved)}
        return Denial(Check.DAILY_TRADES_LIMIT, {**facts, "resets_ms": str(day.ends_ms), "zone": day.zone})
    return None


def _max_positions(case: Case) -> Denial | None:
    state, most = case.state, case.limits.max_positions
    if len(state.positions) + len(state.orders) < most:
        return None
    # What the user ordered at the venue themselves may claim one instrument more: that opens it to no entry of ours.
    if state.position(case.request.symbol) is None and len(state.instruments_used | {case.request.symbol}) > most:
        return Denial(Check.MAX_POSITIONS, {"limit": str(most)})
    return None


def _not_duplicate(case: Case) -> Denial | None:
    return Denial(Check.DUPLICATE_SIGNAL) if case.signal is not None and case.duplicate else None


def _signal_in_time(case: Case) -> Denial | None:
    return Denial(Check.SIGNAL_EXPIRED) if case.signal is not None and case.now_ms >= case.signal.expires_ms else None


def _instrument_known(case: Case) -> Denial | None:
    return None if case.instrument else Denial(Check.INSTRUMENT_UNKNOWN, {"symbol": case.request.symbol})


def _instrument_tradable(case: Case) -> Denial | None:
    assert case.instrument is not None
    return None if case.instrument.tradable else Denial(Check.INSTRUMENT_NOT_TRADABLE, {"symbol": case.request.symbol})


def _not_locked(case: Case) -> Denial | None:
    if case.request.symbol in case.state.session.guard.frozen:
        return Denial(Check.LOCKED, {"lock": "discrepancy", "symbol": case.request.symbol, "until_ms": ""})
    lock = holding(case.state.session.guard, case.request.symbol, case.signal.source if case.signal else "", case.now_ms)
    if lock is None:
        return None
    return Denial(Check.LOCKED, {"lock": lock.kind.value, "until_ms": str(lock.until_ms), "zone": case.state.settings.time_zone})


def _fresh_price(case: Case) -> Denial | None:
    if case.quote is None:
        return Denial(Check.STALE_PRICE, {"symbol": case.request.symbol, "age_s": "never"})
    age_s = (case.now_ms - case.quote.time_ms) // 1000
    if not case.quote.final and age_s > case.policy.stale_price_after_s:
        return Denial(Check.STALE_PRICE, {"symbol": case.request.symbol, "age_s": str(age_s)})
    return None


def _price_known(case: Case) -> Denial | None:
    return None if case.quote else Denial(Check.STALE_PRICE, {"symbol": case.request.symbol, "age_s": "never"})


def _price_deviation(case: Case) -> Denial | None:
    if case.request.price is None or case.quote is None:
        return None
    market = case.request.trigger_price or case.quote.price
    away = (case.request.price / market - 1) * HUNDRED
    # Selling far above the market is a take-profit; only selling far below it can be a slip.
    away = -away if case.request.side is SELL else abs(away)
    if away > case.policy.price_deviation_max_pct:
        facts = {"price": f"{case.request.price:f}", "market": f"{market:f}"}
        return Denial(Check.PRICE_DEVIATION, {**facts, "limit_pct": f"{case.policy.price_deviation_max_pct:f}"})
    return None


def _trigger(case: Case) -> Denial | None:
    """A trigger on the instrument's tick, and not past it already: that would be an order at market, which nobody meant."""
    request, trigger = case.request, case.request.trigger_price
    if trigger is None and request.type not in CONDITIONAL:
        return _trailing_distance(case)
    if lacking := _lacks(request, case.now_ms):
        return Denial(Check.TRIGGER_PRICE, {"lacks": lacking, "least_pct": ""})
    if denial := _trailing_distance(case):
        return denial
    if trigger is None or case.quote is None:
        return None
    assert case.instrument is not None
    facts = {"lacks": "", "least_pct": "", "trigger": f"{trigger:f}", "market": f"{case.quote.price:f}", "side": request.side.value}
    if not is_multiple(trigger, case.instrument.tick_size):
        return Denial(Check.QTY_PRECISION, {"step": f"{case.instrument.tick_size:f}", "what": "trigger"})
    if would_fire_at_once(request.side, request.type, trigger, case.quote.price):
        return Denial(Check.TRIGGER_PRICE, facts)
    return None


def _trailing_distance(case: Case) -> Denial | None:
    """Of a trailing stop, or of one among the exits of an entry: at least a tick."""
    request = case.request
    distance = request.trail_pct or (request.bracket.trailing_pct if request.bracket is not None else None)
    if not distance or case.quote is None:
        return None
    assert case.instrument is not None
    price, tick = case.quote.price, case.instrument.tick_size
    if not is_below_a_tick(distance, price, tick):
        return None
    least = least_trail_pct(price, tick)
    facts = {"lacks": "", "least_pct": f"{least:f}", "trail_pct": f"{distance:f}", "tick": f"{tick:f}", "symbol": request.symbol}
    return Denial(Check.TRIGGER_PRICE, facts)


def _lacks(request: OrderRequest, now_ms: int) -> str:
    """What a conditional order needs and does not have: one without it would wait for ever, or go out at once."""
    kind = request.type
    if kind is OrderType.TIME_EXIT:
        return "" if request.trigger_ms > now_ms and request.side is SELL else "a time to come"
    if kind is OrderType.TRAILING_STOP and not (request.trail_pct and 0 < request.trail_pct < HUNDRED):
        return "a distance"
    if kind is OrderType.STOP_LIMIT and request.price is None:
        return "a limit price"
    return "a trigger" if kind in CONDITIONAL and not (request.trigger_price and request.trigger_price > 0) else ""


def _stop_for_sizing(case: Case) -> Denial | None:
    """What a signal may buy by risk follows from the distance to the stop: without one it is not known."""
    if case.signal is not None and case.state.settings.sizing is Sizing.RISK_PERCENT and not case.stop_pct:
        return Denial(Check.SIZING_NEEDS_STOP)
    return None


def _quantity_precision(case: Case) -> Denial | None:
    assert case.instrument is not None
    if not is_multiple(case.request.quantity, case.instrument.step_size):
        return Denial(Check.QTY_PRECISION, {"step": f"{case.instrument.step_size:f}", "what": "quantity"})
    if case.request.price is not None and not is_multiple(case.request.price, case.instrument.tick_size):
        return Denial(Check.QTY_PRECISION, {"step": f"{case.instrument.tick_size:f}", "what": "price"})
    return None


def _quantity_minimum(case: Case) -> Denial | None:
    assert case.instrument is not None
    if case.request.quantity < case.instrument.min_qty:
        return Denial(Check.QTY_MIN, {"minimum": f"{case.instrument.min_qty:f}"})
    return None


def _quantity_maximum(case: Case) -> Denial | None:
    assert case.instrument is not None
    if case.request.quantity > case.instrument.max_qty:
        return Denial(Check.QTY_MAX, {"maximum": f"{case.instrument.max_qty:f}"})
    return None


def _notional_minimum(case: Case) -> Denial | None:
    """The order itself, and for an entry also the exit that will follow: after the fee and at the stop price."""
    assert case.instrument is not None
    smallest = case.notional
    if case.request.side is BUY:
        smallest *= ONE - case.instrument.taker_fee
        if case.stop_pct:
            smallest *= ONE - case.stop_pct / HUNDRED
    if smallest < case.instrument.min_notional:
        return Denial(Check.NOTIONAL_MIN, {"minimum": f"{case.instrument.min_notional:f}", "notional": f"{money(case.notional):f}"})
    return None


def _notional_maximum(case: Case) -> Denial | None:
    assert case.instrument is not None
    if case.notional > case.instrument.max_notional:
        return Denial(Check.NOTIONAL_MAX, {"maximum": f"{case.instrument.max_notional:f}"})
    return None


def _risk_per_trade(case: Case) -> Denial | None:
    settings = case.state.settings
    at_risk = case.notional * case.stop_pct / HUNDRED if case.stop_pct else case.notional
    limit = case.equity * settings.risk_per_trade_pct / HUNDRED
    if at_risk > limit:
        return Denial(
            Check.MAX_RISK_PER_TRADE,
            {"limit": f"{money(limit):f}", "risk": f"{money(at_risk):f}", "limit_pct": f"{settings.risk_per_trade_pct:f}"},
        )
    return None


def _exposure(case: Case) -> Denial | None:
    tied = case.equity - case.state.session.cash + case.state.reserved
    limit = case.equity * case.state.settings.max_exposure_pct / HUNDRED
    if tied + case.notional > limit:
        return Denial(Check.MAX_EXPOSURE, {"limit": f"{money(limit):f}", "exposure": f"{money(tied):f}"})
    return None


def _daily_loss(case: Case) -> Denial | None:
    start, loss = case.state.session.day_start_equity, case.state.session.day_start_equity - case.equity
    limit = start * case.state.settings.max_daily_loss_pct / HUNDRED
    if start > 0 and loss >= limit:
        return Denial(Check.MAX_DAILY_LOSS, {"limit": f"{money(limit):f}", "loss": f"{money(loss):f}"})
    return None


def _drawdown(case: Case) -> Denial | None:
    peak = case.state.session.peak_equity
    if case.equity >= peak or peak <= 0:
        return None
    fall_pct = (peak - case.equity) / peak * HUNDRED
    if fall_pct >= case.state.settings.max_drawdown_pct > 0:
        return Denial(Check.MAX_DRAWDOWN, {"limit_pct": f"{case.state.settings.max_drawdown_pct:f}", "drawdown_pct": f"{fall_pct:.2f}"})
    return None


def _balance(case: Case) -> Denial | None:
    needed, free = reservation(case), case.state.free
    if needed > free:
        return Denial(Check.INSUFFICIENT_BALANCE, {"free": f"{free:f}", "needed": f"{needed:f}"})
    return None


def _reduces(case: Case) -> Denial | None:
    sellable = case.state.sellable(case.request.symbol, with_guards=True)
    if case.request.type in CONDITIONAL and (held := case.state.position(case.request.symbol)) is not None:
        # It promises nothing until it fires.
        sellable = held.quantity
    if case.request.quantity > sellable:
        return Denial(Check.REDUCE_ONLY_WOULD_INCREASE, {"sellable": f"{sellable:f}", "symbol": case.request.symbol})
    return None


def _order_rate(case: Case) -> Denial | None:
    if len(case.state.orders) >= case.policy.open_orders_max:
        return Denial(Check.ORDER_RATE_LIMIT, {"open_orders_max": str(case.policy.open_orders_max)})
    return None


def _resolved(case: Case) -> Denial | None:
    if case.state.unresolved(case.request.symbol):
        return Denial(Check.UNRESOLVED_ORDER, {"symbol": case.request.symbol})
    return None


ENTRY_CHECKS: tuple[Callable[[Case], Denial | None], ...] = (
    _maintenance,
    _session_active,
    _not_halted,
    _not_reducing,
    _account,
    _tier_feature,
    _daily_trades,
    _max_positions,
    _not_duplicate,
    _signal_in_time,
    _instrument_known,
    _instrument_tradable,
    _not_locked,
    _fresh_price,
    _price_deviation,
    _trigger,
    _stop_for_sizing,
    _quantity_precision,
    _quantity_minimum,
    _quantity_maximum,
    _notional_minimum,
    _notional_maximum,
    _risk_per_trade,
    _exposure,
    _daily_loss,
    _drawdown,
    _balance,
    _order_rate,
    _resolved,
)

EXIT_CHECKS: tuple[Callable[[Case], Denial | None], ...] = (
    _account_reachable,
    _instrument_known,
    _price_known,
    _price_deviation,
    _trigger,
    _quantity_precision,
    _quantity_minimum,
    _notional_minimum,
    _reduces,
)
