"""One way into a user's lane, shared by the parts of the interface."""

from __future__ import annotations

from tradekit.domain.errors import UnknownUser
from tradekit.domain.inbox import LaneClass
from tradekit.domain.users import Identity
from tradekit.engine.lanes import Completed
from tradekit.engine.service import Service
from tradekit.services.decisions import Handler

Who = Identity | int
"""An identity of a transport, or a user number."""


class Api:
    """What every part has."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def _call(self, who: Who, handler: Handler, *, key: str = "", lane_class: LaneClass = LaneClass.COMMAND) -> Completed:
        service = self._service
        cause = f"api/{key}" if key else f"api/{service.token(16)}"
        return await service.orchestrator.call(self._user_id(who), handler, cause=cause, lane_class=lane_class)

    def _user_id(self, who: Who) -> int:
        user_id = who if isinstance(who, int) else self._service.directory.find(who)
        if user_id is None:
            raise UnknownUser(who=str(who))
        return user_id
