"""Operators: /halt, /reduce, /allow."""

from tradekit.chat.command import Command, Request, answered
from tradekit.chat.confirm import ask
from tradekit.domain.controls import EVERYWHERE, GlobalState
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import Reply
from tradekit.services import controls
from tradekit.services.decisions import Decision


def halt(request: Request) -> Decision:
    """No entries, and resting entries are taken back; exits work."""
    return _set(request, GlobalState.HALTED)


def reduce(request: Request) -> Decision:
    """No entries; exits work, resting orders stay."""
    return _set(request, GlobalState.REDUCING)


def allow(request: Request) -> Decision:
    """Entries again."""
    return _set(request, GlobalState.NORMAL)


def _set(request: Request, state: GlobalState) -> Decision:
    if not request.args:
        return _list(request)
    reason = " ".join(request.args[1:])
    decision = controls.set_by_user(request.state, request.arg(0), state, reason, request.ctx)
    if decision.error is not None:
        return decision
    args = {"scope": str(decision.result), "state": state.value, "reason": reason}
    if decision.result == EVERYWHERE and state is not GlobalState.NORMAL and not request.confirmed:
        return ask(request, request.args, "confirm.control", args)
    return answered(decision, Reply(key="control.set", args=args))


def _list(request: Request) -> Decision:
    rows = tuple(
        {"scope": each.scope, "state": each.state.value, "reason": each.reason, "changed_ms": str(each.changed_ms), "zone": request.zone}
        for each in request.ctx.policy.controls.values()
    )
    return request.say("controls", rows=rows)


COMMANDS = tuple(
    Command(
        name=name,
        run=run,
        usage="[all|VENUE|USER] [REASON]",
        example="all maintenance",
        lane=LaneClass.CONTROL,
        roles=controls.OPERATORS,
        args_max=30,
        # Less is at stake after either, so no quota of calls may stand in the way.
        is_exit=name != "allow",
    )
    for name, run in (("halt", halt), ("reduce", reduce), ("allow", allow))
)
