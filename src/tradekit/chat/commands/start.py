"""Arriving: /start, /help, /plan."""

import msgspec

from tradekit.chat.command import Command, Request, press, quote_currency
from tradekit.chat.examples import example_line, first_symbol, sample_quantity
from tradekit.chat.parsing import shown
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import BadInput
from tradekit.domain.replies import Button, Reply
from tradekit.domain.suggestions import closest
from tradekit.services import users
from tradekit.services.decisions import Decision


def start(request: Request) -> Decision:
    """Register, or greet a known user. A deep link's payload is accepted and changes nothing."""
    known = request.state.user is not None
    decision = users.register(request.state, request.identity, request.display_name, request.ctx)
    state, ctx = decision.state, request.ctx
    tier = ctx.tiers[users.need_user(state).tier]
    args = {
        "name": users.need_user(state).display_name,
        "cash": text_of(state.session.cash),
        "equity": text_of(ctx.equity(state)),
        "quote": quote_currency(ctx),
        "tier": tier.title,
        "daily_trades": str(tier.limits.daily_trades),
        "max_positions": str(tier.limits.max_positions),
        "api_calls": str(tier.limits.api_calls_per_minute),
        "market": ctx.market.source,
    }
    reply = Reply(key="start.back" if known else "start.welcome", args=args, buttons=_first_steps(request))
    return msgspec.structs.replace(decision, replies=(reply,))


def _first_steps(request: Request) -> tuple[tuple[Button, ...], ...]:
    symbol = first_symbol(request.ctx)
    quantity = text_of(sample_quantity(symbol, request.ctx))
    return (
        (press("button.portfolio", "/portfolio"), press("button.buy", f"/buy {symbol} {quantity}", symbol=symbol, quantity=quantity)),
        (press("button.signals", "/signals"), press("button.help", "/help")),
    )


def help_(request: Request) -> Decision:
    """All commands, or one with its arguments and an example that works."""
    role = request.state.user.role if request.state.user else None
    known = {name: command for name, command in request.commands.items() if command.roles is None or (role and command.allows(role))}
    if not request.args:
        rows = tuple({"name": name, "usage": command.usage, "about": f"help.{name}"} for name, command in known.items())
        return request.say("help", rows=rows)
    wanted = request.arg(0).lower().lstrip("/")
    command = known.get(wanted)
    if command is None:
        guess = closest(wanted, known)
        hint = f"did you mean /help {guess}?" if guess else "send /help for all commands"
        raise BadInput(field="command", value=shown(request.arg(0)), problem="is not known", hint=hint)
    line = f"/{command.name} {command.usage}".strip()
    example = example_line(command, request.state, request.ctx)
    return request.say("help.one", {"about": f"help.{command.name}", "usage": line, "example": example})


def plan(request: Request) -> Decision:
    """The plans side by side."""
    rows = tuple(
        {
            "title": tier.title,
            "current": "yes" if tier.name is request.user.tier else "",
            "daily_trades": str(tier.limits.daily_trades),
            "max_positions": str(tier.limits.max_positions),
            "api_calls": str(tier.limits.api_calls_per_minute),
            "advanced": "yes" if tier.limits.advanced_signals else "no",
            "custom": "yes" if tier.limits.custom_strategies else "no",
            "support": "yes" if tier.limits.priority_support else "no",
        }
        for tier in request.ctx.tiers.values()
    )
    title = request.ctx.tiers[request.user.tier].title
    return request.say("plan", {"title": title}, rows, ((press("button.usage", "/usage"),),))


COMMANDS = (
    Command(name="start", run=start, for_strangers=True, for_suspended=True, args_max=8),
    Command(name="help", run=help_, usage="[COMMAND]", example="buy", for_strangers=True, for_suspended=True, args_max=1),
    Command(name="plan", run=plan, for_suspended=True),
)
