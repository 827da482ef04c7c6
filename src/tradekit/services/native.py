"""Stops that wait at the venue: when an order may, and what becomes of one that is refused there or in the way."""

from decimal import Decimal

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.orders import CONDITIONAL, Order, OrderState, Side, TimeInForce, client_order_id
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import SessionState, replace_order
from tradekit.services.decisions import Context
from tradekit.services.users import audit

replace = msgspec.structs.replace

UNSUPPORTED = frozenset({"ORDER_TYPE_UNSUPPORTED", "STOPS_MAX"})
"""Refusals of the form, not of the order: the venue has no such stop on this instrument, or no room for another."""


def may_wait_there(request: OrderRequest, state: SessionState, ctx: Context) -> bool:
    """Whether the venue is to watch the trigger itself.

    It sets aside what the order would sell, so a sale of what another one has promised waits here; as does what a venue could only take
    without its conditions.
    """
    if ctx.accounts is None or request.type not in ctx.accounts.native(state.account):
        return False
    if request.post_only or request.time_in_force is not TimeInForce.GTC:
        return False
    return request.side is Side.BUY or request.quantity <= state.sellable(request.symbol)


def make_way(state: SessionState, symbol: str, ctx: Context) -> tuple[SessionState, Changes, tuple[Order, ...]]:
    """Take back the stops at the venue that hold a position, each guarded from here in the same commit. The third is what to cancel.

    Both know each other as one list: if the venue was faster, what it sold comes off the one here.
    """
    added: list[Order] = []
    moved: list[Order] = []
    rows = []
    for order in state.orders:
        if order.symbol != symbol or not order.guards_at_venue:
            continue
        pending = replace(
            order, state=OrderState.PENDING_CANCEL, terms=replace(order.terms, list_id=order.client_order_id), updated_ms=ctx.now_ms
        )
        state = replace(state, orders=replace_order(state.orders, pending))
        moved.append(pending)
        rows.append(audit(state, ctx, "system", "order.cancel_requested", order.client_order_id))
        if order.terms.list_id == order.client_order_id:
            # It stood in the way before, and the venue did not let it go.
            continue
        here = _held_here(order, order.client_order_id, ctx)
        state = replace(state, orders=replace_order(state.orders, here))
        added.append(here)
        rows.append(audit(state, ctx, "system", "order.held", f"{here.client_order_id} instead of {order.client_order_id}"))
    return state, Changes(orders=tuple(added), order_updates=tuple(moved), audit=tuple(rows)), tuple(moved)


def refused_there(before: Order, order: Order) -> bool:
    """Whether the venue would not watch an order that can be watched here.

    Every exit can: it guards a position, whatever the venue said. An entry only if it was its form that the venue does not have.
    """
    if not before.terms.native or before.type not in CONDITIONAL or order.state is not OrderState.REJECTED or order.cum_qty:
        return False
    if before.state is OrderState.PENDING_CANCEL or before.terms.amendment is not None:
        return False
    return order.side is Side.SELL or order.reason in UNSUPPORTED


def keep_here(state: SessionState, before: Order, order: Order, ctx: Context) -> tuple[SessionState, Changes, tuple[Reply, ...]]:
    """Watch it here from now on, with what its entry had set aside."""
    here = replace(_held_here(order, order.terms.list_id, ctx), reserved=before.reserved, quota_day=before.quota_day)
    state = replace(state, orders=replace_order(state.orders, here))
    row = audit(state, ctx, "system", "order.held", f"{here.client_order_id} instead of {order.client_order_id} {order.reason}")
    args = {
        "mode": order.account,
        "type": order.type.value,
        "side": order.side.value,
        "symbol": order.symbol,
        "quantity": f"{here.quantity:f}",
        "reason": order.reason,
        "order_id": here.client_order_id[:8],
    }
    notice = Reply(key="order.kept_here", args=args, priority=Priority.ALERT, topic=f"order:{here.client_order_id[:12]}")
    return state, Changes(orders=(here,), audit=(row,)), (notice,)


def _held_here(order: Order, list_id: str, ctx: Context) -> Order:
    cause = f"{order.client_order_id}/here"
    return replace(
        order,
        client_order_id=client_order_id(order.user_id, cause),
        cause=cause,
        terms=replace(order.terms, native=False, list_id=list_id, amendment=None),
        state=OrderState.INITIALIZED,
        reason="",
        venue_order_id="",
        quantity=order.quantity - order.cum_qty,
        cum_qty=Decimal(0),
        cum_quote=Decimal(0),
        cum_fee=Decimal(0),
        trade_ids=(),
        created_ms=ctx.now_ms,
        updated_ms=ctx.now_ms,
    )
