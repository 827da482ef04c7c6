"""What the operator allows."""

from __future__ import annotations

from tradekit.api.base import Api
from tradekit.domain.controls import Control, GlobalState, user_of, user_scope
from tradekit.domain.errors import UnknownUser
from tradekit.domain.users import Identity
from tradekit.services import controls as control_cases


class ControlsApi(Api):
    """What the operator allows: entries everywhere, at a venue, for a user."""

    async def set(self, scope: str, state: GlobalState, *, reason: str = "", by: str = "library") -> str:
        """Halt, limit or allow; in force for the next decision, and kept over restarts. Returns the scope.

        :param scope: ``all``, ``paper``, a venue, or a user: a number, or an identity such as ``telegram:4711``.
        :raises BadInput: the scope is none of these.
        :raises UnknownUser: nobody is registered under this number or identity.
        """
        service = self._service
        scope = await self._scope(scope)
        changes = control_cases.control(scope, state, reason, by, service.clock.now_ms())
        await service.storage.commit(changes)
        service.board.note(changes.controls)
        return scope

    def list(self) -> tuple[Control, ...]:
        """What is limited."""
        return tuple(self._service.board.controls.values())

    async def _scope(self, text: str) -> str:
        service, (transport, colon, external_id) = self._service, text.strip().partition(":")
        if colon and transport.lower() != "user":
            return user_scope(self._user_id(Identity(transport, external_id)))
        scope = control_cases.read_scope(text, service.context("controls"))
        number = user_of(scope)
        if number is not None and await service.storage.user(number) is None:
            raise UnknownUser(who=text.strip())
        return scope
