"""Texts about comparing an account with its venue."""

TEXTS = {
    "help.reconcile": "Compare your account with the venue now",
    "reconcile.asked": "🔎 {mode:account}: asking the venue for balances, orders and fills. I tell you what comes of it.",
    "reconcile.taken_over": (
        "🏦 {mode:account}: your balance there is {cash:money} {quote}.\n"
        "[running] Entries are possible now.\n"
        "What else you hold there stays yours: I look after what is bought through me."
    ),
    "reconcile.cash": (
        "🏦 {mode:account}: the venue holds {cash:money} {quote}, {difference:signed} against my books. Mine are corrected.\n"
        "A deposit or withdrawal there looks like this; if you made none, look at /history and ask the operator."
    ),
    "reconcile.frozen": (
        "🧊 {mode:account}: the venue holds {venue:num} of {symbol}, my books say {ours:num}. No entries in {symbol} until they agree; "
        "selling is possible.\nIf you sold or withdrew it there, /reconcile after you brought it back."
    ),
    "lock.cooldown": "cooldown after a loss",
    "lock.stop_loss_guard": "several stops in a row",
    "lock.max_drawdown": "drawdown",
    "lock.low_profit": "this instrument has been losing",
    "lock.discrepancy": "the venue does not hold what my books say",
    "help.halt": "Stop entries and take resting ones back",
    "help.reduce": "Stop entries",
    "help.allow": "Allow entries again",
    "confirm.control": "⛔ {state:word} for {scope}? It holds for everybody, also after a restart.\nGood for {valid_s} s.",
    "control.set": "✅ {scope}: {state:word}\n[reason] {reason}",
    "controls": "⛔ What is limited",
    "controls.none": "Nothing: entries are allowed everywhere.",
    "controls.row": "• {scope}: {state:word} since {changed_ms:time}\n[reason]   {reason}",
    "reconcile.done": (
        "✅ {mode:account} compared with the venue, {time_ms:time}\n"
        "[adjusted] Balance corrected by {adjusted:signed}\n"
        "[frozen] Not enough at the venue of: {frozen}\n"
        "[foreign] Orders there that are not mine: {foreign}\n"
        "[!frozen] Orders, fills and positions agree."
    ),
}
