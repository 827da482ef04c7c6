"""Why not: denials with a way out, coded reasons in a few words, bad input, errors."""

_EXITS = "Closing still works: /close, /sell, /cancel, /panic."

_DENIED: dict[str, str] = {
    "MAINTENANCE": "🛠 The service is under maintenance: no new entries for now. " + _EXITS,
    "SESSION_NOT_ACTIVE": "⏸ Your trading is {status:word}, so nothing new is opened. " + _EXITS,
    "HALTED": "⛔ Trading is halted by the operator ({level}). " + _EXITS,
    "REDUCING_ONLY": "↘️ Only exits are allowed for now. " + _EXITS,
    "ACCOUNT_INVALID": (
        "[status] Your account is {status}; it cannot open anything. " + _EXITS + "\n"
        "[problem] Nothing can be sent from {account:account}: {problem:key_reason}. See /accounts"
    ),
    "TIER_FEATURE": "Your plan does not include this. See /plan.",
    "API_RATE_LIMIT": "⏱ You have used your {limit} commands of this minute. Next ones from {resets_ms:time}. " + _EXITS,
    "DAILY_TRADES_LIMIT": (
        "🚦 Daily limit reached: {used} of {limit} trades used\n"
        "[reserved] and {reserved} reserved by orders under way\n"
        "Resets {resets_ms:time}. " + _EXITS
    ),
    "MAX_POSITIONS": (
        "🚦 Your plan allows {limit} {limit:plural position positions} at once, and you have them, counting orders under way. "
        "Close one first: /positions. Adding to one you hold works."
    ),
    "DUPLICATE_SIGNAL": "This signal has already been acted upon.",
    "SIGNAL_EXPIRED": "The signal came too late to be acted upon.",
    "INSTRUMENT_UNKNOWN": "{symbol} is not traded here.",
    "INSTRUMENT_NOT_TRADABLE": "{symbol} cannot be bought for now. " + _EXITS,
    "LOCKED": (
        "[until_ms] 🧊 Entries are locked ({lock:lock}) until {until_ms:time}. " + _EXITS + "\n"
        "[!until_ms] 🧊 Entries are locked: {lock:lock}. /reconcile looks again. " + _EXITS
    ),
    "STALE_PRICE": "There is no current price of {symbol} (age: {age_s:duration}), so nothing is sent. Please try again soon.",
    "PRICE_DEVIATION": (
        "The limit price {price:exact} is more than {limit_pct:num}% away from the market, {market:price}. "
        "If it was a slip, please type it again."
    ),
    "TRIGGER_PRICE": (
        "[lacks] Such an order needs {lacks}.\n"
        "[least_pct] A trailing stop of {trail_pct:num}% would fire at once: that is less than one step of the price of {symbol} "
        "({tick:exact} {quote}). The smallest distance that works now is {least_pct:num}%.\n"
        "[!lacks] [!least_pct] The trigger {trigger:exact} is already reached, the market is at {market:price}: "
        "that order would go out at once."
    ),
    "SIZING_NEEDS_STOP": "Your size is a percentage at risk down to the stop, and you have no stop. Set one: /risk stop_loss_pct 2",
    "QTY_PRECISION": "The {what} must be a multiple of {step:num}.",
    "QTY_MIN": "The quantity is below the smallest order, {minimum:num}.",
    "QTY_MAX": "The quantity is above the largest order, {maximum:num}.",
    "NOTIONAL_MIN": (
        "The order is worth {notional:money} {quote}, too little: at least {minimum:money} {quote}, "
        "and a little more for an entry so that it can be sold again."
    ),
    "NOTIONAL_MAX": "The order is worth more than the venue takes, {maximum:money} {quote}.",
    "MAX_RISK_PER_TRADE": (
        "🛡 This order would risk {risk:money} {quote}; your limit is {limit:money} {quote} ({limit_pct:num}% of equity). "
        "Take less, or change the limit: /risk"
    ),
    "MAX_EXPOSURE": (
        "🛡 Positions already tie up {exposure:money} {quote} of at most {limit:money} {quote}. Close something, or change the limit: /risk"
    ),
    "MAX_DAILY_LOSS": "🛡 Down {loss:money} {quote} today; your limit is {limit:money} {quote}. No entries until your next trading day. "
    + _EXITS,
    "MAX_DRAWDOWN": "🛡 Your equity is {drawdown_pct:num}% below its best; your limit is {limit_pct:num}%. " + _EXITS,
    "INSUFFICIENT_BALANCE": "Not enough money: this needs {needed:money} {quote}, fee and reserve included; free is {free:money} {quote}.",
    "REDUCE_ONLY_WOULD_INCREASE": "You can sell at most {sellable:num} of {symbol}: that is what you hold outside open sell orders.",
    "ORDER_RATE_LIMIT": "You already have {open_orders_max} open orders, the most allowed. Cancel some first: /orders",
    "UNRESOLVED_ORDER": (
        "An earlier order on {symbol} has no answer from the venue yet. Until it has, nothing new is opened there. See /orders"
    ),
}

