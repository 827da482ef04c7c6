"""Arriving, looking, settings, help, buttons and words."""

TEXTS: dict[str, str] = {
    "start.welcome": (
        "[name] 👋 Welcome, {name}!\n"
        "[!name] 👋 Welcome!\n"
        "📄 PAPER account: {cash:money} {quote} to trade with, no real money{market:mark}\n"
        "Plan {tier}: {daily_trades} trades a day, {max_positions} positions, {api_calls} commands a minute.\n"
        "\n"
        "⚠️ Trading can lose all the money you put in. Signals are not advice, and paper results say little about real ones.\n"
        "\n"
        "Press a button, or type /help."
    ),
    "start.back": (
        "[name] 👋 Welcome back, {name}.\n"
        "[!name] 👋 Welcome back.\n"
        "📄 PAPER account, equity {equity:money} {quote}{market:mark}\n"
        "Plan {tier}: {daily_trades} trades a day, {max_positions} positions, {api_calls} commands a minute."
    ),
    "stranger": "We have not met yet. Send /start first: it opens a paper account for you.",
    "suspended": "Your account is suspended. You can still look at it and get out of positions: /portfolio, /close, /cancel, /panic.",
    "help": "What I understand:",
    "help.row": "/{name} — {about:text}",
    "help.end": "\nMore about one: /help buy",
    "help.one": "{about:text}\n\nUsage: {usage}\nExample: {example}",
    "help.start": "Open a paper account, or come back to it",
    "help.help": "All commands, or one in detail",
    "help.plan": "The plans and what each allows",
    "help.status": "Whether you and the service are trading",
    "help.portfolio": "Money, profit and loss, positions",
    "help.positions": "What you hold, at market",
    "help.usage": "How much of your plan is used",
    "help.buy": "Buy at market or at a limit price",
    "help.sell": "Sell a quantity you hold",
    "help.close": "Close a position, whole or in part",
    "help.cancel": "Cancel an open order, or all",
    "help.panic": "Cancel everything, sell everything, pause",
    "help.orders": "Your open orders",
    "help.history": "Your last trades and fills",
    "help.signals": "What you can follow, and the last signals",
    "help.subscribe": "Follow a source of signals",
    "help.unsubscribe": "Stop following a source, or all",
    "help.why": "Why a signal was or was not traded for you",
    "help.signal": "Publish a signal to your followers",
    "help.settings": "Everything you can choose",
    "help.risk": "Stops, limits and protections",
    "help.pause": "Stop new entries; exits stay possible",
    "help.resume": "Allow new entries again",
    "plan": "Plans (yours: {title})",
    "plan.row": (
        "\n[current] ✅ {title} (yours)\n"
        "[!current] {title}\n"
        "  {daily_trades} trades a day, {max_positions} positions, {api_calls} commands a minute\n"
        "  advanced signals: {advanced}, own strategies: {custom}, priority support: {support}"
    ),
    "plan.end": "\nA trade is an order that opens or adds to a position. Closing is never counted.",
    "portfolio": (
        "💼 {mode:account} portfolio{market:mark}\n"
        "Equity {equity:money} {quote}\n"
        "Cash {cash:money} {quote}\n"
        "[reserved] of which reserved for open orders: {reserved:money} {quote}\n"
        "Unrealised P&L {unrealized:signed} {quote}\n"
        "Realised today {realized_today:signed} {quote}\n"
        "Today {day_pnl:signed} {quote} ({day_pct:percent})"
    ),
    "portfolio.none": "\nNo positions.",
    "positions": "📊 {mode:account} positions{market:mark}",
    "positions.none": "None. A first one: /help buy",
    "position.line": (
        "• {quantity:num} {base}: now {price:price}, paid {average:price} {quote}, worth {value:money} {quote}, "
        "P&L {pnl:signed} {quote} ({pnl_pct:percent})"
    ),
    "position.unpriced": "• {quantity:num} {base}: paid {average:price} {quote}, cost {cost:money} {quote}, no price yet",
    "usage": (
        "📈 {tier} plan\n"
        "Today: {used} of {daily_trades} trades used, {left} left\n"
        "[reserved] Reserved by orders under way: {reserved}\n"
        "Resets {resets_ms:time}\n"
        "Commands this minute: {calls} of {api_calls}\n"
        "Positions: {positions} of {max_positions}\n"
        "Closing is never counted."
    ),
    "status": (
        "Trading: {session:word}\n"
        "[locked_ms] Cooling down: no entries before {locked_ms:time}\n"
        "[locked] For a while no entries: {locked}\n"
        "[frozen] No entries until the venue agrees: {frozen}; /reconcile looks again\n"
        "[venue_problem] The venue cannot be reached: {venue_problem}\n"
        "Service: {service:word}\n"
        "Account: {account:word}, {mode:account}, plan {tier}\n"
        "Market: {instruments} {instruments:plural instrument instruments}{market:mark}\n"
        "[prices] Prices: {prices}\n"
        "[priced_ms] Last price: {priced_ms:time}\n"
        "[ended] The recording has ended; its last prices stand.\n"
        "Positions: {positions}, open orders: {orders}\n"
        "[followed] Following: {followed}\n"
        "[!followed] Following no signals; see /signals"
    ),
    "session.paused": (
        "⏸ Paused. No new entries, from you or from signals. /close, /sell, /cancel and /panic still work.\n"
        "[orders] Open orders stay: {orders}. To cancel them: /cancel all"
    ),
    "session.resumed": "▶️ Running: new entries are allowed again.",
    "settings": "⚙️ Your settings",
    "settings.group": "\n{title:text}",
    "settings.group.general": "You",
    "settings.group.signals": "Orders by signals",
    "settings.group.exits": "Exits of every new entry",
    "settings.group.limits": "Limits",
    "settings.group.protections": "Protections",
    "settings.row": "[!seconds] • {name} = {value}\n[seconds] • {name} = {value} ({seconds:duration})",
    "settings.end": "\nWhat one means and how to change it: /settings stop_loss_pct",
    "settings.one": (
        "[!seconds] ⚙️ {name} = {value}\n[seconds] ⚙️ {name} = {value} ({seconds:duration})\n"
        "{about:text}\n\nTo change it, for example: {example}"
    ),
    "risk": "🛡 Your risk limits",
    "risk.row": "[!seconds] • {name} = {value}: {about:text}\n[seconds] • {name} = {value} ({seconds:duration}): {about:text}",
    "risk.end": "\nTo change one: /risk risk_per_trade_pct 5",
    "settings.changed": ("[!seconds] ✅ {name} = {value}\n[seconds] ✅ {name} = {value} ({seconds:duration})\n{about:text}"),
    "settings.zone_changed": (
        "✅ time_zone = {value}\nYour trading day keeps its old end, {resets_ms:time}; from then on the new zone counts."
    ),
    "setting.time_zone": "your clock and your trading day",
    "setting.language": "language of the messages",
    "setting.symbols": "instruments whose signals you take",
    "setting.sizing": "how a signal's order is sized: quote_amount, percent_of_equity, risk_percent",
    "setting.size": "amount or percent for that sizing",
    "setting.notify_fills": "messages about fills of signal orders",
    "setting.notify_signals": "messages about signals not traded",
    "setting.risk_per_trade_pct": "most percent of equity one entry may risk",
    "setting.max_exposure_pct": "most percent of equity tied up in positions",
    "setting.max_daily_loss_pct": "no entries after losing this percent in a day",
    "setting.max_drawdown_pct": "no entries this percent below your best equity",
    "setting.stop_loss_pct": "sell an entry this percent below its price, or off",
    "setting.take_profit_pct": "sell an entry this percent above its price, or off",
    "setting.take_profits": "the same in rungs, as percent:share",
    "setting.trailing_stop_pct": "a stop that follows the best price at this percent, or off",
    "setting.time_exit_s": "sell so many seconds after the entry, or off",
    "setting.stop_guard_losses": "no entries after so many stops, or off",
    "setting.guard_window_s": "seconds that protections look back",
    "setting.guard_lock_s": "seconds for which a protection locks entries",
    "setting.low_profit_pct": "no entries in an instrument that made less percent, or off",
    "setting.cooldown_s": "seconds without entries after a losing trade",
    "rows.more": "… and {count} more",
    "unknown": "I do not understand “{text}”.\n[guess] Did you mean {guess}? Details: /help\n[!guess] Send /help for what I understand.",
    "mark.simulated": " (simulated prices)",
    "mark.replay": " (replayed prices)",
    "mark.live": "",
    "word.paper": "PAPER",
    "word.testnet": "TESTNET",
    "word.live": "LIVE",
    "word.buy": "buy",
    "word.sell": "sell",
    "word.market": "at market",
    "word.limit": "limit",
    "word.running": "running",
    "word.paused": "paused by you (/resume)",
    "word.stopped": "stopped",
    "word.starting": "starting",
    "word.reconciling": "checking open orders with the venue; exits work",
    "word.reducing": "exits only",
    "word.halted": "halted by the operator; exits work",
    "word.normal": "normal",
    "word.maintenance": "maintenance; exits work",
    "word.active": "active",
    "word.suspended": "suspended",
    "word.quote_amount": "{quote}",
    "word.percent_of_equity": "percent of equity",
    "word.risk_percent": "percent of equity at risk",
    "button.start": "Start",
    "button.help": "Help",
    "button.portfolio": "💼 Portfolio",
    "button.positions": "📊 Positions",
    "button.orders": "Orders",
    "button.history": "History",
    "button.signals": "📡 Signals",
    "button.why": "Why?",
    "button.plan": "Plans",
    "button.usage": "Usage",
    "button.status": "Status",
    "button.settings": "⚙️ Settings",
    "button.risk": "🛡 Risk",
    "button.pause": "⏸ Pause",
    "button.resume": "▶️ Resume",
    "button.buy": "Buy {quantity:num} {symbol}",
    "button.close": "Close {symbol}",
    "button.cancel_order": "Cancel {order}",
    "button.cancel_all": "Cancel all",
    "button.confirm": "✅ Confirm",
    "button.cancel": "✖️ Cancel",
    "button.ask_again": "Ask again",
    "button.subscribe": "Follow {source}",
    "button.unsubscribe": "Leave {source}",
    "button.fills_on": "Fill messages on",
    "button.fills_off": "Fill messages off",
    "button.signals_on": "Signal messages on",
    "button.signals_off": "Signal messages off",
    "button.risk_per_trade": "At most {percent}% a trade",
    "button.cooldown": "Cooldown {seconds:duration}",
    "button.no_cooldown": "No cooldown",
    "button.plain": "{text}",
}
