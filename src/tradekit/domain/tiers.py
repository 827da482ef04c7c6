"""Subscription tiers and what each allows: the one table of the service."""

from enum import StrEnum

import msgspec


class TierName(StrEnum):
    """The three plans, in ascending order."""

    FREE = "free"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier allows."""

    daily_trades: int
    """Entry orders per day in the user's time zone; exits never count."""
    max_positions: int
    """Instruments held at once, entries under way included."""
    api_calls_per_minute: int
    """Inbound commands or requests per fixed minute."""
    advanced_signals: bool
    custom_strategies: bool
    priority_support: bool
    rules: int = 0
    """Rules of their own that a user may keep."""


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A plan."""

    name: TierName
    title: str
    limits: Limits
    weight: int
    """Turns in the round-robin of waiting lanes for one turn of weight 1."""


Tiers = dict[TierName, Tier]

DEFAULT_TIERS: Tiers = {
    TierName.FREE: Tier(
        name=TierName.FREE,
        title="Free",
        weight=1,
        limits=Limits(
            daily_trades=5,
            max_positions=2,
            api_calls_per_minute=10,
            advanced_signals=False,
            custom_strategies=False,
            priority_support=False,
        ),
    ),
    TierName.PREMIUM: Tier(
        name=TierName.PREMIUM,
        title="Premium",
        weight=2,
        limits=Limits(
            daily_trades=25,
            max_positions=5,
            api_calls_per_minute=30,
            advanced_signals=True,
            custom_strategies=False,
            priority_support=True,
        ),
    ),
    TierName.ENTERPRISE: Tier(
        name=TierName.ENTERPRISE,
        title="Enterprise",
        weight=4,
        limits=Limits(
            daily_trades=100,
            max_positions=20,
            api_calls_per_minute=100,
            advanced_signals=True,
            custom_strategies=True,
            priority_support=True,
            rules=10,
        ),
    ),
}
