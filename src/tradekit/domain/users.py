"""Who uses the service, and what each has chosen."""

from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from tradekit.domain.orders import NO_EXITS, PAPER, Bracket, TakeProfit
from tradekit.domain.tiers import TierName


class Identity(msgspec.Struct, frozen=True):
    """How a person reaches the service: ``Identity("telegram", "4711")``, ``Identity("terminal", "ada")``."""

    transport: str
    external_id: str

    @classmethod
    def of(cls, transport: str, external_id: str | int) -> "Identity":
        """Build from any id the transport uses."""
        return cls(transport, str(external_id))

    def __str__(self) -> str:
        return f"{self.transport}:{self.external_id}"


class Role(StrEnum):
    """What a person may do beyond trading for themselves."""

    USER = "user"
    PROVIDER = "provider"
    SUPPORT = "support"
    AUDITOR = "auditor"
    ADMIN = "admin"
    OWNER = "owner"


class UserStatus(StrEnum):
    """Whether the account may be used at all."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A registered person."""

    user_id: int
    partition: int
    tier: TierName = TierName.FREE
    role: Role = Role.USER
    status: UserStatus = UserStatus.ACTIVE
    display_name: str = ""
    created_ms: int
    disclosure_ms: int
    """When the risk disclosure was shown at registration."""
    reachable: bool = True
    """False once the transport said that the user blocked the bot."""
    audit_subject: str
    """The pseudonym under which the audit log knows this user."""


class Sizing(StrEnum):
    """How the quantity of a signal's entry is found."""

    QUOTE_AMOUNT = "quote_amount"
    PERCENT_OF_EQUITY = "percent_of_equity"
    RISK_PERCENT = "risk_percent"


class UserSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has chosen; percentages are in percent (2 means 2 %)."""

    language: str = "en"
    time_zone: str = "UTC"
    symbols: tuple[str, ...] = ()
    """Instruments whose signals are taken; empty means all."""
    sizing: Sizing = Sizing.QUOTE_AMOUNT
    size: Decimal = Decimal(100)
    """Quote currency, percent of equity or percent risked, as ``sizing`` says."""
    risk_per_trade_pct: Decimal = Decimal(25)
    """Most of the equity that one entry may put at stake: with a stop loss its distance, otherwise the notional."""
    max_exposure_pct: Decimal = Decimal(100)
    """Most of the equity that all positions together may tie up."""
    stop_loss_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    max_daily_loss_pct: Decimal = Decimal(10)
    max_drawdown_pct: Decimal = Decimal(50)
    cooldown_s: int = 0
    notify_fills: bool = True
    notify_signals: bool = True
    account: str = PAPER
    """The account in use: ``paper``, ``binance:live``, ``binance:testnet``."""
    trailing_stop_pct: Decimal | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    """A ladder for new entries; before it ``take_profit_pct`` is one rung for everything."""
    time_exit_s: int = 0
    """Sell so long after the entry; 0: never."""
    stop_guard_losses: int = 0
    """So many stopped trades within ``guard_window_s`` lock entries; 0: never."""
    guard_window_s: int = 86_400
    """How far protections look back."""
    guard_lock_s: int = 3_600
    """How long a protection locks."""
    low_profit_pct: Decimal | None = None
    """An instrument whose round trips in the window together made less than this is locked."""

    @property
    def bracket(self) -> Bracket:
        """The exits of a new entry: of most users none."""
        if self.stop_loss_pct is self.take_profit_pct is self.trailing_stop_pct is None and not (self.take_profits or self.time_exit_s):
            return NO_EXITS
        ladder = self.take_profits
        if not ladder and self.take_profit_pct is not None:
            ladder = (TakeProfit(self.take_profit_pct),)
        return Bracket(
            stop_loss_pct=self.stop_loss_pct, trailing_pct=self.trailing_stop_pct, take_profits=ladder, time_exit_s=self.time_exit_s
        )


def partition_of(user_id: int, partitions: int) -> int:
    """The user's partition: a stable hash, the same in every process and release."""
    return int.from_bytes(blake2b(user_id.to_bytes(8, "big"), digest_size=8).digest(), "big") % partitions
