"""A held order's trigger fires, or a trailing stop moves on."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import round_down
from tradekit.domain.changes import Changes, together
from tradekit.domain.checks import assess
from tradekit.domain.orders import CONDITIONAL, Bracket, Order, OrderState, OrderType, Side
from tradekit.domain.risk import Case, Check, OrderRequest, reservation
from tradekit.domain.sessions import SessionState, find_order, on_account, replace_order
from tradekit.domain.triggers import is_better
from tradekit.domain.usage import release
from tradekit.services.decisions import Context, Decision, unchanged
from tradekit.services.exits import WHOLE, canceled
from tradekit.services.later import books_first, flattened
from tradekit.services.native import make_way
from tradekit.services.trading import account_problem, order_notice, pending_cancel
from tradekit.services.users import audit

replace = msgspec.structs.replace

RESTING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


def fire(state: SessionState, client_order_id: str, ctx: Context) -> Decision:
    """Send a held order, as market or limit. Firing again what has fired changes nothing. The result is the order.

    A sell is cut to what can be sold. What resting sells hold back is freed first: they are canceled, and the order goes once that is
    confirmed. A buy is checked again as an entry, for much may have changed since it was placed.
    """
    order = find_order(state, client_order_id)
    if order is None or not order.held:
        return unchanged(state)
    home, table = state.account, on_account(state, order.account)
    decision = _sell(table, order, ctx) if order.side is Side.SELL else _buy(table, order, ctx)
    return decision if home == order.account else replace(decision, state=on_account(decision.state, home))


def trail(state: SessionState, client_order_id: str, trigger: Decimal, ctx: Context) -> Decision:
    """Keep where a trailing stop has got to; never back. The result is the order."""
    order = find_order(state, client_order_id)
    if order is None or not order.held or order.terms.trigger_price is None:
        return unchanged(state)
    if not is_better(order.side, trigger, order.terms.trigger_price):
        return unchanged(state, result=order)
    table = on_account(state, order.account)
    moved = replace(order, terms=replace(order.terms, trigger_price=trigger), updated_ms=ctx.now_ms)
    table = replace(table, orders=replace_order(table.orders, moved))
    return Decision(state=on_account(table, state.account), changes=Changes(order_updates=(moved,)), result=moved)


def go_on(state: SessionState, symbol: str, ctx: Context) -> Decision:
    """Send the orders that have fired and waited for what a canceled sell held back."""
    parts: list[Decision] = []
    for order in state.orders:
        if order.held and order.terms.fired and order.symbol == symbol:
            decision = fire(state, order.client_order_id, ctx)
            state = decision.state
            parts.append(decision)
    if not parts:
        return unchanged(state)
    return Decision(
        state=state,
        changes=together(*(part.changes for part in parts)),
        submit=tuple(order for part in parts for order in part.submit),
        cancel=tuple(order for part in parts for order in part.cancel),
        reconcile=tuple(account for part in parts for account in part.reconcile),
        notices=tuple(notice for part in parts for notice in part.notices),
    )


def _sell(state: SessionState, order: Order, ctx: Context) -> Decision:
    instrument = ctx.instrument(state, order.symbol)
    position = state.position(order.symbol)
    if position is None:
        return _over(state, order, "POSITION_CLOSED", ctx)
    if instrument is None:
        # Its venue does not answer yet, which is no reason to leave the position alone.
        return _waits(state, order, ctx)
    if order.terms.flattens and (first := books_first(state, order, ctx)) is not None:
        return first
    wanted = round_down(order.quantity, instrument.step_size)
    quantity = min(wanted, round_down(state.sellable(order.symbol), instrument.step_size))
    parts: list[Changes] = []
    cancels: list[Order] = []
    entry = state.order(order.terms.list_id) if order.terms.list_id else None
    if entry is not None and order.type in WHOLE and not entry.terms.leaving:
        # Nor does what it was to be amended to take its place.
        entry = replace(entry, terms=replace(entry.terms, leaving=True, amendment=None), updated_ms=ctx.now_ms)
        state = replace(state, orders=replace_order(state.orders, entry))
        parts.append(Changes(order_updates=(entry,)))
    in_the_way = [
        other for other in state.orders if other.state in RESTING and ((quantity < wanted and _makes_way(other, order)) or other is entry)
    ]
    if any(other.guards_at_venue for other in in_the_way):
        state, way, guards = make_way(state, order.symbol, ctx)
        cancels += guards
        parts.append(way)
    for other in in_the_way:
        if other.guards_at_venue:
            continue
        pending = pending_cancel(other, ctx)
        state = replace(state, orders=replace_order(state.orders, pending))
        cancels.append(pending)
        parts.append(
            Changes(order_updates=(pending,), audit=(audit(state, ctx, "system", "order.cancel_requested", other.client_order_id),))
        )
    blocked = quantity < wanted and any(_holds_back(other, order) for other in state.orders)
    if blocked or (state.unresolved(order.symbol) and quantity <= 0):
        waiting = _waits(state, order, ctx)
        return replace(waiting, changes=together(*parts, waiting.changes), cancel=tuple(cancels))
    price = ctx.price(order.symbol) or order.terms.trigger_price
    if quantity < instrument.min_qty or (price is not None and quantity * price < instrument.min_notional):
        sent = _over(state, order, Check.NOTIONAL_MIN.value, ctx)
    else:
        sent = _send(state, replace(order, quantity=quantity), ctx)
    return replace(sent, changes=together(*parts, sent.changes), cancel=tuple(cancels))


def _makes_way(other: Order, order: Order) -> bool:
    """Whether a sell at the venue is taken back for this one: what rests at a limit for a stop or target that fires, stops for any sale.

    One at market is under way: it is waited for.
    """
    sells = other.side is Side.SELL and other.symbol == order.symbol
    return sells and (other.guards_at_venue or (order.type in CONDITIONAL and other.price is not None))


def _waits(state: SessionState, order: Order, ctx: Context) -> Decision:
    """Keep an order that has fired and cannot go yet; it is tried again until it can."""
    if order.terms.fired:
        return unchanged(state, result=order)
    waiting = replace(order, terms=replace(order.terms, fired=True), updated_ms=ctx.now_ms)
    state = replace(state, orders=replace_order(state.orders, waiting))
    return Decision(state=state, changes=Changes(order_updates=(waiting,)), result=waiting)


def _holds_back(other: Order, order: Order) -> bool:
    """Whether an order at the venue has promised what this one wants to sell."""
    return other.side is Side.SELL and other.symbol == order.symbol and not other.held and other.client_order_id != order.client_order_id


def _buy(state: SessionState, order: Order, ctx: Context) -> Decision:
    user = state.user
    assert user is not None
    kind = OrderType.LIMIT if order.price is not None else OrderType.MARKET
    exits = order.terms.bracket or Bracket()
    request = OrderRequest(symbol=order.symbol, side=Side.BUY, quantity=order.quantity, type=kind, price=order.price, bracket=exits)
    others = tuple(other for other in state.orders if other.client_order_id != order.client_order_id)
    usage = release(state.usage, order.quota_day) if order.quota_day else state.usage
    case = Case(
        request,
        replace(state, orders=others, usage=usage),
        ctx.tiers[user.tier].limits,
        ctx.policy,
        ctx.instrument(state, order.symbol),
        ctx.market.quote(order.symbol),
        ctx.equity(state),
        ctx.now_ms,
        ctx.settled(state),
        account_problem(state, ctx),
    )
    if denial := assess(case):
        return _over(state, order, denial.check.value, ctx)
    return _send(state, replace(order, reserved=reservation(case)), ctx)


def _send(state: SessionState, order: Order, ctx: Context) -> Decision:
    sent = replace(order, state=OrderState.SUBMITTED, terms=replace(order.terms, fired=False), updated_ms=ctx.now_ms)
    state = replace(state, orders=replace_order(state.orders, sent))
    detail = f"{order.client_order_id} {order.type} {order.side} {order.quantity} {order.symbol}"
    changes = Changes(order_updates=(sent,), audit=(audit(state, ctx, "system", "order.triggered", detail),))
    return Decision(state=state, changes=changes, submit=(sent,), notices=(order_notice("order.triggered", sent, ctx),), result=sent)


def _over(state: SessionState, order: Order, reason: str, ctx: Context) -> Decision:
    ended = canceled(order, reason, ctx)
    if order.quota_day:
        state = replace(state, usage=release(state.usage, order.quota_day))
        ended = replace(ended, quota_day="")
    state = flattened(replace(state, orders=replace_order(state.orders, ended)))
    entry = audit(state, ctx, "system", "order.canceled", f"{order.client_order_id} {reason}")
    changes = Changes(order_updates=(ended,), audit=(entry,))
    return Decision(state=state, changes=changes, notices=(order_notice("order.canceled", ended, ctx),), result=ended)
