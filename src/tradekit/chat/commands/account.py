"""Looking at the account: /status, /portfolio, /positions, /usage."""

from decimal import Decimal

from tradekit.chat.command import Command, Request, pct_of, press, quote_currency
from tradekit.domain.amounts import ZERO, text_of
from tradekit.domain.controls import state_of
from tradekit.domain.orders import venue_of
from tradekit.domain.portfolio import Position
from tradekit.domain.replies import Button
from tradekit.domain.rules import source_label
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.usage import MINUTE_MS
from tradekit.services.decisions import Context, Decision

BUTTONS_MAX = 8


def portfolio(request: Request) -> Decision:
    """Money, profit and loss, and every position at market."""
    state, ctx = request.state, request.ctx
    equity, start = ctx.equity(state), state.session.day_start_equity
    unrealized = sum((_unrealized(position, ctx) or ZERO for position in state.positions), ZERO)
    args = _account_args(request) | {
        "cash": text_of(state.session.cash),
        "reserved": text_of(state.reserved) if state.reserved else "",
        "equity": text_of(equity),
        "unrealized": text_of(unrealized),
        "realized_today": text_of(state.session.realized_today),
        "day_pnl": text_of(equity - start),
        "day_pct": text_of(pct_of(equity - start, start)),
    }
    buttons = ((press("button.positions", "/positions"), press("button.orders", "/orders"), press("button.history", "/history")),)
    return request.say("portfolio", args, position_rows(request), buttons)


def positions(request: Request) -> Decision:
    """Every position with what it would bring now, and a button to close it."""
    closing = tuple(
        press("button.close", f"/close {position.symbol}", symbol=position.symbol) for position in request.state.positions[:BUTTONS_MAX]
    )
    return request.say("positions", _account_args(request), position_rows(request), pairs(closing))


def pairs(buttons: tuple[Button, ...]) -> tuple[tuple[Button, ...], ...]:
    """Two buttons a row."""
    return tuple(buttons[index : index + 2] for index in range(0, len(buttons), 2))


def _account_args(request: Request) -> dict[str, str]:
    ctx = request.ctx
    return {"mode": request.state.account, "quote": quote_currency(ctx), "market": ctx.market.source}


def position_rows(request: Request) -> tuple[dict[str, str], ...]:
    """One line per position."""
    return tuple(_position_row(position, request.ctx) for position in request.state.positions)


def _position_row(position: Position, ctx: Context) -> dict[str, str]:
    base, _, quote = position.symbol.partition("/")
    row = {
        "symbol": position.symbol,
        "base": base,
        "quote": quote,
        "quantity": text_of(position.quantity),
        "average": text_of(position.average_price),
        "cost": text_of(position.cost),
    }
    price, pnl = ctx.price(position.symbol), _unrealized(position, ctx)
    if price is None or pnl is None:
        return row | {"row_key": "position.unpriced"}
    more = {"price": text_of(price), "value": text_of(position.quantity * price), "pnl": text_of(pnl)}
    return row | more | {"pnl_pct": text_of(pct_of(pnl, position.cost)), "row_key": "position.line"}


def _unrealized(position: Position, ctx: Context) -> Decimal | None:
    price = ctx.price(position.symbol)
    return None if price is None else position.quantity * price - position.cost


def usage(request: Request) -> Decision:
    """What the plan allows and how much of it is used."""
    state, ctx = request.state, request.ctx
    limits, day = ctx.limits(state), state.today
    minute = ctx.now_ms // MINUTE_MS
    args = {
        "tier": ctx.tiers[request.user.tier].title,
        "used": str(day.used),
        "reserved": str(day.reserved) if day.reserved else "",
        "daily_trades": str(limits.daily_trades),
        "left": str(max(0, limits.daily_trades - day.used - day.reserved)),
        "resets_ms": str(day.ends_ms),
        "zone": request.zone,
        "calls": str(state.session.api.calls if state.session.api.minute >= minute else 0),
        "api_calls": str(limits.api_calls_per_minute),
        "positions": str(len(state.instruments_used)),
        "max_positions": str(limits.max_positions),
    }
    return request.say("usage", args, buttons=((press("button.plan", "/plan"),),))


def status(request: Request) -> Decision:
    """Whether and how the user trades, and whether the service does."""
    state, ctx = request.state, request.ctx
    locks = tuple(lock for lock in state.session.guard.locks if lock.until_ms > ctx.now_ms)
    locked_ms = max((lock.until_ms for lock in locks if not (lock.symbol or lock.source)), default=0)
    of_some = dict.fromkeys(lock.symbol or lock.source for lock in locks if lock.symbol or lock.source)
    quotes = [quote for symbol in ctx.market.symbols() if (quote := ctx.market.quote(symbol))]
    args = _account_args(request) | {
        "session": state.session.status.value if ctx.settled(state) else SessionStatus.RECONCILING.value,
        "venue_problem": "" if ctx.accounts is None else ctx.accounts.problem(state.account),
        "frozen": ", ".join(state.session.guard.frozen),
        "locked": ", ".join(of_some),
        "account": request.user.status.value,
        "service": "maintenance" if ctx.policy.maintenance else state_of(ctx.policy.controls, venue_of(state.account), state.user_id).value,
        "tier": ctx.tiers[request.user.tier].title,
        "instruments": str(len(ctx.market.symbols())),
        "prices": ctx.market.origin if ctx.market.origin != ctx.market.source else "",
        "priced_ms": str(max(quote.time_ms for quote in quotes)) if quotes else "",
        "ended": "yes" if quotes and all(quote.final for quote in quotes) else "",
        "positions": str(len(state.positions)),
        "orders": str(len(state.orders)),
        "followed": ", ".join(source_label(state.rules, subscription.source) for subscription in state.subscriptions),
        "locked_ms": str(locked_ms) if locked_ms else "",
        "zone": request.zone,
    }
    switch = press("button.resume", "/resume") if state.session.status == "paused" else press("button.pause", "/pause")
    return request.say("status", args, buttons=((press("button.portfolio", "/portfolio"), press("button.usage", "/usage"), switch),))


COMMANDS = (
    Command(name="status", run=status, for_suspended=True),
    Command(name="portfolio", run=portfolio, for_suspended=True),
    Command(name="positions", run=positions, for_suspended=True),
    Command(name="usage", run=usage, for_suspended=True),
)
