"""Exact quotas: reserve, commit, release, in the user's own day and in fixed minutes."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

MINUTE_MS = 60_000


class DayUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entries of one user on one trading day. ``used + reserved`` never exceeds the tier's limit at the time of reserving."""

    day: str
    """ISO date in ``zone``."""
    zone: str
    starts_ms: int
    ends_ms: int
    """First millisecond of the next day in ``zone``."""
    used: int = 0
    reserved: int = 0


class MinuteUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Inbound calls of one user in one fixed minute of Unix time."""

    minute: int = 0
    calls: int = 0


def day_at(now_ms: int, zone: str) -> DayUsage:
    """The empty trading day that holds ``now_ms`` in ``zone``."""
    tz = ZoneInfo(zone)
    local = datetime.fromtimestamp(now_ms / 1000, tz)
    starts = datetime.combine(local.date(), time(), tz)
    ends = datetime.combine(local.date() + timedelta(days=1), time(), tz)
    return DayUsage(day=local.date().isoformat(), zone=zone, starts_ms=_to_ms(starts), ends_ms=_to_ms(ends))


def _to_ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)


Usage = tuple[DayUsage, ...]
"""The current day last; earlier days stay only while a reservation of theirs is open."""


def roll(usage: Usage, now_ms: int, zone: str) -> Usage:
    """Begin a new day if the current one has ended. A new time zone counts only from then on, and no day starts before the last one ended.

    If the clock is set back, the current day stays: no second quota.
    """
    current = usage[-1]
    if now_ms < current.ends_ms:
        return usage
    fresh = day_at(now_ms, zone)
    if fresh.starts_ms < current.ends_ms:
        fresh = msgspec.structs.replace(fresh, starts_ms=current.ends_ms)
    if any(day.day == fresh.day for day in usage):
        # Travelling west repeats a calendar date: the quota of that date goes on instead of starting anew.
        again = next(day for day in usage if day.day == fresh.day)
        fresh = msgspec.structs.replace(fresh, used=again.used, reserved=again.reserved)
    open_days = tuple(day for day in usage if day.reserved and day.day != fresh.day)
    return (*open_days, fresh)


def reserve(usage: Usage) -> Usage:
    """Set one entry aside on the current day."""
    return (*usage[:-1], msgspec.structs.replace(usage[-1], reserved=usage[-1].reserved + 1))


def commit(usage: Usage, day: str) -> Usage:
    """Turn a reservation of ``day`` into a used trade."""
    return _move(usage, day, used=1)


def release(usage: Usage, day: str) -> Usage:
    """Give a reservation of ``day`` back."""
    return _move(usage, day, used=0)


def _move(usage: Usage, day: str, used: int) -> Usage:
    return tuple(
        [
            msgspec.structs.replace(entry, reserved=entry.reserved - 1, used=entry.used + used) if entry.day == day else entry
            for entry in usage
        ]
    )


def count_call(calls: MinuteUsage, now_ms: int) -> MinuteUsage:
    """Count one inbound call in its fixed minute; a clock set back stays in the later minute."""
    minute = now_ms // MINUTE_MS
    if minute > calls.minute:
        return MinuteUsage(minute=minute, calls=1)
    return MinuteUsage(minute=calls.minute, calls=calls.calls + 1)
