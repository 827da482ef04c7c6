"""What a venue says about a key."""

from typing import Protocol

from tradekit.domain.credentials import Permissions, VenueKey


class KeyCheck(Protocol):
    """Asks a venue what a key may do. Nothing it raises or logs holds the key."""

    async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
        """What the venue says; fields are None where it says nothing.

        :raises KeyRefused: ``KEY_REJECTED``: the venue does not know the key, or the secret is not its.
        :raises ExchangeUnavailable: no definite answer.
        """
