"""Health, statistics and /status of what stands between users and their venues: venues, accounts that do not agree, limits in force."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.engine.engine_support import Running, running, until
from tests.unit.chat_support import Chat
from tradekit.api.controls import ControlsApi
from tradekit.domain.controls import GlobalState
from tradekit.domain.health import Finding, HealthStatus
from tradekit.domain.orders import OrderType
from tradekit.domain.sessions import on_account
from tradekit.engine import standing
from tradekit.engine.probes import flat_metrics, statistics
from tradekit.ports.exchange import Capabilities
from tradekit.services.decisions import Context

pytestmark = pytest.mark.anyio
LIVE = "binance:live"


class Venue:
    """One that cannot be used, for a reason."""

    capabilities = Capabilities(venue="binance", visibility_window_s=1, answer_timeout_s=1)
    problem = "EXCHANGE_UNAVAILABLE: connection refused"

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> None:
        raise ConnectionError(self.problem)


async def finding(run: Running, name: str) -> Finding:
    return (await run.service.health.check()).checks[name]


async def test_all_is_well_on_paper_without_limits(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        for name, detail in (("venue", "paper: 0 orders"), ("accounts", "all on paper"), ("controls", "nothing is limited")):
            found = await finding(run, name)
            assert (found.status, found.detail.startswith(detail)) == (HealthStatus.HEALTHY, True), found
        assert {name: statistics(run.service)["trading"][name] for name in ("accounts", "unsettled", "controls")} == {
            "accounts": 0,
            "unsettled": 0,
            "controls": 0,
        }


async def test_limits_in_force_are_named_and_one_for_everybody_is_no_health(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        controls = ControlsApi(run.service)
        for number in range(11):
            await run.say(f"user{number}", "/start")
        await controls.set("7", GlobalState.HALTED, reason="asked for it")
        found = await finding(run, "controls")
        assert (found.status, found.value) == (HealthStatus.HEALTHY, 1)
        assert "user:7 halted (asked for it)" in found.detail
        await controls.set("all", GlobalState.REDUCING)
        found = await finding(run, "controls")
        assert found.status is HealthStatus.DEGRADED
        assert "all reducing, user:7 halted" in found.detail
        assert "tradekit allow" in found.detail
        assert flat_metrics(run.service)["trading.controls"] == 2
        others = [number for number in range(1, 12) if number != 7]
        for number in others:
            await controls.set(str(number), GlobalState.HALTED)
        assert f"and {2 + len(others) - standing.SHOWN} more" in (await finding(run, "controls")).detail
        await run.service.housekeeping.look()
        (alert,) = [alert for alert in await run.storage.alerts() if alert.rule == "health.controls"]
        assert alert.resolved_ms is None
        await controls.set("all", GlobalState.NORMAL)
        assert (await finding(run, "controls")).status is HealthStatus.HEALTHY


async def test_a_venue_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        venue = Venue()
        run.service.venues.add(LIVE, cast("Any", venue))
        found = await finding(run, "venue")
        assert found.status is HealthStatus.DEGRADED
        assert f"{LIVE} cannot be used: EXCHANGE_UNAVAILABLE: connection refused" in found.detail
        venue.problem = ""
        found = await finding(run, "venue")
        assert (found.status, found.detail) == (HealthStatus.HEALTHY, f"paper, {LIVE}: 0 orders being asked about")


async def test_accounts_that_wait_or_fail_are_counted_and_one_of_them_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        run.service.venues.add(LIVE, cast("Any", Venue()))
        run.service.reconciler.ask(7, LIVE)
        await until(lambda: bool(run.service.reconciler.problems()))
        found = await finding(run, "accounts")
        assert (found.status, found.value) == (HealthStatus.HEALTHY, 1), "one user's trouble is theirs"
        assert "1 at venues, 1 of them still being compared" in found.detail
        assert f"user 7 at {LIVE}: EXCHANGE_UNAVAILABLE" in found.detail or "connection refused" in found.detail
        monkeypatch.setattr(standing, "ACCOUNTS_DEGRADED", 1)
        assert (await finding(run, "accounts")).status is HealthStatus.DEGRADED


class View:
    """What decisions know of venues; this one has not been compared, and does not answer."""

    def __init__(self) -> None:
        self.is_settled, self.told = False, "connection refused"

    def instrument(self, account: str, symbol: str) -> None:
        return None

    def native(self, account: str) -> frozenset[OrderType]:
        return frozenset()

    def problem(self, account: str) -> str:
        return self.told

    def settled(self, user_id: int, account: str) -> bool:
        return self.is_settled


class LiveChat(Chat):
    """A conversation of somebody whose account is at a venue."""

    def __init__(self) -> None:
        self.view = View()
        super().__init__()
        settings = msgspec.structs.replace(self.state.settings, account=LIVE)
        self.state = on_account(msgspec.structs.replace(self.state, settings=settings), LIVE)

    def ctx(self) -> Context:
        return msgspec.structs.replace(super().ctx(), accounts=self.view)


def test_status_says_that_an_account_is_being_compared_and_why_its_venue_is_not_there() -> None:
    chat = LiveChat()
    chat.view.is_settled, chat.view.told = True, ""
    chat.says("/status")
    calm = chat.reply.args
    assert (calm["session"], calm["venue_problem"]) == ("starting", "")
    chat.view = View()
    text = chat.says("/status")
    assert chat.reply.args["session"] == "reconciling"
    assert "checking open orders with the venue" in text
    assert "The venue cannot be reached: connection refused" in text


def test_status_on_paper_is_never_held_up_by_a_venue() -> None:
    chat = Chat()
    text = chat.says("/status")
    assert chat.reply.args["session"] == "running"
    assert "cannot be reached" not in text
