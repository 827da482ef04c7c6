"""Brackets: the exits that an entry gets as it fills, and how one cancels the other."""

from decimal import ROUND_CEILING, Decimal

import msgspec

from tradekit.domain.amounts import HUNDRED, ZERO, round_down
from tradekit.domain.changes import NOTHING, Changes
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import Bracket, Order, OrderState, OrderType, Side, TakeProfit, Terms, client_order_id
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.sessions import SessionState, replace_order
from tradekit.domain.triggers import trigger_at
from tradekit.services.decisions import Context

replace = msgspec.structs.replace

STOP_LEG, TRAILING_LEG, TIME_LEG, FIRST_RUNG, LATE_LEG = 1, 2, 3, 10, 100
"""Numbers of the legs of a bracket: each makes an id of its own."""
WHOLE = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP, OrderType.TIME_EXIT})
"""Legs that sell whatever is left of the entry; the others are rungs of the ladder."""
AGAIN = frozenset(
    {
        "NOT_AT_VENUE",
        "VENUE_UNAVAILABLE",
        "VENUE_BUSY",
        "VENUE_BANNED",
        "CLOCK_SKEW",
        "NO_LIQUIDITY",
        "NO_PRICE",
        "VENUE_ERROR",
        "INSTRUMENT_NOT_TRADABLE",
        "ORDER_RATE_LIMIT",
    }
)
"""Ends of an exit after which it is armed again: the position still needs it, and the next try may succeed."""
AGAIN_AFTER_MS = 2_000
AGAIN_AFTER_MAX_MS = 300_000
TRIES_MAX = 20


def rungs(quantity: Decimal, ladder: tuple[TakeProfit, ...], step: Decimal, smallest: Decimal) -> tuple[Decimal, ...]:
    """What each rung of a ladder sells: its share rounded down, too small a rung added to the next, and what rounding leaves to the last.

    The sum is the quantity if the shares add up to 100, else their share of it; zero means that the rung is merged.
    """
    parts: list[Decimal] = []
    sold = carried = share = ZERO
    for rung in ladder:
        share += rung.share_pct
        want = round_down(quantity * min(share, HUNDRED) / HUNDRED, step) - sold
        part = want if want >= smallest else ZERO
        parts.append(part)
        sold += part
        carried = want - part
    if carried and any(parts):
        # The last rung was too small to sell alone: the one before takes it along.
        last = max(index for index, part in enumerate(parts) if part)
        parts[last] += carried
    return tuple(parts)


def protect(state: SessionState, entry: Order, filled: Decimal, ctx: Context, *, late: bool = False) -> tuple[SessionState, Order, Changes]:
    """Set the exits of an entry over what has filled so far, or enlarge those that still wait; one commit with the fill.

    Returns the entry as well: exits that were canceled or sent since they were made are not made a second time.

    :param late: the entry was over already; whatever became of its exits, what it bought now gets some.
    """
    bracket, instrument = entry.terms.bracket, ctx.instrument(state, entry.symbol)
    position = state.position(entry.symbol)
    if not bracket or entry.side is not Side.BUY or instrument is None or position is None or entry.avg_px is None:
        return state, entry, NOTHING
    held = round_down(position.quantity, instrument.step_size)
    total = round_down(min(entry.cum_qty, held), instrument.step_size)
    # What was sold since comes off the earlier fills, so that this one is covered whole.
    before = round_down(max(ZERO, total - filled), instrument.step_size)
    if entry.terms.leaving:
        wanted = late_leg(entry, min(total - before, held), instrument, ctx)
        earlier: dict[int, Order] = {}
    else:
        wanted = legs(entry, bracket, total, entry.avg_px, instrument, ctx)
        earlier = legs(entry, bracket, before, entry.avg_px, instrument, ctx)
    there = {leg.terms.leg for leg in state.orders if leg.held and leg.terms.list_id == entry.client_order_id}
    made = tuple(leg for number, leg in wanted.items() if number not in (there if late else entry.terms.armed))
    changed: list[Order] = []
    for leg in state.orders:
        if leg.held and leg.terms.list_id == entry.client_order_id and leg.terms.leg in wanted:
            grown = wanted[leg.terms.leg].quantity - (earlier[leg.terms.leg].quantity if leg.terms.leg in earlier else ZERO)
            if grown > 0:
                changed.append(replace(leg, quantity=min(leg.quantity + grown, held), updated_ms=ctx.now_ms))
    armed = replace(entry, terms=replace(entry.terms, armed=tuple(sorted({*entry.terms.armed, *wanted}))))
    for order in (*made, *changed, armed):
        state = replace(state, orders=replace_order(state.orders, order))
    return state, armed, Changes(orders=made, order_updates=tuple(changed))


