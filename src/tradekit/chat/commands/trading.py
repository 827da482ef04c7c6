"""Placing orders and getting out: /buy, /sell, /close, /cancel, /panic."""

from decimal import Decimal

import msgspec

from tradekit.chat.command import Command, Request, press
from tradekit.chat.confirm import ask
from tradekit.chat.parsing import find_order, missing, parse_fraction, parse_symbol, shown
from tradekit.domain.amounts import HUNDRED, ONE, parse_amount, text_of
from tradekit.domain.errors import BadInput, NotFound
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import Order, OrderType, Side, TimeInForce
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.risk import OrderRequest
from tradekit.services import trading
from tradekit.services.decisions import Decision
from tradekit.services.exit_words import bracket_words, is_exit_word, parse_bracket

_TIME_IN_FORCE = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
_POST_ONLY = frozenset({"post", "post_only", "post-only", "maker"})


def buy(request: Request) -> Decision:
    """An entry, at market or at a limit price."""
    return _order(request, Side.BUY)


def sell(request: Request) -> Decision:
    """An exit of a given quantity, at market or at a limit price."""
    return _order(request, Side.SELL)


def _order(request: Request, side: Side) -> Decision:
    wanted = parse_order(request, side)
    decision = trading.place(request.state, wanted, request.ctx)
    if decision.error is not None:
        return decision
    if request.asks_first:
        return ask(request, _order_words(wanted), "confirm.order", _order_args(request, wanted))
    return _submitted(request, decision)


def _submitted(request: Request, decision: Decision) -> Decision:
    placed: Order = decision.result
    notices = (trading.order_notice("order.makes_way" if placed.held else "order.submitted", placed, request.ctx),)
    replies = tuple(msgspec.structs.replace(notice, priority=Priority.REPLY) for notice in notices)
    return msgspec.structs.replace(decision, replies=replies)


def parse_order(request: Request, side: Side) -> OrderRequest:
    """``SYMBOL QUANTITY [PRICE] [post|ioc|fok|gtc]``; symbol and quantity may be swapped.

    :raises BadInput: what is missing or cannot be read.
    """
    words = list(request.args)
    if not words:
        raise missing("symbol")
    if len(words) > 1 and words[0].replace(".", "", 1).isdecimal() and not words[1].replace(".", "", 1).isdecimal():
        words[:2] = words[1], words[0]
    symbol = parse_symbol(words[0], request.ctx.market)
    if len(words) == 1:
        raise missing("quantity")
    quantity = parse_amount(words[1], "quantity")
    bracket = parse_bracket([word for word in words[2:] if is_exit_word(word)])
    if bracket is not None and side is Side.SELL:
        raise BadInput(field="options", value="", problem="for exits belong to an entry", hint="for what you hold: /stop, /target, /trail")
    price, options = _price_and_options([word for word in words[2:] if not is_exit_word(word)])
    post_only = any(option in _POST_ONLY for option in options)
    forces = [_TIME_IN_FORCE[option] for option in options if option in _TIME_IN_FORCE]
    _check_options(price, post_only, forces)
    return OrderRequest(
        symbol=symbol,
        side=side,
        quantity=quantity,
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        price=price,
        time_in_force=forces[0] if forces else TimeInForce.GTC,
        post_only=post_only,
        bracket=bracket,
    )


def _price_and_options(words: list[str]) -> tuple[Decimal | None, list[str]]:
    price: Decimal | None = None
    options: list[str] = []
    for word in words:
        lowered = word.lower()
        if lowered in _POST_ONLY or lowered in _TIME_IN_FORCE:
            options.append(lowered)
        elif price is None:
            price = parse_amount(word, "price")
        else:
            raise BadInput(
                field="option",
                value=shown(word),
                problem="is not known",
                hint="options: post, ioc, fok, gtc; exits: sl=2% tp=5% trail=1% exit=4h",
            )
    return price, options


def _check_options(price: Decimal | None, post_only: bool, forces: list[TimeInForce]) -> None:
    if len(set(forces)) > 1:
        raise BadInput(field="options", value=" ".join(forces), problem="contradict each other", hint="choose one of ioc, fok, gtc")
    if post_only and forces and forces[0] is not TimeInForce.GTC:
        problem, hint = "contradict each other", "a post-only order must be able to rest"
        raise BadInput(field="options", value=f"post {forces[0]}", problem=problem, hint=hint)
    if price is None and (post_only or forces):
        raise BadInput(field="price", value="", problem="is missing: post, ioc, fok and gtc are for limit orders")


def _order_words(wanted: OrderRequest) -> tuple[str, ...]:
    words = [wanted.symbol, text_of(wanted.quantity)]
    if wanted.price is not None:
        words.append(text_of(wanted.price))
    if wanted.post_only:
        words.append("post")
    if wanted.time_in_force is not TimeInForce.GTC:
        words.append(wanted.time_in_force.lower())
    return tuple(words) + tuple(bracket_words(wanted.bracket).split())


