"""The settings themselves, and how they are loaded."""

import os
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tradekit.config import kinds, sources
from tradekit.config.kinds import Kind
from tradekit.config.sources import Found, Names
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.tiers import DEFAULT_TIERS, Limits, Tier, TierName, Tiers


class Environment(StrEnum):
    """What the service runs for; sets the defaults of a few settings."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """The least severe line that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How log lines look; ``auto`` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as ``tradekit config show`` prints it; secrets are masked."""

    name: str
    variable: str
    value: str
    unit: str
    origin: str
    help: str


@attrs.define(kw_only=True, eq=False)
class SeveralConfigurationErrors(ConfigurationError):
    """More than one setting is wrong; the fields are those of the first."""

    errors: tuple[ConfigurationError, ...]


def _about(
    kind: Kind, variable: str, text: str, *, unit: str = "", secret: bool = False, by: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What is known of a setting besides its type and default; ``by`` gives defaults by ENVIRONMENT."""
    return {"kind": kind, "variable": variable, "help": text, "unit": unit, "secret": secret, "by_environment": by or {}}


def _masked(value: object) -> str:
    return "None" if value is None else "'***'"


_TELEGRAM_TOKEN = kinds.text("the token that @BotFather gave, such as 123456:ABC-DEF", r"[0-9]+:[A-Za-z0-9_-]{3,}", "123456:ABC-DEF")
_WEBHOOK_SECRET = kinds.text("1 to 256 letters, digits, _ or -", r"[A-Za-z0-9_-]{1,256}", "a-long-random-word")
_KEYS = kinds.text("one or more keys, as `tradekit keys generate` prints them", r"[A-Za-z0-9+/=:,._\s-]+")
_VENUES = kinds.text("names separated by commas", r"[a-z0-9]+(\s*,\s*[a-z0-9]+)*", "binance,kraken")
_FEED = kinds.text(
    "auto, simulated, ccxt:VENUE[:SYMBOL,...] or replay:[SYMBOL=]PATH[,...]", r"auto(:.+)?|simulated|ccxt:.+|replay:.+", "simulated"
)


class ForeignOrders(StrEnum):
    """What becomes of orders that were not placed through the service."""

    IGNORE = "ignore"
    ADOPT = "adopt"


