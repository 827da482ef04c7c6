"""Whose data a message carries."""

import re
from collections.abc import Callable, Iterable

from tradekit.chat.render import render
from tradekit.domain.replies import OutgoingMessage
from tradekit.testing.simulation.shadow import Shadow

_MARK = re.compile(r"mark(\d+)x")
_ORDER_ARGS = ("order_id", "order", "id")


def mark_of(number: int) -> str:
    """The word by which whatever a person typed can be recognised."""
    return f"mark{number}x"


class Taint:
    """I9: what is sent to a person holds no other person's mark and no other person's order."""

    def __init__(self, shadow: Shadow, broken: Callable[[str, str], None]) -> None:
        self._shadow, self._broken = shadow, broken

    def check(self, message: OutgoingMessage) -> None:
        """Look at every word of a message."""
        owner = self._shadow.user_at(message.transport, message.address)
        if owner is not None and message.user_id not in {0, owner}:
            self._broken("I9", f"message {message.outbox_id} for user {message.user_id} goes to user {owner}")
        rendered = render(message.reply, message.language)
        words = [rendered.text, *(f"{button.label} {button.data}" for row in rendered.buttons for button in row)]
        number = message.address.removeprefix("chat")
        for mark in _MARK.findall(" ".join(words)):
            if mark != number:
                self._broken("I9", f"message {message.outbox_id} to {message.address} carries the mark of {mark}")
        for prefix in self._orders_in(message):
            if message.user_id not in self._shadow.owners_of(prefix):
                self._broken("I9", f"message {message.outbox_id} to user {message.user_id} names order {prefix} of somebody else")

    @staticmethod
    def _orders_in(message: OutgoingMessage) -> Iterable[str]:
        if message.reply.key.startswith("confirm."):
            # What the order would be called.
            return
        for args in (message.reply.args, *message.reply.rows):
            for name in _ORDER_ARGS:
                value = args.get(name, "")
                if len(value) == 8 and all(c in "0123456789abcdef" for c in value):
                    yield value
