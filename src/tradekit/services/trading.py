"""Placing, canceling and closing: the order path up to the commit. What a venue answers is applied in ``reports``."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import ONE, ZERO, round_down
from tradekit.domain.changes import Changes, together
from tradekit.domain.checks import assess
from tradekit.domain.errors import Duplicate, NotFound, OrderDenied
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import (
    BUY,
    CONDITIONAL,
    MARKET,
    NO_EXITS,
    PAPER,
    PLAIN,
    SELL,
    Order,
    OrderState,
    OrderType,
    Terms,
    client_order_id,
    mode_of,
    venue_of,
)
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import Case, Check, Denial, OrderRequest, reservation
from tradekit.domain.sessions import SessionState, SessionStatus, replace_order
from tradekit.domain.signals import Signal
from tradekit.domain.triggers import trigger_at
from tradekit.domain.usage import release, reserve
from tradekit.services.credentials import mode_problem
from tradekit.services.decisions import Context, Decision, refused
from tradekit.services.later import flattened, is_closed, sale_that_waits, sell_later
from tradekit.services.native import make_way, may_wait_there
from tradekit.services.quotas import begin_day
from tradekit.services.users import audit, need_user

replace = msgspec.structs.replace


def account_problem(state: SessionState, ctx: Context) -> str:
    """Code of why nothing can be sent from the account in use, or empty text."""
    if state.account == PAPER:
        return ""
    return mode_problem(state.custody, venue_of(state.account), mode_of(state.account), ctx.keys)


def place(
    state: SessionState,
    request: OrderRequest,
    ctx: Context,
    *,
    leg: int = 0,
    signal: Signal | None = None,
    cause: str = "",
    native: bool = True,
) -> Decision:
    """Check an order and, if it may be sent, set aside what it needs and hand it to the gateway.

    The result is the Order; the error is OrderDenied with the code of the check, or Duplicate when this cause already made it
    (of an entry by a signal: OrderDenied ``DUPLICATE_SIGNAL``).
    A buy is an entry and holds a reservation of the daily quota; a sell is an exit and needs none. A sale of what stops at the venue
    hold back takes them back first, and goes out once that is confirmed.

    :param native: whether the venue may watch a trigger itself.
    """
    user = need_user(state)
    state = begin_day(state, ctx)
    request = _completed(request, state, ctx)
    cause = cause or ctx.cause
    order_id = client_order_id(user.user_id, cause, leg)
    duplicate = state.order(order_id) is not None
    case = Case(
        request,
        state,
        ctx.tiers[user.tier].limits,
        ctx.policy,
        ctx.instrument(state, request.symbol),
        ctx.market.quote(request.symbol),
        ctx.equity(state),
        ctx.now_ms,
        ctx.settled(state),
        account_problem(state, ctx),
        signal,
        duplicate,
    )
    if denial := assess(case):
        return denied(state, denial, request, ctx)
    if duplicate:
        return refused(state, Duplicate(kind="order", name=order_id))
    entry = request.side is BUY
    terms = _terms(request, state, ctx, native=native)
    held = (request.type in CONDITIONAL and not terms.native) or terms.fired
    order = Order(
        client_order_id=order_id,
        user_id=user.user_id,
        partition=user.partition,
        cause=cause,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        quantity=request.quantity,
        price=request.price,
        time_in_force=request.time_in_force,
        post_only=request.post_only,
        reduce_only=not entry,
        mode=mode_of(state.account),
        account=state.account,
        terms=terms,
        state=OrderState.INITIALIZED if held else OrderState.SUBMITTED,
        signal_id=signal.signal_id if signal else "",
        reserved=reservation(case) if entry else ZERO,
        quota_day=state.today.day if entry else "",
        created_ms=ctx.now_ms,
        updated_ms=ctx.now_ms,
    )
    new = replace(state, orders=(*state.orders, order), usage=reserve(state.usage) if entry else state.usage)
    actor = f"signal:{signal.signal_id}" if signal else "user"
    entry_row = audit(
        new,
        ctx,
        actor,
        "order.held" if held else "order.submitted",
        f"{order_id} {request.side} {request.quantity!s} {request.symbol} {request.type}",
    )
    changes = Changes(orders=(order,), audit=(entry_row,))
    if terms.fired:
        new, way, cancels = make_way(new, order.symbol, ctx)
        return Decision(state=new, changes=together(changes, way), cancel=cancels, result=order)
    return Decision(state=new, changes=changes, submit=() if held else (order,), result=order)


def _completed(request: OrderRequest, state: SessionState, ctx: Context) -> OrderRequest:
    """What the request leaves open: the exits of the user's settings, and where a trailing stop stands."""
    if request.side is BUY and request.bracket is None and (exits := state.settings.bracket) is not NO_EXITS:
        request = replace(request, bracket=exits)
    if request.type is OrderType.TRAILING_STOP and request.trail_pct is not None:
        price, instrument = ctx.price(request.symbol), ctx.instrument(state, request.symbol)
        if price is not None and instrument is not None:
            request = replace(request, trigger_price=trigger_at(request.side, request.trail_pct, price, instrument.tick_size))
    return request


