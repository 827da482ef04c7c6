"""Reading what a request carries."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

from tradekit.testing.exchange_server.errors import VenueError, missing

_ZERO = Decimal(0)


class Parameters:
    """Names and texts of a request, from its query and its body."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    @classmethod
    def parse(cls, query: str, body: str) -> Parameters:
        return cls(dict(parse_qsl(query, keep_blank_values=True)) | dict(parse_qsl(body, keep_blank_values=True)))

    def __contains__(self, name: str) -> bool:
        return self.values.get(name, "") != ""

    def text(self, name: str, default: str | None = None) -> str:
        """
        :raises VenueError: -1102, not given and no default.
        """
        value = self.values.get(name, "")
        if value:
            return value
        if default is None:
            raise missing(name)
        return default

    def integer(self, name: str, default: int | None = None) -> int:
        """
        :raises VenueError: -1102 or -1100.
        """
        text = self.text(name, None if default is None else str(default))
        try:
            return int(text)
        except ValueError:
            raise _illegal(name) from None

    def maybe_integer(self, name: str) -> int | None:
        return self.integer(name) if name in self else None

    def amount(self, name: str) -> Decimal:
        """A plain decimal of at most 8 places; 0 if not given.

        :raises VenueError: -1100 or -1111.
        """
        if name not in self:
            return _ZERO
        try:
            value = Decimal(self.values[name])
        except InvalidOperation:
            raise _illegal(name) from None
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or value < 0:
            raise _illegal(name)
        if exponent < -8:
            raise VenueError(-1111, f"Parameter '{name}' has too much precision.")
        return value


def _illegal(name: str) -> VenueError:
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
