"""Request weights per source address, bans, and order counts per account.

Figures: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
"""

from __future__ import annotations

import math
from collections import defaultdict

import msgspec

from tradekit.testing.exchange_server.errors import VenueError


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    weight_max: int = 6_000
    """Of all requests of one source address in a window."""
    window_s: float = 60.0
    """Begins with the first request after the last one ended."""
    refusals_before_ban: int = 20
    """Requests refused with 429 in a window before the address is banned with 418."""
    ban_s: float = 120.0
    orders_per_10_s: int = 100
    """Of one account."""


class _Source:
    __slots__ = ("banned_until_s", "refusals", "used", "window_ends_s")

    def __init__(self) -> None:
        self.used = 0
        self.refusals = 0
        self.window_ends_s = -math.inf
        self.banned_until_s = -math.inf


class Weights:
    """Counts what each source address has used."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._sources: defaultdict[str, _Source] = defaultdict(_Source)
        self.refused = 0
        """Requests answered 429 or 418 so far."""

    def used(self, peer: str) -> int:
        return self._sources[peer].used

    def admit(self, peer: str, weight: int, now_s: float, now_ms: int) -> None:
        """
        :raises VenueError: 429 over the limit, 418 while banned; both with Retry-After.
        """
        source = self._sources[peer]
        if now_s < source.banned_until_s:
            self.refused += 1
            raise _banned(source.banned_until_s - now_s, now_ms)
        if now_s >= source.window_ends_s:
            source.used, source.refusals, source.window_ends_s = 0, 0, now_s + self.limits.window_s
        source.used += weight
        if source.used > self.limits.weight_max:
            self.refused += 1
            source.refusals += 1
            if source.refusals > self.limits.refusals_before_ban:
                self.ban(peer, self.limits.ban_s, now_s)
                raise _banned(self.limits.ban_s, now_ms)
            raise too_many_requests(source.window_ends_s - now_s)

    def ban(self, peer: str, seconds: float, now_s: float) -> None:
        self._sources[peer].banned_until_s = now_s + seconds

    def pardon(self) -> None:
        """Forget every count and ban."""
        self._sources.clear()


class OrderCounts:
    """Orders per account in windows of ten seconds and a day."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: dict[str, tuple[float, int, int]] = {}

    def admit(self, account: str, now_s: float) -> tuple[int, int]:
        """Orders in this window and in all, this one included.

        :raises VenueError: -1015.
        """
        ends_s, count, total = self._counts.get(account, (-math.inf, 0, 0))
        if now_s >= ends_s:
            ends_s, count = now_s + 10, 0
        if count >= self._limits.orders_per_10_s:
            message = f"Too many new orders; current limit is {self._limits.orders_per_10_s} orders per 10 SECOND."
            raise VenueError(-1015, message, 429, max(1, math.ceil(ends_s - now_s)))
        self._counts[account] = (ends_s, count + 1, total + 1)
        return count + 1, total + 1


def too_many_requests(wait_s: float) -> VenueError:
    message = (
        "Too much request weight used; current limit is reached. Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return VenueError(-1003, message, 429, max(1, math.ceil(wait_s)))


def _banned(wait_s: float, now_ms: int) -> VenueError:
    until_ms = now_ms + round(wait_s * 1000)
    message = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live updates to avoid bans."
    return VenueError(-1003, message, 418, max(1, math.ceil(wait_s)))


def banned(wait_s: float, now_ms: int) -> VenueError:
    """The answer of a fault that bans without cause."""
    return _banned(wait_s, now_ms)
