"""Orders: questions, notices, lists."""

_QUESTION_END = (
    "\nPrice now {market_price:price} {quote}{market:mark}; about {notional:money} {quote}, fee about {fee:money} {quote}"
    "\nChecked again when you confirm. Good for {valid_s} s."
)

_SIGNAL = "\n[signal_id] By signal {signal_id}; details: /why {signal_id}"

TEXTS: dict[str, str] = {
    "confirm.order": (
        "[!price] {mode:account}: {side:word} {quantity:num} {symbol} at market?\n"
        "[price] {mode:account}: {side:word} {quantity:num} {symbol}, limit {price:exact} {quote}?\n"
        "[options] Options: {options}\n"
        "[exits] Exits: {exits}" + _QUESTION_END
    ),
    "confirm.conditional": (
        "[trigger] {mode:account}: {type:word} {side:word} {quantity:num} {symbol} at {trigger:exact} {quote}?\n"
        "[price] Then limit {price:exact} {quote}.\n"
        "[trail] It follows the best price at {trail:num}%.\n"
        "Checked again when you confirm. Good for {valid_s} s."
    ),
    "confirm.amend": "{mode:account}: replace order {order_id} by one with {changes}?\nGood for {valid_s} s.",
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
    "order.held": (
        "[trigger] ⏱ {mode:account} {type:word} {side:word} {quantity:num} {symbol} at {trigger:exact} {quote}: waits{market:mark}\n"
        "[!trigger] ⏱ {mode:account} {type:word} {side:word} {quantity:num} {symbol}: waits{market:mark}\n"
        "[trail] It follows the best price at {trail:num}%.\n"
        "Order {order_id}; to cancel: /cancel {order_id}"
    ),
    "order.left_to_venue": (
        "📨 {mode:account} {type:word} {side:word} {quantity:num} {symbol} at {trigger:exact} {quote}: sent, the venue watches it"
        "{market:mark}\n"
        "Order {order_id}; to cancel: /cancel {order_id}"
    ),
    "order.triggered": (
        "⚡ {mode:account} {type:word}: {side:word} {quantity:num} {symbol} goes to market{market:mark}\n"
        "[trigger] The trigger was {trigger:exact} {quote}.\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.kept_here": (
        "🛡 {mode:account} {type:word}: the venue does not keep it ({reason:venue}), so it is watched here\n"
        "{side:word} {quantity:num} {symbol}. Order {order_id}"
    ),
    "exit.failed": (
        "🚨 {mode:account}: an exit over {quantity:num} {symbol} was not executed: {reason:venue}\n"
        "Nothing protects that quantity now. /close {symbol}, or set a new /stop."
    ),
    "amend.asked": (
        "[waiting] ⏳ {mode:account}: order {order_id} is being canceled; {new_id} takes its place once the venue confirms.\n"
        "[!waiting] ✅ {mode:account}: order {order_id} is replaced by {new_id}."
    ),
    "amend.failed": "⚠️ {mode:account} {symbol}: order {order_id} is canceled, and what should replace it was refused: {reason:why}",
    "order.makes_way": (
        "📨 {mode:account} {side:word} {quantity:num} {symbol}: goes out as soon as your stop at the venue is taken back{market:mark}\n"
        "Until then it is guarded here. Order {order_id}"
    ),
    "order.submitted": (
        "[!price] 📨 {mode:account} {side:word} {quantity:num} {symbol} at market: sent{market:mark}\n"
        "[price] 📨 {mode:account} {side:word} {quantity:num} {symbol}, limit {price:exact} {quote}: sent{market:mark}\n"
        "Order {order_id}" + _SIGNAL
    ),
    "order.accepted": (
        "[price] 📌 {mode:account} {side:word} {quantity:num} {symbol}, limit {price:exact} {quote}: open{market:mark}\n"
        "[!price] 📌 {mode:account} {side:word} {quantity:num} {symbol}: open{market:mark}\n"
        "[trigger] It waits at the venue for {trigger:exact} {quote}.\n"
        "Order {order_id}; to cancel: /cancel {order_id}" + _SIGNAL
    ),
    "order.partially_filled": (
        "◐ {mode:account} {side:word} {symbol}: {filled:num} of {quantity:num} filled at {avg_px:price} {quote}{market:mark}\n"
        "[!canceling] Fee {fee:money} {quote}; order {order_id}, to cancel the rest: /cancel {order_id}\n"
        "[canceling] Fee {fee:money} {quote}; the rest of order {order_id} is being canceled\n"
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
    "cancel.requested": (
        "[count] ⏳ Asked the venue to cancel {count} {count:plural order orders}. Each answer follows.\n"
        "[held] 🚫 {held} that waited here {held:plural is are} canceled."
    ),
    "close.promised": "All you hold of {symbol} is already in open sell orders. Cancel one first: /orders",
    "panic.done": (
        "🚨 {mode:account}: paused. Canceling {canceled} {canceled:plural order orders}, "
        "selling {sold} {sold:plural position positions} at market.\n"
        "[later] ⏳ The venue cannot be reached now: {later} {later:plural position positions} will be sold at market as soon as it can, "
        "also after a restart. /resume before that keeps what you hold.\n"
        "[waiting] Positions that wait for a cancellation, or are too small to sell: {waiting}\n"
        "New entries stay off until /resume."
    ),
    "orders": "📋 {mode:account} open orders",
    "orders.none": "None.",
    "orders.market": (
        "• {order} {side:word} {quantity:num} {symbol} at market — {state:word}, {created_ms:time}\n[filled]   filled so far: {filled:num}"
    ),
    "orders.limit": (
        "• {order} {side:word} {quantity:num} {symbol}, limit {price:exact} {quote} — {state:word}, {created_ms:time}\n"
        "[filled]   filled so far: {filled:num}\n"
        "[exits]   exits: {exits}\n"
        "[foreign]   placed at the venue, not by me"
    ),
    "orders.held": (
        "[trigger] • {order} {type:word} {side:word} {quantity:num} {symbol} at {trigger:exact} {quote} — {state:word}\n"
        "[!trigger] • {order} {type:word} {side:word} {quantity:num} {symbol}, {trigger_ms:time} — {state:word}\n"
        "[trail]   follows at {trail:num}%\n"
        "[entry]   exit of {entry}; one cancels the other"
    ),
    "orders.end": "\nTo cancel one: press its button or type /cancel and its id.",
    "history": "🗂 {mode:account} history: the last {trades} closed {trades:plural trade trades} and {fills} {fills:plural fill fills}",
    "history.none": "Nothing yet.",
    "history.trade": (
        "• {time_ms:time}: {symbol} {quantity:num}, {entry:price} → {exit:price}, P&L {pnl:signed} {quote} ({pnl_pct:percent})"
    ),
    "history.fill": "• {time_ms:time}: {side:word} {quantity:num} {symbol} at {price:price}, fee {fee:money} {quote}",
    "word.stop": "stop",
    "word.stop_limit": "stop-limit",
    "word.trailing_stop": "trailing stop",
    "word.take_profit": "target",
    "word.time_exit": "time exit",
    "help.stop": "Sell once the price falls to a trigger",
    "help.target": "Sell once the price rises to a target",
    "help.trail": "A stop that follows the best price",
    "help.amend": "Change an open order",
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