@attrs.frozen(kw_only=True)
class Settings:
    """Every setting. Build one directly in a test; :meth:`load` reads the outside world.

    Values given to the constructor are taken as they are; :meth:`load` checks them.
    """

    data: Path = attrs.field(
        default=Path("data"), metadata=_about(kinds.path(), "TRADEKIT_DATA", "Directory of the database and everything durable")
    )
    environment: Environment = attrs.field(
        default=Environment.PRODUCTION,
        metadata=_about(kinds.choice(Environment), "ENVIRONMENT", "development, staging or production; sets a few defaults"),
    )
    mock_trading: bool = attrs.field(
        default=True, metadata=_about(kinds.flag(), "MOCK_TRADING", "Orders go to the paper exchange, never to a real venue")
    )
    log_level: LogLevel = attrs.field(
        default=LogLevel.INFO,
        metadata=_about(kinds.choice(LogLevel), "LOG_LEVEL", "Least severe line that is logged", by={"development": LogLevel.DEBUG}),
    )
    log_format: LogFormat = attrs.field(
        default=LogFormat.AUTO,
        metadata=_about(kinds.choice(LogFormat), "TRADEKIT_LOG_FORMAT", "text, json, or auto (JSON when not on a terminal)"),
    )
    max_concurrent_users: int = attrs.field(
        default=1000,
        metadata=_about(
            kinds.whole(1, 1_000_000),
            "MAX_CONCURRENT_USERS",
            "Sessions held in memory at once",
            unit="users",
            by={"development": 50, "staging": 200},
        ),
    )
    webhook_url: str | None = attrs.field(
        default=None, repr=_masked, metadata=_about(kinds.url(), "WEBHOOK_URL", "Where alerts are sent", secret=True)
    )

    key: str | None = attrs.field(
        default=None,
        repr=_masked,
        metadata=_about(
            _KEYS,
            "TRADEKIT_KEY",
            "What venues' keys are encrypted with, base64 of 32 bytes, the current one first; better in a file: TRADEKIT_KEY_FILE",
            secret=True,
        ),
    )
    venues: str = attrs.field(
        default="binance,binanceus,bitget,bybit,coinbase,gate,htx,kraken,kucoin,mexc,okx",
        metadata=_about(_VENUES, "TRADEKIT_VENUES", "Venues whose keys users may connect, as ccxt calls them"),
    )
    public_url: str | None = attrs.field(
        default=None,
        metadata=_about(kinds.url(), "TRADEKIT_PUBLIC_URL", "Address at which browsers reach the HTTP server, for links in messages"),
    )

    telegram_bot_token: str | None = attrs.field(
        default=None,
        repr=_masked,
        metadata=_about(_TELEGRAM_TOKEN, "TELEGRAM_BOT_TOKEN", "Token of the Telegram bot; without one Telegram is off", secret=True),
    )
    telegram_api_url: str = attrs.field(
        default="https://api.telegram.org",
        metadata=_about(kinds.url(), "TRADEKIT_TELEGRAM_API_URL", "Bot API server, for a self-hosted one"),
    )
    telegram_webhook_url: str | None = attrs.field(
        default=None,
        metadata=_about(kinds.url(), "TRADEKIT_TELEGRAM_WEBHOOK_URL", "Public address Telegram posts updates to; without one it is polled"),
    )
    telegram_webhook_secret: str | None = attrs.field(
        default=None,
        repr=_masked,
        metadata=_about(
            _WEBHOOK_SECRET,
            "TRADEKIT_TELEGRAM_WEBHOOK_SECRET",
            "What Telegram must send along with an update; by default derived from the token",
            secret=True,
        ),
    )
    telegram_messages_per_s: float = attrs.field(
        default=30.0,
        metadata=_about(
            kinds.seconds(), "TRADEKIT_TELEGRAM_MESSAGES_PER_S", "Pace of sending over all chats; Telegram allows 30", unit="messages/s"
        ),
    )

    host: str = attrs.field(
        default="127.0.0.1", metadata=_about(kinds.text("a host name or address"), "TRADEKIT_HOST", "Address the HTTP server listens on")
    )
    port: int = attrs.field(
        default=8080, metadata=_about(kinds.whole(0, 65535), "TRADEKIT_PORT", "Port of the HTTP server; 0 takes a free one")
    )

    feed: str = attrs.field(
        default="simulated",
        metadata=_about(
            _FEED,
            "TRADEKIT_FEED",
            "Where prices come from: auto (live if the venue answers, else simulated; what up and chat take by default), simulated, "
            "ccxt:VENUE[:SYMBOL,...] or replay:[SYMBOL=]PATH[,...]",
        ),
    )
    feed_wait_s: float = attrs.field(
        default=5.0,
        metadata=_about(
            kinds.seconds(), "TRADEKIT_FEED_WAIT_S", "How long auto waits for the venue before it takes simulated prices", unit="s"
        ),
    )
    speed: float | None = attrs.field(
        default=None,
        metadata=_about(
            kinds.seconds(), "TRADEKIT_SPEED", "Multiple of recorded time for a replay; without it one bar per second", unit="x"
        ),
    )
    simulated_seed: int = attrs.field(default=0, metadata=_about(kinds.whole(0), "TRADEKIT_SIMULATED_SEED", "Seed of the simulated market"))

    initial_cash: Decimal = attrs.field(
        default=Decimal(10_000),
        metadata=_about(kinds.amount(at_least=0), "TRADEKIT_INITIAL_CASH", "Deposit of a new paper account", unit="USDT"),
    )
    signal_ttl_s: int = attrs.field(
        default=300, metadata=_about(kinds.whole(1), "TRADEKIT_SIGNAL_TTL_S", "A signal older than this is not acted upon", unit="s")
    )
    reconcile_every_s: int = attrs.field(
        default=900,
        metadata=_about(kinds.whole(10), "TRADEKIT_RECONCILE_EVERY_S", "How often accounts are compared with their venues", unit="s"),
    )
    foreign_orders: ForeignOrders = attrs.field(
        default=ForeignOrders.IGNORE,
        metadata=_about(
            kinds.choice(ForeignOrders), "TRADEKIT_FOREIGN_ORDERS", "Orders that users place at their venue themselves: ignore or adopt"
        ),
    )
    stale_price_after_s: int = attrs.field(
        default=300, metadata=_about(kinds.whole(1), "TRADEKIT_STALE_PRICE_AFTER_S", "No entry at a price older than this", unit="s")
    )
    price_deviation_max_pct: Decimal = attrs.field(
        default=Decimal(20),
        metadata=_about(
            kinds.amount(above=0), "TRADEKIT_PRICE_DEVIATION_MAX_PCT", "Furthest a limit price may be from the market", unit="%"
        ),
    )
    market_buffer_pct: Decimal = attrs.field(
        default=Decimal(1),
        metadata=_about(kinds.amount(at_least=0, at_most=100), "TRADEKIT_MARKET_BUFFER_PCT", "Extra set aside for a market buy", unit="%"),
    )
    open_orders_max: int = attrs.field(
        default=50, metadata=_about(kinds.whole(1), "TRADEKIT_OPEN_ORDERS_MAX", "Orders one user may have open", unit="orders")
    )

    partitions: int = attrs.field(
        default=256,
        metadata=_about(
            kinds.whole(1, 65536), "TRADEKIT_PARTITIONS", "Shards of users; fixed once a database holds users", unit="partitions"
        ),
    )
    lane_size_max: int = attrs.field(
        default=64, metadata=_about(kinds.whole(2), "TRADEKIT_LANE_SIZE_MAX", "Messages waiting per user", unit="messages")
    )
    storage_queue_max: int = attrs.field(
        default=20_000,
        metadata=_about(
            kinds.whole(100), "TRADEKIT_STORAGE_QUEUE_MAX", "Commits waiting for the disk before intake says busy", unit="commits"
        ),
    )

    tiers: Tiers = attrs.field(factory=lambda: dict(DEFAULT_TIERS), repr=False)
    """What each plan allows; overridden by tables such as ``[tiers.free]`` or ``TRADEKIT_TIERS__FREE__DAILY_TRADES``."""
    origins: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)
    """Where each value came from; what is not named is a default."""

    @classmethod
    def load(
        cls, *, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> "Settings":
        """Read flags, environment, ``.env`` in ``cwd`` and ``DATA/tradekit.toml``.

        :param flags: values by name of the setting, such as ``{"data": Path("d"), "port": 0}``; None counts as not given.
        :param environ: instead of the process's environment.
        :param cwd: instead of the current directory.
        :raises ConfigurationError: unknown names, wrong values, unreadable files; all of them, as SeveralConfigurationErrors.
        """
        errors: list[ConfigurationError] = []
        given = sources.from_flags(flags or {})
        errors += [sources.unknown(name, found.origin, list(KNOWN)) for name, found in given.items() if name not in KNOWN]
        variables = sources.from_environ(os.environ if environ is None else environ, _NAMES, errors)
        dotenv = sources.from_dotenv((cwd or Path()) / ".env", _NAMES, errors)
        found = dotenv | variables | given
        data = _read("data", found, errors)
        in_file = [name for name in KNOWN if name != "data"]
        found = sources.from_toml((data if data is not None else cls().data) / "tradekit.toml", in_file, errors) | found
        settings = _build(found, errors)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise SeveralConfigurationErrors(**errors[0].facts, errors=tuple(errors))
        return settings

    @property
    def venue_names(self) -> tuple[str, ...]:
        """The names in ``venues``."""
        return tuple(name.strip() for name in self.venues.split(","))

    def origin(self, name: str) -> str:
        """Where the value of a setting came from, for people: ``environment variable LOG_LEVEL``, ``default``."""
        return self.origins.get(name, "default")

    def describe(self) -> list[SettingRow]:
        """Every setting with its value and origin; secrets are masked."""
        return [self._row(name) for name in KNOWN]

    def _row(self, name: str) -> SettingRow:
        known = KNOWN[name]
        value = _value_of(self, name)
        shown = "" if value is None else "***" if known.secret else "true" if value is True else "false" if value is False else str(value)
        return SettingRow(name=name, variable=known.variable, value=shown, unit=known.unit, origin=self.origin(name), help=known.help)


@attrs.frozen(kw_only=True)
class _Known:
    kind: Kind
    variable: str
    help: str
    unit: str = ""
    secret: bool = False
    by_environment: Mapping[str, Any] = attrs.field(factory=dict)
    default: Any = None


_TIER_KINDS: dict[str, Kind] = {
    "title": kinds.text("a title"),
    "weight": kinds.whole(1, 1000),
    "daily_trades": kinds.whole(0),
    "max_positions": kinds.whole(0),
    "api_calls_per_minute": kinds.whole(1),
    "advanced_signals": kinds.flag(),
    "custom_strategies": kinds.flag(),
    "priority_support": kinds.flag(),
}


def _known() -> dict[str, _Known]:
    known = {field.name: _Known(**field.metadata, default=field.default) for field in attrs.fields(Settings) if field.metadata}
    for tier in TierName:
        for name, kind in _TIER_KINDS.items():
            variable = f"TRADEKIT_TIERS__{tier.upper()}__{name.upper()}"
            known[f"tiers.{tier}.{name}"] = _Known(kind=kind, variable=variable, help=f"{tier.capitalize()} plan: {name.replace('_', ' ')}")
    return known


KNOWN: dict[str, _Known] = _known()
_NAMES = Names(
    settings={known.variable: name for name, known in KNOWN.items()},
    secrets=frozenset(known.variable for known in KNOWN.values() if known.secret),
)


def _value_of(settings: Settings, name: str) -> object:
    if not name.startswith("tiers."):
        return getattr(settings, name)
    _, tier_name, part = name.split(".")
    tier = settings.tiers[TierName(tier_name)]
    return getattr(tier if part in {"title", "weight"} else tier.limits, part)


def _read(name: str, found: Mapping[str, Found], errors: list[ConfigurationError]) -> Any:
    if name not in found:
        return None
    kind, value = KNOWN[name].kind, found[name]
    try:
        return kind.read(value.raw, value.textual)
    except ValueError:
        shown = "" if KNOWN[name].secret else f", not {_shown(value.raw)}"
        errors.append(ConfigurationError(setting=name, origin=value.origin, problem=f"must be {kind.says}{shown}", fix=_fix(name, value)))
        return None


def _fix(name: str, value: Found) -> str:
    if str(value.raw).startswith("tcp://"):
        return "Kubernetes set it for a Service of this name: use enableServiceLinks: false"
    example = KNOWN[name].default if KNOWN[name].default is not None else KNOWN[name].kind.example
    return f"set it to, for example, {str(example).lower() if isinstance(example, bool) else example}" if example != "" else "correct it"


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:59] + "…"


