"""Operators: /halt, /reduce, /allow."""

from tradekit.chat.command import Command, Request, answered
from tradekit.chat.confirm import ask
from tradekit.domain.controls import EVERYWHERE, GlobalState, user_of
from tradekit.domain.errors import NotFound
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import Reply
from tradekit.services import controls
from tradekit.services.decisions import Context, Decision, Read


def halt(request: Request) -> Decision | Read:
    """No entries, and resting entries are taken back; exits work."""
    return _set(request, GlobalState.HALTED)


def reduce(request: Request) -> Decision | Read:
    """No entries; exits work, resting orders stay."""
    return _set(request, GlobalState.REDUCING)


def allow(request: Request) -> Decision | Read:
    """Entries again."""
    return _set(request, GlobalState.NORMAL)


def _set(request: Request, state: GlobalState) -> Decision | Read:
    if not request.args:
        return _list(request)
    scope = controls.read_scope(request.arg(0), request.ctx) if controls.is_operator(request.state) else ""
    number = user_of(scope)
    if number is None:
        return _set_known(request, state)

    def then(found: object, ctx: Context) -> Decision:
        del ctx
        if found is None:
            raise NotFound(kind="user", name=str(number))
        return _set_known(request, state)

    return Read(query=lambda reader: reader.user(number), then=then)


def _set_known(request: Request, state: GlobalState) -> Decision:
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
