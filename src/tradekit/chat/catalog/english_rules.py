"""Rules of the user's own, and why one is refused."""

TEXTS: dict[str, str] = {
    "help.rules": "Your own rules",
    "help.rule": "Add, remove or try a rule of your own",
    "button.rules": "Rules",
    "button.rule_remove": "Remove {name}",
    "rules": "📐 Your rules",
    "rules.none": (
        "None yet. A rule trades for you when its conditions come true:\n"
        "/rule add dip buy when rsi(14) crosses above 30; sell when close < sma(50)\n"
        "/rule check and the same text shows what it means without keeping it.\n"
        "[!plan] Keeping rules needs the Enterprise plan, see /plan"
    ),
    "rules.row": "[followed] ✅ {name} (for {followed}): {text}\n[!followed] ⏸ {name} (not followed; /subscribe rule:{name}): {text}",
    "rules.end": (
        "\n{used} of {limit} rules. Another: /rule add NAME RULE\n"
        "For some instruments only: /subscribe rule:NAME BTC/USDT\n"
        "[!plan] Your plan does not include rules any more: they say nothing until it does, see /plan"
    ),
    "rule.added": (
        "✅ Rule {name} is kept and followed ({used} of {limit}):\n{text}\n"
        "It speaks on the bar on which a condition comes true; what is true already has to become false first.\n"
        "Every buy is sized by {size:num} {sizing:word}; for some instruments only: /subscribe rule:{name} BTC/USDT"
    ),
    "rule.removed": "Rule {name} is removed and says nothing any more. Positions stay; to close one: /positions",
    "rule.checked": (
        "{words}\n\n"
        "As it is kept: {text}\n"
        "{nodes} parts, looking at {cost} bars\n"
        "[symbol] On the last {bars} bars of {symbol} it would have spoken {count} {count:plural time times}"
    ),
    "rule.checked.row": "• {time_ms:time}: {side:word} at {price:price} {quote}",
    "rule.checked.end": "\nTo keep it: /rule add NAME and the same text",
    "rule.checked.none": "To keep it: /rule add NAME and the same text",
    "not_found.rule": "You have no rule “{name}”.\nYour rules: /rules",
    "error.rule_plan": "Rules of your own need the Enterprise plan. See /plan.",
    "error.rule_limit": "Your plan keeps {limit} {limit:plural rule rules}, and you have {used}. Remove one first: /rules",
    "error.rule_name": "A rule's name has 1 to 24 of a-z, 0-9, - and _, and begins with a letter or digit: not “{name}”.",
    "error.rule_name_taken": "You have a rule {name}: {text}\nChoose another name, or first /rule remove {name}",
    "error.rule_known": "You have this rule already, as {name}: {text}",
    "error.rule_syntax": (
        "The rule cannot be read at column {column}, after “{before}”: expected {expected}; found {found}.\n"
        "[hint] Did you mean {hint}?\n"
        "Example: buy when ema(12) crosses above ema(26) and rsi(14) < 70; sell when close < sma(50)"
    ),
    "error.rule_malformed": "The rule cannot be used: {problem}.",
    "error.rule_too_large": "The rule is too large: at most {limit} {what}.",
    "error.rule_indicator": "The rule cannot be used: {problem}.\n[column] Look at column {column}.",
    "error.rule_indicator_missing": "This service cannot compute {names}. Its operator can: {fix}",
}
