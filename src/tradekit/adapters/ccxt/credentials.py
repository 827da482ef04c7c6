"""What a user signs with at the venue."""

from typing import Protocol

import attrs

from tradekit.domain.errors import UserError


@attrs.frozen(kw_only=True)
class ApiCredentials:
    """A key with its secret. Never shown: ``repr`` leaves them out."""

    api_key: str = attrs.field(repr=False)
    secret: str = attrs.field(repr=False)
    password: str = attrs.field(default="", repr=False)
    """Some venues call it passphrase."""
    version: int = 1
    """A higher one replaces the key that is in use."""


@attrs.define(kw_only=True, eq=False)
class NoCredentials(UserError):
    """The user has no usable key for the venue."""

    user_id: int
    venue: str


class Credentials(Protocol):
    """Where keys come from. Asked before every call for a user, so it must be cheap: a look into a cache."""

    async def __call__(self, user_id: int) -> ApiCredentials:
        """The user's key.

        :raises NoCredentials: none, revoked, or not allowed to trade.
        """
