"""Orders and what came of them: /orders, /history."""

from tradekit.chat.command import Command, Request, press
from tradekit.chat.commands.account import BUTTONS_MAX, pairs
from tradekit.domain.amounts import text_of
from tradekit.domain.orders import CONDITIONAL, Fill, Order, OrderState
from tradekit.domain.portfolio import Trade
from tradekit.ports.storage import Reader
from tradekit.services.decisions import Context, Decision, Read
from tradekit.services.exit_words import bracket_words

SHOWN_TRADES = 10
SHOWN_FILLS = 10
_BEYOND_RECALL = frozenset({OrderState.PENDING_CANCEL, OrderState.UNKNOWN})


def orders(request: Request) -> Decision:
    """Open orders, each with its id and a button to cancel it."""
    opened = request.state.orders
    cancelable = [order for order in opened if order.state not in _BEYOND_RECALL]
    buttons = tuple(
        press("button.cancel_order", f"/cancel {order.client_order_id[:8]}", order=order.client_order_id[:8])
        for order in cancelable[:BUTTONS_MAX]
    )
    if len(cancelable) > 1:
        buttons = (*buttons, press("button.cancel_all", "/cancel all"))
    return request.say("orders", {"mode": request.state.account, "zone": request.zone}, tuple(map(_order_row, opened)), pairs(buttons))


def _order_row(order: Order) -> dict[str, str]:
    terms = order.terms
    return {
        "order": order.client_order_id[:8],
        "side": order.side.value,
        "symbol": order.symbol,
        "quantity": text_of(order.quantity),
        "filled": text_of(order.cum_qty) if order.cum_qty else "",
        "price": "" if order.price is None else text_of(order.price),
        "quote": order.symbol.partition("/")[2],
        "state": order.state.value,
        "created_ms": str(order.created_ms),
        "type": order.type.value,
        "trigger": "" if terms.trigger_price is None else text_of(terms.trigger_price),
        "trail": "" if terms.trail_pct is None else text_of(terms.trail_pct),
        "trigger_ms": str(terms.trigger_ms) if terms.trigger_ms else "",
        "entry": terms.list_id[:8],
        "exits": bracket_words(terms.bracket),
        "foreign": "yes" if terms.foreign else "",
        "row_key": "orders.held" if order.type in CONDITIONAL else "orders.market" if order.price is None else "orders.limit",
    }


def history(request: Request) -> Read:
    """The last round trips with their profit or loss, and the last fills."""
    user_id = request.user.user_id

    async def query(reader: Reader) -> tuple[list[Trade], list[Fill]]:
        return await reader.trades(user_id, SHOWN_TRADES), await reader.fills(user_id, SHOWN_FILLS)

    def then(answer: tuple[list[Trade], list[Fill]], ctx: Context) -> Decision:
        del ctx
        trades, fills = answer
        rows = tuple(map(_trade_row, trades)) + tuple(map(_fill_row, fills))
        args = {"mode": request.state.account, "zone": request.zone, "trades": str(len(trades)), "fills": str(len(fills))}
        return request.say("history", args, rows)

    return Read(query=query, then=then)


def _trade_row(trade: Trade) -> dict[str, str]:
    spent = trade.entry_price * trade.quantity
    return {
        "symbol": trade.symbol,
        "quote": trade.symbol.partition("/")[2],
        "quantity": text_of(trade.quantity),
        "entry": text_of(trade.entry_price),
        "exit": text_of(trade.exit_price),
        "pnl": text_of(trade.pnl),
        "pnl_pct": text_of(trade.pnl / spent * 100) if spent else "0",
        "time_ms": str(trade.closed_ms),
        "row_key": "history.trade",
    }


def _fill_row(fill: Fill) -> dict[str, str]:
    return {
        "side": fill.side.value,
        "symbol": fill.symbol,
        "quote": fill.symbol.partition("/")[2],
        "quantity": text_of(fill.quantity),
        "price": text_of(fill.price),
        "fee": text_of(fill.fee),
        "time_ms": str(fill.time_ms),
        "row_key": "history.fill",
    }


COMMANDS = (
    Command(name="orders", run=orders, for_suspended=True),
    Command(name="history", run=history, for_suspended=True),
)
