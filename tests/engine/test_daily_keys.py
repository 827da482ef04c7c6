"""Venues are asked about keys again every day, by the clock: one that may withdraw by now is made unreadable, and no trouble spreads."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.engine.engine_support import Running, until
from tests.engine.test_custody import GOOD, KEY, Venue, ada, keeping
from tradekit.domain.credentials import Credential, CredentialStatus, Permissions, VenueKey
from tradekit.domain.errors import ExchangeUnavailable, KeyRefused
from tradekit.engine import custody, housekeeping
from tradekit.engine.custody import RECHECK_AFTER_S, Rechecked
from tradekit.ports.clock import Clock

pytestmark = pytest.mark.anyio


class Shifted:
    """The time of day, and as much later as a test says."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self.later_s = 0.0

    def now_ms(self) -> int:
        return self._inner.now_ms() + round(self.later_s * 1000)

    def monotonic(self) -> float:
        return self._inner.monotonic()


def shifted(run: Running) -> Shifted:
    clock = Shifted(run.service.clock)
    run.service.clock = run.service.custodian._clock = clock
    return clock


@contextlib.asynccontextmanager
async def at_work(run: Running) -> AsyncIterator[None]:
    """With the clock-driven duties running."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.service.housekeeping.run)
        yield
        tasks.cancel_scope.cancel()


async def stored(run: Running, user_id: int) -> Credential:
    (credential,) = (await run.storage.sessions([user_id]))[user_id].custody.credentials
    return credential


async def users_with_keys(run: Running, *names: str) -> list[int]:
    for name in names:
        await run.say(name, "/start")
        await run.service.custodian.add(run.user_id(name), "binance", VenueKey(api_key=name, secret="s"))
    return [run.user_id(name) for name in names]


async def test_a_day_after_its_check_a_key_is_asked_about_and_no_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "RECHECK_EVERY_S", 0.01)
    rounds: list[Rechecked] = []
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        user_id = await ada(run)
        await run.service.custodian.add(user_id, "binance", KEY)
        clock, recheck = shifted(run), run.service.custodian.recheck

        async def noted() -> Rechecked:
            rounds.append(await recheck())
            return rounds[-1]

        run.service.housekeeping._recheck_keys = noted
        venue.asked.clear()
        async with at_work(run):
            await until(lambda: len(rounds) > 3)
            assert venue.asked == []
            clock.later_s = RECHECK_AFTER_S - 60
            seen = len(rounds)
            await until(lambda: len(rounds) > seen + 2)
            assert venue.asked == []
            clock.later_s = RECHECK_AFTER_S + 1
            await until(lambda: bool(venue.asked))
            seen = len(rounds)
            await until(lambda: len(rounds) > seen + 3)
        assert venue.asked == [("binance", KEY, False)], "once a day"
        assert (await stored(run, user_id)).verified_ms >= clock.now_ms() - 60_000
        assert sum(each.verified for each in rounds) == 1


async def test_a_key_that_may_withdraw_by_now_is_unreadable_after_the_daily_round_and_its_user_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "RECHECK_EVERY_S", 0.01)
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        user_id = await ada(run)
        await run.service.custodian.add(user_id, "binance", KEY)
        assert await run.service.custodian.key(user_id, "binance") == KEY
        clock = shifted(run)
        venue.says = Permissions(read=True, trade=True, withdraw=True)
        async with at_work(run):
            clock.later_s = RECHECK_AFTER_S + 1
            await until(lambda: "key.turned_down" in run.messenger.keys("ada"))
        kept = await stored(run, user_id)
        assert (kept.status, kept.reason, kept.ciphertext) == (CredentialStatus.REFUSED, "KEY_CAN_WITHDRAW", b"")
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await run.service.custodian.key(user_id, "binance")


async def test_a_key_that_makes_the_check_fail_is_nobody_elses_trouble(tmp_path: Path) -> None:
    class Odd(Venue):
        async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
            answer = await super().check(venue, key, sandbox=sandbox)
            if key.api_key == "bob" and self.odd:
                raise RuntimeError("a bug in the check")
            return answer

        odd = False

    venue = Odd()
    async with keeping(tmp_path, venue) as run:
        _, bob, _ = await users_with_keys(run, "ada", "bob", "eve")
        venue.odd = True
        assert await run.service.custodian.recheck(0) == Rechecked(verified=2, unanswered=1)
        assert (await stored(run, bob)).status is CredentialStatus.VERIFIED, "nothing is known against it"


async def test_a_venue_that_is_silent_is_not_asked_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "SILENT_MAX", 2)
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        users = await users_with_keys(run, "ada", "bob", "eve", "dan")
        venue.asked.clear()
        venue.says = ExchangeUnavailable(venue="binance", reason="down")
        assert await run.service.custodian.recheck(0) == Rechecked(unanswered=4)
        assert len(venue.asked) == 2
        assert {(await stored(run, user_id)).status for user_id in users} == {CredentialStatus.VERIFIED}
        venue.says = GOOD
        assert await run.service.custodian.recheck(0) == Rechecked(verified=4)


async def test_a_silent_answer_between_others_does_not_end_the_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "SILENT_MAX", 2)

    class Sometimes(Venue):
        silent = False

        async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
            if self.silent and key.api_key in {"ada", "eve"}:
                raise ExchangeUnavailable(venue=venue, reason="slow")
            return await super().check(venue, key, sandbox=sandbox)

    venue = Sometimes()
    async with keeping(tmp_path, venue) as run:
        await users_with_keys(run, "ada", "bob", "eve", "dan")
        venue.silent = True
        assert await run.service.custodian.recheck(0) == Rechecked(verified=2, unanswered=2)


async def test_without_a_vault_the_daily_round_has_nothing_to_do(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue(), keys=None) as run:
        await run.service.housekeeping.recheck()
