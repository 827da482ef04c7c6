"""What an error of ccxt says about the request: refused for good, not sent, unknown here, or nothing at all."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import ModuleType

import attrs

from tradekit.adapters.ccxt.profiles import VenueProfile

_UNTIL = re.compile(r"banned until (\d{13})", re.ASCII)
_DEFAULT_PAUSE_S = 10.0
_SHOWN_MAX = 300


class Kind(StrEnum):
    """By what follows from it."""

    REFUSED = "refused"
    """The venue read the request and said no. Nothing has changed there."""
    NOT_FOUND = "not_found"
    """The venue does not know the order, or not as an open one."""
    LIMITED = "limited"
    """Turned away at the gate, unread: too many requests."""
    CLOCK = "clock"
    """Turned away at the gate: our time and the venue's differ."""
    SILENT = "silent"
    """No answer, or one that does not tell: the request may have been carried out."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The kind, and what is known of it."""

    kind: Kind
    reason: str
    """A code for refusals, words otherwise. Never holds a key or a signature."""
    pause_s: float = 0.0
    """Of a limit: how long to stay away, if the venue said it as a duration."""
    until_ms: int = 0
    """Of a ban: the venue's own word for its end; 0: none."""


def judge(error: BaseException, errors: ModuleType, profile: VenueProfile, headers: Mapping[str, str] | None) -> Verdict:
    """Sort an error. What is not known for certain to be a refusal is silence.

    :param headers: of the answer, for Retry-After.
    """
    text = str(error)
    if isinstance(error, errors.OrderNotFound):
        return Verdict(kind=Kind.NOT_FOUND, reason="ORDER_NOT_FOUND")
    if isinstance(error, (errors.DDoSProtection, errors.RateLimitExceeded)):
        if any(mark in text for mark in profile.key_marks):
            return Verdict(kind=Kind.REFUSED, reason="ACCOUNT_INVALID")
        return _limited(text, headers)
    if isinstance(error, errors.InvalidNonce):
        return Verdict(kind=Kind.CLOCK, reason="CLOCK_SKEW")
    if "would trigger immediately" in text:
        return Verdict(kind=Kind.REFUSED, reason="WOULD_TRIGGER_AT_ONCE")
    if isinstance(error, errors.InvalidOrder) and any(mark in text for mark in profile.duplicate_marks):
        return Verdict(kind=Kind.SILENT, reason="DUPLICATE_CLIENT_ORDER_ID")
    code = _refusal(error, errors, text)
    if code:
        return Verdict(kind=Kind.REFUSED, reason=code)
    return Verdict(kind=Kind.SILENT, reason=shown(error))


def shown(error: BaseException) -> str:
    """What may stand in a log or a report: the kind of error, and its text without the query, which holds the signature."""
    text = re.sub(r"\?\S*", "", str(error))
    text = re.sub(r"(?i)(signature|apikey|secret|token)=[^&\s]+", r"\1=...", text)
    return f"{type(error).__name__}: {text}"[:_SHOWN_MAX]


def _limited(text: str, headers: Mapping[str, str] | None) -> Verdict:
    match = _UNTIL.search(text)
    after = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after", "")
    pause_s = float(after) if after.isdigit() else _DEFAULT_PAUSE_S
    return Verdict(kind=Kind.LIMITED, reason="VENUE_BUSY", pause_s=pause_s, until_ms=int(match[1]) if match else 0)


def _refusal(error: BaseException, errors: ModuleType, text: str) -> str:
    """The code of a definite refusal, or empty. The base class ExchangeError is not one: broken answers are raised as it, too."""
    table = (
        (errors.InsufficientFunds, "INSUFFICIENT_BALANCE"),
        (errors.OrderImmediatelyFillable, "POST_ONLY_WOULD_TAKE"),
        (errors.OrderNotFillable, "FOK_NOT_FILLED"),
        (errors.BadSymbol, "INSTRUMENT_UNKNOWN"),
        (errors.MarketClosed, "INSTRUMENT_NOT_TRADABLE"),
        (errors.AuthenticationError, "ACCOUNT_INVALID"),
        (errors.NotSupported, "ORDER_TYPE_UNSUPPORTED"),
    )
    for kind, code in table:
        if isinstance(error, kind):
            return code
    if isinstance(error, (errors.InvalidOrder, errors.BadRequest, errors.OperationRejected, errors.ArgumentsRequired)):
        return _filter(text)
    return ""


def _filter(text: str) -> str:
    low = text.lower()
    marks: tuple[tuple[str, str], ...] = (
        ("insufficient balance", "INSUFFICIENT_BALANCE"),
        ("market is closed", "INSTRUMENT_NOT_TRADABLE"),
        ("notional", "NOTIONAL_MIN"),
        ("lot_size", "QTY_PRECISION"),
        ("lot size", "QTY_PRECISION"),
        ("price_filter", "PRICE_PRECISION"),
        ("max_num_orders", "ORDER_RATE_LIMIT"),
        ("max_num_algo_orders", "STOPS_MAX"),
        ("triggerprice parameter is not allowed", "ORDER_TYPE_UNSUPPORTED"),
        ("is not a valid order type", "ORDER_TYPE_UNSUPPORTED"),
        ("precision", "QTY_PRECISION"),
    )
    return next((code for mark, code in marks if mark in low), "VENUE_REFUSED")
