"""Registration, plans, roles and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tradekit.api.base import Api, Who
from tradekit.domain.inbox import LaneClass
from tradekit.domain.sessions import SessionState
from tradekit.domain.tiers import Limits, Tier, TierName
from tradekit.domain.users import Identity, Role, User, UserSettings
from tradekit.services import users as user_cases
from tradekit.services.decisions import unchanged


class Account:
    """A registered user with what their plan allows."""

    def __init__(self, user: User, tier: Tier) -> None:
        self.user, self.tier = user, tier

    @property
    def limits(self) -> Limits:
        """What the plan allows."""
        return self.tier.limits


class UsersApi(Api):
    """Registration, plans, roles and settings."""

    async def register(self, identity: Identity, display_name: str = "") -> Account:
        """Register, or find who is registered already: idempotent. A new user has a paper account and default settings."""
        slot = self._service.intake.slot_of(identity)
        completed = await self._call(slot.user_id, lambda state, ctx: user_cases.register(state, identity, display_name, ctx))
        return self._account(cast("User", completed.result))

    async def get(self, who: Who) -> Account:
        """A registered user.

        :raises UnknownUser: nobody registered under this identity.
        """
        return self._account((await self.state(who)).user)

    async def state(self, who: Who) -> SessionState:
        """Everything about a user that decisions depend on, as it is now."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state))
        state = cast("SessionState", completed.result)
        user_cases.need_user(state)
        return state

    def _account(self, user: User | None) -> Account:
        assert user is not None
        return Account(user, self._service.options.tiers[user.tier])

    async def set_tier(self, who: Who, tier: TierName, *, actor: str = "admin") -> Account:
        """Move a user to another plan; open positions are kept."""
        completed = await self._call(who, lambda state, ctx: user_cases.set_tier(state, tier, actor, ctx))
        return self._account(completed.result)

    async def set_role(self, who: Who, role: Role, *, actor: str = "admin") -> Account:
        """Give a user another role, such as provider."""
        completed = await self._call(who, lambda state, ctx: user_cases.set_role(state, role, actor, ctx))
        return self._account(completed.result)

    async def change_settings(self, who: Who, values: Mapping[str, str]) -> UserSettings:
        """Set some settings from text, all or none.

        :raises BadInput: a value cannot be read; names the setting.
        """
        completed = await self._call(who, lambda state, ctx: user_cases.change_settings(state, values, ctx))
        return cast("UserSettings", completed.result)

    async def pause(self, who: Who) -> None:
        """Stop entries; exits stay possible."""
        await self._call(who, user_cases.pause, lane_class=LaneClass.CONTROL)

    async def resume(self, who: Who) -> None:
        """Allow entries again."""
        await self._call(who, user_cases.resume)
