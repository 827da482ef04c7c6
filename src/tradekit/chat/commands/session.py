"""Stopping and starting entries: /pause, /resume."""

from tradekit.chat.command import Command, Request, answered, press
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import Reply
from tradekit.services import users
from tradekit.services.decisions import Decision


def pause(request: Request) -> Decision:
    """No entries from now on; getting out stays possible."""
    decision = users.pause(request.state, request.ctx)
    args = {"orders": str(len(request.state.orders)) if request.state.orders else ""}
    return answered(decision, Reply(key="session.paused", args=args, buttons=((press("button.resume", "/resume"),),)))


def resume(request: Request) -> Decision:
    """Entries again."""
    decision = users.resume(request.state, request.ctx)
    if decision.error is not None:
        return decision
    return answered(decision, Reply(key="session.resumed", buttons=((press("button.status", "/status"),),)))


COMMANDS = (
    Command(name="pause", run=pause, lane=LaneClass.CONTROL),
    Command(name="resume", run=resume),
)
