"""Counting what a tier limits: inbound calls per minute, entries per day."""

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.risk import Check, Denial
from tradekit.domain.sessions import SessionState
from tradekit.domain.usage import MINUTE_MS, count_call, roll
from tradekit.services.decisions import Context

replace = msgspec.structs.replace


def admit_call(state: SessionState, ctx: Context) -> tuple[SessionState, Denial | None]:
    """Count one inbound call of a registered user; a denial when the minute is full (the call is not counted then)."""
    state = begin_day(state, ctx)
    session = state.session
    counted = count_call(session.api, ctx.now_ms)
    limit = ctx.limits(state).api_calls_per_minute
    if counted.calls <= limit:
        return replace(state, session=replace(session, api=counted)), None
    resets_ms = (counted.minute + 1) * MINUTE_MS
    return state, Denial(Check.API_RATE_LIMIT, {"limit": str(limit), "resets_ms": str(resets_ms), "zone": state.settings.time_zone})


def begin_day(state: SessionState, ctx: Context) -> SessionState:
    """Roll the trading day over if it has ended in the user's time zone; daily profit and loss of the account start anew with it."""
    if not state.usage:
        return state
    usage = state.usage
    if ctx.now_ms >= usage[-1].ends_ms:
        usage = roll(usage, ctx.now_ms, state.settings.time_zone)
    elif state.session.day_ends_ms == usage[-1].ends_ms:
        return state
    equity = ctx.equity(state)
    session = replace(
        state.session,
        realized_today=ZERO,
        day_start_equity=equity,
        peak_equity=max(state.session.peak_equity, equity),
        day_ends_ms=usage[-1].ends_ms,
    )
    return replace(state, usage=usage, session=session)
