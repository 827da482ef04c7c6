"""Signals, who wants them, and what became of each."""

from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from tradekit.domain.amounts import ONE
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Side


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of advice: buy or sell an instrument now."""

    signal_id: str
    """Deterministic (:func:`signal_id`), so that a replay cannot trade twice."""
    source: str
    """``ema-cross``, ``rsi-reversion``, or ``provider:NAME``."""
    symbol: Symbol
    side: Side
    price: Decimal
    """Market price when it was made."""
    bar_ms: int
    """Open time of the bar, or the minute a provider spoke."""
    created_ms: int
    expires_ms: int
    advanced: bool = False
    note: str = ""
    fraction: Decimal = ONE
    """Of a SELL the share of the position to sell; of a BUY the multiple of the subscriber's size to spend."""


def signal_id(source: str, symbol: Symbol, bar_ms: int, side: Side) -> str:
    """16 characters of [0-9a-f]: the same signal has the same id however often it is computed."""
    return blake2b(f"{source}/{symbol}/{bar_ms}/{side}".encode(), digest_size=8).hexdigest()


class Subscription(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's wish to follow a source."""

    source: str
    symbols: tuple[Symbol, ...] = ()
    """Instruments of that source to follow; empty means all."""
    size: Decimal | None = None
    """Overrides the user's own size."""
    since_ms: int = 0


def signal_cause(signal: Signal) -> str:
    """What orders of a signal name as their cause: ``signal/ID/SOURCE``."""
    return f"signal/{signal.signal_id}/{signal.source}"


def source_of(cause: str) -> str:
    """The source in a cause of :func:`signal_cause`."""
    return cause.split("/", 2)[-1]


class Outcome(StrEnum):
    """What became of a signal for one subscriber."""

    EXECUTED = "executed"
    SKIPPED = "skipped"
    FAILED = "failed"
    EXPIRED = "expired"


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The one outcome of a signal for a user."""

    signal_id: str
    user_id: int
    partition: int
    outcome: Outcome
    reason: str = ""
    """A code of ``tradekit.domain.risk`` or ``NOT_SUBSCRIBED_SYMBOL``, ``NO_POSITION``; empty when executed."""
    detail: str = ""
    """Facts behind the reason as ``name=value`` pairs."""
    client_order_id: str = ""
    time_ms: int
