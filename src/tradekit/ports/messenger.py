"""How a message reaches a person."""

from enum import StrEnum
from typing import Protocol

import msgspec

from tradekit.domain.replies import OutgoingMessage


class SendOutcome(StrEnum):
    """What the transport answered."""

    SENT = "sent"
    RETRY = "retry"
    """Try again after ``retry_after_s`` (0: soon, with backoff)."""
    UNREACHABLE = "unreachable"
    """The user blocked the bot or is gone: stop sending to them."""
    REFUSED = "refused"
    """The transport will never take this message; it is dropped and logged."""


class SendResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one send."""

    outcome: SendOutcome
    retry_after_s: float = 0
    whole_transport: bool = False
    """The wait concerns every chat, not only this one."""
    detail: str = ""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The transport's limits."""

    overall_per_s: float
    """Messages per second over all chats; 0 for no limit."""
    chat_per_s: float
    """Messages per second within one chat; 0 for no limit."""
    chat_burst: int = 3
    reserve: float = 0.2
    """Share of the overall pace kept for alerts and replies."""
    in_flight_max: int = 64
    """Sends under way at once."""


class Messenger(Protocol):
    """Sends to one transport. Delivery is at least once: a send whose answer is lost is repeated."""

    @property
    def transport(self) -> str:
        """As in :class:`~tradekit.domain.users.Identity`."""

    @property
    def pace(self) -> Pace:
        """Limits that the outbox keeps."""

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Render and send one message. Never raises for what a network or the transport does; must end within 30 s."""
