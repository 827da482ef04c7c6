"""When a held order goes to market, and where a trailing stop stands. Pure: prices in, answers out."""

from decimal import ROUND_UP, Decimal

from tradekit.domain.amounts import HUNDRED
from tradekit.domain.orders import Order, OrderType, Side

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
"""Types that fire when the price moves against the position."""


def waits_for_fall(order: Order) -> bool:
    """Whether the order fires at or below its trigger, otherwise at or above it: a stop to sell, or a dip to buy."""
    return (order.side is Side.SELL) is (order.type in STOPS)


def fires(order: Order, price: Decimal, now_ms: int) -> bool:
    """Whether a held order goes to market at this price and time."""
    terms = order.terms
    if now_ms < terms.trigger_ms:
        return False
    if order.type is OrderType.TIME_EXIT:
        return True
    assert terms.trigger_price is not None, "a conditional order has a trigger"
    return price <= terms.trigger_price if waits_for_fall(order) else price >= terms.trigger_price


def would_fire_at_once(side: Side, kind: OrderType, trigger: Decimal, price: Decimal) -> bool:
    """Whether the trigger is on the wrong side of the market: it would be an order at market, which nobody meant."""
    falling = (side is Side.SELL) is (kind in STOPS)
    return price <= trigger if falling else price >= trigger


def trigger_at(side: Side, trail_pct: Decimal, best: Decimal, tick_size: Decimal) -> Decimal:
    """The trigger of a trailing stop whose best price so far is this, rounded towards the market."""
    distance = best * trail_pct / HUNDRED
    exact = best - distance if side is Side.SELL else best + distance
    steps = (exact / tick_size).to_integral_value(rounding="ROUND_CEILING" if side is Side.SELL else "ROUND_FLOOR")
    return steps * tick_size


def least_trail_pct(price: Decimal, tick_size: Decimal) -> Decimal:
    """The smallest distance of a trailing stop at this price, in percent: one tick, rounded up to two digits. Less would fire at once."""
    exact = tick_size * HUNDRED / price
    return exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), ROUND_UP)


def is_below_a_tick(trail_pct: Decimal, price: Decimal, tick_size: Decimal) -> bool:
    """Whether a trailing stop at this distance would fire at once."""
    return price * trail_pct < tick_size * HUNDRED


def is_better(side: Side, new: Decimal, old: Decimal) -> bool:
    """Whether a trailing stop may move there: up for a sell, down for a buy, never back."""
    return new > old if side is Side.SELL else new < old
