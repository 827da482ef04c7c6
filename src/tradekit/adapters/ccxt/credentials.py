"""What a user signs with at the venue."""

from typing import Protocol

import attrs

from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import UserError


@attrs.define(kw_only=True, eq=False)
class NoCredentials(UserError):
    """The user has no usable key for the venue."""

    user_id: int
    venue: str


class Credentials(Protocol):
    """Where keys come from. Asked before every call for a user, so it must be cheap: a look into a cache."""

    async def __call__(self, user_id: int) -> VenueKey:
        """The user's key.

        :raises NoCredentials: none, revoked, or not allowed to trade.
        """
