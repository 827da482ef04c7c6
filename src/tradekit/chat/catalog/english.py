"""English: the language every text exists in."""

from tradekit.chat.catalog import (
    english_account,
    english_keys,
    english_orders,
    english_reasons,
    english_reconcile,
    english_rules,
    english_signals,
)

_PARTS = (
    english_account.TEXTS,
    english_keys.TEXTS,
    english_orders.TEXTS,
    english_signals.TEXTS,
    english_reasons.TEXTS,
    english_reconcile.TEXTS,
    english_rules.TEXTS,
)

TEXTS: dict[str, str] = {key: text for part in _PARTS for key, text in part.items()}

assert len(TEXTS) == sum(map(len, _PARTS)), "a text key is defined twice"
