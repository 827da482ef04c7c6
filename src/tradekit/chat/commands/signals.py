"""Following signals: /signals, /subscribe, /unsubscribe, /why, and a provider's /signal."""

import re
from collections.abc import Iterable, Sequence

from tradekit.chat.command import Command, Request, answered, press, quote_currency
from tradekit.chat.commands.account import BUTTONS_MAX, pairs
from tradekit.chat.parsing import listed, missing, parse_symbol, parse_symbols, shown
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import BadInput, NotFound
from tradekit.domain.orders import Side
from tradekit.domain.replies import Button, Reply
from tradekit.domain.rules import rule_source, source_label
from tradekit.domain.signals import Delivery, Outcome, Signal
from tradekit.domain.suggestions import closest
from tradekit.ports.storage import Reader
from tradekit.services import signals as service
from tradekit.services.decisions import Context, Decision, Read
from tradekit.services.rules import may_see

SHOWN_SIGNALS = 5
SEARCHED_SIGNALS = 50
"""Most of them may come from rules of other users, which are nobody else's to see."""
SHOWN_DELIVERIES = 10
SEARCHED_DELIVERIES = 100
_FACT = re.compile(r"(\w+)=(\S*)")


def signals(request: Request) -> Read:
    """What can be followed, and what was signalled last."""

    def then(latest: list[Signal], ctx: Context) -> Decision:
        followed = {subscription.source: subscription for subscription in request.state.subscriptions}
        rows = []
        for source in ctx.sources:
            mine = followed.get(source.name)
            choice = "" if mine is None else listed(mine.symbols) or "all"
            rows.append({"source": source.name, "title": source.title, "followed": choice, "row_key": "signals.source"})
            rows[-1]["advanced"] = "yes" if source.advanced and not ctx.limits(request.state).advanced_signals else ""
        seen = [signal for signal in latest if may_see(request.state, signal.source)]
        rows += [_signal_row(request, signal) for signal in seen[:SHOWN_SIGNALS]]
        buttons = [_follow_button(source.name, source.name in followed) for source in ctx.sources[:BUTTONS_MAX]]
        args = {"zone": request.zone, "market": ctx.market.source}
        return request.say("signals", args, tuple(rows), (*pairs(tuple(buttons)), (press("button.why", "/why"),)))

    return Read(query=lambda reader: reader.signals(SEARCHED_SIGNALS), then=then)


def _follow_button(source: str, followed: bool) -> Button:
    if followed:
        return Button("button.unsubscribe", f"unsub:{source}", {"source": source})
    return Button("button.subscribe", f"sub:{source}", {"source": source})


def _signal_row(request: Request, signal: Signal) -> dict[str, str]:
    return {
        "signal": signal.signal_id,
        "source": source_label(request.state.rules, signal.source),
        "side": signal.side.value,
        "symbol": signal.symbol,
        "price": text_of(signal.price),
        "quote": signal.symbol.partition("/")[2],
        "time_ms": str(signal.created_ms),
        "row_key": "signals.signal",
    }


def subscribe(request: Request) -> Decision:
    """Follow a source, for all its instruments or some."""
    source = _source(request, [*(known.name for known in request.ctx.sources), *(rule_source(r.text) for r in request.state.rules)])
    symbols = parse_symbols(request.args[1:], request.ctx.market)
    decision = service.subscribe(request.state, source, symbols, request.ctx)
    if decision.error is not None:
        return decision
    chosen = request.state.settings
    args = {"source": source_label(request.state.rules, source), "symbols": listed(symbols) or "all"}
    args |= {"size": text_of(chosen.size), "sizing": chosen.sizing.value, "quote": quote_currency(request.ctx)}
    return answered(decision, Reply(key="signals.subscribed", args=args, buttons=((_follow_button(source, True),),)))


def unsubscribe(request: Request) -> Decision:
    """Stop following a source, or all."""
    mine = [subscription.source for subscription in request.state.subscriptions]
    everything = request.arg(0).lower() == "all"
    source = "all" if everything else _source(request, mine or [known.name for known in request.ctx.sources])
    decision = service.unsubscribe(request.state, source, request.ctx)
    if decision.error is not None:
        return decision
    return answered(decision, Reply(key="signals.unsubscribed", args={"sources": _labels(request, decision.result)}))