def _order_args(request: Request, wanted: OrderRequest) -> dict[str, str]:
    instrument, market_price = request.ctx.instrument(request.state, wanted.symbol), request.ctx.price(wanted.symbol)
    assert instrument is not None
    assert market_price is not None
    notional = wanted.quantity * (wanted.price or market_price)
    options = ["post only"] if wanted.post_only else []
    if wanted.time_in_force is not TimeInForce.GTC:
        options.append(wanted.time_in_force.value)
    bracket = wanted.bracket if wanted.bracket is not None else request.state.settings.bracket
    return {
        "mode": request.state.account,
        "exits": bracket_words(bracket) if wanted.side is Side.BUY else "",
        "side": wanted.side.value,
        "type": wanted.type.value,
        "symbol": wanted.symbol,
        "quantity": text_of(wanted.quantity),
        "price": "" if wanted.price is None else text_of(wanted.price),
        "options": ", ".join(options),
        "market_price": text_of(market_price),
        "notional": text_of(notional),
        "fee": text_of(notional * instrument.taker_fee),
        "quote": instrument.quote,
        "market": request.ctx.market.source,
    }


def close(request: Request) -> Decision:
    """Sell a position at market, whole or in part."""
    state, ctx = request.state, request.ctx
    if not request.args:
        raise missing("symbol")
    symbol, fraction = parse_symbol(request.arg(0), ctx.market), parse_fraction(request.arg(1))
    if state.position(symbol) is not None and not state.sellable(symbol, with_guards=True):
        return request.say("close.promised", {"symbol": symbol}, buttons=((press("button.orders", "/orders"),),))
    decision = trading.close(state, symbol, fraction, ctx)
    if decision.error is not None:
        return decision
    if not request.asks_first:
        return _submitted(request, decision)
    order: Order = decision.result
    wanted = OrderRequest(symbol=symbol, side=Side.SELL, quantity=order.quantity)
    percent = "" if fraction == ONE else text_of(fraction * HUNDRED)
    return ask(request, (symbol, percent or "all"), "confirm.close", {**_order_args(request, wanted), "percent": percent})


def cancel(request: Request) -> Decision:
    """Ask the venue to cancel one open order, or all."""
    state, ctx = request.state, request.ctx
    if not request.args:
        raise missing("order id")
    everything = request.arg(0).lower() == "all"
    if everything and not state.orders:
        raise NotFound(kind="open order", name="all")
    wanted = "all" if everything else find_order(request.arg(0), state.orders).client_order_id
    decision = trading.cancel(state, wanted, ctx)
    if decision.error is not None:
        return decision
    return msgspec.structs.replace(decision, replies=_canceling(request, decision.result))


def _canceling(request: Request, orders: tuple[Order, ...]) -> tuple[Reply, ...]:
    if len(orders) == 1:
        key = "order.pending_cancel" if orders[0].is_open else "order.canceled"
        return (trading.order_notice(key, orders[0], request.ctx),)
    asked = sum(order.is_open for order in orders)
    held = len(orders) - asked
    return (Reply(key="cancel.requested", args={"count": str(asked) if asked else "", "held": str(held) if held else ""}),)


def panic(request: Request) -> Decision:
    """Pause, cancel every order, sell every position."""
    state, ctx = request.state, request.ctx
    if request.asks_first:
        args = {"mode": state.account, "orders": str(len(state.orders)), "positions": str(len(state.positions))}
        return ask(request, (), "confirm.panic", args)
    decision = trading.panic(state, ctx)
    canceled, sold, later = decision.result
    left = len(decision.state.positions) - len(sold) - len(later)
    args = {
        "mode": state.account,
        "canceled": str(len(canceled)),
        "sold": str(len(sold)),
        "later": str(len(later)) if later else "",
        "waiting": str(left) if left > 0 else "",
    }
    reply = Reply(key="panic.done", args=args, buttons=((press("button.positions", "/positions"), press("button.resume", "/resume")),))
    return msgspec.structs.replace(decision, replies=(reply,))


COMMANDS = (
    Command(
        name="buy",
        run=buy,
        usage="SYMBOL QUANTITY [PRICE] [post|ioc|fok] [sl=2%] [tp=3%:50,6%] [trail=1%] [exit=4h]",
        example="{symbol} {quantity}",
        args_max=9,
    ),
    Command(
        name="sell",
        run=sell,
        usage="SYMBOL QUANTITY [PRICE] [post|ioc|fok]",
        example="{held} {held_quantity}",
        args_max=5,
        lane=LaneClass.CONTROL,
        is_exit=True,
    ),
    Command(name="close", run=close, usage="SYMBOL [PERCENT|all]", example="{held} 50", args_max=2, lane=LaneClass.CONTROL, is_exit=True),
    Command(name="cancel", run=cancel, usage="ORDER|all", example="{order}", args_max=1, lane=LaneClass.CONTROL, is_exit=True),
    Command(name="panic", run=panic, lane=LaneClass.CONTROL, is_exit=True),
)
