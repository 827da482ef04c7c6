"""The conversation, for bots that bring their own transport."""

from __future__ import annotations

import anyio

from tradekit.api.base import Api
from tradekit.domain.replies import Reply
from tradekit.domain.users import Identity
from tradekit.engine.lanes import Completed, Envelope


class ChatApi(Api):
    """The conversation, for bots that bring their own transport."""

    async def handle(self, identity: Identity, text: str, display_name: str = "") -> list[Reply]:
        """Answer one line or ``!data`` of a pressed button; the replies are returned, not sent."""
        service = self._service
        slot = service.intake.slot_of(identity)
        finished = anyio.Event()
        outcome: list[Completed] = []

        def done(completed: Completed) -> None:
            outcome.append(completed)
            finished.set()

        service.orchestrator.post(
            Envelope(
                user_id=slot.user_id,
                lane_class=service.lane_class(text),
                handler=service.handler(text, identity, display_name),
                cause=f"chat/{service.token(16)}",
                posted_s=service.clock.monotonic(),
                confirm_orders=service.confirms(identity),
                done=done,
            ),
            slot,
        )
        await finished.wait()
        if outcome[0].error is not None and not outcome[0].replies:
            raise outcome[0].error
        return list(outcome[0].replies)