def _terms(request: OrderRequest, state: SessionState, ctx: Context, *, native: bool) -> Terms:
    bracket = request.bracket if request.side is BUY and request.bracket else None
    if bracket is None and request.type not in CONDITIONAL:
        in_the_way = request.side is SELL and request.quantity > state.sellable(request.symbol)
        return Terms(fired=True) if in_the_way else PLAIN
    return Terms(
        trigger_price=request.trigger_price,
        trail_pct=request.trail_pct,
        trigger_ms=request.trigger_ms,
        native=native and may_wait_there(request, state, ctx),
        bracket=bracket,
    )


def denied(state: SessionState, denial: Denial, request: OrderRequest, ctx: Context) -> Decision:
    """Refuse an order: nothing is sent, the reason is on record."""
    entry = audit(state, ctx, "system", "order.denied", f"{denial.check} {request.side} {request.quantity} {request.symbol}")
    error = OrderDenied(check=denial.check.value, detail=denial.facts)
    return Decision(state=state, changes=Changes(audit=(entry,)), error=error)


def cancel(state: SessionState, order_id_prefix: str, ctx: Context) -> Decision:
    """Ask for the open order(s) whose id begins so, or ``all``, to be canceled; the venue has the last word.

    The result is the tuple of orders asked about; the error is NotFound.
    """
    need_user(state)
    everything = order_id_prefix.lower() == "all"
    wanted = tuple(
        order
        for order in state.orders
        if (everything or (order_id_prefix and order.client_order_id.startswith(order_id_prefix.lower()))) and may_cancel(order)
    )
    if not wanted:
        return refused(state, NotFound(kind="open order", name=order_id_prefix[:40]))
    decision = cancel_these(state, wanted, ctx)
    return replace(decision, state=flattened(decision.state)) if state.session.flattening else decision


def cancel_these(state: SessionState, wanted: tuple[Order, ...], ctx: Context) -> Decision:
    """Orders at the venue wait for its word; those held here are over at once, and what they set aside is free again."""
    pending: list[Order] = []
    for order in wanted:
        if order.held and order.quota_day:
            state = replace(state, usage=release(state.usage, order.quota_day))
        moved = held_canceled(order, ctx) if order.held else pending_cancel(without_amendment(order), ctx)
        state = replace(state, orders=replace_order(state.orders, moved))
        pending.append(moved)
    rows = tuple(audit(state, ctx, "user", "order.cancel_requested", order.client_order_id) for order in pending)
    at_venue = tuple(order for order in pending if order.is_open)
    return Decision(state=state, changes=Changes(order_updates=tuple(pending), audit=rows), cancel=at_venue, result=tuple(pending))


def may_cancel(order: Order) -> bool:
    """Whether asking for its cancellation changes anything: of an order that is being amended, that nothing takes its place."""
    return order.state not in {OrderState.PENDING_CANCEL, OrderState.UNKNOWN} or order.terms.amendment is not None


def without_amendment(order: Order) -> Order:
    """The order with nothing to take its place."""
    return order if order.terms.amendment is None else replace(order, terms=replace(order.terms, amendment=None))


def pending_cancel(order: Order, ctx: Context) -> Order:
    """The order while the venue is asked to cancel it."""
    return replace(order, state=OrderState.PENDING_CANCEL, updated_ms=ctx.now_ms)


def held_canceled(order: Order, ctx: Context) -> Order:
    """A held order that its user took back."""
    return replace(order, state=OrderState.CANCELED, reason="CANCELED_BY_USER", reserved=ZERO, quota_day="", updated_ms=ctx.now_ms)


