"""The queue of updates that wait to be acknowledged, with getUpdates' meaning of `offset`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from tradekit.testing.bot_api.types import Update

DEFAULT_EXCLUDED = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds of update that a bot gets only if it names them."""

_AHEAD_MAX = 10
_encoder = msgspec.json.Encoder()


class QueueOverflow(Exception):
    """More updates wait for the bot than the server keeps."""


class PendingUpdate:
    """An update that the bot has not acknowledged yet."""

    __slots__ = ("attempts", "body", "chat_id", "fails", "handed_out_ms", "handed_out_ns", "kind", "queue", "text", "update", "update_id")

    def __init__(self, update: Update, kind: str, chat_id: int, text: str) -> None:
        self.update = update
        self.update_id = update.update_id
        self.kind = kind
        self.chat_id = chat_id
        self.text = text
        """What the person typed, or the data of the button pressed."""
        self.queue = (kind == "callback_query", chat_id)
        """Updates of one queue are posted to a webhook in order. As at Telegram, messages and clicks of a chat are two queues."""
        self.body = _encoder.encode(update)
        self.attempts = 0
        self.fails = 0
        self.handed_out_ns = 0
        self.handed_out_ms = 0


class UpdateQueue:
    """Updates in the order of their ids, kept until they are acknowledged."""

    def __init__(self, *, first_update_id: int, pending_max: int, on_acknowledged: Callable[[PendingUpdate], None]) -> None:
        self._pending: dict[int, PendingUpdate] = {}
        self._next_id = first_update_id
        self._pending_max = pending_max
        self._on_acknowledged = on_acknowledged
        self._allowed: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Any:
        return iter(list(self._pending.values()))

    @property
    def allowed_updates(self) -> list[str] | None:
        """The kinds the bot asked for; None: all but those that must be named."""
        return sorted(self._allowed) if self._allowed is not None else None

    def set_allowed(self, names: object) -> None:
        """Take over `allowed_updates` of a call. As at Telegram it lasts until the next call that names it, an empty list resets it, and
        it does not touch updates that already wait."""
        if not isinstance(names, Collection) or isinstance(names, str | bytes) or not all(isinstance(name, str) for name in names):
            return
        self._allowed = frozenset(str(name).lower() for name in names) or None

    def accepts(self, kind: str) -> bool:
        return kind not in DEFAULT_EXCLUDED if self._allowed is None else kind in self._allowed

    def take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def append(self, pending: PendingUpdate) -> None:
        """
        :raises QueueOverflow: the bot is too far behind.
        """
        if len(self._pending) >= self._pending_max:
            raise QueueOverflow(f"{len(self._pending)} updates wait for the bot")
        self._pending[pending.update_id] = pending

    def acknowledge(self, update_id: int) -> None:
        """Forget one update. Unknown ids are ignored."""
        pending = self._pending.pop(update_id, None)
        if pending is not None:
            self._on_acknowledged(pending)

    def clear(self) -> None:
        self._pending.clear()

    def read(self, offset: int, limit: int) -> list[PendingUpdate]:
        """Acknowledge what lies before the offset and return up to `limit` updates from it on.

        A negative offset keeps only that many from the end. An offset far beyond the last id counts as none.
        """
        if offset < 0:
            for update_id in list(self._pending)[:offset]:
                self.acknowledge(update_id)
        elif offset > 0 and offset <= self._next_id + _AHEAD_MAX:
            while self._pending:
                first = next(iter(self._pending))
                if first >= offset:
                    break
                self.acknowledge(first)
        batch: list[PendingUpdate] = []
        for pending in self._pending.values():
            if len(batch) == limit:
                break
            batch.append(pending)
        return batch
