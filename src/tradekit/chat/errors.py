"""Errors into replies: what was wrong, and an example that works."""

from collections.abc import Mapping

from tradekit.chat.command import Command, press, quote_currency
from tradekit.chat.examples import example_line
from tradekit.chat.parsing import shown
from tradekit.chat.texts import has_text
from tradekit.domain.errors import BadInput, NotFound, OrderDenied, RuleRefused, TradekitError
from tradekit.domain.replies import Button, Reply
from tradekit.domain.risk import Check
from tradekit.domain.sessions import SessionState
from tradekit.services.decisions import Context

_DENIED_BUTTONS: dict[str, tuple[Button, ...]] = {
    Check.API_RATE_LIMIT: (press("button.plan", "/plan"),),
    Check.DAILY_TRADES_LIMIT: (press("button.usage", "/usage"), press("button.plan", "/plan")),
    Check.MAX_POSITIONS: (press("button.positions", "/positions"), press("button.plan", "/plan")),
    Check.SESSION_NOT_ACTIVE: (press("button.resume", "/resume"),),
    Check.MAX_RISK_PER_TRADE: (press("button.risk", "/risk"),),
    Check.MAX_EXPOSURE: (press("button.risk", "/risk"),),
    Check.INSUFFICIENT_BALANCE: (press("button.portfolio", "/portfolio"),),
    Check.REDUCE_ONLY_WOULD_INCREASE: (press("button.positions", "/positions"),),
    Check.UNRESOLVED_ORDER: (press("button.orders", "/orders"),),
}


def reply_for(error: TradekitError, state: SessionState, ctx: Context, command: Command | None = None, example: str = "") -> Reply:
    """What the user is told of an error; with the command they used, also how to use it."""
    if isinstance(error, OrderDenied):
        return denied(error.check, error.detail, state, ctx)
    example = example or (example_line(command, state, ctx) if command else "")
    if isinstance(error, BadInput):
        usage = f"/{command.name} {command.usage}".strip() if command else ""
        args = {"field": error.field.replace("_", " "), "problem": error.problem, "hint": error.hint, "usage": usage, "example": example}
        if not error.value:
            return Reply(key="input.missing" if error.problem == "is missing" else "input.wrong", args=args)
        return Reply(key="input.bad", args={**args, "value": shown(error.value)})
    if isinstance(error, RuleRefused):
        buttons = ((press("button.plan", "/plan"),),) if error.check == "RULE_PLAN" else ()
        return Reply(key=f"error.{error.code.lower()}", args=dict(error.detail), buttons=buttons)
    facts = {name: shown(str(value)) for name, value in error.facts.items()}
    if isinstance(error, NotFound):
        key = "not_found." + error.kind.replace(" ", "_")
        return Reply(key=key if has_text(key) else "not_found.other", args={**facts, "example": example})
    return Reply(key=f"error.{error.code.lower()}", args=facts)


def denied(check: str, facts: Mapping[str, str], state: SessionState, ctx: Context) -> Reply:
    """A pre-trade check said no: which limit was hit, and what can be done."""
    buttons = _DENIED_BUTTONS.get(check, ())
    args = {"zone": state.settings.time_zone, "quote": quote_currency(ctx), **facts}
    return Reply(key=f"denied.{check}", args=args, buttons=(buttons,) if buttons else ())
