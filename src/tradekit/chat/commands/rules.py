"""Rules of the user's own: /rules, /rule add, /rule remove, /rule check."""

from tradekit.chat.command import Command, Request, answered, press, quote_currency
from tradekit.chat.commands.account import BUTTONS_MAX, pairs
from tradekit.chat.parsing import listed, missing, shown
from tradekit.domain.errors import BadInput, NotFound
from tradekit.domain.replies import Reply
from tradekit.domain.rules import UserRule
from tradekit.domain.rules_print import rule_words
from tradekit.domain.suggestions import closest
from tradekit.services import rules as service
from tradekit.services.decisions import Decision

SIGHTINGS_SHOWN = 5
ACTIONS = ("add", "remove", "check")


def rules(request: Request) -> Decision:
    """The user's rules, and how to write one."""
    state, limits = request.state, request.ctx.limits(request.state)
    rows = tuple(_row(request, rule) for rule in state.rules)
    buttons = [press("button.rule_remove", f"/rule remove {rule.name}", name=rule.name) for rule in state.rules[:BUTTONS_MAX]]
    args = {"used": str(len(rows)), "limit": str(limits.rules), "plan": "yes" if limits.custom_strategies else ""}
    return request.say("rules", args, rows, (*pairs(tuple(buttons)), (press("button.signals", "/signals"),)))


def _row(request: Request, rule: UserRule) -> dict[str, str]:
    wish = service.follows(request.state, rule)
    return {"name": rule.name, "text": rule.text, "followed": "" if wish is None else listed(wish.symbols) or "all"}


def rule(request: Request) -> Decision:
    """Add, remove or try a rule."""
    if not request.args:
        raise missing("action")
    action = request.arg(0).lower()
    if action not in ACTIONS:
        guess = closest(action, ACTIONS)
        hint = f"did you mean {guess}?" if guess else "say add, remove or check"
        raise BadInput(field="action", value=shown(request.arg(0)), problem="is not known", hint=hint)
    return {"add": _add, "remove": _remove, "check": _check}[action](request)


def _add(request: Request) -> Decision:
    if len(request.args) < 2:
        raise missing("name")
    if len(request.args) < 3:
        raise missing("rule")
    decision = service.add(request.state, request.arg(1), " ".join(request.args[2:]), request.ctx)
    if decision.error is not None:
        return decision
    made: UserRule = decision.result
    limit = request.ctx.limits(request.state).rules
    chosen = request.state.settings
    args = {"name": made.name, "text": made.text, "used": str(len(decision.state.rules)), "limit": str(limit)}
    args |= {"size": f"{chosen.size:f}", "sizing": chosen.sizing.value, "quote": quote_currency(request.ctx)}
    buttons = ((press("button.rules", "/rules"), press("button.rule_remove", f"/rule remove {made.name}", name=made.name)),)
    return answered(decision, Reply(key="rule.added", args=args, buttons=buttons))


def _remove(request: Request) -> Decision:
    if len(request.args) < 2:
        raise missing("name")
    if len(request.args) > 2:
        raise BadInput(field="argument", value=shown(request.arg(2)), problem="is one too many")
    name = request.arg(1).lower().removeprefix("rule:")
    decision = service.remove(request.state, name, request.ctx)
    if decision.error is not None:
        raise NotFound(kind="rule", name=shown(request.arg(1)))
    return answered(decision, Reply(key="rule.removed", args={"name": decision.result.name}))


def _check(request: Request) -> Decision:
    if len(request.args) < 2:
        raise missing("rule")
    tried = service.trial(request.state, " ".join(request.args[1:]), request.ctx)
    last = tried.sightings[-SIGHTINGS_SHOWN:]
    rows = tuple({"side": seen.side.value, "price": seen.price, "time_ms": str(seen.bar_ms)} for seen in last)
    args = {
        "words": rule_words(tried.rule),
        "text": tried.text,
        "nodes": str(tried.size.nodes),
        "cost": str(tried.size.cost),
        "symbol": tried.symbol,
        "bars": str(tried.bars),
        "count": str(len(tried.sightings)),
        "zone": request.zone,
        "quote": quote_currency(request.ctx),
    }
    return request.say("rule.checked", args, rows)


COMMANDS = (
    Command(name="rules", run=rules),
    Command(
        name="rule", run=rule, usage="add NAME RULE|remove NAME|check RULE", example="check buy when rsi(14) crosses above 30", args_max=500
    ),
)