def legs(entry: Order, bracket: Bracket, quantity: Decimal, price: Decimal, instrument: Instrument, ctx: Context) -> dict[int, Order]:
    """The exits over a quantity bought at an average price, by number. What is too small to sell has none."""
    if quantity < max(instrument.min_qty, instrument.step_size):
        return {}
    found: dict[int, Order] = {}

    def leg(number: int, kind: OrderType, quantity: Decimal, terms: Terms) -> None:
        found[number] = _leg(entry, number, kind, quantity, terms, ctx)

    if bracket.stop_loss_pct:
        leg(STOP_LEG, OrderType.STOP, quantity, Terms(trigger_price=down(price * (1 - bracket.stop_loss_pct / HUNDRED), instrument)))
    if bracket.trailing_pct:
        trigger = trigger_at(Side.SELL, bracket.trailing_pct, max(price, ctx.price(entry.symbol) or price), instrument.tick_size)
        leg(TRAILING_LEG, OrderType.TRAILING_STOP, quantity, Terms(trigger_price=trigger, trail_pct=bracket.trailing_pct))
    if bracket.time_exit_s:
        leg(TIME_LEG, OrderType.TIME_EXIT, quantity, Terms(trigger_ms=ctx.now_ms + bracket.time_exit_s * 1000))
    parts = rungs(quantity, bracket.take_profits, instrument.step_size, smallest_sale(price, instrument))
    for number, (rung, part) in enumerate(zip(bracket.take_profits, parts, strict=True), FIRST_RUNG):
        if part:
            trigger = down(price * (1 + rung.distance_pct / HUNDRED), instrument)
            leg(number, OrderType.TAKE_PROFIT, part, Terms(trigger_price=trigger))
    return found


def late_leg(entry: Order, quantity: Decimal, instrument: Instrument, ctx: Context) -> dict[int, Order]:
    """Sells at once what an entry still bought after its stop had gone."""
    if quantity < max(instrument.min_qty, instrument.step_size):
        return {}
    number = LATE_LEG + len(entry.trade_ids)
    return {number: _leg(entry, number, OrderType.TIME_EXIT, quantity, Terms(trigger_ms=ctx.now_ms), ctx)}


def smallest_sale(price: Decimal, instrument: Instrument) -> Decimal:
    """The least that the venue lets one sell at a price, in whole steps."""
    steps = (instrument.min_notional / price / instrument.step_size).to_integral_value(ROUND_CEILING)
    return max(instrument.min_qty, instrument.step_size, steps * instrument.step_size)


def down(price: Decimal, instrument: Instrument) -> Decimal:
    """A trigger on the instrument's tick."""
    return max(round_down(price, instrument.tick_size), instrument.tick_size)


def _leg(entry: Order, number: int, kind: OrderType, quantity: Decimal, terms: Terms, ctx: Context) -> Order:
    # With the fills so far: an exit that ended with its position is made anew for what is bought after.
    cause = f"{entry.client_order_id}/exit/{number}/{len(entry.trade_ids)}"
    return Order(
        client_order_id=client_order_id(entry.user_id, cause),
        user_id=entry.user_id,
        partition=entry.partition,
        cause=cause,
        symbol=entry.symbol,
        side=Side.SELL,
        type=kind,
        quantity=quantity,
        reduce_only=True,
        mode=entry.mode,
        account=entry.account,
        terms=replace(terms, list_id=entry.client_order_id, leg=number),
        state=OrderState.INITIALIZED,
        created_ms=ctx.now_ms,
        updated_ms=ctx.now_ms,
    )


