"""What the runner hands to the engine."""

from collections.abc import Awaitable, Callable, Sequence

from tradekit.engine.intake import Inbound

__all__ = ["Accept", "Inbound"]

Accept = Callable[[Sequence[Inbound]], Awaitable[None]]
"""Makes messages durable. Raises ``Busy`` or ``StorageFailed``, after which the same messages are offered again."""
