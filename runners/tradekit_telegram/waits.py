"""Which chats Telegram told us to leave alone, and until when."""

from collections import OrderedDict

_CHATS_MAX = 10_000
_SPREAD_S = 1.0


class FloodWaits:
    """Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[str, float] = OrderedDict()
        self._all_until_s = 0.0
        self._last: tuple[str, float] = ("", float("-inf"))

    def remaining_s(self, chat_id: str, now_s: float) -> tuple[float, bool]:
        """Seconds still to wait before a send to this chat, 0 if none, and whether every chat waits."""
        everyone_s = self._all_until_s - now_s
        if everyone_s > 0:
            return everyone_s, True
        return max(0.0, self._until_s.get(chat_id, 0.0) - now_s), False

    def told_to_wait(self, chat_id: str, wait_s: float, now_s: float) -> bool:
        """Note a 429; true if it concerns every chat.

        Telegram does not say which limit was hit. Two chats refused within a second have only the overall limit in common.
        """
        last_chat_id, last_s = self._last
        self._last = (chat_id, now_s)
        everyone = last_chat_id != chat_id and now_s - last_s <= _SPREAD_S
        if everyone:
            self._all_until_s = max(self._all_until_s, now_s + wait_s)
        self._until_s[chat_id] = now_s + wait_s
        self._until_s.move_to_end(chat_id)
        if len(self._until_s) > _CHATS_MAX:
            self._until_s.popitem(last=False)
        return everyone
