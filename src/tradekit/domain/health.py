"""Health: each check's finding, and the worst of them."""

from enum import StrEnum

import msgspec


class HealthStatus(StrEnum):
    """In ascending order of trouble; ``disabled`` is not configured and worsens nothing."""

    DISABLED = "disabled"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_RANK = {status: rank for rank, status in enumerate(HealthStatus)}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    status: HealthStatus
    detail: str = ""
    """For people: what is wrong and what to do, or what was measured."""
    value: float | None = None
    unit: str = ""
    latency_ms: float | None = None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last round of checks."""

    overall_status: HealthStatus
    time_ms: int
    checks: dict[str, Finding]
    metrics: dict[str, Finding]


def worst(findings: dict[str, Finding]) -> HealthStatus:
    """The worst status among the findings; healthy when there are none or all are disabled."""
    status = max((finding.status for finding in findings.values()), key=_RANK.__getitem__, default=HealthStatus.HEALTHY)
    return HealthStatus.HEALTHY if status is HealthStatus.DISABLED else status


def graded(value: float, degraded_at: float, unhealthy_at: float, detail: str = "", unit: str = "") -> Finding:
    """A finding for a value that is better when smaller."""
    status = HealthStatus.HEALTHY
    if value >= unhealthy_at:
        status = HealthStatus.UNHEALTHY
    elif value >= degraded_at:
        status = HealthStatus.DEGRADED
    return Finding(status=status, detail=detail, value=value, unit=unit)