def sold(state: SessionState, order: Order, quantity: Decimal, ctx: Context) -> tuple[SessionState, Changes]:
    """After a sale of ``quantity``: siblings shrink by what is gone, and no held exit is larger than what is held.

    An exit over less than the venue lets one sell is over.
    """
    waiting = [leg for leg in state.orders if leg.held and leg.side is Side.SELL and leg.symbol == order.symbol]
    if not waiting:
        return state, NOTHING
    position, instrument = state.position(order.symbol), ctx.instrument(state, order.symbol)
    held = position.quantity if position is not None else ZERO
    least = ZERO
    if instrument is not None:
        held, least = round_down(held, instrument.step_size), instrument.min_qty
    wanted = {leg.client_order_id: leg.quantity for leg in waiting}
    if order.terms.list_id:
        siblings = [leg for leg in waiting if leg.terms.list_id == order.terms.list_id and leg.terms.leg < LATE_LEG]
        _shrink_siblings(wanted, siblings, order, quantity)
    changed: list[Order] = []
    for leg in waiting:
        left = min(wanted[leg.client_order_id], held)
        if left == leg.quantity:
            continue
        if left > 0 and left >= least:
            moved = replace(leg, quantity=left, updated_ms=ctx.now_ms)
        else:
            moved = canceled(leg, "OCO" if held > 0 and held >= least else "POSITION_CLOSED", ctx)
        changed.append(moved)
        state = replace(state, orders=replace_order(state.orders, moved))
        if moved.reason == "POSITION_CLOSED" and (entry := state.order(leg.terms.list_id)) is not None:
            changed.append(_disarmed(entry, leg.terms.leg, ctx))
            state = replace(state, orders=replace_order(state.orders, changed[-1]))
    return state, Changes(order_updates=tuple(changed))


def _disarmed(entry: Order, leg: int, ctx: Context) -> Order:
    """The entry, still filling, without this exit: what it buys from now on gets it anew."""
    armed = tuple(number for number in entry.terms.armed if number != leg)
    return replace(entry, terms=replace(entry.terms, armed=armed), updated_ms=ctx.now_ms)


def _shrink_siblings(wanted: dict[str, Decimal], siblings: list[Order], order: Order, quantity: Decimal) -> None:
    whole = [leg for leg in siblings if leg.type in WHOLE]
    for leg in whole:
        wanted[leg.client_order_id] = max(ZERO, leg.quantity - quantity)
    ladder = sorted((leg for leg in siblings if leg.type not in WHOLE), key=lambda leg: leg.terms.trigger_price or ZERO)
    left = max((wanted[leg.client_order_id] for leg in whole), default=None)
    if left is None:
        # Only rungs: what one of them sold was its own share.
        if order.type is not OrderType.TAKE_PROFIT:
            left = max(ZERO, sum((leg.quantity for leg in ladder), ZERO) - quantity)
        else:
            return
    for leg in ladder:
        wanted[leg.client_order_id] = min(leg.quantity, left)
        left -= wanted[leg.client_order_id]


def canceled(order: Order, reason: str, ctx: Context) -> Order:
    """A held order that will not be sent: no venue knows of it."""
    return replace(order, state=OrderState.CANCELED, reason=reason, reserved=ZERO, updated_ms=ctx.now_ms)


def armed_again(state: SessionState, order: Order, ctx: Context) -> tuple[SessionState, Changes, tuple[Reply, ...]]:
    """An exit that was sent and came to nothing protects nobody: it is armed anew under an id of its own, after a pause that grows."""
    left = order.quantity - order.cum_qty
    position = state.position(order.symbol)
    if order.side is not Side.SELL or order.type is OrderType.LIMIT or position is None or left <= 0:
        return state, Changes(), ()
    tries = order.terms.tries + 1
    if order.reason not in AGAIN or tries > TRIES_MAX:
        args = {"symbol": order.symbol, "mode": order.account, "quantity": f"{left:f}", "reason": order.reason}
        return state, Changes(), (Reply(key="exit.failed", args=args, priority=Priority.ALERT),)
    pause_ms = min(AGAIN_AFTER_MAX_MS, AGAIN_AFTER_MS * 2 ** (tries - 1))
    cause = f"{order.client_order_id}/again"
    again = replace(
        order,
        client_order_id=client_order_id(order.user_id, cause),
        cause=cause,
        type=OrderType.TIME_EXIT if order.type is OrderType.MARKET else order.type,
        quantity=min(left, position.quantity),
        cum_qty=ZERO,
        cum_quote=ZERO,
        cum_fee=ZERO,
        trade_ids=(),
        venue_order_id="",
        reason="",
        state=OrderState.INITIALIZED,
        terms=replace(
            order.terms,
            tries=tries,
            trigger_ms=max(order.terms.trigger_ms, ctx.now_ms + pause_ms),
            native=False,
            fired=False,
            amendment=None,
            flattens=order.terms.flattens or (order.type is OrderType.MARKET and state.session.flattening),
        ),
        created_ms=ctx.now_ms,
        updated_ms=ctx.now_ms,
    )
    return replace(state, orders=replace_order(state.orders, again)), Changes(orders=(again,)), ()
