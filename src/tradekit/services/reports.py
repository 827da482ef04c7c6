"""What a venue says of an order, applied to the user's account."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import HUNDRED, ZERO, money
from tradekit.domain.changes import NOTHING, Changes, together
from tradekit.domain.discrepancies import Discrepancy, DiscrepancyKind, discrepancy_key
from tradekit.domain.orders import BUY, CONDITIONAL, PAPER, SELL, TERMINAL, Fill, Order, OrderReport, OrderState, as_sent, may_become
from tradekit.domain.portfolio import LedgerEntry, Position, Trade, book
from tradekit.domain.protections import after_trade, watches
from tradekit.domain.replies import Reply
from tradekit.domain.sessions import (
    ClosedTrade,
    Guard,
    SessionState,
    find_order,
    on_account,
    replace_order,
    replace_position,
)
from tradekit.domain.signals import Delivery, Outcome, source_of
from tradekit.domain.triggers import STOPS
from tradekit.domain.usage import Usage, commit, release
from tradekit.domain.users import UserSettings
from tradekit.services.amend import less_filled, place_amended
from tradekit.services.controls import came_too_late
from tradekit.services.decisions import Context, Decision, Read, unchanged
from tradekit.services.exits import armed_again, protect, sold
from tradekit.services.native import keep_here, refused_there
from tradekit.services.quotas import begin_day
from tradekit.services.trading import cancel_these, flatten, order_notice
from tradekit.services.triggers import go_on
from tradekit.services.users import audit

replace = msgspec.structs.replace

QUIET = frozenset({OrderState.SUBMITTED, OrderState.TRIGGERED, OrderState.PENDING_CANCEL, OrderState.UNKNOWN})
"""States on the way to another, of which the user is not told."""

RESTS = frozenset({OrderState.ACCEPTED, OrderState.TRIGGERED, OrderState.PARTIALLY_FILLED})
"""States in which the venue has the order and would fill it."""

MAY_FILL = frozenset({OrderState.SUBMITTED, OrderState.ACCEPTED, OrderState.TRIGGERED, OrderState.PENDING_CANCEL, OrderState.UNKNOWN})
"""States that a fill ends, whatever else the report says."""


def apply_report(state: SessionState, report: OrderReport, ctx: Context) -> Decision | Read:
    """Book the report's new fills and move the order to the state they and the venue say.

    A repeated or reordered report changes nothing it has changed before. A report on an order that is over is looked up in the
    storage first: a fill that comes late is still booked, and recorded as a discrepancy.
    """
    order = find_order(state, report.client_order_id)
    if order is not None:
        return _apply(state, order, report, ctx)
    return Read(
        query=lambda reader: reader.order(report.client_order_id),
        then=lambda stored, later: _apply_late(state, stored, report, later),
    )


def _apply_late(state: SessionState, stored: Order | None, report: OrderReport, ctx: Context) -> Decision:
    if stored is None:
        told = f"order={report.client_order_id} state={report.state}"
        return Decision(state=state, changes=discrepancy(state, DiscrepancyKind.UNKNOWN_ORDER, report.client_order_id, "", told, ctx))
    if not _new_fills(stored, report):
        return unchanged(state, result=stored)
    decision = _apply(state, stored, report, ctx)
    told = f"order={stored.client_order_id} was={stored.state}"
    reference = f"{stored.client_order_id}/{report.fills[-1].trade_id}"
    found = discrepancy(state, DiscrepancyKind.LATE_FILL, reference, stored.symbol, told, ctx, stored.account)
    return replace(decision, changes=together(decision.changes, found))


def discrepancy(
    state: SessionState, kind: DiscrepancyKind, reference: str, symbol: str, detail: str, ctx: Context, account: str = ""
) -> Changes:
    """A difference that is mended as it is found: on record and in the audit."""
    account = account or state.account
    row = Discrepancy(
        key=discrepancy_key(state.user_id, account, kind, reference),
        user_id=state.user_id,
        partition=state.partition,
        account=account,
        kind=kind,
        symbol=symbol,
        detail=detail,
        raised_ms=ctx.now_ms,
        resolved_ms=ctx.now_ms,
    )
    return Changes(discrepancies=(row,), audit=(audit(state, ctx, "venue", f"discrepancy.{kind}", detail),))


def mark_unknown(state: SessionState, client_order_id: str, ctx: Context) -> Decision:
    """No answer came for an order that was sent: its fate is unknown until the venue is asked."""
    order = find_order(state, client_order_id)
    if order is None or order.state is not OrderState.SUBMITTED:
        return unchanged(state)
    unknown = replace(order, state=OrderState.UNKNOWN, updated_ms=ctx.now_ms)
    at_home = on_account(state, order.account)
    new = on_account(replace(at_home, orders=replace_order(at_home.orders, unknown)), state.account)
    changes = Changes(order_updates=(unknown,), audit=(audit(new, ctx, "system", "order.unknown", client_order_id),))
    return Decision(state=new, changes=changes, notices=(order_notice("order.unknown", unknown, ctx),), result=unknown)


def never_arrived(state: SessionState, client_order_id: str, ctx: Context) -> Decision | Read:
    """The venue has no trace of the order after its visibility window: it was never placed there."""
    order = find_order(state, client_order_id)
    if order is None:
        return unchanged(state)
    report = OrderReport(
        client_order_id=client_order_id, user_id=state.user_id, state=OrderState.REJECTED, reason="NOT_AT_VENUE", time_ms=ctx.now_ms
    )
    if order.state is OrderState.PENDING_CANCEL or order.cum_qty:
        report = replace(report, state=OrderState.CANCELED)
    return apply_report(state, report, ctx)


def _new_fills(order: Order, report: OrderReport) -> tuple[Fill, ...]:
    return tuple([fill for fill in report.fills if fill.trade_id not in order.trade_ids]) if order.trade_ids else report.fills


def _apply(state: SessionState, order: Order, report: OrderReport, ctx: Context) -> Decision:
    """Book in the order's own account, and leave the account in use on the table."""
    if state.account == order.account:
        return _apply_at_home(state, order, report, ctx)
    decision = _apply_at_home(on_account(state, order.account), order, report, ctx)
    return replace(decision, state=on_account(decision.state, state.account))


