"""Accounts at venues, and whether they agree with what is known here."""

from __future__ import annotations

from typing import cast

import anyio
import msgspec

from tradekit.api.base import Api, Who
from tradekit.domain.discrepancies import Discrepancy
from tradekit.domain.errors import TradekitError
from tradekit.domain.orders import account_name
from tradekit.domain.sessions import SessionState
from tradekit.services.decisions import unchanged
from tradekit.services.reconciliation import Reconciled
from tradekit.services.users import need_user

ACCOUNTS_PAGE = 500
COMPARISONS_AT_ONCE_MAX = 32


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What came of comparing one account with its venue."""

    user_id: int
    account: str
    result: Reconciled | None = None
    problem: str = ""
    """Why it could not be compared."""


class AccountsApi(Api):
    """Accounts at venues."""

    async def reconcile_user(self, who: Who) -> list[Comparison]:
        """Compare a user's accounts with their venues now; one entry per account.

        :raises UnknownUser: nobody registered under this identity.
        """
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state))
        state = cast("SessionState", completed.result)
        need_user(state)
        return await self._compare([state])

    async def reconcile_all(self) -> list[Comparison]:
        """Compare every account that is not on paper."""
        traders = await self._service.storage.users_with_accounts()
        found: list[Comparison] = []
        for start in range(0, len(traders), ACCOUNTS_PAGE):
            states = await self._service.storage.sessions(traders[start : start + ACCOUNTS_PAGE])
            found += await self._compare(list(states.values()))
        return found

    async def discrepancies(self, who: Who | None = None, limit: int = 50) -> list[Discrepancy]:
        """What did not agree, newest first.

        :raises UnknownUser: nobody registered under this identity.
        """
        user_id = None if who is None else self._user_id(who)
        return await self._service.storage.discrepancies(user_id, limit)

    async def _compare(self, states: list[SessionState]) -> list[Comparison]:
        outcomes: list[Comparison] = []
        slots = anyio.CapacityLimiter(COMPARISONS_AT_ONCE_MAX)

        async def compare(user_id: int, account: str) -> None:
            async with slots:
                try:
                    result = await self._service.reconciler.now(user_id, account)
                except TradekitError as error:
                    outcomes.append(Comparison(user_id=user_id, account=account, problem=str(error)))
                else:
                    outcomes.append(Comparison(user_id=user_id, account=account, result=result))

        async with anyio.create_task_group() as tasks:
            for state in states:
                for venue in state.custody.real:
                    tasks.start_soon(compare, state.user_id, account_name(venue.venue, venue.mode))
        return outcomes
