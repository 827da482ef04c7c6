"""A message in, a decision out: who may say it, whether it is admitted, and what it does."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import msgspec

from tradekit.chat.command import Command, Request, answered, press
from tradekit.chat.errors import denied, reply_for
from tradekit.chat.parsing import Line, closest_line, parse_line, shown
from tradekit.chat.registry import COMMANDS
from tradekit.domain.errors import BadInput, NotPermitted, UserError
from tradekit.domain.replies import Reply
from tradekit.domain.sessions import Dialog, SessionState
from tradekit.domain.users import Identity, UserStatus
from tradekit.services.decisions import Context, Decision, Handler, Read, unchanged
from tradekit.services.quotas import admit_call

NewRequest = Callable[..., Request]


@attrs.frozen(eq=False)
class Conversation:
    """What the service answers, whatever the transport. Stateless: a dialog is part of the user's session."""

    commands: Mapping[str, Command] = attrs.field(factory=lambda: COMMANDS)

    def handle(self, text: str, identity: Identity, display_name: str = "") -> Handler:
        """The use case of one message: a typed line, or ``!data`` of a pressed button.

        Every decision carries at least one reply. Its ``error`` is None: errors have become replies.
        """
        line = parse_line(text)

        def handler(state: SessionState, ctx: Context) -> Decision | Read:
            request = partial(Request, ctx=ctx, identity=identity, display_name=display_name, commands=self.commands)
            if state.user is None and line.pasted:
                return unchanged(state, Reply(key="key.pasted"))
            if state.user is None:
                return self._answer_stranger(line, state, request)
            return self._answer(line, state, ctx, request)

        return handler

    def _answer_stranger(self, line: Line, state: SessionState, request: NewRequest) -> Decision | Read:
        command = self.commands.get(line.name)
        if command is None or not command.for_strangers or line.nonce:
            return unchanged(state, Reply(key="stranger", buttons=((press("button.start", "/start"),),)))
        return _run(request(command=command, args=line.args, state=state))

    def _answer(self, line: Line, state: SessionState, ctx: Context, request: NewRequest) -> Decision | Read:
        asked = state.dialog if line.nonce and state.dialog and state.dialog.nonce == line.nonce else None
        command = self.commands.get(asked.action if asked else line.name)
        state, denial = admit_call(state, ctx)
        if denial is not None and not (command and command.is_exit):
            reply = denied(denial.check, denial.facts, state, ctx)
            # One message per full minute: a flood of commands must not become a flood of answers.
            return unchanged(state, msgspec.structs.replace(reply, topic=f"api-limit:{denial.facts['resets_ms']}"))
        if line.pasted:
            return unchanged(state, Reply(key="key.pasted", buttons=((press("button.connect", "/connect"),),)))
        if line.nonce:
            return _answer_confirmation(line, asked, command, state, ctx, request)
        if command is None:
            return _not_understood(line, self.commands, state)
        return _run(request(command=command, args=line.args, state=state))


def _answer_confirmation(
    line: Line, asked: Dialog | None, command: Command | None, state: SessionState, ctx: Context, request: NewRequest
) -> Decision | Read:
    if asked is None or command is None:
        return unchanged(state, Reply(key="confirm.gone"))
    state = msgspec.structs.replace(state, dialog=None)
    if not line.agreed:
        return unchanged(state, Reply(key="confirm.declined"))
    if ctx.now_ms > asked.expires_ms:
        again = press("button.ask_again", f"/{asked.action} {asked.argument}".strip())
        return unchanged(state, Reply(key="confirm.expired", buttons=((again,),)))
    return _run(request(command=command, args=tuple(asked.argument.split()), state=state, confirmed=True))


def _not_understood(line: Line, commands: Mapping[str, Command], state: SessionState) -> Decision:
    guess = closest_line(line, {name: c for name, c in commands.items() if state.user and c.allows(state.user.role)})
    buttons = [press("button.plain", guess, text=guess)] if guess else []
    buttons.append(press("button.help", "/help"))
    return unchanged(state, Reply(key="unknown", args={"text": line.shown, "guess": guess}, buttons=(tuple(buttons),)))


def _run(request: Request) -> Decision | Read:
    outcome = _guarded(request, lambda: _checked(request))
    if isinstance(outcome, Decision):
        return _spoken(request, outcome)
    read = outcome

    def then(answer: Any, ctx: Context) -> Decision:
        later = attrs.evolve(request, ctx=ctx)
        decision = _guarded(later, lambda: read.then(answer, ctx))
        assert isinstance(decision, Decision)
        return _spoken(later, decision)

    return Read(query=read.query, then=then)


def _checked(request: Request) -> Decision | Read:
    """Run the command if this person may, with no more words than it takes."""
    command, user = request.command, request.state.user
    if user is not None:
        if not command.allows(user.role):
            raise NotPermitted(action=f"use /{command.name}", needs=f"the role {' or '.join(sorted(command.roles or ()))}")
        if user.status is not UserStatus.ACTIVE and not (command.is_exit or command.for_suspended):
            return request.say("suspended")
    if len(request.args) > command.args_max:
        raise BadInput(field="argument", value=shown(request.args[command.args_max]), problem="is one too many")
    return command.run(request)


def _guarded(request: Request, work: Callable[[], Decision | Read]) -> Decision | Read:
    try:
        return work()
    except UserError as error:
        return unchanged(request.state, reply_for(error, request.state, request.ctx, request.command))


def _spoken(request: Request, decision: Decision) -> Decision:
    """A refusal in words: whoever chats gets replies, not errors."""
    if decision.error is None:
        return decision
    reply = reply_for(decision.error, decision.state, request.ctx, request.command)
    return msgspec.structs.replace(answered(decision, reply), error=None)
