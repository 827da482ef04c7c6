"""Examples that would work for this user, on this market, now."""

import re
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from tradekit.chat.command import Command
from tradekit.domain.amounts import ZERO, round_down, text_of
from tradekit.domain.instruments import Instrument
from tradekit.domain.sessions import SessionState
from tradekit.services.decisions import Context

USUAL_QTY = Decimal("0.01")
SAMPLE_NOTIONAL = Decimal(400)
"""What an example order is worth, in quote currency, where the usual quantity would be too small or too large."""
NOTIONAL_LEAST, NOTIONAL_MOST = Decimal(20), Decimal(1_500)


def example_line(command: Command, state: SessionState, ctx: Context) -> str:
    """The command with arguments that fit the market and the user."""
    values = _VALUES

    def value(match: re.Match[str]) -> str:
        return values[match[1]](state, ctx)

    return f"/{command.name} ".strip() + (" " + re.sub(r"\{(\w+)\}", value, command.example) if command.example else "")


def first_symbol(ctx: Context) -> str:
    """The instrument that examples speak of."""
    return next(iter(ctx.market.symbols()), "BTC/USDT")


def sample_quantity(symbol: str, ctx: Context) -> Decimal:
    """A quantity that a new paper account can afford and the instrument allows: 0.01 where that makes sense."""
    instrument, price = ctx.market.instrument(symbol), ctx.price(symbol)
    if instrument is None or not price:
        return USUAL_QTY
    if NOTIONAL_LEAST <= USUAL_QTY * price <= NOTIONAL_MOST and USUAL_QTY % instrument.step_size == 0:
        return USUAL_QTY
    return _short(SAMPLE_NOTIONAL / price, instrument)


def _short(quantity: Decimal, instrument: Instrument) -> Decimal:
    """One or two digits that are easy to read, as long as the instrument's step allows."""
    short = quantity.quantize(Decimal(1).scaleb(quantity.adjusted() - 1), ROUND_DOWN)
    return max(min(round_down(short, instrument.step_size), instrument.max_qty), instrument.min_qty)


def _held_symbol(state: SessionState, ctx: Context) -> str:
    return state.positions[0].symbol if state.positions else first_symbol(ctx)


def _held_quantity(state: SessionState, ctx: Context) -> str:
    symbol = _held_symbol(state, ctx)
    sellable = state.sellable(symbol)
    sample = sample_quantity(symbol, ctx)
    return text_of(sample if sellable <= ZERO or sample < sellable else sellable)


def _away(state: SessionState, ctx: Context, factor: Decimal) -> str:
    """A trigger some percent from the market of what is held."""
    symbol = _held_symbol(state, ctx)
    instrument, price = ctx.market.instrument(symbol), ctx.price(symbol)
    if instrument is None or not price:
        return "1"
    return text_of(max(round_down(price * factor, instrument.tick_size), instrument.tick_size))


def _source(state: SessionState, ctx: Context) -> str:
    del state
    return ctx.sources[0].name if ctx.sources else "ema-cross"


_VALUES: dict[str, Callable[[SessionState, Context], str]] = {
    "symbol": lambda state, ctx: first_symbol(ctx),
    "quantity": lambda state, ctx: text_of(sample_quantity(first_symbol(ctx), ctx)),
    "held": _held_symbol,
    "held_quantity": _held_quantity,
    "order": lambda state, ctx: state.orders[0].client_order_id[:8] if state.orders else "all",
    "source": _source,
    "below": lambda state, ctx: _away(state, ctx, Decimal("0.97")),
    "above": lambda state, ctx: _away(state, ctx, Decimal("1.03")),
    "followed": lambda state, ctx: state.subscriptions[0].source if state.subscriptions else "all",
}
