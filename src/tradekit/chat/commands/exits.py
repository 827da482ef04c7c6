"""Orders that wait for a price, and changing open ones: /stop, /target, /trail, /amend."""

from decimal import Decimal

import msgspec

from tradekit.chat.command import Command, Request, answered
from tradekit.chat.confirm import ask
from tradekit.chat.formatting import exact, number
from tradekit.chat.parsing import missing, parse_symbol, shown
from tradekit.domain.amounts import ONE, parse_amount, round_down
from tradekit.domain.errors import BadInput
from tradekit.domain.inbox import LaneClass
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import OrderType, Side
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import OrderRequest
from tradekit.services import trading
from tradekit.services.amend import amend as amend_order
from tradekit.services.decisions import Decision
from tradekit.services.exit_words import parse_distance

_FIELDS = {"qty": "quantity", "quantity": "quantity", "price": "price", "trigger": "trigger_price"}


def stop(request: Request) -> Decision:
    """Sell (or buy) at market, or at a limit, once the price moves against you to the trigger."""
    side, symbol, quantity, rest = _start(request)
    if not rest:
        raise missing("trigger")
    trigger = parse_amount(rest[0], "trigger")
    price = parse_amount(rest[1], "price") if len(rest) > 1 else None
    kind = OrderType.STOP if price is None else OrderType.STOP_LIMIT
    return _place(request, OrderRequest(symbol=symbol, side=side, quantity=quantity, type=kind, price=price, trigger_price=trigger))


def target(request: Request) -> Decision:
    """Sell (or buy) at market once the price is as good as the target."""
    side, symbol, quantity, rest = _start(request)
    if not rest:
        raise missing("target")
    trigger = parse_amount(rest[0], "target")
    return _place(request, OrderRequest(symbol=symbol, side=side, quantity=quantity, type=OrderType.TAKE_PROFIT, trigger_price=trigger))


def trail(request: Request) -> Decision:
    """A stop that follows the best price at a distance in percent."""
    side, symbol, quantity, rest = _start(request)
    if not rest:
        raise missing("percent")
    distance = parse_distance("percent", rest[0])
    return _place(request, OrderRequest(symbol=symbol, side=side, quantity=quantity, type=OrderType.TRAILING_STOP, trail_pct=distance))


def _start(request: Request) -> tuple[Side, Symbol, Decimal, tuple[str, ...]]:
    """``[buy|sell] SYMBOL QUANTITY|all ...``."""
    words = request.args
    side = Side.SELL
    if words and words[0].lower() in {"buy", "sell"}:
        side, words = Side(words[0].lower()), words[1:]
    if not words:
        raise missing("symbol")
    symbol = parse_symbol(words[0], request.ctx.market)
    if len(words) == 1:
        raise missing("quantity")
    return side, symbol, _quantity(request, symbol, words[1]), words[2:]


def _quantity(request: Request, symbol: Symbol, text: str) -> Decimal:
    if text.lower() != "all":
        return parse_amount(text, "quantity")
    held, instrument = request.state.position(symbol), request.ctx.instrument(request.state, symbol)
    if held is None:
        raise BadInput(field="quantity", value="all", problem=f"means what you hold of {symbol}, and you hold nothing")
    return round_down(held.quantity, instrument.step_size if instrument is not None else ONE)


def _place(request: Request, wanted: OrderRequest) -> Decision:
    decision = trading.place(request.state, wanted, request.ctx)
    if decision.error is not None:
        return decision
    if request.asks_first:
        notice = trading.order_notice("order.held", decision.result, request.ctx)
        return ask(request, request.args, "confirm.conditional", notice.args)
    return msgspec.structs.replace(decision, replies=(_held(request, decision),))


def _held(request: Request, decision: Decision) -> Reply:
    notice = trading.order_notice("order.held" if decision.result.held else "order.left_to_venue", decision.result, request.ctx)
    return msgspec.structs.replace(notice, priority=Priority.REPLY)


def amend(request: Request) -> Decision:
    """Cancel an order and put a changed one in its place."""
    if not request.args:
        raise missing("order")
    values: dict[str, Decimal] = {}
    for word in request.args[1:]:
        name, _, text = word.partition("=")
        if name.lower() not in _FIELDS or not text:
            raise BadInput(field="change", value=shown(word), problem="is not known", hint="as in qty=0.02, price=61000 or trigger=58000")
        values[_FIELDS[name.lower()]] = parse_amount(text, name.lower())
    if not values:
        raise missing("change")
    decision = amend_order(request.state, request.arg(0), request.ctx, **values)
    if decision.error is not None:
        return decision
    if request.asks_first:
        words = ", ".join(
            f"{name.removesuffix('_price')} {(number if name == 'quantity' else exact)(value)}" for name, value in values.items()
        )
        old = decision.result
        return ask(request, request.args, "confirm.amend", {"mode": old.account, "order_id": old.client_order_id[:8], "changes": words})
    out = decision.result
    args = {
        "mode": out.account,
        "order_id": out.client_order_id[:8],
        "new_id": out.terms.amendment.client_order_id[:8],
        "waiting": "yes" if out.is_open else "",
    }
    return answered(decision, Reply(key="amend.asked", args=args))


COMMANDS = (
    Command(
        name="stop",
        run=stop,
        usage="[buy] SYMBOL QUANTITY|all TRIGGER [LIMIT]",
        example="{held} {held_quantity} {below}",
        args_max=5,
        lane=LaneClass.CONTROL,
        is_exit=True,
    ),
    Command(
        name="target",
        run=target,
        usage="[buy] SYMBOL QUANTITY|all PRICE",
        example="{held} {held_quantity} {above}",
        args_max=4,
        lane=LaneClass.CONTROL,
        is_exit=True,
    ),
    Command(
        name="trail",
        run=trail,
        usage="[buy] SYMBOL QUANTITY|all PERCENT",
        example="{held} {held_quantity} 2%",
        args_max=4,
        lane=LaneClass.CONTROL,
        is_exit=True,
    ),
    Command(
        name="amend",
        run=amend,
        usage="ORDER [qty=N] [price=N] [trigger=N]",
        example="{order} qty={quantity}",
        args_max=4,
        lane=LaneClass.CONTROL,
        is_exit=True,
    ),
)