_WHY: dict[str, str] = {
    "MAINTENANCE": "the service was under maintenance",
    "SESSION_NOT_ACTIVE": "your trading was {status:word}",
    "HALTED": "trading was halted ({level})",
    "REDUCING_ONLY": "only exits were allowed",
    "ACCOUNT_INVALID": "[status] your account was {status}\n[problem] nothing could be sent from {account:account}: {problem:key_reason}",
    "TIER_FEATURE": "your plan does not include this signal, see /plan",
    "API_RATE_LIMIT": "your {limit} commands of that minute were used",
    "DAILY_TRADES_LIMIT": "your {limit} trades of that day were used or reserved (reset {resets_ms:time})",
    "MAX_POSITIONS": "you already had {limit} {limit:plural position positions}, the most your plan allows",
    "DUPLICATE_SIGNAL": "it had already been acted upon",
    "SIGNAL_EXPIRED": "it came too late",
    "INSTRUMENT_UNKNOWN": "{symbol} is not traded here",
    "INSTRUMENT_NOT_TRADABLE": "{symbol} could not be bought",
    "LOCKED": "[until_ms] entries were locked ({lock:lock}) until {until_ms:time}\n[!until_ms] entries were locked: {lock:lock}",
    "STALE_PRICE": "there was no current price of {symbol} (age: {age_s:duration})",
    "PRICE_DEVIATION": "the price was more than {limit_pct:num}% away from the market",
    "TRIGGER_PRICE": (
        "[least_pct] your trailing stop of {trail_pct:num}% is less than one step of the price; at least {least_pct:num}%: "
        "/settings trailing_stop_pct 1\n"
        "[!least_pct] its trigger {trigger:exact} was reached already"
    ),
    "SIZING_NEEDS_STOP": "your sizing is a percentage at risk and you have no stop; set one with /risk stop_loss_pct 2, or another sizing",
    "QTY_PRECISION": "the {what} was not a multiple of {step:num}",
    "QTY_MIN": "the quantity by your sizing was below the smallest order, {minimum:num}",
    "QTY_MAX": "the quantity by your sizing was above the largest order, {maximum:num}",
    "NOTIONAL_MIN": "the order by your sizing was worth {notional:money} {quote}; at least {minimum:money} {quote} is needed",
    "NOTIONAL_MAX": "the order by your sizing was worth more than {maximum:money} {quote}",
    "MAX_RISK_PER_TRADE": "it would have risked {risk:money} {quote}; your limit is {limit:money} {quote} ({limit_pct:num}% of equity)",
    "MAX_EXPOSURE": "positions already tied up {exposure:money} {quote} of at most {limit:money} {quote}",
    "MAX_DAILY_LOSS": "you were down {loss:money} {quote} that day; your limit is {limit:money} {quote}",
    "MAX_DRAWDOWN": "your equity was {drawdown_pct:num}% below its best; your limit is {limit_pct:num}%",
    "INSUFFICIENT_BALANCE": "it needed {needed:money} {quote}; free was {free:money} {quote}",
    "REDUCE_ONLY_WOULD_INCREASE": "only {sellable:num} of {symbol} could be sold",
    "ORDER_RATE_LIMIT": "you already had {open_orders_max} open orders",
    "UNRESOLVED_ORDER": "an earlier order on {symbol} had no answer from the venue yet",
    "NOT_SUBSCRIBED": "you no longer followed the source",
    "NOT_SUBSCRIBED_SYMBOL": "you do not take signals on this instrument, see /settings and /signals",
    "INTERNAL_ERROR": "a fault of the service, which is on record",
    "NO_POSITION": "it said to sell, and you held nothing",
    "NOT_FOUND": "there was no position to close",
    "DUPLICATE": "it had already been acted upon",
}

