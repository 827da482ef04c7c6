"""Which message answers which update."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import msgspec

from tradekit.testing.bot_api.updates import PendingUpdate


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The first message or edit that answers an update."""

    update_id: int
    chat_id: int
    text: str
    handed_out_ms: int
    """When the update was first handed out, Unix milliseconds."""
    handed_out_ns: int
    answered_ns: int
    """Both monotonic."""
    method: str

    @property
    def latency_ms(self) -> float:
        return (self.answered_ns - self.handed_out_ns) / 1e6


class ReplyTracker:
    """Pairs messages of the bot with updates: commands of one chat are answered in order, each by the first message after it was handed
    out. A message that replies to a person's message answers that one. Texts that match `unsolicited` answer nothing."""

    _UNANSWERED_PER_CHAT_MAX = 256

    def __init__(self, unsolicited: str | None = None) -> None:
        self._open: dict[int, deque[PendingUpdate]] = {}
        self._unsolicited = re.compile(unsolicited) if unsolicited else None
        self.on_handed_out: Callable[[PendingUpdate], None] | None = None
        self.on_answer: Callable[[Answer], None] | None = None

    def set_unsolicited(self, pattern: str | None) -> None:
        """:param pattern: a regular expression, searched in the text of each message."""
        self._unsolicited = re.compile(pattern) if pattern else None

    def handed_out(self, pending: PendingUpdate) -> None:
        """To be called the first time an update is handed out."""
        if pending.kind not in ("message", "callback_query"):
            return
        waiting = self._open.get(pending.chat_id)
        if waiting is None:
            waiting = self._open[pending.chat_id] = deque(maxlen=self._UNANSWERED_PER_CHAT_MAX)
        waiting.append(pending)
        if self.on_handed_out is not None:
            self.on_handed_out(pending)

    def give_up(self, chat_id: int, update_id: int) -> None:
        """Stop waiting for the answer to an update; a later message answers the next one."""
        waiting = self._open.get(chat_id)
        if waiting:
            self._open[chat_id] = deque((pending for pending in waiting if pending.update_id != update_id), self._UNANSWERED_PER_CHAT_MAX)

    def unanswered(self) -> list[PendingUpdate]:
        """Updates that were handed out and that no message has answered."""
        return [pending for waiting in self._open.values() for pending in waiting]

    def sent(self, chat_id: int, text: str, method: str, now_ns: int, reply_to: int | None = None) -> Answer | None:
        """The update that this message answers, if any.

        :param reply_to: id of the message that it replies to.
        """
        waiting = self._open.get(chat_id)
        if not waiting:
            return None
        if reply_to is None and self._unsolicited is not None and self._unsolicited.search(text):
            return None
        pending = self._match(waiting, reply_to)
        if pending is None:
            return None
        waiting.remove(pending)
        answer = Answer(
            update_id=pending.update_id,
            chat_id=chat_id,
            text=pending.text,
            handed_out_ms=pending.handed_out_ms,
            handed_out_ns=pending.handed_out_ns,
            answered_ns=now_ns,
            method=method,
        )
        if self.on_answer is not None:
            self.on_answer(answer)
        return answer

    def _match(self, waiting: deque[PendingUpdate], reply_to: int | None) -> PendingUpdate | None:
        if reply_to is None:
            return waiting[0]
        for pending in waiting:
            message = pending.update.message
            if message is not None and message.message_id == reply_to:
                return pending
        return None
