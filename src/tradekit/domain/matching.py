"""How a market would have filled an order: shared by the paper exchange and the backtest.

The model sees one price, the last trade. Around it stands a synthetic book: best bid and ask lie half of ``spread_bps`` away, and
every ``level_quote`` of quote currency beyond is ``slippage_bps`` worse, up to ``depth_quote``. Each order meets a full book: orders
do not compete, and the book is full again at the next price.

- A market order walks the book, one fill per level. What ``depth_quote`` cannot fill is canceled (``NO_LIQUIDITY``).
- A limit order takes what the book offers at its price or better. The rest of GTC rests, the rest of IOC is canceled, FOK fills
  whole or expires, post-only is rejected if it would take.
- A resting order fills as maker, at its limit, when a trade reaches the limit; at most ``depth_quote`` per price.
- Taking prices are rounded to the tick against the taker, fees are in quote currency.

Everything is exact decimals and depends on nothing but the arguments; ``noise_bps`` comes from a hash of seed and client_order_id.
"""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from hashlib import blake2b

import msgspec

from tradekit.domain.amounts import ONE, ZERO, is_multiple, money
from tradekit.domain.instruments import Bar, Instrument, Quote
from tradekit.domain.orders import BUY, MARKET, Fill, Liquidity, Order, OrderReport, OrderState, TimeInForce

BASIS_POINT = Decimal("0.0001")
NOISE_STEPS = 2**16


class MatchingModel(msgspec.Struct, frozen=True, kw_only=True):
    """The market's manners. Basis points are of the last price: 1 is 0.01 %."""

    spread_bps: Decimal = Decimal(2)
    """Between best bid and best ask."""
    slippage_bps: Decimal = Decimal(1)
    """Each further level of the book is this much worse."""
    level_quote: Decimal = Decimal(50_000)
    """Quote currency offered per level."""
    depth_quote: Decimal = Decimal(1_000_000)
    """Quote currency offered in all, per order and price."""
    noise_bps: Decimal = Decimal(1)
    """The market moves against a taker by up to this much before the order arrives."""
    latency_ms: int = 0
    """From sending until the order meets the market; whoever keeps the time waits this long before matching."""
    seed: int = 0

    def noise(self, client_order_id: str) -> Decimal:
        """The share of the price by which the market moves before this order arrives: in [0, noise_bps), the same whenever it is asked."""
        if not self.noise_bps:
            return ZERO
        digest = blake2b(f"{self.seed}/{client_order_id}".encode(), digest_size=2).digest()
        return self.noise_bps * BASIS_POINT * int.from_bytes(digest, "big") / NOISE_STEPS


def rejection(order: Order, quote: Quote | None, instrument: Instrument | None) -> str:
    """The code for which a venue refuses the order, or empty text. The codes are those of the pre-trade checks where both exist."""
    if instrument is None or quote is None:
        return "INSTRUMENT_UNKNOWN" if instrument is None else "NO_PRICE"
    if not instrument.tradable:
        return "INSTRUMENT_NOT_TRADABLE"
    if order.time_in_force is TimeInForce.GTD:
        return "TIME_IN_FORCE_UNSUPPORTED"
    return _bad_price(order, instrument) or _bad_size(order, order.price or quote.price, instrument)


def _bad_price(order: Order, instrument: Instrument) -> str:
    price = order.price
    if order.type is MARKET:
        return "PRICE_NOT_ALLOWED" if price is not None or order.post_only else ""
    if price is None or price <= 0:
        return "PRICE_MISSING"
    if order.post_only and order.time_in_force is not TimeInForce.GTC:
        return "TIME_IN_FORCE_UNSUPPORTED"
    return "" if is_multiple(price, instrument.tick_size) else "PRICE_PRECISION"


def _bad_size(order: Order, price: Decimal, instrument: Instrument) -> str:
    quantity = order.quantity
    if not is_multiple(quantity, instrument.step_size):
        return "QTY_PRECISION"
    if not instrument.min_qty <= quantity <= instrument.max_qty:
        return "QTY_MIN" if quantity < instrument.min_qty else "QTY_MAX"
    notional = quantity * price
    if not instrument.min_notional <= notional <= instrument.max_notional:
        return "NOTIONAL_MIN" if notional < instrument.min_notional else "NOTIONAL_MAX"
    return ""


