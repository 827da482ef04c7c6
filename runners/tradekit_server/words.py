"""The plain words and number forms of the page."""

from datetime import UTC, datetime
from decimal import Decimal

from tradekit.domain.health import HealthStatus

UNKNOWN = "—"

CHECKS = {
    "database": ("Database", "keeps every order and message"),
    "storage": ("Database", "keeps every order and message"),
    "bot": ("Telegram bot", "talks to users"),
    "telegram": ("Telegram bot", "talks to users"),
    "orchestrator": ("Command handling", "decides what users ask for"),
    "queues": ("Queues", "messages and replies that wait"),
    "queue": ("Queues", "messages and replies that wait"),
    "network": ("Network", "reaches what the service talks to"),
    "market": ("Prices", "come in from the market"),
    "feed": ("Prices", "come in from the market"),
    "venue": ("Exchange", "takes the orders"),
    "exchange": ("Exchange", "takes the orders"),
    "accounts": ("Accounts", "agree with their venues"),
    "controls": ("Controls", "what the operator limits"),
    "resources": ("Machine", "processor, memory and disk"),
    "outbox": ("Outgoing messages", "replies and notices to users"),
    "event_loop": ("Event loop", "the service's own pulse"),
}
MEASURES = {
    "cpu_usage": ("Processor", "%"),
    "memory_usage": ("Memory", "%"),
    "disk_usage": ("Disk", "%"),
    "active_users": ("Active users", ""),
    "queue_depth": ("Messages waiting", ""),
    "response_ms_p95": ("Response time, 95 %", "ms"),
    "latency_ms_p95": ("Latency, 95 %", "ms"),
    "error_rate": ("Error rate", "%"),
    "loop_lag_ms": ("Event loop lag", "ms"),
}
_UNITS = {"percent": "%"}
STATUS = {
    HealthStatus.DISABLED: "not set up",
    HealthStatus.HEALTHY: "works",
    HealthStatus.DEGRADED: "has a problem",
    HealthStatus.UNHEALTHY: "does not work",
}


def check_name(name: str) -> tuple[str, str]:
    """(title, what it is for) of a check."""
    return CHECKS.get(name, (name.replace("_", " ").capitalize(), ""))


def measure_name(name: str, unit: str) -> tuple[str, str]:
    """(title, unit) of a measured value."""
    title, known_unit = MEASURES.get(name, (name.replace("_", " ").capitalize(), ""))
    return title, known_unit if name in MEASURES else _UNITS.get(unit, unit)


def count(value: float | None) -> str:
    """``1,234``; a dash while it is not known."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def amount(value: float | None, unit: str = "") -> str:
    """Two significant digits at least, with the unit; long milliseconds become seconds or minutes."""
    if value is None:
        return UNKNOWN
    unit = _UNITS.get(unit, unit)
    if unit == "ms" and value >= 1000:
        value, unit = (value / 1000, "s") if value < 60_000 else (value / 60_000, "min")
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def price(value: Decimal | float, tick_size: Decimal | None = None) -> str:
    """With the instrument's decimals, at least two for prices above one."""
    decimal = Decimal(repr(value)) if isinstance(value, float) else value
    if tick_size is not None:
        exponent = tick_size.normalize().as_tuple().exponent
        places = max(0, -int(exponent))
    else:
        places = max(0, 5 - decimal.adjusted())
    text = f"{decimal:,.{min(places, 12)}f}"
    if "." not in text:
        return text
    whole, fraction = text.split(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def share(part: float | None, whole: float | None) -> str:
    """A percentage with two digits; ``0 %`` of nothing."""
    if part is None or whole is None:
        return UNKNOWN
    return f"{100 * part / whole:.2f} %" if part and whole else "0 %"


def clock(time_ms: int) -> str:
    """``10:21:33 UTC``."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%H:%M:%S UTC")


def ago(span_ms: int) -> str:
    """``4 s``, ``3 min``, ``2 h``, ``5 days``: rounded down."""
    seconds = max(0, span_ms // 1000)
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
