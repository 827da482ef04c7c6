"""Questions before something is done: single-use, good for a minute, one at a time."""

from collections.abc import Mapping

import msgspec

from tradekit.chat.command import Request
from tradekit.domain.replies import Button
from tradekit.domain.sessions import Dialog
from tradekit.services.decisions import Decision

CONFIRM_S = 60
NONCE_BYTES = 6


def ask(request: Request, words: tuple[str, ...], key: str, args: Mapping[str, str]) -> Decision:
    """Put the question; the button repeats the command with these words, checked anew against the market and the account of then.

    A newer question replaces an older one.
    """
    nonce = request.ctx.entropy.token(NONCE_BYTES)
    name = request.command.name
    dialog = Dialog(nonce=nonce, action=name, argument=" ".join(words), expires_ms=request.ctx.now_ms + CONFIRM_S * 1000)
    buttons = ((Button("button.confirm", f"ok:{name}:{nonce}"), Button("button.cancel", f"no:{name}:{nonce}")),)
    state = msgspec.structs.replace(request.state, dialog=dialog)
    return request.say(key, {**args, "valid_s": str(CONFIRM_S)}, buttons=buttons, state=state)