def _apply_at_home(state: SessionState, order: Order, report: OrderReport, ctx: Context) -> Decision:
    state = begin_day(state, ctx)
    fills = _new_fills(order, report)
    if order.account != PAPER:
        fills = tuple(replace(fill, account=order.account) for fill in fills)
    state, booked, ledger, trades = _book(state, order, fills, ctx)
    moved = _moved(order, booked, report, ctx)
    if moved is order:
        return unchanged(state, result=order)
    kept = refused_there(order, moved)
    usage, moved = (state.usage, replace(moved, quota_day="")) if kept else _settle_quota(state.usage, moved)
    state = replace(state, usage=usage, orders=replace_order(state.orders, moved))
    state, moved, exits, told = _exits_after(state, order, moved, ctx, kept=kept)
    changes = Changes(
        order_updates=(moved,),
        fills=fills,
        trades=trades,
        ledger=ledger,
        delivery_updates=_failed_delivery(moved, ctx),
        audit=(audit(state, ctx, "venue", f"order.{moved.state}", f"{moved.client_order_id} {moved.cum_qty!s}/{moved.quantity!s}"),),
    )
    decision = Decision(
        state=state,
        changes=changes if exits is NOTHING else together(changes, exits),
        notices=(*_notices(state, order, moved, trades, ctx), *told),
        result=moved,
    )
    if moved.is_open:
        unwanted = came_too_late(state, order, moved, ctx) or _outlived_panic(state, order, moved)
        return _then(decision, cancel_these(decision.state, (moved,), ctx)) if unwanted else decision
    if moved.side is SELL and decision.state.orders:
        decision = _then(decision, go_on(decision.state, moved.symbol, ctx))
    if state.session.flattening:
        return _go_on_flattening(decision, order, moved, ctx)
    if moved.terms.amendment is not None and moved.state is OrderState.CANCELED and order.is_open:
        # An exit that has fired goes first: it may be what the old order held back.
        decision = _then(decision, place_amended(decision.state, as_sent(moved), ctx))
    return decision


