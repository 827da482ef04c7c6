"""What happens by the clock."""

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tradekit.domain.health import Finding, HealthStatus
from tradekit.domain.usage import day_at
from tradekit.engine import health
from tradekit.engine.health import HealthMonitor
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.host import HostSample
from tradekit.testing.factories import FixedClock

from .engine_support import running

pytestmark = pytest.mark.anyio


class CalmHost:
    def __init__(self, disk_free_mib: float = 10_000) -> None:
        self.cpu, self.free = 5.0, disk_free_mib

    def sample(self) -> HostSample:
        return HostSample(cpu_percent=self.cpu, memory_percent=20, rss_mib=80, disk_percent=30, disk_free_mib=self.free)


def monitor(host: CalmHost) -> HealthMonitor:
    return HealthMonitor(clock=FixedClock(), host=host, telemetry=Telemetry(), active_users=lambda: 3)


async def test_the_worst_check_is_the_services_health_and_disabled_worsens_nothing() -> None:
    checks = monitor(CalmHost())
    checks.disabled("bot", "no token")
    report = await checks.check()
    assert report.overall_status is HealthStatus.HEALTHY

    async def slow_disk() -> Finding:
        return Finding(status=HealthStatus.DEGRADED, detail="slow")

    checks.add("database", slow_disk)
    assert (await checks.check()).overall_status is HealthStatus.DEGRADED


async def test_a_check_that_fails_or_hangs_is_a_finding_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DEADLINE_S", 0.01)
    checks = monitor(CalmHost())

    async def hangs() -> Finding:
        await anyio.sleep_forever()
        raise AssertionError

    async def breaks() -> Finding:
        raise ConnectionError("refused")

    checks.add("network", hangs)
    checks.add("venue", breaks)
    report = await checks.check()
    assert report.checks["network"].status is HealthStatus.UNHEALTHY
    assert "no answer" in report.checks["network"].detail
    assert report.checks["venue"].detail == "refused"


async def test_a_busy_moment_is_no_trouble_two_busy_minutes_are() -> None:
    host = CalmHost()
    checks = monitor(host)
    host.cpu = 100
    assert (await checks.check()).overall_status is HealthStatus.HEALTHY
    for _ in range(4):
        report = await checks.check()
    assert report.metrics["cpu_usage"].status is HealthStatus.DEGRADED


async def test_a_full_disk_is_unhealthy() -> None:
    assert (await monitor(CalmHost(disk_free_mib=10)).check()).overall_status is HealthStatus.UNHEALTHY


async def test_failed_checks_raise_alerts_once_and_resolve_them(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        service = run.service
        status = HealthStatus.UNHEALTHY

        async def part() -> Finding:
            return Finding(status=status, detail="it is off")

        service.health.add("part", part)
        await service.housekeeping.look()
        await service.housekeeping.look()
        raised = [alert for alert in await run.storage.alerts() if alert.rule == "health.part"]
        assert [(alert.severity, alert.resolved_ms) for alert in raised] == [("critical", None)]
        assert service.housekeeping.critical_alerts == 1
        status = HealthStatus.DEGRADED
        await service.housekeeping.look()
        status = HealthStatus.HEALTHY
        await service.housekeeping.look()
        alerts = [alert for alert in await run.storage.alerts() if alert.rule == "health.part"]
        assert sorted(alert.severity for alert in alerts) == ["critical", "warning"]
        assert all(alert.resolved_ms is not None for alert in alerts)


async def test_a_round_stores_metrics(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start")
        await run.service.housekeeping.look()
        (sample,) = await run.storage.metrics("users.registered", 0)
        assert sample.value == 1


async def test_performance_of_a_day_comes_from_fills(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01", "/close BTC/USDT")
        await run.service.housekeeping.perform()
        (day,) = await run.storage.performance(run.user_id("ada"))
        assert (day.fills, day.trades) == (2, 1)
        assert day.day == day_at(run.service.clock.now_ms(), "UTC").day
        (trade,) = await run.storage.trades(run.user_id("ada"))
        assert day.pnl == trade.pnl < Decimal(0)
        assert day.wins == 0


async def test_the_day_turns_for_sessions_in_memory(tmp_path: Path) -> None:
    class Tomorrow:
        offset_ms = 0

        def __init__(self, inner: object) -> None:
            self._inner = inner

        def now_ms(self) -> int:
            return int(self._inner.now_ms()) + self.offset_ms  # type: ignore[attr-defined]

        def monotonic(self) -> float:
            return float(self._inner.monotonic())  # type: ignore[attr-defined]

    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01")
        service = run.service
        clock = Tomorrow(service.clock)
        service.clock = service.housekeeping._clock = clock
        today = service.sessions.loaded()[0].today
        assert today.used == 1
        clock.offset_ms = 86_400_000
        await service.housekeeping.perform()
        await run.quiet()
        (state,) = [state for state in service.sessions.loaded() if state.user]
        assert state.today.used == 0
        assert state.today.starts_ms == today.ends_ms
        assert state.session.day_start_equity > 0