def _build(found: Mapping[str, Found], errors: list[ConfigurationError]) -> Settings:
    values = {name: _read(name, {name: each}, errors) for name, each in found.items() if name in KNOWN and name != "data"}
    if "data" in found:
        values["data"] = _read("data", found, [])  # its error was recorded when the directory was looked up
    origins = {name: found[name].origin for name in values}
    environment = values.get("environment") or Environment.PRODUCTION
    for name, known in KNOWN.items():
        if name not in values and environment in known.by_environment:
            values[name] = known.by_environment[environment]
            origins[name] = f"default of ENVIRONMENT={environment}"
    overrides = {name: values.pop(name) for name in list(values) if name.startswith("tiers.")}
    present = {name: value for name, value in values.items() if value is not None}
    return Settings(**present, tiers=_tiers(overrides), origins=origins)


def _tiers(overrides: Mapping[str, Any]) -> Tiers:
    tiers = dict(DEFAULT_TIERS)
    for name, value in overrides.items():
        if value is None:
            continue
        _, tier_name, part = name.split(".")
        tier = tiers[TierName(tier_name)]
        tiers[tier.name] = _with(tier, part, value)
    return tiers


def _with(tier: Tier, part: str, value: Any) -> Tier:
    if part in Limits.__struct_fields__:
        return msgspec.structs.replace(tier, limits=msgspec.structs.replace(tier.limits, **{part: value}))
    return msgspec.structs.replace(tier, **{part: value})