def _exits_after(
    state: SessionState, before: Order, order: Order, ctx: Context, *, kept: bool
) -> tuple[SessionState, Order, Changes, tuple[Reply, ...]]:
    """What fills and the end of an order mean for the exits that wait.

    :param kept: the venue would not watch the order, so that it is watched here.
    """
    filled = order.cum_qty - before.cum_qty
    if kept:
        state, here, told = keep_here(state, before, order, ctx)
        return state, order, here, told
    if order.side is BUY:
        wanted = filled and order.terms.bracket
        return (*protect(state, order, filled, ctx, late=not before.is_open), ()) if wanted else (state, order, NOTHING, ())
    shrunk = NOTHING
    if filled:
        state, shrunk = sold(state, order, filled, ctx)
    if order.is_open or not before.is_open or order.cum_qty >= order.quantity:
        return state, order, shrunk, ()
    taken_back = before.state is OrderState.PENDING_CANCEL or order.reason == "CANCELED_BY_USER"
    if taken_back or not (order.type in CONDITIONAL or (state.session.flattening and _came_to_nothing(before, order))):
        return state, order, shrunk, ()
    state, again, told = armed_again(state, order, ctx)
    return state, order, together(shrunk, again), told


def _then(first: Decision, more: Decision) -> Decision:
    """Both decisions in one commit."""
    return replace(
        first,
        state=more.state,
        changes=together(first.changes, more.changes),
        submit=(*first.submit, *more.submit),
        cancel=(*first.cancel, *more.cancel),
        notices=(*first.notices, *more.notices),
    )


def _book(
    state: SessionState, order: Order, fills: tuple[Fill, ...], ctx: Context
) -> tuple[SessionState, Order, tuple[LedgerEntry, ...], tuple[Trade, ...]]:
    """Cash, position and order after the fills."""
    if not fills:
        return state, order, (), ()
    ledger: list[LedgerEntry] = []
    trades: list[Trade] = []
    for fill in fills:
        session, held = state.session, state.position(fill.symbol)
        booked = book(fill, session.cash, held, order.account, source_of(order.cause) if order.signal_id else "")
        guard = session.guard
        if booked.trade is not None:
            trades.append(booked.trade if order.account == PAPER else replace(booked.trade, account=order.account))
            guard = _guarded(guard, trades[-1], held, order, state.settings, ctx)
        ledger.append(booked.ledger)
        state = replace(
            state,
            session=replace(session, cash=booked.cash, realized_today=session.realized_today + booked.realized, guard=guard),
            positions=replace_position(state.positions, fill.symbol, booked.position),
        )
        order = replace(
            order,
            cum_qty=order.cum_qty + fill.quantity,
            cum_quote=order.cum_quote + booked.flow,
            cum_fee=order.cum_fee + booked.fee,
            trade_ids=(*order.trade_ids, fill.trade_id),
        )
    equity = ctx.equity(state)
    if equity > state.session.peak_equity:
        state = replace(state, session=replace(state.session, peak_equity=equity))
    if order.account != PAPER:
        state = replace(state, session=replace(state.session, booked_ms=ctx.now_ms))
    return state, order, tuple(ledger), tuple(trades)


def _guarded(guard: Guard, trade: Trade, held: Position | None, order: Order, settings: UserSettings, ctx: Context) -> Guard:
    if not watches(guard, settings):
        return guard
    paid = trade.entry_price * trade.quantity
    closed = ClosedTrade(
        symbol=trade.symbol,
        source=held.source if held is not None else "",
        pnl=trade.pnl,
        pnl_pct=trade.pnl / paid * HUNDRED if paid else ZERO,
        stopped=order.type in STOPS,
        closed_ms=ctx.now_ms,
    )
    return after_trade(guard, closed, settings, ctx.now_ms)


