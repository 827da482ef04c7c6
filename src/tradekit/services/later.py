"""What /panic sells later: positions whose venue is not open. Each sale is an order that waits here, so that it is sent once."""

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import MARKET, PAPER, SELL, Order, OrderState, Terms, client_order_id, mode_of
from tradekit.domain.portfolio import Position
from tradekit.domain.sessions import SessionState, replace_order
from tradekit.services.decisions import Context, Decision, unchanged

replace = msgspec.structs.replace

BOOKS_WAIT_MS = 30_000
"""How long a sale waits for the comparison of its account once the venue is open; an exit is not held up for longer."""


def is_closed(state: SessionState, ctx: Context) -> bool:
    """Whether nothing can be sent from the account in use because its venue is not open."""
    return state.account != PAPER and ctx.accounts is not None and bool(ctx.accounts.problem(state.account))


def sale_that_waits(state: SessionState, symbol: Symbol) -> Order | None:
    """The sale of this position that waits here since /panic."""
    return next((order for order in state.orders if order.held and order.terms.flattens and order.symbol == symbol), None)


def sell_later(state: SessionState, position: Position, ctx: Context, *, cause: str, leg: int) -> tuple[SessionState, Order]:
    """Keep a sale of the whole position here. It has fired already: it is tried again until the venue takes it, also after a restart."""
    order = Order(
        client_order_id=client_order_id(state.user_id, cause, leg),
        user_id=state.user_id,
        partition=state.partition,
        cause=cause,
        symbol=position.symbol,
        side=SELL,
        type=MARKET,
        quantity=position.quantity,
        reduce_only=True,
        mode=mode_of(state.account),
        account=state.account,
        terms=Terms(fired=True, flattens=True),
        state=OrderState.INITIALIZED,
        created_ms=ctx.now_ms,
        updated_ms=ctx.now_ms,
    )
    return replace(state, orders=(*state.orders, order)), order


def books_first(state: SessionState, order: Order, ctx: Context) -> Decision | None:
    """The venue is open again: have the account compared before the sale goes out, for what filled unheard is not there to be sold.

    None once it has been compared, or was waited for long enough.
    """
    if ctx.settled(state):
        return None
    if order.terms.trigger_ms:
        return unchanged(state, result=order) if ctx.now_ms < order.terms.trigger_ms else None
    noted = replace(order, terms=replace(order.terms, trigger_ms=ctx.now_ms + BOOKS_WAIT_MS), updated_ms=ctx.now_ms)
    state = replace(state, orders=replace_order(state.orders, noted))
    return Decision(state=state, changes=Changes(order_updates=(noted,)), reconcile=(order.account,), result=noted)


def flattened(state: SessionState) -> SessionState:
    """The session once nothing is open any more: what /panic could sell is sold, and what it could not is not tried again."""
    if not state.session.flattening or state.orders:
        return state
    return replace(state, session=replace(state.session, flattening=False))


def no_longer_flattening(state: SessionState, ctx: Context) -> tuple[SessionState, tuple[Order, ...]]:
    """The user wants to trade again: nothing more is sold for /panic, and the sales that still waited for their venue are over."""
    over = tuple(
        replace(order, state=OrderState.CANCELED, reason="CANCELED_BY_USER", updated_ms=ctx.now_ms)
        for order in state.orders
        if order.held and order.terms.flattens
    )
    for order in over:
        state = replace(state, orders=replace_order(state.orders, order))
    return replace(state, session=replace(state.session, flattening=False)), over
