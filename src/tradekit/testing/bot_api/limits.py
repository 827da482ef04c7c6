"""The rates at which Telegram lets a bot send.

Figures: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

import math

import msgspec


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    chat_per_s: float = 1.0
    chat_burst: int = 3
    group_per_minute: float = 20.0
    group_burst: int = 20
    overall_per_s: float = 30.0
    """30, or 1,000 for a bot that pays for broadcasts."""
    overall_burst: int | None = None
    """Messages at once after a quiet second; by default a second's worth."""
    leeway_s: float = 0.05
    """A message this much early is admitted: it may have travelled faster than the one before it. The mean rate is not raised by it."""
    count_edits: bool = False
    """The documented figures speak of sending; with True an edit uses the limits of its chat as well."""


class Gcra:
    """The generic cell rate algorithm: `burst` at once, then one every `interval_s`."""

    __slots__ = ("_tolerance_s", "interval_s")

    def __init__(self, *, interval_s: float, burst: int, leeway_s: float) -> None:
        self.interval_s = interval_s
        self._tolerance_s = (burst - 1) * interval_s + leeway_s

    def wait_s(self, arrival_s: float, now_s: float) -> float:
        """Seconds until one more conforms, given the theoretical arrival time; at most 0 if it does now."""
        return arrival_s - self._tolerance_s - now_s

    def advance(self, arrival_s: float, now_s: float) -> float:
        """The theoretical arrival time after one more was admitted."""
        return max(arrival_s, now_s) + self.interval_s


class SendLimiter:
    """Decides whether a message may go to a chat now. A refused message uses up nothing."""

    def __init__(self, limits: RateLimits) -> None:
        self._chat = Gcra(interval_s=1 / limits.chat_per_s, burst=limits.chat_burst, leeway_s=limits.leeway_s)
        self._group = Gcra(interval_s=60 / limits.group_per_minute, burst=limits.group_burst, leeway_s=limits.leeway_s)
        overall_burst = limits.overall_burst or max(1, math.ceil(limits.overall_per_s))
        self._overall = Gcra(interval_s=1 / limits.overall_per_s, burst=overall_burst, leeway_s=limits.leeway_s)
        self._overall_arrival_s = -math.inf
        self._chat_arrivals_s: dict[int, float] = {}
        self._group_arrivals_s: dict[int, float] = {}
        self.limited: dict[str, int] = {"chat": 0, "group": 0, "overall": 0}
        """How many messages each limit refused."""

    def admit(self, chat_id: int, *, is_group: bool, now_s: float) -> int | None:
        """None if the message is admitted, else the whole seconds to wait (at least 1)."""
        chat_arrival_s = self._chat_arrivals_s.get(chat_id, -math.inf)
        group_arrival_s = self._group_arrivals_s.get(chat_id, -math.inf) if is_group else -math.inf
        waits = {
            "chat": self._chat.wait_s(chat_arrival_s, now_s),
            "group": self._group.wait_s(group_arrival_s, now_s),
            "overall": self._overall.wait_s(self._overall_arrival_s, now_s),
        }
        limit = max(waits, key=waits.__getitem__)
        if waits[limit] > 0:
            self.limited[limit] += 1
            return max(1, math.ceil(waits[limit]))
        self._chat_arrivals_s[chat_id] = self._chat.advance(chat_arrival_s, now_s)
        if is_group:
            self._group_arrivals_s[chat_id] = self._group.advance(group_arrival_s, now_s)
        self._overall_arrival_s = self._overall.advance(self._overall_arrival_s, now_s)
        return None