def _moved(before: Order, order: Order, report: OrderReport, ctx: Context) -> Order:
    """The order in the state that fills and venue agree on; a state that cannot follow is a report out of order and is passed over."""
    state = order.state
    if order.cum_qty >= order.quantity:
        state = OrderState.FILLED
    elif report.state is OrderState.FILLED:
        state = OrderState.PARTIALLY_FILLED
    elif order.state is OrderState.PENDING_CANCEL and report.state in RESTS and not report.answers_cancel:
        # The cancel is under way. Taken for its end, this would lose the wish if the service stopped before the answer.
        pass
    elif may_become(order.state, report.state) and not (report.state is OrderState.ACCEPTED and order.cum_qty):
        state = report.state
    elif order.cum_qty and order.state in MAY_FILL:
        state = OrderState.PARTIALLY_FILLED
    over = state in TERMINAL
    reserved = ZERO if over else _still_reserved(before, order)
    venue_order_id, reason = report.venue_order_id or order.venue_order_id, report.reason if over else order.reason
    if order is before:
        known = (order.state, order.reserved, order.venue_order_id, order.reason)
        if known == (state, reserved, venue_order_id, reason):
            return order
    if order.terms.amendment is not None:
        order = less_filled(order, order.cum_qty - before.cum_qty)
    return replace(order, state=state, reserved=reserved, venue_order_id=venue_order_id, reason=reason, updated_ms=ctx.now_ms)


def _still_reserved(before: Order, order: Order) -> Decimal:
    """The reservation shrinks with what is left to fill."""
    if order.cum_qty == before.cum_qty or not before.reserved:
        return before.reserved
    return money(before.reserved * (order.quantity - order.cum_qty) / (before.quantity - before.cum_qty))


def _settle_quota(usage: Usage, order: Order) -> tuple[Usage, Order]:
    """A first fill uses the entry's reservation; an end without any fill gives it back."""
    if not order.quota_day or not (order.cum_qty or order.state in TERMINAL):
        return usage, order
    settle = commit if order.cum_qty else release
    return settle(usage, order.quota_day), replace(order, quota_day="")


def _failed_delivery(order: Order, ctx: Context) -> tuple[Delivery, ...]:
    if not order.signal_id or order.is_open or order.cum_qty:
        return ()
    return (
        Delivery(
            signal_id=order.signal_id,
            user_id=order.user_id,
            partition=order.partition,
            outcome=Outcome.FAILED,
            reason=order.reason or order.state.value.upper(),
            client_order_id=order.client_order_id,
            time_ms=ctx.now_ms,
        ),
    )


def _notices(state: SessionState, old: Order, order: Order, trades: tuple[Trade, ...], ctx: Context) -> tuple[Reply, ...]:
    """What the user hears: every end of an order, every further fill; signals' fills only if wanted."""
    if (order.signal_id and not state.settings.notify_fills) or refused_there(old, order):
        return ()
    filled_more = order.cum_qty > old.cum_qty
    if order.state is old.state and not filled_more:
        return ()
    canceling = filled_more and order.state is OrderState.PENDING_CANCEL
    told = OrderState.PARTIALLY_FILLED if canceling else order.state
    if told in QUIET or (told is OrderState.ACCEPTED and old.state is OrderState.PENDING_CANCEL):
        return ()
    more = {"pnl": f"{trades[-1].pnl:f}"} if trades else {"pnl": ""}
    if told is OrderState.PARTIALLY_FILLED:
        more["canceling"] = "yes" if canceling else ""
    return (order_notice(f"order.{told}", order, ctx, **more),)


def _outlived_panic(state: SessionState, before: Order, order: Order) -> bool:
    """Whether an order whose fate was unknown when its user wanted out turns out to rest: it is taken back as the others were."""
    rests = order.is_open and (order.price is not None or order.terms.native)
    return state.session.flattening and before.state is OrderState.UNKNOWN and rests and order.state is not OrderState.UNKNOWN


def _came_to_nothing(before: Order, order: Order) -> bool:
    """Whether a sale at market ended without a fill although nobody took it back: another at once would fare no better."""
    at_market = order.side is SELL and order.price is None and not order.cum_qty
    return at_market and before.state is not OrderState.PENDING_CANCEL


def _go_on_flattening(decision: Decision, before: Order, order: Order, ctx: Context) -> Decision:
    """Sell what the order held back. After a sale that came to nothing its instrument waits for the next try."""
    waits = order.symbol if _came_to_nothing(before, order) else ""
    # With the fills so far: a late one makes the order end once more.
    cause = f"{order.client_order_id}/flatten/{len(order.trade_ids)}"
    # Also if the last order that waited here has just ended: this decides whether all is sold.
    state = replace(decision.state, session=replace(decision.state.session, flattening=True))
    return _then(decision, flatten(state, ctx, cause=cause, but=waits))
