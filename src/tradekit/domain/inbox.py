"""Messages from outside, durable before they are acknowledged."""

from enum import IntEnum

import msgspec

from tradekit.domain.users import Identity


class LaneClass(IntEnum):
    """Order of service among waiting messages."""

    CONTROL = 0
    """Panic, cancel, close, pause: also goes to the head of its own user's lane."""
    REPORT = 1
    COMMAND = 2
    SIGNAL = 3
    BULK = 4


class InboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One inbound message, unique per ``(source, message_id)``."""

    inbox_id: int
    partition: int
    """Of the sender; 0 when nobody could be read."""
    source: str
    """Who numbers the messages: ``telegram:BOT_ID``, ``terminal``."""
    message_id: str
    identity: Identity | None
    """Who sent it; None when it could not be read (then it is recorded and skipped)."""
    text: str
    """What was typed, or ``!data`` of a pressed button."""
    display_name: str = ""
    raw: bytes = b""
    """What arrived, kept for malformed messages only."""
    received_ms: int
    problem: str = ""
    """Why it is skipped, when it is."""

    @property
    def cause(self) -> str:
        """The cause of whatever follows: the same message can never make a second order."""
        return f"{self.source}/{self.message_id}"
