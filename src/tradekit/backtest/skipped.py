"""Why a signal led to no order, in words: a backtest keeps the code and how often, not the facts of each case."""

from collections.abc import Mapping

from tradekit.domain.risk import Check

WORDS: Mapping[str, str] = {
    "NO_POSITION": "it said to sell, and nothing was held",
    "NOT_SUBSCRIBED_SYMBOL": "the setting symbols leaves this instrument out",
    "DUPLICATE": "it had already been acted upon",
    Check.SIGNAL_EXPIRED: "it came too late",
    Check.LOCKED: "entries were locked after losses, by a protection of the settings",
    Check.STALE_PRICE: "there was no current price",
    Check.SIZING_NEEDS_STOP: "sizing by risk needs a stop: --set stop_loss_pct=2",
    Check.QTY_MIN: "by the sizing it was less than the smallest order: raise --set size=... or --cash",
    Check.QTY_MAX: "by the sizing it was more than the largest order",
    Check.NOTIONAL_MIN: "by the sizing it was worth less than the smallest order: raise --set size=... or --cash",
    Check.NOTIONAL_MAX: "by the sizing it was worth more than the largest order",
    Check.MAX_RISK_PER_TRADE: "it would have put more at stake than risk_per_trade_pct allows",
    Check.MAX_EXPOSURE: "as much as max_exposure_pct allows was tied up already",
    Check.MAX_DAILY_LOSS: "that day had lost max_daily_loss_pct already",
    Check.MAX_DRAWDOWN: "equity was max_drawdown_pct below its best: there are no entries until it recovers",
    Check.INSUFFICIENT_BALANCE: "not enough cash was left",
    Check.REDUCE_ONLY_WOULD_INCREASE: "an open order was already selling what is held",
    Check.UNRESOLVED_ORDER: "an earlier order was not settled yet",
    Check.ORDER_RATE_LIMIT: "too many orders were open",
}


def skipped_rows(skipped: Mapping[str, int]) -> list[tuple[str, str]]:
    """``why`` and ``signals``, the most frequent first; codes without words stand for themselves."""
    often = sorted(skipped.items(), key=lambda each: (-each[1], each[0]))
    return [(f"{WORDS[code]} ({code})" if code in WORDS else code, str(count)) for code, count in often]
