"""/reconcile: have the account in use compared with its venue."""

from tradekit.chat.command import Command, Request, answered
from tradekit.domain.replies import Reply
from tradekit.services import reconciliation
from tradekit.services.decisions import Decision


def reconcile(request: Request) -> Decision:
    """Ask for it; what comes of it is told when the venue has answered."""
    decision = reconciliation.ask(request.state)
    if decision.error is not None:
        return decision
    return answered(decision, Reply(key="reconcile.asked", args={"mode": request.state.account}))


COMMANDS = (Command(name="reconcile", run=reconcile, for_suspended=True),)
