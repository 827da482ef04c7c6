"""Keys of venues."""

from __future__ import annotations

from tradekit.api.base import Api, Who
from tradekit.bootstrap import open_vault
from tradekit.config import Settings
from tradekit.domain.credentials import ConnectLink, Credential, VenueKey
from tradekit.engine.custody import Rechecked, Rotation


class KeysApi(Api):
    """Keys of venues: sealed at rest, checked for what they may do, never shown again."""

    async def add(self, who: Who, venue: str, key: VenueKey, *, sandbox: bool = False, actor: str = "user") -> Credential:
        """Ask the venue what the key may do, and keep it. One that the venue could not answer for is kept UNVERIFIED and cannot trade.

        :raises KeyRefused: it may withdraw, its scope is unknown, or the venue does not know it; the code says which. Nothing is kept.
        :raises BadInput: the venue is not available here, or a field cannot be part of a key.
        :raises ConfigurationError: TRADEKIT_KEY is not set.
        """
        return await self._service.custodian.add(self._user_id(who), venue, key, sandbox=sandbox, actor=actor)

    async def link(self, token: str) -> ConnectLink:
        """What a one-time link of ``/connect`` is for.

        :raises KeyRefused: ``LINK_GONE``: used, too old, or never given out.
        """
        return await self._service.custodian.link(token)

    async def redeem(self, token: str, key: VenueKey) -> Credential:
        """Keep the key that was entered at a one-time link, and use the link up.

        :raises KeyRefused: ``LINK_GONE``, or as :meth:`add`; the link of a refused key may be used again while it lasts.
        """
        return await self._service.custodian.redeem(token, key)

    def entered_at(self, url: str) -> None:
        """A server with the form for keys listens at this address; TRADEKIT_PUBLIC_URL goes before."""
        self._service.reached_at(url)

    async def revoke(self, who: Who, venue: str, *, actor: str = "user") -> None:
        """Make a key unreadable.

        :raises KeyRefused: ``KEY_MISSING``.
        """
        await self._service.custodian.revoke(self._user_id(who), venue, actor=actor)

    async def revoke_all(self, *, actor: str = "operator") -> int:
        """Make every key of every user unreadable and destroy the data keys; returns how many keys there were."""
        return await self._service.custodian.revoke_all(actor=actor)

    async def rotate(self, settings: Settings | None = None) -> Rotation:
        """Wrap every user's data key with the first key of the key file; works while orders are signed.

        :param settings: with a newer key file than the service was opened with.
        :raises ConfigurationError: the key file lacks a key that is in use.
        """
        return await self._service.custodian.rotate(open_vault(settings) if settings else None)

    async def recheck(self, older_than_s: float = 86_400) -> Rechecked:
        """Ask the venues again about keys they did not confirm for so long; meant to be called daily."""
        return await self._service.custodian.recheck(older_than_s)
