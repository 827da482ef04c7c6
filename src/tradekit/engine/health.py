"""Health checks: each has a deadline, the worst of them is the service's health."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from tradekit.domain.health import Finding, HealthReport, HealthStatus, graded, worst
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.host import HostProbe, HostSample

log = logging.getLogger(__name__)

DEADLINE_S = 5.0
CPU_ROUNDS = 4

Check = Callable[[], Awaitable[Finding]]


class HealthMonitor:
    """Runs every check at once and keeps the last report, so that asking costs nothing."""

    def __init__(self, *, clock: Clock, host: HostProbe, telemetry: Telemetry, active_users: Callable[[], int]) -> None:
        self._clock, self._host, self._telemetry, self._active_users = clock, host, telemetry, active_users
        self._checks: dict[str, Check] = {}
        self.host: HostSample = host.sample()
        self._cpu: deque[float] = deque(maxlen=CPU_ROUNDS)
        self.report = HealthReport(overall_status=HealthStatus.HEALTHY, time_ms=clock.now_ms(), checks={}, metrics={})

    def add(self, name: str, check: Check) -> None:
        """Run this check with the others; a check of the same name is replaced."""
        self._checks[name] = check

    def disabled(self, name: str, why: str) -> None:
        """Show a part that is not configured; it worsens nothing."""

        async def check() -> Finding:
            return Finding(status=HealthStatus.DISABLED, detail=why)

        self.add(name, check)

    async def check(self) -> HealthReport:
        """Run every check now."""
        findings: dict[str, Finding] = {}
        async with anyio.create_task_group() as tasks:
            for name, check in self._checks.items():
                tasks.start_soon(self._one, name, check, findings)
        self.host = self._host.sample()
        metrics = {
            "cpu_usage": self._cpu_usage(),
            "memory_usage": graded(round(self.host.memory_percent, 1), 85, 95, unit="percent"),
            "active_users": Finding(status=HealthStatus.HEALTHY, value=self._active_users(), unit="users"),
        }
        findings["resources"] = self._resources(metrics)
        ordered = {name: findings[name] for name in (*self._checks, "resources")}
        self.report = HealthReport(overall_status=worst(ordered), time_ms=self._clock.now_ms(), checks=ordered, metrics=metrics)
        return self.report

    def _cpu_usage(self) -> Finding:
        """Averaged over the last rounds: a busy moment is no trouble, two busy minutes are."""
        self._cpu.append(self.host.cpu_percent)
        average = round(sum(self._cpu) / len(self._cpu), 1)
        return graded(average, 90 if len(self._cpu) == CPU_ROUNDS else 101, 101, unit="percent")

    def _resources(self, metrics: dict[str, Finding]) -> Finding:
        disk = graded(self.host.disk_percent, 90, 98)
        if self.host.disk_free_mib < 200:
            disk = Finding(status=HealthStatus.UNHEALTHY)
        status = worst({"disk": disk, "memory": metrics["memory_usage"], "cpu": metrics["cpu_usage"]})
        detail = (
            f"cpu {self.host.cpu_percent:.0f} %, memory {self.host.memory_percent:.0f} %, "
            f"disk {self.host.disk_percent:.0f} % full with {self.host.disk_free_mib / 1024:.1f} GiB free"
        )
        return Finding(status=status, detail=detail)

    async def _one(self, name: str, check: Check, findings: dict[str, Finding]) -> None:
        started = self._clock.monotonic()
        finding = Finding(status=HealthStatus.UNHEALTHY, detail=f"no answer within {DEADLINE_S:.0f} s")
        with anyio.move_on_after(DEADLINE_S):
            try:
                finding = await check()
            except Exception as error:  # noqa: BLE001 - a check that fails is a finding
                finding = Finding(status=HealthStatus.UNHEALTHY, detail=str(error))
        latency_ms = round((self._clock.monotonic() - started) * 1000, 2)
        findings[name] = Finding(
            status=finding.status, detail=finding.detail, value=finding.value, unit=finding.unit, latency_ms=latency_ms
        )
