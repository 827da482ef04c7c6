"""How a setting's value is read, and how the expectation is put into words."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@attrs.frozen
class Kind:
    """A type of setting. ``read(value, textual)`` raises ValueError; ``textual`` says that numbers may come as text."""

    says: str
    """What a value must be, to stand after "must be"."""
    read: Callable[[object, bool], Any]
    example: str = ""


def flag() -> Kind:
    """True or false."""

    def read(value: object, textual: bool) -> bool:
        if isinstance(value, bool):
            return value
        if textual and isinstance(value, str):
            word = value.strip().lower()
            if word in _TRUE | _FALSE:
                return word in _TRUE
        raise ValueError

    return Kind("true or false", read, "true")


def whole(minimum: int, maximum: int | None = None) -> Kind:
    """A whole number within bounds, both allowed."""
    says = f"a whole number of at least {minimum}" if maximum is None else f"a whole number from {minimum} to {maximum}"

    def read(value: object, textual: bool) -> int:
        if textual and isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError
        return value

    return Kind(says, read, str(max(minimum, 1)))


def amount(*, above: int | None = None, at_least: int | None = None, at_most: int | None = None) -> Kind:
    """An exact decimal within bounds."""
    bounds = [f"above {above}" if above is not None else "", f"of at least {at_least}" if at_least is not None else ""]
    bounds.append(f"at most {at_most}" if at_most is not None else "")

    def read(value: object, textual: bool) -> Decimal:
        number = _decimal(value, textual)
        if (above is not None and number <= above) or (at_least is not None and number < at_least):
            raise ValueError
        if at_most is not None and number > at_most:
            raise ValueError
        return number

    return Kind("a number " + " and ".join(filter(None, bounds)), read, "10")


def seconds(*, above: int = 0) -> Kind:
    """A number as float: durations, rates and factors."""
    exact = amount(above=above)
    return Kind(exact.says, lambda value, textual: float(exact.read(value, textual)), "2.5")


def _decimal(value: object, textual: bool) -> Decimal:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int | Decimal):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(str(value))
    elif textual and isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,20}(\.[0-9]{1,20})?\s*", value, re.ASCII):
        number = Decimal(value.strip())
    else:
        raise ValueError
    try:
        if not number.is_finite():
            raise ValueError
    except InvalidOperation as error:
        raise ValueError from error
    return number


def choice(names: type[StrEnum]) -> Kind:
    """One of an enumeration's values, upper or lower case."""
    by_name = {member.value.lower(): member for member in names}

    def read(value: object, textual: bool) -> StrEnum:
        if not isinstance(value, str) or value.strip().lower() not in by_name:
            raise ValueError
        return by_name[value.strip().lower()]

    return Kind("one of " + ", ".join(member.value for member in names), read, next(iter(names)).value)


def text(says: str, pattern: str = r"\S.*", example: str = "") -> Kind:
    """One line of text that matches ``pattern`` whole."""
    compiled = re.compile(pattern)

    def read(value: object, textual: bool) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value.strip()):
            raise ValueError
        return value.strip()

    return Kind(says, read, example)


def path() -> Kind:
    """A path of the file system; ``~`` is the home directory."""

    def read(value: object, textual: bool) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip():
            raise ValueError
        return Path(value).expanduser()

    return Kind("a path", read, "./data")


def url() -> Kind:
    """An http or https address."""

    def read(value: object, textual: bool) -> str:
        if not isinstance(value, str):
            raise ValueError
        parts = urlsplit(value.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError
        return value.strip().rstrip("/")

    return Kind("an address that starts with https:// or http://", read, "https://example.org")
