"""Keys of venues and accounts."""

_REASONS: dict[str, str] = {
    "KEY_REJECTED": "the venue does not accept the key: copy both parts again; it may have expired or be bound to other addresses",
    "KEY_CAN_WITHDRAW": "the key may withdraw money: make one that may read and trade only, and delete this one at the venue",
    "KEY_SCOPE_UNKNOWN": "the venue does not say what the key may do, so it is not taken for real money",
    "KEY_CANNOT_TRADE": "the key may not trade: allow spot trading for it at the venue, and nothing more",
    "KEY_MISSING": "there is no key for it here",
    "KEY_NOT_VERIFIED": "the venue has not confirmed the key yet",
    "KEY_OF_SANDBOX": "the key is one of the venue's test site",
    "KEY_NOT_OF_SANDBOX": "the key is not one of the venue's test site",
    "LIVE_DISABLED": "the operator runs this service on paper only (MOCK_TRADING)",
    "NOT_CONFIRMED": "real money needs your word",
    "ACCOUNT_IN_USE": "something is open: cancel your orders and close your positions first",
    "LINK_GONE": "this link was used, is too old, or was replaced by a newer one",
}

_ERRORS: dict[str, str] = {
    "KEY_REJECTED": "The key was not kept: {venue} does not accept it. Copy both parts again, and look there whether it has expired or is "
    "bound to other addresses.",
    "KEY_CAN_WITHDRAW": "The key was not kept: it may withdraw from {venue}. Make one that may read and trade only, and delete this one.",
    "KEY_SCOPE_UNKNOWN": "The key was not kept: {venue} does not say what it may do, so it is not taken for real money.",
    "KEY_CANNOT_TRADE": "The key was not kept: it may not trade at {venue}. Allow spot trading for it there, and nothing more.",
    "KEY_MISSING": "There is no key for {venue} here. To enter one: /connect {venue}",
    "KEY_NOT_VERIFIED": "{venue} has not confirmed your key yet, so nothing real is sent there. See /accounts.",
    "KEY_OF_SANDBOX": "Your key is one of the test site of {venue}. For the real one: /connect {venue}",
    "KEY_NOT_OF_SANDBOX": "Your key is not one of the test site of {venue}. For that: /connect {venue} testnet",
    "LIVE_DISABLED": "This service runs on paper only; its operator would have to set MOCK_TRADING=false.",
    "NOT_CONFIRMED": "Trading with real money at {venue} needs your confirmation: /mode {venue} live",
    "ACCOUNT_IN_USE": "Something is open. Cancel your orders and close your positions first: /orders /positions",
    "LINK_GONE": "This link was used, is too old, or was replaced by a newer one. Ask for another: /connect",
}

assert _REASONS.keys() == _ERRORS.keys()

TEXTS: dict[str, str] = {
    **{f"key_reason.{code}": text for code, text in _REASONS.items()},
    **{f"error.{code.lower()}": text for code, text in _ERRORS.items()},
    "help.connect": "Enter a key of a venue, by a private link",
    "help.accounts": "Your keys and accounts at venues",
    "help.account": "Use another of your accounts",
    "help.mode": "Paper, test site or real money at a venue",
    "help.disconnect": "Make a key of yours unreadable here",
    "key.pasted": (
        "⚠️ That looked like a key or a secret. I did not keep it, but this chat may have: delete your message.\n"
        "If it was real, delete the key at the venue now and make a new one.\n"
        "A key is entered by a private link only: /connect"
    ),
    "connect.venues": "🔑 Which venue? {venues}\nSay /connect VENUE, with testnet after it for a key of the venue's test site.",
    "connect.link": (
        "🔑 Your link for a key of {venue}:\n"
        "[site] (its test site)\n"
        "{url}\n"
        "It works once, within {minutes} minutes. Do not pass it on, and type no key into this chat.\n"
        "Make a key that may read and trade, never withdraw; bind it to our address if the venue can."
    ),
    "connect.terminal": "🔑 A key is not typed into a chat. In your shell, where it is asked for unseen:\n{line}",
    "connect.not_ready": (
        "Keys cannot be kept here yet.\n"
        "The operator makes a master key with `tradekit keys generate` and names the file in TRADEKIT_KEY_FILE."
    ),
    "connect.no_server": "There is no web server here for the form. The operator can enter your key with `tradekit keys add`.",
    "connect.not_private": (
        "The form for keys is not reached safely from elsewhere yet. The operator sets TRADEKIT_PUBLIC_URL to an address with https://."
    ),
    "accounts": "🏦 Your accounts. In use: {account:account}\n[mock] 📄 This service trades on PAPER only; nothing real is sent.",
    "accounts.row": (
        "• {venue}: {mode:word}, key {key:word}\n[used]   in use\n"
        "[site]   of its test site\n"
        "[checked_ms]   confirmed {checked_ms:time}\n"
        "[bound]   works from any address: better bind it to ours at the venue\n"
        "[reason]   refused: {reason:text}\n"
        "[problem]   no orders: {problem:text}"
    ),
    "accounts.none": "Paper only. To connect a venue: /connect",
    "accounts.end": "\nTo change one: /mode VENUE paper, testnet or live. To use another: /account paper",
    "key.connected": (
        "🔑 Your key for {venue} is kept, sealed: {status:word}.\n[sandbox] It is one of the test site.\n"
        "Orders go there once you say /mode {venue} live (or testnet)."
    ),
    "key.turned_down": "⚠️ Your key for {venue} was made unreadable: {reason:text}.\nA new one: /connect {venue}",
    "key.revoked": "🔑 Your key for {venue} is unreadable now. Delete it there as well. Open orders there are no longer looked after.",
    "key.revoked_all": "⚠️ The operator made your {count:plural key keys} unreadable. Delete what is at the venue too. A new one: /connect",
    "mode.changed": (
        "✅ Account in use: {account:account}\n"
        "[real] Its balance and open orders are read first; entries wait for that, exits do not.\n"
        "[!real] Your other accounts keep what they hold."
    ),
    "confirm.live": (
        "🔴 Real money at {venue}? Orders, yours and those of signals you follow, may then spend what is in that account.\n"
        "You can lose all of it. Good for {valid_s} seconds."
    ),
    "confirm.disconnect": "Make your key for {venue} unreadable? Nobody looks after open orders there then. Good for {valid_s} seconds.",
    "word.none": "none",
    "word.unverified": "not confirmed by the venue yet",
    "word.verified": "confirmed",
    "word.refused": "refused",
    "word.revoked": "taken back",
    "button.connect": "🔑 Connect a venue",
    "button.disconnect": "Disconnect {venue}",
}
