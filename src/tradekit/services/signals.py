"""Following sources, publishing signals, and what a signal means for one subscriber."""

from decimal import Decimal
from hashlib import blake2b

import msgspec

from tradekit.domain.amounts import HUNDRED, ONE, ZERO, round_down
from tradekit.domain.changes import Changes
from tradekit.domain.checks import lacks_feature
from tradekit.domain.errors import BadInput, NotFound, NotPermitted, OrderDenied, RuleRefused, TradekitError
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import BUY, MARKET, SELL, Order, Side
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import Check, OrderRequest
from tradekit.domain.rules import rule_of, source_label
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Delivery, Outcome, Signal, Subscription, signal_cause
from tradekit.domain.users import Role, Sizing
from tradekit.services.decisions import Context, Decision, Source, refused, unchanged
from tradekit.services.trading import close, place
from tradekit.services.users import audit, need_user

replace = msgspec.structs.replace

PROVIDERS = frozenset({Role.PROVIDER, Role.ADMIN, Role.OWNER})


def provider_source(user_id: int) -> str:
    """The source under which a provider's signals go out."""
    return f"provider:{user_id}"


def find_source(name: str, ctx: Context) -> Source | None:
    """The source of this name."""
    return next((source for source in ctx.sources if source.name == name), None)


def subscribe(state: SessionState, source: str, symbols: tuple[Symbol, ...], ctx: Context) -> Decision:
    """Follow a source, for all instruments or some. Subscribing again replaces the choice of instruments."""
    user = need_user(state)
    known = find_source(source, ctx)
    if known is None and (rule := rule_of(state.rules, source)) is not None:
        known = Source(name=source, title=rule.text)
        if not ctx.tiers[user.tier].limits.custom_strategies:
            return refused(state, RuleRefused(check="RULE_PLAN"))
    if known is None:
        return refused(state, NotFound(kind="signal source", name=source[:40]))
    if known.advanced and not ctx.tiers[user.tier].limits.advanced_signals:
        return refused(state, NotPermitted(action=f"follow {source}", needs="a plan with advanced signals"))
    for symbol in symbols:
        if ctx.market.instrument(symbol) is None:
            return refused(state, BadInput(field="symbol", value=symbol[:40], problem="is not traded here"))
    wish = Subscription(source=source, symbols=symbols, since_ms=ctx.now_ms)
    others = tuple(held for held in state.subscriptions if held.source != source)
    new = replace(state, subscriptions=(*others, wish))
    row = audit(new, ctx, "user", "signals.subscribed", f"{source} {' '.join(symbols) or 'all'}")
    return Decision(state=new, changes=Changes(audit=(row,)), result=wish)


def unsubscribe(state: SessionState, source: str, ctx: Context) -> Decision:
    """Stop following a source, or ``all``. Positions stay. The result is the tuple of sources left."""
    need_user(state)
    gone = tuple(held.source for held in state.subscriptions if source in {"all", held.source})
    if not gone:
        return refused(state, NotFound(kind="subscription", name=source[:40]))
    new = replace(state, subscriptions=tuple(held for held in state.subscriptions if held.source not in gone))
    row = audit(new, ctx, "user", "signals.unsubscribed", " ".join(gone))
    return Decision(state=new, changes=Changes(audit=(row,)), result=gone)


def publish(state: SessionState, symbol: Symbol, side: Side, ctx: Context, note: str = "") -> Decision:
    """A provider's signal at the market's price. The result is the Signal; the same message can never publish twice."""
    user = need_user(state)
    if user.role not in PROVIDERS:
        return refused(state, NotPermitted(action="publish signals", needs="the provider role"))
    quote = ctx.market.quote(symbol)
    if quote is None:
        return refused(state, BadInput(field="symbol", value=symbol[:40], problem="is not traded here"))
    source = provider_source(user.user_id)
    signal = Signal(
        signal_id=blake2b(f"{source}/{ctx.cause}/{symbol}/{side}".encode(), digest_size=8).hexdigest(),
        source=source,
        symbol=symbol,
        side=side,
        price=quote.price,
        bar_ms=ctx.now_ms,
        created_ms=ctx.now_ms,
        expires_ms=ctx.now_ms + ctx.signal_ttl_s * 1000,
        note=note[:200],
    )
    row = audit(state, ctx, "user", "signals.published", f"{signal.signal_id} {side} {symbol}")
    return Decision(state=state, changes=Changes(signals=(signal,), audit=(row,)), publish=(signal,), result=signal)


