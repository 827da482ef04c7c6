"""Orders: questions, notices, lists."""

_QUESTION_END = (
    "\nPrice now {market_price:price} {quote}{market:mark}; about {notional:money} {quote}, fee about {fee:money} {quote}"
    "\nChecked again when you confirm. Good for {valid_s} s."
)

_SIGNAL = "\n[signal_id] By signal {signal_id}; details: /why {signal_id}"

TEXTS: dict[str, str] = {
    "confirm.order": (
        "[!price] {mode:account}: {side:word} {quantity:num} {symbol} at market?\n"
        "[price] {mode:account}: {side:word} {quantity:num} {symbol}, limit {price:num} {quote}?\n"
        "[options] Options: {options}" + _QUESTION_END
    ),
    "confirm.close": (
        "[percent] {mode:account}: close {percent:num}% of {symbol}? That sells {quantity:num} at market.\n"
        "[!percent] {mode:account}: close {symbol}? That sells {quantity:num} at market." + _QUESTION_END
    ),
    "confirm.panic": (
        "🚨 {mode:account}: cancel {orders} open {orders:plural order orders}, sell {positions} {positions:plural position positions} "
        "at market and pause?\nGood for {valid_s} s."
    ),
    "confirm.declined": "Nothing was done.",
    "confirm.expired": "That question is too old; nothing was done. The market may have moved, so please ask again.",
    "confirm.gone": (
        "That question is no longer open: it was answered, replaced by a newer one, or the service was restarted. Please ask again."
    ),
    "order.submitted": (
        "[!price] 📨 {mode:account} {side:word} {quantity:num} {symbol} at market: sent{market:mark}\n"
        "[price] 📨 {mode:account} {side:word} {quantity:num} {symbol}, limit {price:num} {quote}: sent{market:mark}\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.accepted": (
        "[price] 📌 {mode:account} {side:word} {quantity:num} {symbol}, limit {price:num} {quote}: open{market:mark}\n"
        "[!price] 📌 {mode:account} {side:word} {quantity:num} {symbol}: open{market:mark}\n"
        "Order {order_id}; to cancel: /cancel {order_id}" + _SIGNAL
    ),
    "order.partially_filled": (
        "◐ {mode:account} {side:word} {symbol}: {filled:num} of {quantity:num} filled at {avg_px:price} {quote}{market:mark}\n"
        "Fee {fee:money} {quote}; order {order_id}, to cancel the rest: /cancel {order_id}\n"
        "[pnl] Trade closed: P&L {pnl:signed} {quote}" + _SIGNAL
    ),
    "order.filled": (
        "✅ {mode:account} {side:word} {filled:num} {symbol}: filled at {avg_px:price} {quote}{market:mark}\n"
        "Total {cost:money} {quote}, fee {fee:money} {quote}; order {order_id}\n"
        "[pnl] Trade closed: P&L {pnl:signed} {quote}" + _SIGNAL
    ),
    "order.pending_cancel": "⏳ {mode:account} {side:word} {quantity:num} {symbol}: asked the venue to cancel order {order_id}.",
    "order.canceled": (
        "🚫 {mode:account} {side:word} {quantity:num} {symbol}: canceled, {filled:num} filled{market:mark}\n"
        "[reason] Reason: {reason:venue}\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.rejected": (
        "❌ {mode:account} {side:word} {quantity:num} {symbol}: refused by the venue, nothing was traded\n"
        "[reason] Reason: {reason:venue}\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.expired": (
        "⌛ {mode:account} {side:word} {quantity:num} {symbol}: expired, {filled:num} filled{market:mark}\n"
        "[reason] Reason: {reason:venue}\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.unknown": (
        "❓ {mode:account} {side:word} {quantity:num} {symbol}: the venue has not answered. I am asking it what became of order {order_id};"
        " until then no new order on {symbol}. Nothing is sent twice." + _SIGNAL
    ),
    "cancel.requested": "⏳ Asked the venue to cancel {count} orders. Each answer follows.",
    "close.promised": "All you hold of {symbol} is already in open sell orders. Cancel one first: /orders",
    "panic.done": (
        "🚨 {mode:account}: paused. Canceling {canceled} {canceled:plural order orders}, "
        "selling {sold} {sold:plural position positions} at market.\n"
        "[waiting] Positions that wait for a cancellation, or are too small to sell: {waiting}\n"
        "New entries stay off until /resume."
    ),
    "orders": "📋 {mode:account} open orders",
    "orders.none": "None.",
    "orders.market": (
        "• {order} {side:word} {quantity:num} {symbol} at market — {state:word}, {created_ms:time}\n[filled]   filled so far: {filled:num}"
    ),
    "orders.limit": (
        "• {order} {side:word} {quantity:num} {symbol}, limit {price:num} {quote} — {state:word}, {created_ms:time}\n"
        "[filled]   filled so far: {filled:num}"
    ),
    "orders.end": "\nTo cancel one: press its button or type /cancel and its id.",
    "history": "🗂 {mode:account} history: the last {trades} closed {trades:plural trade trades} and {fills} {fills:plural fill fills}",
    "history.none": "Nothing yet.",
    "history.trade": (
        "• {time_ms:time}: {symbol} {quantity:num}, {entry:price} → {exit:price}, P&L {pnl:signed} {quote} ({pnl_pct:percent})"
    ),
    "history.fill": "• {time_ms:time}: {side:word} {quantity:num} {symbol} at {price:price}, fee {fee:money} {quote}",
    "word.initialized": "held here",
    "word.denied": "denied",
    "word.submitted": "sent",
    "word.accepted": "open",
    "word.triggered": "triggered",
    "word.partially_filled": "partly filled",
    "word.filled": "filled",
    "word.pending_cancel": "being canceled",
    "word.canceled": "canceled",
    "word.rejected": "refused",
    "word.expired": "expired",
    "word.unknown": "asking the venue",
}
