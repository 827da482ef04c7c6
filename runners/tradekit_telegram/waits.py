"""Which chats Telegram told us to leave alone, and until when."""

from collections import OrderedDict, deque

_CHATS_MAX = 10_000
_SPREAD_S = 1.0
_SHARE = 0.5
"""Of the overall pace: with fewer sends in a second the overall limit cannot be what was hit."""


class FloodWaits:
    """Times are seconds of one monotonic clock."""

    def __init__(self, overall_per_s: float = 0.0) -> None:
        """
        :param overall_per_s: messages over all chats that the bot may send; 0 if nobody knows.
        """
        self._many = overall_per_s * _SHARE * _SPREAD_S
        self._sent_s: deque[float] = deque()
        self._until_s: OrderedDict[str, float] = OrderedDict()
        self._all_until_s = 0.0
        self._last: tuple[str, float] = ("", float("-inf"))

    def remaining_s(self, chat_id: str, now_s: float) -> tuple[float, bool]:
        """Seconds still to wait before a send to this chat, 0 if none, and whether every chat waits."""
        everyone_s = self._all_until_s - now_s
        if everyone_s > 0:
            return everyone_s, True
        return max(0.0, self._until_s.get(chat_id, 0.0) - now_s), False

    def sending(self, now_s: float) -> None:
        """Note a send."""
        self._sent_s.append(now_s)
        self._forget(now_s)

    def told_to_wait(self, chat_id: str, wait_s: float, now_s: float) -> bool:
        """Note a 429; true if it concerns every chat.

        Telegram does not say which limit was hit. Two chats refused within a second have only the overall limit in common, unless little
        was sent: then each has its own, used up by the run before this one.
        """
        self._forget(now_s)
        last_chat_id, last_s = self._last
        self._last = (chat_id, now_s)
        everyone = last_chat_id != chat_id and now_s - last_s <= _SPREAD_S and len(self._sent_s) >= self._many
        if everyone:
            self._all_until_s = max(self._all_until_s, now_s + wait_s)
        self._until_s[chat_id] = now_s + wait_s
        self._until_s.move_to_end(chat_id)
        if len(self._until_s) > _CHATS_MAX:
            self._until_s.popitem(last=False)
        return everyone

    def _forget(self, now_s: float) -> None:
        while self._sent_s and now_s - self._sent_s[0] > _SPREAD_S:
            self._sent_s.popleft()
