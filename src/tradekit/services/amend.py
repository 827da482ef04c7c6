"""Amending: an order is canceled and another takes its place; both know each other."""

from decimal import Decimal

import msgspec

from tradekit.domain.changes import Changes, together
from tradekit.domain.errors import BadInput, NotFound, OrderDenied
from tradekit.domain.orders import CONDITIONAL, Amendment, Order, OrderState, OrderType, Terms, client_order_id
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import SessionState, replace_order
from tradekit.domain.triggers import is_better
from tradekit.domain.usage import release
from tradekit.services.decisions import Context, Decision, refused
from tradekit.services.exits import canceled
from tradekit.services.trading import pending_cancel, place
from tradekit.services.users import audit, need_user

replace = msgspec.structs.replace

AMENDABLE = frozenset({OrderState.INITIALIZED, OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


def amend(
    state: SessionState,
    order_id_prefix: str,
    ctx: Context,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    trigger_price: Decimal | None = None,
) -> Decision:
    """Change an open order: its whole quantity, limit price or trigger. The result is the order that is on its way out.

    A held order is replaced at once. One at the venue is canceled first, and replaced in the commit that books the cancellation; if it
    fills instead, that stands and nothing is placed. The replacement passes the same checks as a new order. The error is NotFound,
    BadInput if several orders' ids begin so, or OrderDenied for a held order whose replacement fails a check.
    """
    need_user(state)
    prefix = order_id_prefix.lower()
    fitting = [each for each in state.orders if prefix and each.client_order_id.startswith(prefix)]
    if len(fitting) > 1:
        problem = "fits more than one order"
        return refused(state, BadInput(field="order", value=order_id_prefix[:40], problem=problem, hint="type more of its id"))
    order = fitting[0] if fitting else None
    if order is None or order.state not in AMENDABLE or order.terms.foreign:
        return refused(state, NotFound(kind="open order", name=order_id_prefix[:40]))
    if trigger_price is not None and (order.terms.trigger_price is None or order.type is OrderType.TRAILING_STOP or not _waits(order)):
        problem = "is for stops and targets that wait"
        return refused(state, BadInput(field="trigger", value=f"{trigger_price:f}", problem=problem))
    if price is not None and order.price is None:
        return refused(state, BadInput(field="price", value=f"{price:f}", problem="is for limit orders only"))
    total = order.quantity if quantity is None else quantity
    if total <= order.cum_qty:
        problem = f"must be above what has filled, {order.cum_qty:f}"
        return refused(state, BadInput(field="quantity", value=f"{total:f}", problem=problem))
    amendment = Amendment(
        client_order_id=client_order_id(order.user_id, _cause(order)),
        quantity=total - order.cum_qty,
        price=order.price if price is None else price,
        trigger_price=order.terms.trigger_price if trigger_price is None else trigger_price,
    )
    marked = replace(order, terms=replace(order.terms, amendment=amendment))
    return _held(state, marked, ctx) if order.held else _at_venue(state, marked, ctx)


def _waits(order: Order) -> bool:
    """Whether the trigger is still to come, here or at the venue."""
    return order.held or (order.terms.native and order.state is OrderState.ACCEPTED)


def _cause(order: Order) -> str:
    return f"{order.client_order_id}/amended"


def _at_venue(state: SessionState, order: Order, ctx: Context) -> Decision:
    pending = pending_cancel(order, ctx)
    new = replace(state, orders=replace_order(state.orders, pending))
    row = audit(new, ctx, "user", "order.amend_requested", f"{order.client_order_id} {_words(order)}")
    return Decision(state=new, changes=Changes(order_updates=(pending,), audit=(row,)), cancel=(pending,), result=pending)


def _held(state: SessionState, order: Order, ctx: Context) -> Decision:
    out = replace(canceled(order, "AMENDED", ctx), quota_day="")
    usage = release(state.usage, order.quota_day) if order.quota_day else state.usage
    without = replace(state, orders=replace_order(state.orders, out), usage=usage)
    placed = place_amended(without, order, ctx)
    if isinstance(placed.error, OrderDenied):
        return refused(state, placed.error)
    row = audit(without, ctx, "user", "order.amended", f"{order.client_order_id} {_words(order)}")
    changes = together(Changes(order_updates=(out,), audit=(row,)), placed.changes)
    return replace(placed, changes=changes, result=out)


def place_amended(state: SessionState, order: Order, ctx: Context) -> Decision:
    """Place what an order was amended to, now that it is out of the way. A check that fails is told; the old order stays canceled."""
    amendment = order.terms.amendment
    assert amendment is not None
    request = OrderRequest(
        symbol=order.symbol,
        side=order.side,
        quantity=amendment.quantity,
        type=order.type,
        price=amendment.price,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        trigger_price=amendment.trigger_price if order.type in CONDITIONAL else None,
        trail_pct=order.terms.trail_pct,
        trigger_ms=order.terms.trigger_ms if order.type is OrderType.TIME_EXIT else 0,
        bracket=order.terms.bracket,
    )
    # A venue knows nothing of the others in its list.
    decision = place(state, request, ctx, cause=_cause(order), native=not order.terms.list_id)
    if decision.error is not None:
        reason = decision.error.check if isinstance(decision.error, OrderDenied) else decision.error.code
        args = {"order_id": order.client_order_id[:8], "symbol": order.symbol, "reason": reason, "mode": order.account}
        return replace(decision, notices=(Reply(key="amend.failed", args=args, priority=Priority.ALERT),))
    new: Order = decision.result
    kept = replace(new, terms=_kept_terms(new.terms, order))
    return replace(
        decision,
        state=replace(decision.state, orders=replace_order(decision.state.orders, kept)),
        changes=replace(decision.changes, orders=tuple(kept if each is new else each for each in decision.changes.orders)),
        submit=(kept,) if decision.submit else (),
        result=kept,
    )


def less_filled(order: Order, quantity: Decimal) -> Order:
    """An order on its way out that has filled some more: that much less takes its place, and nothing if nothing is left."""
    amendment = order.terms.amendment
    if amendment is None or not quantity:
        return order
    left = amendment.quantity - quantity
    return replace(order, terms=replace(order.terms, amendment=replace(amendment, quantity=left) if left > 0 else None))


def _kept_terms(new: Terms, order: Order) -> Terms:
    """The replacement stays an exit of the same entry; a trailing stop keeps where it has got to."""
    stands = order.terms.trigger_price
    terms = replace(new, replaces=order.client_order_id, list_id=order.terms.list_id, leg=order.terms.leg)
    if order.type is not OrderType.TRAILING_STOP or stands is None or new.trigger_price is None:
        return terms
    return replace(terms, trigger_price=stands) if is_better(order.side, stands, new.trigger_price) else terms


def _words(order: Order) -> str:
    amendment = order.terms.amendment
    assert amendment is not None
    return f"to {amendment.client_order_id} quantity={amendment.quantity} price={amendment.price} trigger={amendment.trigger_price}"