def execute(order: Order, quote: Quote | None, instrument: Instrument | None, model: MatchingModel, now_ms: int) -> OrderReport:
    """What a new order becomes on arrival: REJECTED, FILLED, CANCELED, EXPIRED, or resting (ACCEPTED, PARTIALLY_FILLED)."""
    reason = rejection(order, quote, instrument)
    if reason:
        return _report(order, OrderState.REJECTED, (), reason, now_ms)
    assert quote is not None
    assert instrument is not None
    fills, taken = _take(order, quote.price, instrument, model, now_ms)
    if order.post_only and fills:
        return _report(order, OrderState.REJECTED, (), "POST_ONLY_WOULD_TAKE", now_ms)
    if taken == order.quantity:
        return _report(order, OrderState.FILLED, fills, "", now_ms)
    if order.time_in_force is TimeInForce.FOK:
        return _report(order, OrderState.EXPIRED, (), "FOK_NOT_FILLED", now_ms)
    if order.type is MARKET or order.time_in_force is TimeInForce.IOC:
        return _report(order, OrderState.CANCELED, fills, "NO_LIQUIDITY", now_ms)
    return _report(order, OrderState.PARTIALLY_FILLED if fills else OrderState.ACCEPTED, fills, "", now_ms)


def fill_resting(order: Order, reached: Decimal, instrument: Instrument, model: MatchingModel, now_ms: int, known: int) -> Fill | None:
    """The fill of a resting limit order when a trade happens at ``reached``, or None.

    ``order.cum_qty`` is what has filled before, in ``known`` fills.
    """
    limit = order.price
    assert limit is not None, "only limit orders rest"
    if reached > limit if order.side is BUY else reached < limit:
        return None
    offered = _steps(model.depth_quote / limit, instrument.step_size)
    quantity = min(order.quantity - order.cum_qty, max(offered, instrument.step_size))
    return _fill(order, known + 1, quantity, limit, instrument.maker_fee, Liquidity.MAKER, now_ms)


def price_path(bar: Bar) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """The prices of a bar in the order they are taken to have happened: a rising bar visits its low first, a falling one its high."""
    if bar.close >= bar.open:
        return bar.open, bar.low, bar.high, bar.close
    return bar.open, bar.high, bar.low, bar.close


def _take(order: Order, price: Decimal, instrument: Instrument, model: MatchingModel, now_ms: int) -> tuple[tuple[Fill, ...], Decimal]:
    """Walk the book; the fills and their quantity."""
    buying = order.side is BUY
    worse = BASIS_POINT if buying else -BASIS_POINT
    touch = price * (ONE + model.spread_bps / 2 * worse) if model.spread_bps else price
    if order.type is MARKET and model.noise_bps:
        # A limit order's price already bounds what the market may do to it.
        noise = model.noise(order.client_order_id)
        touch *= ONE + noise if buying else ONE - noise
    step: Decimal | None = None
    tick, lot, limit = instrument.tick_size, instrument.step_size, order.price
    rounding = ROUND_CEILING if buying else ROUND_FLOOR
    left, offered = order.quantity, model.depth_quote
    fills: list[Fill] = []
    while left and offered > 0:
        level = (touch / tick).to_integral_value(rounding) * tick
        if level <= 0 or (limit is not None and (level > limit if buying else level < limit)):
            break
        quantity, here = left, min(model.level_quote, offered)
        if left * level > here:
            quantity = min(left, _steps(here / level, lot))
            if not quantity:
                break
        fills.append(_fill(order, len(fills) + 1, quantity, level, instrument.taker_fee, Liquidity.TAKER, now_ms))
        left -= quantity
        if not left:
            break
        if step is None:
            step = touch * model.slippage_bps * worse
        offered -= model.level_quote
        touch += step
    return tuple(fills), order.quantity - left


def _steps(quantity: Decimal, lot: Decimal) -> Decimal:
    return (quantity / lot).to_integral_value(ROUND_DOWN) * lot


def _fill(order: Order, number: int, quantity: Decimal, price: Decimal, rate: Decimal, liquidity: Liquidity, now_ms: int) -> Fill:
    return Fill(
        trade_id=f"{order.client_order_id}-{number}",
        client_order_id=order.client_order_id,
        user_id=order.user_id,
        partition=order.partition,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        fee=money(quantity * price * rate),
        liquidity=liquidity,
        time_ms=now_ms,
    )


def _report(order: Order, state: OrderState, fills: tuple[Fill, ...], reason: str, now_ms: int) -> OrderReport:
    return OrderReport(
        client_order_id=order.client_order_id, user_id=order.user_id, state=state, fills=fills, reason=reason, time_ms=now_ms
    )
