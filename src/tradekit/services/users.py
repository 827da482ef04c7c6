"""Registration, settings, pausing, tiers and roles."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tradekit.domain.amounts import HUNDRED, ZERO, parse_amount, text_of
from tradekit.domain.audit import AuditEntry
from tradekit.domain.changes import Changes, together
from tradekit.domain.errors import BadInput, NotPermitted, UnknownUser
from tradekit.domain.orders import TakeProfit
from tradekit.domain.portfolio import LedgerEntry, LedgerKind
from tradekit.domain.protections import STOPS_MAX
from tradekit.domain.sessions import SessionState, SessionStatus, TradingSession
from tradekit.domain.tiers import TierName
from tradekit.domain.triggers import least_trail_pct
from tradekit.domain.usage import day_at
from tradekit.domain.users import Identity, Role, Sizing, User, UserSettings, UserStatus
from tradekit.ports.market import MarketView
from tradekit.services.decisions import Context, Decision, refused, unchanged
from tradekit.services.exit_words import parse_distance, parse_ladder, parse_time
from tradekit.services.later import no_longer_flattening

replace = msgspec.structs.replace

DISPLAY_NAME_MAX = 64
OFF = frozenset({"off", "none", "0", "no"})
"""Words that take a setting away."""


def audit(state: SessionState, ctx: Context, actor: str, action: str, detail: str) -> AuditEntry:
    """An audit row about this user."""
    subject = state.user.audit_subject if state.user else ""
    return AuditEntry(partition=state.partition, subject=subject, actor=actor, action=action, detail=detail, time_ms=ctx.now_ms)


def register(state: SessionState, identity: Identity, display_name: str, ctx: Context) -> Decision:
    """Make the user, default settings, a paper account and a running session. A known user stays as they are."""
    if state.user is not None:
        return unchanged(state, result=state.user)
    settings = UserSettings()
    user = User(
        user_id=state.user_id,
        partition=state.partition,
        display_name="".join(c for c in display_name if c.isprintable())[:DISPLAY_NAME_MAX],
        created_ms=ctx.now_ms,
        disclosure_ms=ctx.now_ms,
        audit_subject=ctx.entropy.token(8),
    )
    cash, today = ctx.initial_cash, day_at(ctx.now_ms, settings.time_zone)
    new = replace(
        state,
        user=user,
        identities=(identity,),
        settings=settings,
        session=TradingSession(status=SessionStatus.RUNNING, cash=cash, day_start_equity=cash, peak_equity=cash, day_ends_ms=today.ends_ms),
        usage=(today,),
    )
    deposit = LedgerEntry(
        user_id=user.user_id,
        partition=user.partition,
        kind=LedgerKind.DEPOSIT,
        amount=cash,
        balance=cash,
        reference=f"paper account/{ctx.cause}",
        time_ms=ctx.now_ms,
    )
    entry = audit(new, ctx, "user", "user.registered", f"tier={user.tier} disclosure shown")
    return Decision(state=new, changes=Changes(ledger=(deposit,), audit=(entry,)), result=user)


def need_user(state: SessionState) -> User:
    """The registered user of this session.

    :raises UnknownUser: nobody registered yet.
    """
    if state.user is None:
        raise UnknownUser(who=", ".join(map(str, state.identities)) or f"user {state.user_id}")
    return state.user


def pause(state: SessionState, ctx: Context) -> Decision:
    """Stop entries; exits stay possible."""
    return _set_session(state, SessionStatus.PAUSED, "session.paused", ctx)


def resume(state: SessionState, ctx: Context) -> Decision:
    """Allow entries again, and sell nothing more for /panic. A halt by the operator stays."""
    if state.session.status is SessionStatus.STARTING:
        return unchanged(state, result=SessionStatus.STARTING)
    if state.session.status is SessionStatus.HALTED:
        return refused(state, NotPermitted(action="resume", needs="the operator, who halted this session"))
    if not state.session.flattening:
        return _set_session(state, SessionStatus.RUNNING, "session.resumed", ctx)
    calm, over = no_longer_flattening(state, ctx)
    resumed = _set_session(calm, SessionStatus.RUNNING, "session.resumed", ctx)
    rows = tuple(audit(calm, ctx, "user", "order.canceled", f"{order.client_order_id} resumed") for order in over)
    return replace(resumed, changes=together(resumed.changes, Changes(order_updates=over, audit=rows)))


def _set_session(state: SessionState, status: SessionStatus, action: str, ctx: Context, actor: str = "user") -> Decision:
    if state.session.status is status:
        return unchanged(state, result=status)
    new = replace(state, session=replace(state.session, status=status))
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, actor, action, ""),)), result=status)


def set_tier(state: SessionState, tier: TierName, actor: str, ctx: Context) -> Decision:
    """Move the user to another plan. Open positions are kept even if the new plan allows fewer."""
    return _set_user(state, "user.tier", ctx, actor, tier=tier)


def set_role(state: SessionState, role: Role, actor: str, ctx: Context) -> Decision:
    """Give the user another role."""
    return _set_user(state, "user.role", ctx, actor, role=role)


def set_status(state: SessionState, status: UserStatus, actor: str, ctx: Context) -> Decision:
    """Suspend or reinstate the user."""
    return _set_user(state, "user.status", ctx, actor, status=status)


def set_reachable(state: SessionState, reachable: bool, ctx: Context) -> Decision:
    """Note that the transport can or cannot deliver to the user."""
    return _set_user(state, "user.reachable", ctx, "system", reachable=reachable)


def _set_user(state: SessionState, action: str, ctx: Context, actor: str, **fields: Any) -> Decision:
    user = need_user(state)
    if all(getattr(user, name) == value for name, value in fields.items()):
        return unchanged(state, result=user)
    new = replace(state, user=replace(user, **fields))
    detail = " ".join(f"{name}={value}" for name, value in fields.items())
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, actor, action, detail),)), result=new.user)


def change_settings(state: SessionState, values: Mapping[str, str], ctx: Context) -> Decision:
    """Set some of the user's settings from text, all or none.

    A new time zone counts for quotas once the current day has ended. The error of the decision is BadInput, naming the field.
    """
    need_user(state)
    try:
        fields = {name: _parse(name, text, ctx) for name, text in values.items()}
    except BadInput as error:
        return refused(state, error)
    new = replace(state, settings=replace(state.settings, **fields))
    detail = " ".join(f"{name}={value}" for name, value in fields.items())
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, "user", "user.settings", detail),)), result=new.settings)


def _parse(name: str, text: str, ctx: Context) -> Any:
    if name not in PARSERS:
        raise BadInput(field=name[:40], value=text[:40], problem="is not a setting", hint="known settings: " + ", ".join(sorted(PARSERS)))
    return PARSERS[name](name, text.strip(), ctx)


def _percent(most: Decimal) -> Callable[[str, str, Context], Decimal]:
    def parse(name: str, text: str, ctx: Context) -> Decimal:
        del ctx
        value = parse_amount(text.removesuffix("%"), name)
        if value > most:
            raise BadInput(field=name, value=text, problem=f"is above {most} percent", hint="as in 2")
        return value

    return parse


def _amount(name: str, text: str, ctx: Context) -> Decimal:
    del ctx
    return parse_amount(text, name)


def _seconds(name: str, text: str, ctx: Context) -> int:
    del ctx
    if text in {"0", "off"}:
        return 0
    value = parse_amount(text, name)
    if value != value.to_integral_value() or value > 7 * 86_400:
        raise BadInput(field=name, value=text, problem="is not a whole number of seconds up to 604800", hint="as in 900")
    return int(value)


def _distance(name: str, text: str, ctx: Context) -> Decimal | None:
    del ctx
    return None if text.lower() in OFF else parse_distance(name, text)


def _trailing(name: str, text: str, ctx: Context) -> Decimal | None:
    """A distance that is a tick or more of at least one instrument; of the one that is bought each entry is asked again."""
    distance = _distance(name, text, ctx)
    known = min(_trailing_distances(ctx.market), default=None)
    if distance is None or known is None or distance >= known[0]:
        return distance
    least, symbol, tick = known
    problem = "would fire at once: it is less than one step of any price here"
    hint = f"the smallest that works now is {text_of(least)}, one step of {symbol} ({text_of(tick)})"
    raise BadInput(field=name, value=text[:40], problem=problem, hint=hint)


def _trailing_distances(market: MarketView) -> Iterator[tuple[Decimal, str, Decimal]]:
    """The smallest distance of each instrument that has a price, with its name and its tick."""
    for symbol in market.symbols():
        quote, instrument = market.quote(symbol), market.instrument(symbol)
        if quote is not None and instrument is not None:
            yield least_trail_pct(quote.price, instrument.tick_size), symbol, instrument.tick_size


def _ladder(name: str, text: str, ctx: Context) -> tuple[TakeProfit, ...]:
    del ctx
    return () if text.lower() in OFF else parse_ladder(name, text)


def _time(name: str, text: str, ctx: Context) -> int:
    del ctx
    return 0 if text.lower() in OFF and name == "time_exit_s" else parse_time(name, text)


def _count(name: str, text: str, ctx: Context) -> int:
    del ctx
    if text.lower() in OFF:
        return 0
    value = parse_amount(text, name)
    if value != value.to_integral_value() or value > STOPS_MAX:
        raise BadInput(field=name, value=text[:40], problem=f"is not a whole number up to {STOPS_MAX}", hint="as in 3, or off")
    return int(value)


def _result(name: str, text: str, ctx: Context) -> Decimal | None:
    """A result in percent, which may be a loss."""
    del ctx
    if text.lower() in {"off", "none"}:
        return None
    negative, number = text.startswith("-"), text.removeprefix("-").removesuffix("%")
    value = ZERO if number == "0" else parse_amount(number, name)
    if value > HUNDRED:
        raise BadInput(field=name, value=text[:40], problem="is above 100 percent", hint="as in -2")
    return -value if negative else value


def _flag(name: str, text: str, ctx: Context) -> bool:
    del ctx
    answer = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}.get(text.lower())
    if answer is None:
        raise BadInput(field=name, value=text[:40], problem="is neither on nor off", hint="as in on")
    return answer


def _zone(name: str, text: str, ctx: Context) -> str:
    del ctx
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(field=name, value=text[:40], problem="is not a time zone", hint="as in Europe/Berlin") from error
    return text


def _language(name: str, text: str, ctx: Context) -> str:
    del ctx
    if text not in LANGUAGES:
        raise BadInput(field=name, value=text[:40], problem="is not available", hint="as in " + ", ".join(LANGUAGES))
    return text


def _sizing(name: str, text: str, ctx: Context) -> Sizing:
    del ctx
    try:
        return Sizing(text.lower())
    except ValueError:
        raise BadInput(field=name, value=text[:40], problem="is not a sizing mode", hint="one of " + ", ".join(Sizing)) from None


def _symbols(name: str, text: str, ctx: Context) -> tuple[str, ...]:
    if text.lower() in {"all", "any"}:
        return ()
    symbols = tuple(dict.fromkeys(part.upper() for part in text.replace(",", " ").split()))
    for symbol in symbols:
        if ctx.market.instrument(symbol) is None:
            raise BadInput(field=name, value=symbol[:40], problem="is not traded here", hint="as in " + ", ".join(ctx.market.symbols()[:3]))
    return symbols


LANGUAGES = ("en",)

PARSERS: dict[str, Callable[[str, str, Context], Any]] = {
    "language": _language,
    "time_zone": _zone,
    "symbols": _symbols,
    "sizing": _sizing,
    "size": _amount,
    "risk_per_trade_pct": _percent(HUNDRED),
    "max_exposure_pct": _percent(HUNDRED),
    "max_daily_loss_pct": _percent(HUNDRED),
    "max_drawdown_pct": _percent(HUNDRED),
    "stop_loss_pct": _distance,
    "take_profit_pct": _distance,
    "take_profits": _ladder,
    "trailing_stop_pct": _trailing,
    "time_exit_s": _time,
    "cooldown_s": _seconds,
    "stop_guard_losses": _count,
    "guard_window_s": _time,
    "guard_lock_s": _time,
    "low_profit_pct": _result,
    "notify_fills": _flag,
    "notify_signals": _flag,
}
"""How each setting is read from text."""

assert set(PARSERS) <= set(UserSettings.__struct_fields__)
