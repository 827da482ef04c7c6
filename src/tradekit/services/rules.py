"""Rules of one user: adding, removing, and trying one on the bars that just passed."""

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.errors import BadInput, NotFound, RuleRefused
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.domain.rules import RULE_NAME, UserRule, rule_of, rule_source
from tradekit.domain.rules_print import rule_text
from tradekit.domain.rules_text import parse_rule
from tradekit.domain.rules_tree import Rule, Size, fit, size_of
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Subscription
from tradekit.ports.strategy import advice_of
from tradekit.services.decisions import Context, Decision, refused
from tradekit.services.users import audit, need_user
from tradekit.strategies.rule import RuleStrategy, refuse_missing
from tradekit.strategies.streams import Stream

replace = msgspec.structs.replace

TRIAL_WORK = 150_000
"""Bars of a trial times what the rule looks at on each."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have said on one of the last bars."""

    side: Side
    price: str
    bar_ms: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was read, measured, and tried on the last bars of one instrument."""

    rule: Rule
    text: str
    """Canonical."""
    size: Size
    symbol: Symbol = ""
    """What it was tried on; empty when there are no bars."""
    bars: int = 0
    sightings: tuple[Sighting, ...] = ()


def add(state: SessionState, name: str, text: str | Rule, ctx: Context) -> Decision:
    """Keep a rule under a name and follow its signals from the next bar on. The result is the UserRule.

    Refused with RuleRefused, coded: ``RULE_PLAN``, ``RULE_LIMIT``, ``RULE_NAME``, ``RULE_NAME_TAKEN``, ``RULE_SYNTAX``, ``RULE_MALFORMED``,
    ``RULE_TOO_LARGE``, ``RULE_INDICATOR``, ``RULE_INDICATOR_MISSING``; or BadInput for an instrument that is not traded here.
    """
    user = need_user(state)
    limits = ctx.tiers[user.tier].limits
    name = name.lower()
    try:
        if not limits.custom_strategies:
            raise RuleRefused(check="RULE_PLAN")
        if len(state.rules) >= limits.rules:
            raise RuleRefused(check="RULE_LIMIT", detail={"limit": str(limits.rules), "used": str(len(state.rules))})
        if not RULE_NAME.fullmatch(name):
            raise RuleRefused(check="RULE_NAME", detail={"name": name[:40]})
        rule = _readable(text, ctx)
        made = UserRule(name=name, text=rule_text(rule), created_ms=ctx.now_ms)
        _refuse_taken(state, made)
    except (RuleRefused, BadInput) as error:
        return refused(state, error)
    source = rule_source(made.text)
    # A choice of instruments that is left from a rule with this text does not hold for the new one.
    others = tuple(held for held in state.subscriptions if held.source != source)
    wish = Subscription(source=source, since_ms=ctx.now_ms)
    new = replace(state, rules=(*state.rules, made), subscriptions=(*others, wish))
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, "user", "rules.added", f"{name} {source}"),)), result=made)


def _readable(text: str | Rule, ctx: Context) -> Rule:
    """The rule, if it can run here."""
    rule = parse_rule(text) if isinstance(text, str) else parse_rule(rule_text(fit(text)))
    if ctx.bars is not None:
        refuse_missing(rule, ctx.bars.indicators)
    for symbol in rule.symbols:
        if ctx.market.instrument(symbol) is None:
            raise BadInput(field="symbol", value=symbol, problem="is not traded here", hint="as in " + ", ".join(ctx.market.symbols()[:3]))
    return rule


def _refuse_taken(state: SessionState, made: UserRule) -> None:
    for rule in state.rules:
        if rule.name == made.name:
            raise RuleRefused(check="RULE_NAME_TAKEN", detail={"name": made.name, "text": rule.text})
        if rule.text == made.text:
            raise RuleRefused(check="RULE_KNOWN", detail={"name": rule.name, "text": rule.text})


def remove(state: SessionState, name: str, ctx: Context) -> Decision:
    """Forget a rule and stop following it. What it bought stays. The result is the UserRule."""
    need_user(state)
    gone = next((rule for rule in state.rules if rule.name == name.lower()), None)
    if gone is None:
        return refused(state, NotFound(kind="rule", name=name[:40]))
    source = rule_source(gone.text)
    new = replace(
        state,
        rules=tuple(rule for rule in state.rules if rule is not gone),
        subscriptions=tuple(held for held in state.subscriptions if held.source != source),
    )
    row = audit(new, ctx, "user", "rules.removed", f"{gone.name} {source}")
    return Decision(state=new, changes=Changes(audit=(row,)), result=gone)


def follows(state: SessionState, rule: UserRule) -> Subscription | None:
    """The user's wish to follow a rule of theirs, or None."""
    source = rule_source(rule.text)
    return next((held for held in state.subscriptions if held.source == source), None)


def may_see(state: SessionState, source: str) -> bool:
    """Whether signals of this source are this user's to see: a rule is its owners' own."""
    return not source.startswith("rule:") or rule_of(state.rules, source) is not None


def trial(state: SessionState, text: str, ctx: Context) -> Trial:
    """Read a rule without keeping it; for plans with rules also what it would have said on the last bars of one instrument.

    :raises RuleRefused: as :func:`add`, name, plan and limit aside.
    :raises BadInput: an instrument is not traded here.
    """
    user = need_user(state)
    rule = _readable(text, ctx)
    read = Trial(rule=rule, text=rule_text(rule), size=size_of(rule))
    symbols = rule.symbols or state.settings.symbols or ctx.market.symbols()
    if ctx.bars is None or not symbols or not ctx.tiers[user.tier].limits.custom_strategies:
        return read
    bars = ctx.bars.recent(symbols[0])
    if not bars:
        return read
    strategy = RuleStrategy(rule=rule, indicators=ctx.bars.indicators)
    # A rule that looks at much is tried on fewer bars: everybody else waits meanwhile.
    tried = bars[-max(1, TRIAL_WORK // max(1, read.size.cost)) :]
    return replace(read, symbol=symbols[0], bars=len(tried), sightings=_seen(strategy, bars[: -len(tried)], tried))


def _seen(strategy: RuleStrategy, before: tuple[Bar, ...], bars: tuple[Bar, ...]) -> tuple[Sighting, ...]:
    stream = Stream(strategy.indicators)
    for bar in before:
        stream.add(bar)
    evaluator = strategy.evaluator_on(stream)
    seen = []
    for bar in bars:
        stream.add(bar)
        if (advice := advice_of(evaluator.on_bar(bar))) is not None:
            seen.append(Sighting(side=advice.side, price=f"{bar.close:f}", bar_ms=bar.open_ms))
    return tuple(seen)
