"""What the operator allows."""

from __future__ import annotations

from tradekit.api.base import Api
from tradekit.domain.controls import Control, GlobalState
from tradekit.services import controls as control_cases


class ControlsApi(Api):
    """What the operator allows: entries everywhere, at a venue, for a user."""

    async def set(self, scope: str, state: GlobalState, *, reason: str = "", by: str = "library") -> str:
        """Halt, limit or allow; in force for the next decision, and kept over restarts. Returns the scope.

        :param scope: ``all``, ``paper``, a venue, or a user's number.
        :raises BadInput: the scope is none of these.
        """
        service = self._service
        scope = control_cases.read_scope(scope, service.context("controls"))
        changes = control_cases.control(scope, state, reason, by, service.clock.now_ms())
        await service.storage.commit(changes)
        service.board.note(changes.controls)
        return scope

    def list(self) -> tuple[Control, ...]:
        """What is limited."""
        return tuple(self._service.board.controls.values())
