"""Money and quantities as exact decimals: parsing, rounding, canonical text."""

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, InvalidOperation

from tradekit.domain.errors import BadInput

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)

DIGITS_MAX = 28
"""Longest amount accepted from outside, in digits: what a Decimal of the default context carries without rounding."""

MONEY_STEP = Decimal("0.00000001")
"""Every flow of the ledger is rounded once to this step."""

_PLAIN = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)
_NEGATIVE = re.compile(r"[-\u2212][0-9]+(?:\.[0-9]+)?", re.ASCII)


def parse_amount(text: str, name: str = "amount") -> Decimal:
    """Read a positive plain decimal such as ``0.01``.

    :raises BadInput: not plain digits (signs, exponents, NaN and letters of other scripts are refused), zero, or more than 28 digits.
    """
    stripped = text.strip()
    if _NEGATIVE.fullmatch(stripped):
        raise BadInput(field=name, value=_shown(text), problem="is below zero", hint="use a number above zero, as in 0.01")
    if not _PLAIN.fullmatch(stripped):
        hint = "use a point, as in 0.01" if re.fullmatch(r"[0-9]+,[0-9]+", stripped, re.ASCII) else "use plain digits, as in 0.01"
        raise BadInput(field=name, value=_shown(text), problem="is not a number", hint=hint)
    if len(stripped.replace(".", "")) > DIGITS_MAX:
        raise BadInput(field=name, value=_shown(text), problem=f"has more than {DIGITS_MAX} digits", hint="use fewer digits, as in 0.01")
    amount = Decimal(stripped)
    if amount <= 0:
        raise BadInput(field=name, value=_shown(text), problem="is zero", hint="use a number above zero, as in 0.01")
    return amount


def _shown(text: str) -> str:
    """What was typed, safe to repeat: printable, short, without direction marks."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return clean if len(clean) <= 40 else clean[:39] + "…"


def decimal_of(text: str) -> Decimal:
    """Read what :func:`text_of` wrote.

    :raises ValueError: not a finite decimal.
    """
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not a decimal: {text!r}") from error
    if not value.is_finite():
        raise ValueError(f"not a finite decimal: {text!r}")
    return value


def text_of(value: Decimal) -> str:
    """Canonical text: no exponent, no trailing zeros, no negative zero. ``decimal_of(text_of(x)) == x`` for every finite x."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` not above ``value``."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def money(value: Decimal) -> Decimal:
    """Round one flow to the ledger's step, half to even."""
    return value.quantize(MONEY_STEP, ROUND_HALF_EVEN)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether ``value`` needs no rounding to ``step``. Of more steps than a Decimal has digits nobody can say so."""
    try:
        return value % step == 0
    except InvalidOperation:
        return False
