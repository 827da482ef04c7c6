"""The service's side of ``tradekit keys`` and ``reconcile``: errands over the socket that only the directory's owner may use."""

from typing import assert_never

from tradekit.api.base import Who
from tradekit.app import Tradekit
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
            case wire.ReconcileAccounts():
                return wire.Done(await self._reconcile(who_of(errand.who) if errand.who else None))
            case wire.SetControl():
                scope = await self._tk.controls.set(errand.scope, errand.state, reason=errand.reason, by="cli")
                return wire.Done({"scope": scope, "state": errand.state.value})
            case wire.SetRole():
                account = await self._tk.users.set_role(who_of(errand.who), errand.role, actor="operator")
                return wire.Done({"user_id": account.user.user_id, "role": account.user.role.value})
            case wire.SetTier():
                account = await self._tk.users.set_tier(who_of(errand.who), errand.tier, actor="operator")
                return wire.Done({"user_id": account.user.user_id, "tier": account.user.tier.value})
        assert_never(errand)

    async def _reconcile(self, who: Who | None) -> wire.Facts:
        started = self._tk.clock.monotonic()
        outcomes = await self._tk.accounts.reconcile_all() if who is None else await self._tk.accounts.reconcile_user(who)
        seconds = max(self._tk.clock.monotonic() - started, 0.001)
        done = [outcome.result for outcome in outcomes if outcome.result is not None]
        return {
            "accounts": len(outcomes),
            "agreed": sum(result.agrees for result in done),
            "adjusted": sum(bool(result.adjusted) for result in done),
            "frozen": sum(bool(result.frozen) for result in done),
            "foreign": sum(len(result.foreign) for result in done),
            "under_way": sum(not result.settled for result in done),
            "failed": len(outcomes) - len(done),
            "problems": [f"user {each.user_id} {each.account}: {each.problem}" for each in outcomes if each.problem][:100],
            "seconds": round(seconds, 2),
            "users_per_minute": round(60 * len({each.user_id for each in outcomes}) / seconds),
        }


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