def _source(request: Request, known: Sequence[str]) -> str:
    if not request.args:
        raise missing("source")
    wanted = request.arg(0)
    names = {source_label(request.state.rules, name).lower(): name for name in known}
    if wanted.lower() in names:
        return names[wanted.lower()]
    guess = closest(wanted.lower(), names)
    hint = f"did you mean {guess}? " if guess else ""
    raise BadInput(field="source", value=shown(wanted), problem="is not known", hint=hint + "known: " + (_labels(request, known) or "none"))


def _labels(request: Request, sources: Iterable[str]) -> str:
    return listed(source_label(request.state.rules, source) for source in sources)


Outcomes = list[tuple[Delivery, Signal | None]]


def why(request: Request) -> Read:
    """What became of the last signals, or of one, and why."""
    user_id, wanted = request.user.user_id, request.arg(0).lower()

    async def query(reader: Reader) -> Outcomes:
        deliveries = await reader.deliveries(user_id, SEARCHED_DELIVERIES if wanted else SHOWN_DELIVERIES)
        if wanted:
            exact = await reader.delivery(wanted, user_id)
            deliveries = [exact] if exact else [one for one in deliveries if one.signal_id.startswith(wanted)][:SHOWN_DELIVERIES]
        return [(delivery, await reader.signal(delivery.signal_id)) for delivery in deliveries]

    def then(outcomes: Outcomes, ctx: Context) -> Decision:
        if wanted and not outcomes:
            raise NotFound(kind="signal", name=shown(request.arg(0)))
        return request.say(
            "why", {"zone": request.zone, "quote": quote_currency(ctx)}, tuple(_outcome_row(request, *outcome) for outcome in outcomes)
        )

    return Read(query=query, then=then)


def _outcome_row(request: Request, delivery: Delivery, signal: Signal | None) -> dict[str, str]:
    facts = dict(_FACT.findall(delivery.detail))
    row = facts | {"signal": delivery.signal_id, "outcome": delivery.outcome.value, "time_ms": str(delivery.time_ms)}
    row |= {"reason": delivery.reason, "order": delivery.client_order_id[:8]}
    key = {Outcome.EXECUTED: "why.executed", Outcome.FAILED: "why.failed"}.get(delivery.outcome, "why.not_executed")
    if signal is None:
        return row | {"row_key": key, "source": "", "advice": ""}
    source = source_label(request.state.rules, signal.source)
    return row | {"row_key": key, "source": source, "advice": f"{signal.side.value} {signal.symbol}"}


def signal(request: Request) -> Decision:
    """A provider's advice to everyone who follows them."""
    if not request.args:
        raise missing("side")
    try:
        side = Side(request.arg(0).lower())
    except ValueError:
        raise BadInput(field="side", value=shown(request.arg(0)), problem="is neither buy nor sell") from None
    if len(request.args) < 2:
        raise missing("symbol")
    symbol = parse_symbol(request.arg(1), request.ctx.market)
    note = "".join(c for c in " ".join(request.args[2:]) if c.isprintable())
    decision = service.publish(request.state, symbol, side, request.ctx, note)
    if decision.error is not None:
        return decision
    made: Signal = decision.result
    args = {**_signal_row(request, made), "note": made.note, "market": request.ctx.market.source}
    return answered(decision, Reply(key="signal.published", args=args))


COMMANDS = (
    Command(name="signals", run=signals),
    Command(name="subscribe", run=subscribe, usage="SOURCE [SYMBOLS]", example="{source}", args_max=25),
    Command(name="unsubscribe", run=unsubscribe, usage="SOURCE|all", example="{followed}", args_max=1),
    Command(name="why", run=why, usage="[SIGNAL]", args_max=1, for_suspended=True),
    Command(name="signal", run=signal, usage="buy|sell SYMBOL [NOTE]", example="buy {symbol}", args_max=200, roles=service.PROVIDERS),
)
