"""Values as people read them: thousands separated, times in the user's zone.

An amount in quote currency, be it money or a price, has two decimals from one unit upwards and more below; a quantity has no zeros
at its end.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradekit.domain.amounts import ZERO, decimal_of

CENTS = 2
"""Decimals that every amount in quote currency has at least."""
MONEY_DIGITS = 4
"""Significant digits of money below one unit."""
PRICE_DIGITS = 7
"""Significant digits of a price; cents are always shown."""


def number(value: Decimal) -> str:
    """Every digit, grouped: ``12,345.6``."""
    text = f"{value:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def exact(value: Decimal) -> str:
    """Every digit of an amount in quote currency, two decimals at least: ``61,000.00``, ``0.000012345``."""
    whole, _, decimals = number(value).partition(".")
    return f"{whole}.{decimals:0<{CENTS}}"


def significant(value: Decimal, digits: int) -> str:
    """At most ``digits`` significant digits, but two decimals at least: ``42,123.46`` for 7 digits of 42123.4567."""
    return exact(round_to(value, max(CENTS, digits - 1 - value.adjusted())) if value else ZERO)


def money(value: Decimal) -> str:
    """Quote currency: two decimals from one unit upwards, four significant digits below: ``650.00``, ``0.06501``."""
    return significant(round_to(value, 8), MONEY_DIGITS if abs(value) < 1 else 0)


def signed(value: Decimal) -> str:
    """Money with its sign: ``+12.50``, ``-3.00``, ``0.00``."""
    text = money(value)
    return f"+{text}" if value > 0 and text != money(ZERO) else text


def percent(value: Decimal) -> str:
    """Already in percent, with sign and two places at most: ``+1.25%``."""
    text = number(round_to(value, 2))
    return f"+{text}%" if value > 0 and text != "0" else f"{text}%"


def round_to(value: Decimal, places: int) -> Decimal:
    """Half to even; a number too long for the step stays as it is."""
    if value.adjusted() + places >= 28:
        return value
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


def moment(time_ms: int, zone: str) -> str:
    """A time in the user's zone: ``2026-03-01 00:00 Europe/Berlin``; UTC if the zone is not known."""
    try:
        tz = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone, tz = "UTC", ZoneInfo("UTC")
    local = datetime.fromtimestamp(time_ms // 1000, UTC).astimezone(tz)
    return f"{local:%Y-%m-%d %H:%M} {zone or 'UTC'}"


def duration(seconds: int) -> str:
    """``45 s``, ``15 min``, ``2 h 5 min``, ``3 d``."""
    if seconds < 60:
        return f"{seconds} s"
    units = ((86_400, "d"), (3_600, "h"), (60, "min"))
    parts = []
    for size, name in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def shaped(text: str, shape: str) -> str:
    """An amount in canonical text, in the shape that a template asks for; other text is shown as it is."""
    try:
        return _SHAPES[shape](decimal_of(text))
    except ValueError:
        return text


def _price(value: Decimal) -> str:
    return significant(value, PRICE_DIGITS)


_SHAPES = {"num": number, "exact": exact, "money": money, "signed": signed, "percent": percent, "price": _price}

SHAPES = frozenset(_SHAPES)
