"""Rules of users."""

from __future__ import annotations

from typing import cast

from tradekit.api.base import Api, Who
from tradekit.api.users import UsersApi
from tradekit.domain.rules import UserRule
from tradekit.domain.rules_tree import Rule
from tradekit.services import rules as rule_cases
from tradekit.services.decisions import unchanged
from tradekit.services.rules import Trial


class RulesApi(Api):
    """Rules that users write, whose signals they follow."""

    async def add(self, who: Who, name: str, rule: str | Rule) -> UserRule:
        """Keep a rule, as text or as data, and follow its signals.

        :raises RuleRefused: coded; the text cannot be read, the plan does not have it, or the name is taken.
        :raises BadInput: an instrument in it is not traded here.
        """
        completed = await self._call(who, lambda state, ctx: rule_cases.add(state, name, rule, ctx))
        return cast("UserRule", completed.result)

    async def remove(self, who: Who, name: str) -> None:
        """Forget a rule and stop following it; positions stay.

        :raises NotFound: the user has no rule of this name.
        """
        await self._call(who, lambda state, ctx: rule_cases.remove(state, name, ctx))

    async def list(self, who: Who) -> tuple[UserRule, ...]:
        """A user's rules, oldest first."""
        return (await UsersApi(self._service).state(who)).rules

    async def trial(self, who: Who, text: str) -> Trial:
        """Read a rule without keeping it, and try it on the last bars.

        :raises RuleRefused: it cannot be read or computed.
        """
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=rule_cases.trial(state, text, ctx)))
        return cast("Trial", completed.result)