def close(
    state: SessionState, symbol: Symbol, fraction: Decimal, ctx: Context, *, signal: Signal | None = None, cause: str = "", leg: int = 0
) -> Decision:
    """Sell a fraction (0 to 1) of the position at market. Never blocked by quota, pause, maintenance or downgrade.

    The result is the Order; the error is NotFound without a position, OrderDenied when the rest is too small to sell.
    """
    need_user(state)
    instrument = ctx.instrument(state, symbol)
    if state.position(symbol) is None:
        return refused(state, NotFound(kind="position", name=symbol))
    if instrument is None:
        return refused(state, OrderDenied(check=Check.INSTRUMENT_UNKNOWN.value, detail={"symbol": symbol}))
    quantity = round_down(state.sellable(symbol, with_guards=True) * fraction, instrument.step_size)
    request = OrderRequest(symbol=symbol, side=SELL, quantity=quantity, type=MARKET)
    return place(state, request, ctx, signal=signal, cause=cause, leg=leg)


def panic(state: SessionState, ctx: Context) -> Decision:
    """Pause entries, cancel every open order and sell every position at market.

    What open sell orders hold back is sold once their cancellation is confirmed, and what is on an account whose venue is not open as soon
    as it is. The result is (canceled, sold, to be sold later) as tuples of orders, those that waited here among the first.
    """
    need_user(state)
    state = replace(state, session=replace(state.session, status=SessionStatus.PAUSED, flattening=True))
    parts: list[Changes] = [Changes(audit=(audit(state, ctx, "user", "session.panic", ""),))]
    canceled: tuple[Order, ...] = ()
    asked: tuple[Order, ...] = ()
    closed = is_closed(state, ctx)
    # A sale that waits for the venue would only be made anew.
    cancelable = tuple(order for order in state.orders if may_cancel(order) and not (closed and order.held and order.terms.flattens))
    if cancelable:
        decision = cancel_these(state, cancelable, ctx)
        state, canceled, asked = decision.state, decision.result, decision.cancel
        parts.append(decision.changes)
    sales = flatten(state, ctx, cause=ctx.cause)
    later = tuple(order for order in sales.state.orders if order.held and order.terms.flattens)
    return replace(
        sales,
        changes=together(*parts, sales.changes),
        cancel=(*asked, *sales.cancel),
        result=(canceled, sales.submit, later),
    )


def flatten(state: SessionState, ctx: Context, cause: str, but: Symbol = "") -> Decision:
    """Sell whatever of every position is not promised to an open order; what is too small to sell stays.

    Where the venue is not open the sales wait here for it, one for each position.

    :param but: an instrument to leave alone.
    """
    closed = is_closed(state, ctx) and not account_problem(state, ctx)
    parts: list[Changes] = []
    orders: list[Order] = []
    cancels: list[Order] = []
    for leg, position in enumerate(state.positions, start=1):
        if position.symbol == but or sale_that_waits(state, position.symbol) is not None:
            continue
        if closed and ctx.instrument(state, position.symbol) is None:
            state, sale = sell_later(state, position, ctx, cause=cause, leg=leg)
            row = audit(state, ctx, "user", "order.held", f"{sale.client_order_id} until {sale.account} is open")
            parts.append(Changes(orders=(sale,), audit=(row,)))
            continue
        decision = close(state, position.symbol, ONE, ctx, cause=cause, leg=leg)
        if decision.error is None:
            state = decision.state
            orders.extend(decision.submit)
            cancels.extend(decision.cancel)
        parts.append(decision.changes)
    return Decision(state=flattened(state), changes=together(*parts), submit=tuple(orders), cancel=tuple(cancels))


def order_notice(key: str, order: Order, ctx: Context, **more: str) -> Reply:
    """A message about an order: ``order.filled`` and the like, with the facts a person wants."""
    args = {
        "mode": order.account,
        "side": order.side.value,
        "type": order.type.value,
        "symbol": order.symbol,
        "quantity": f"{order.quantity:f}",
        "filled": f"{order.cum_qty:f}",
        "price": "" if order.price is None else f"{order.price:f}",
        "avg_px": "" if order.avg_px is None else f"{order.avg_px:f}",
        "cost": f"{order.cum_quote:f}",
        "fee": f"{order.cum_fee:f}",
        "quote": order.symbol.partition("/")[2],
        "order_id": order.client_order_id[:8],
        "signal_id": order.signal_id,
        "reason": order.reason,
        "trigger": "" if order.terms.trigger_price is None else f"{order.terms.trigger_price:f}",
        "trail": "" if order.terms.trail_pct is None else f"{order.terms.trail_pct:f}",
        "replaces": order.terms.replaces[:8],
        "market": ctx.market.source,
    }
    return Reply(key=key, args=args | more, priority=Priority.ALERT, topic=f"order:{order.client_order_id[:12]}")
