"""Quotas: never above the limit, exact in the user's own days and in fixed minutes."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.usage import MINUTE_MS, MinuteUsage, commit, count_call, day_at, release, reserve, roll
from tradekit.testing.factories import DAY_MS, NOW_MS

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Pacific/Kiritimati", "America/St_Johns"]


@given(st.integers(0, 4_000_000_000_000), st.sampled_from(ZONES))
def test_a_day_holds_its_moment_and_is_about_a_day_long(now_ms: int, zone: str) -> None:
    day = day_at(now_ms, zone)
    assert day.starts_ms <= now_ms < day.ends_ms
    assert 22 * 3_600_000 <= day.ends_ms - day.starts_ms <= 26 * 3_600_000 or zone == "Pacific/Apia"


@given(st.lists(st.tuples(st.sampled_from(["reserve", "commit", "release", "hour", "zone", "back"]), st.sampled_from(ZONES)), max_size=60))
def test_used_and_reserved_never_pass_the_limit_and_reservations_belong_to_their_day(steps: list[tuple[str, str]]) -> None:
    limit, now_ms, zone = 5, NOW_MS, "UTC"
    usage = (day_at(now_ms, zone),)
    open_reservations: list[str] = []
    entries: dict[str, int] = {}
    for step, other in steps:
        if step == "hour":
            now_ms += 5 * 3_600_000
        elif step == "back":
            now_ms -= 3_600_000
        elif step == "zone":
            zone = other
        usage = roll(usage, now_ms, zone)
        today = usage[-1]
        if step == "reserve" and today.used + today.reserved < limit:
            usage = reserve(usage)
            open_reservations.append(today.day)
        elif step == "commit" and open_reservations:
            day = open_reservations.pop(0)
            usage = commit(usage, day)
            entries[day] = entries.get(day, 0) + 1
        elif step == "release" and open_reservations:
            usage = release(usage, open_reservations.pop(0))
        assert all(min(day.used, day.reserved) >= 0 and day.used + day.reserved <= limit for day in usage)
        assert sum(day.reserved for day in usage) == len(open_reservations)
        assert len({day.day for day in usage}) == len(usage)
    assert all(count <= limit for count in entries.values())


def test_a_new_time_zone_counts_once_the_day_has_ended() -> None:
    usage = (msgspec.structs.replace(day_at(NOW_MS, "UTC"), used=5),)
    assert roll(usage, NOW_MS + 3_600_000, "Asia/Tokyo") is usage
    later = roll(usage, usage[-1].ends_ms, "Asia/Tokyo")
    assert later[-1].zone == "Asia/Tokyo"
    assert later[-1].used == 0


def test_travelling_west_does_not_give_the_same_date_twice() -> None:
    tokyo = msgspec.structs.replace(day_at(NOW_MS, "Asia/Tokyo"), used=5)
    after = roll((tokyo,), tokyo.ends_ms, "America/Los_Angeles")
    assert after[-1].day == tokyo.day
    assert after[-1].used == 5


def test_a_clock_set_back_gives_no_second_quota() -> None:
    usage = (msgspec.structs.replace(day_at(NOW_MS, "UTC"), used=5),)
    assert roll(usage, NOW_MS - 2 * DAY_MS, "UTC")[-1].used == 5
    calls = MinuteUsage(minute=NOW_MS // MINUTE_MS, calls=10)
    assert count_call(calls, NOW_MS - 10 * MINUTE_MS).calls == 11


def test_calls_are_counted_in_fixed_minutes() -> None:
    start = NOW_MS - NOW_MS % MINUTE_MS
    calls = MinuteUsage()
    for second in range(60):
        calls = count_call(calls, start + second * 1000)
    assert calls.calls == 60
    assert count_call(calls, start + MINUTE_MS).calls == 1
