"""Signals, and what became of them."""

TEXTS: dict[str, str] = {
    "signals": "📡 Signals{market:mark}",
    "signals.none": "Nobody publishes signals here yet.",
    "signals.source": (
        "[followed] ✅ {source}: {title} — you follow {followed}\n"
        "[!followed] • {source}: {title}\n"
        "[advanced]   needs a plan with advanced signals, see /plan"
    ),
    "signals.signal": "↳ {time_ms:time}: {source} says {side:word} {symbol} at {price:price} {quote} — {signal}",
    "signals.end": "\nTo follow one: press its button, or /subscribe and its name, and if you like the instruments.",
    "signals.subscribed": (
        "✅ Following {source}: {symbols}.\nEvery buy signal is sized by {size:num} {sizing:word}; to change it: /settings size 200\n"
        "What became of each signal: /why"
    ),
    "signals.unsubscribed": "You no longer follow {sources}. Positions stay; to close one: /positions",
    "signal.published": (
        "📡 Published: {side:word} {symbol} at {price:price} {quote}{market:mark}\n[note] Note: {note}\nSignal {signal} by {source}"
    ),
    "signal.skipped": (
        "📡 {source}: {side:word} {symbol} at {price:price} {quote}{market:mark} — not traded for you\n"
        "Why: {reason:why}\n"
        "Details: /why {signal_id}"
    ),
    "why": "What became of the signals you follow:",
    "why.none": "Nothing yet: no signal has reached you. See /signals.",
    "why.executed": "✅ {time_ms:time}: {source} {advice} — traded, order {order}\n   signal {signal}",
    "why.not_executed": "• {time_ms:time}: {source} {advice} — {outcome:word}: {reason:why}\n   signal {signal}",
    "why.failed": "❌ {time_ms:time}: {source} {advice} — failed: {reason:venue}\n   signal {signal}",
    "word.executed": "traded",
    "word.skipped": "not traded",
}
