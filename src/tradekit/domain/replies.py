"""What the service says to a user, before it becomes words: a text key, its arguments, buttons."""

from enum import IntEnum

import msgspec


class Priority(IntEnum):
    """Who goes first when a transport's limit makes messages wait."""

    ALERT = 0
    """Fills, risk, payments."""
    REPLY = 1
    SIGNAL = 2
    DIGEST = 3


class Button(msgspec.Struct, frozen=True):
    """Something to press. ``data`` is at most 40 characters: transports sign it and have limits of their own."""

    label: str
    """Text key of the label."""
    data: str
    """What comes back: ``action`` or ``action:argument:nonce``."""
    args: dict[str, str] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One message to a user; rendered into words by ``tradekit.chat.render``."""

    key: str
    """Text key, such as ``order.filled``."""
    args: dict[str, str] = {}
    rows: tuple[dict[str, str], ...] = ()
    """For lists: one set of arguments per line, rendered with ``KEY.row``."""
    buttons: tuple[tuple[Button, ...], ...] = ()
    """Rows of buttons."""
    topic: str = ""
    """The newest message of a topic replaces waiting ones and edits the one sent before."""
    priority: Priority = Priority.REPLY
    ttl_s: int = 86_400
    """Not worth sending after this long."""


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A reply on its way through the durable outbox."""

    outbox_id: int
    user_id: int
    partition: int
    transport: str
    address: str
    """Where the transport finds the user, such as a Telegram chat id."""
    reply: Reply
    language: str
    created_ms: int
    expires_ms: int
    tries: int = 0