def deliver(state: SessionState, signal: Signal, ctx: Context) -> Decision:
    """Decide what a signal means for one subscriber: an order, or a coded reason why not. The result is the Delivery."""
    if state.user is None:
        return unchanged(state)
    selling = signal.side is SELL
    if reason := _not_wanted(state, signal) or (_exit_held_up(state, signal, ctx) if selling else ""):
        return _without_order(state, signal, _outcome(reason), reason, {}, ctx)
    cause = signal_cause(signal)
    if selling:
        if state.position(signal.symbol) is None:
            return _without_order(state, signal, Outcome.SKIPPED, "NO_POSITION", {}, ctx)
        decision = close(state, signal.symbol, min(signal.fraction, ONE), ctx, signal=signal, cause=cause)
    else:
        quantity = entry_quantity(state, signal, ctx)
        request = OrderRequest(symbol=signal.symbol, side=BUY, quantity=quantity, type=MARKET)
        decision = place(state, request, ctx, signal=signal, cause=cause)
    if decision.error is not None:
        reason, facts = _reason_of(decision.error)
        return _without_order(decision.state, signal, _outcome(reason), reason, facts, ctx)
    order: Order = decision.result
    outcome = _delivery(state, signal, Outcome.EXECUTED, "", {}, ctx, order.client_order_id)
    return replace(decision, changes=replace(decision.changes, deliveries=(outcome,)), result=outcome)


def not_decided(state: SessionState, signal: Signal, ctx: Context) -> Decision:
    """The outcome for a subscriber whose decision failed by a fault of ours: on record, nothing sent."""
    return _without_order(state, signal, Outcome.FAILED, "INTERNAL_ERROR", {}, ctx)


def _not_wanted(state: SessionState, signal: Signal) -> str:
    wish = _subscription(state, signal.source)
    if wish is None:
        return "NOT_SUBSCRIBED"
    if (wish.symbols and signal.symbol not in wish.symbols) or (state.settings.symbols and signal.symbol not in state.settings.symbols):
        return "NOT_SUBSCRIBED_SYMBOL"
    return ""


def _subscription(state: SessionState, source: str) -> Subscription | None:
    for held in state.subscriptions:
        if held.source == source:
            return held
    return None


def _exit_held_up(state: SessionState, signal: Signal, ctx: Context) -> str:
    """Exits skip a downgrade: what the source has bought it may sell, whatever the plan is by now."""
    held = state.position(signal.symbol)
    if lacks_feature(signal, ctx.limits(state)) and (held is None or held.source != signal.source):
        return Check.TIER_FEATURE
    return Check.SIGNAL_EXPIRED if ctx.now_ms >= signal.expires_ms else ""


def _outcome(reason: str) -> Outcome:
    return Outcome.EXPIRED if reason == Check.SIGNAL_EXPIRED else Outcome.SKIPPED


def _reason_of(error: TradekitError) -> tuple[str, dict[str, str]]:
    if isinstance(error, OrderDenied):
        return error.check, error.detail
    return error.code, {}


def entry_quantity(state: SessionState, signal: Signal, ctx: Context) -> Decimal:
    """Base currency to buy by the user's sizing, rounded down to the instrument's step; zero when it cannot be known."""
    instrument, price = ctx.instrument(state, signal.symbol), ctx.price(signal.symbol)
    if instrument is None or price is None:
        return ZERO
    wish = _subscription(state, signal.source)
    size = wish.size if wish is not None and wish.size is not None else state.settings.size
    return round_down(_quote_to_spend(state, size, ctx) * signal.fraction / price, instrument.step_size)


def _quote_to_spend(state: SessionState, size: Decimal, ctx: Context) -> Decimal:
    settings = state.settings
    if settings.sizing is Sizing.QUOTE_AMOUNT:
        return size
    equity_part = ctx.equity(state) * size / HUNDRED
    if settings.sizing is Sizing.PERCENT_OF_EQUITY:
        return equity_part
    stop_pct = settings.bracket.stop_pct
    return equity_part / (stop_pct / HUNDRED) if stop_pct else ZERO


def _delivery(
    state: SessionState, signal: Signal, outcome: Outcome, reason: str, facts: dict[str, str], ctx: Context, order_id: str = ""
) -> Delivery:
    return Delivery(
        signal_id=signal.signal_id,
        user_id=state.user_id,
        partition=state.partition,
        outcome=outcome,
        reason=reason,
        detail=" ".join([f"{name}={value}" for name, value in facts.items()]) if facts else "",
        client_order_id=order_id,
        time_ms=ctx.now_ms,
    )


def _without_order(state: SessionState, signal: Signal, outcome: Outcome, reason: str, facts: dict[str, str], ctx: Context) -> Decision:
    delivery = _delivery(state, signal, outcome, reason, facts, ctx)
    unheard = reason in {"NOT_SUBSCRIBED", "NOT_SUBSCRIBED_SYMBOL", "NO_POSITION"} or not state.settings.notify_signals
    notices = () if unheard else (_skipped_notice(state, signal, delivery, facts, ctx),)
    return Decision(state=state, changes=Changes(deliveries=(delivery,)), notices=notices, result=delivery)


def _skipped_notice(state: SessionState, signal: Signal, delivery: Delivery, facts: dict[str, str], ctx: Context) -> Reply:
    args = {
        "signal_id": signal.signal_id,
        "source": source_label(state.rules, signal.source),
        "side": signal.side.value,
        "symbol": signal.symbol,
        "price": f"{signal.price:f}",
        "quote": signal.symbol.partition("/")[2],
        "reason": delivery.reason,
        "market": ctx.market.source,
    }
    return Reply(
        key="signal.skipped",
        args=facts | args,
        topic=f"signal:{signal.symbol}",
        priority=Priority.SIGNAL,
        ttl_s=ctx.signal_ttl_s,
    )