_VENUE: dict[str, str] = {
    "INSTRUMENT_UNKNOWN": "the venue does not know this instrument",
    "INSTRUMENT_NOT_TRADABLE": "the instrument is not tradable there now",
    "NO_PRICE": "the venue has no price of it",
    "TIME_IN_FORCE_UNSUPPORTED": "the venue does not take this kind of validity",
    "PRICE_MISSING": "a limit order needs a price",
    "PRICE_NOT_ALLOWED": "a market order has no price",
    "PRICE_PRECISION": "the price has too many digits",
    "QTY_PRECISION": "the quantity has too many digits",
    "QTY_MIN": "the quantity is too small",
    "QTY_MAX": "the quantity is too large",
    "NOTIONAL_MIN": "the order is worth too little",
    "NOTIONAL_MAX": "the order is worth too much",
    "POST_ONLY_WOULD_TAKE": "a post-only order may not fill at once, and this one would have",
    "FOK_NOT_FILLED": "it could not be filled whole at once",
    "NO_LIQUIDITY": "nobody took the rest at that price",
    "CANCELED_BY_USER": "you asked for it",
    "DUPLICATE_CLIENT_ORDER_ID": "the venue had it already",
    "STOPS_MAX": "the venue keeps no more stops on this instrument",
    "WOULD_TRIGGER_AT_ONCE": "the price has already reached the trigger",
    "OCO": "another exit of the same entry was executed",
    "POSITION_CLOSED": "the position is closed",
    "AMENDED": "replaced by a changed order",
    "VENUE_UNAVAILABLE": "the venue cannot be reached now; nothing was sent",
    "VENUE_BUSY": "the venue is busy; please try again",
    "VENUE_BANNED": "the venue makes this service wait; please try again later",
    "VENUE_REFUSED": "the venue refused the order",
    "CLOCK_SKEW": "the clocks of the venue and this service differ too much",
    "INSUFFICIENT_BALANCE": "the account at the venue holds too little",
    "ACCOUNT_INVALID": "the venue does not accept the key of this account",
    "ORDER_TYPE_UNSUPPORTED": "the venue does not take this kind of order",
    "ORDER_RATE_LIMIT": "the venue takes no more orders of this account for the moment",
    "NOT_AT_VENUE": "the order never reached the venue",
    "REJECTED": "the venue refused the order",
    "CANCELED": "the order was canceled before it filled",
    "EXPIRED": "the order expired before it filled",
}
"""Codes that venues give; unlike those of the checks they come without facts."""

_ERRORS: dict[str, str] = {
    "USER_ERROR": "That cannot be done as asked.",
    "BAD_INPUT": "{field} {problem}. {hint}",
    "UNKNOWN_USER": "We have not met yet. Send /start first.",
    "NOT_FOUND": "There is no {kind} {name}.",
    "NOT_PERMITTED": "You may not {action}: it needs {needs}.",
    "ORDER_DENIED": "The order was refused: {check}.",
    "DUPLICATE": "This {kind} was already taken care of.",
    "TEMPORARY": "That did not work just now. Please try again.",
    "BUSY": "Too much is waiting at the moment; this message was not taken. Please send it again in a few seconds.",
    "UNAVAILABLE": "The {what} is not available just now. Please try again soon.",
    "STORAGE_FAILED": "Your message could not be stored, so nothing was done. Please try again.",
    "EXCHANGE_UNAVAILABLE": "The venue {venue} does not answer. Open orders are looked after; please do not send them again.",
    "OWNERSHIP_LOST": "Your account is just moving to another machine. Please try again.",
    "INTERNAL": "Something went wrong on our side; this message was not carried out and is on record as {reference}. Please try again.",
    "OPERATOR_ERROR": "The service is not set up correctly; its operator has been told.",
}

TEXTS: dict[str, str] = {
    **{f"denied.{code}": text for code, text in _DENIED.items()},
    **{f"why.{code}": text for code, text in _WHY.items()},
    **{f"venue.{code}": text for code, text in _VENUE.items()},
    **{f"error.{code.lower()}": text for code, text in _ERRORS.items()},
    "input.bad": "The {field} “{value}” {problem}.\n[hint] Hint: {hint}\n[usage] Usage: {usage}\n[example] Example: {example}",
    "input.missing": "The {field} is missing.\n[usage] Usage: {usage}\n[example] Example: {example}",
    "input.wrong": "The {field} {problem}.\n[hint] {hint}\n[usage] Usage: {usage}\n[example] Example: {example}",
    "not_found.order": "You have no open order whose id begins with “{name}”.\nSee /orders.\n[example] Example: {example}",
    "not_found.open_order": "You have no open order that can still be canceled.\nSee /orders.",
    "not_found.position": "You hold no {name}.\nWhat you hold: /positions",
    "not_found.signal": "No signal “{name}” has reached you.\nThe last ones: /why",
    "not_found.signal_source": "There is no source “{name}”.\nWhat there is: /signals",
    "not_found.subscription": "You do not follow “{name}”.\nWhat there is: /signals",
    "not_found.other": "There is no {kind} “{name}”.\n[example] Example: {example}",
}
