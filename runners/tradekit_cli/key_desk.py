"""The service's side of ``tradekit keys``: errands that came over the socket only the directory's owner may use."""

from typing import assert_never

from tradekit.app import Tradekit, Who
from tradekit.config import Settings
from tradekit.domain.errors import BadInput
from tradekit.domain.users import Identity
from tradekit_cli import wire


class KeyDesk:
    """Carries errands out."""

    def __init__(self, tk: Tradekit, settings: Settings) -> None:
        self._tk, self._settings = tk, settings

    async def operate(self, errand: wire.Errand) -> wire.Done:
        """Do what is asked.

        :raises TradekitError: it could not be done.
        """
        match errand:
            case wire.AddKey():
                kept = await self._tk.keys.add(who_of(errand.who), errand.venue, errand.key, sandbox=errand.sandbox, actor="operator")
                return wire.Done({"venue": kept.venue, "version": kept.version, "status": kept.status.value, "testnet": kept.sandbox})
            case wire.RotateKeys():
                # The key file may have changed since the service started: that is the point of a rotation.
                rotation = await self._tk.keys.rotate(Settings.load(flags={"data": self._settings.data}))
                return wire.Done(
                    {"key_id": rotation.key_id, "rewrapped": rotation.rewrapped, "already": rotation.already, "left": rotation.left}
                )
            case wire.RevokeKeys():
                return wire.Done({"revoked": await self._tk.keys.revoke_all(actor="operator")})
        assert_never(errand)


def who_of(text: str) -> Who:
    """A user's number, or ``TRANSPORT:ID``.

    :raises BadInput: neither.
    """
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    transport, _, external_id = text.partition(":")
    if not transport or not external_id:
        raise BadInput(field="user", value=text[:40], problem="is neither a number nor an identity", hint="as in --user telegram:4711")
    return Identity(transport, external_id)
