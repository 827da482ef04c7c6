"""The JSON documents of the endpoints."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tradekit.domain.alerts import Alert, Severity
from tradekit.domain.health import Finding, HealthReport, HealthStatus
from tradekit.ports.storage import Overview
from tradekit_server.service import Service

_MS_PER_DAY = 86_400_000
encode = msgspec.json.Encoder(decimal_format="string").encode


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of ``metrics``."""

    value: float | None
    status: HealthStatus
    unit: str = ""
    detail: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``checks``."""

    status: HealthStatus
    detail: str
    latency_ms: float | None


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /health``."""

    overall_status: HealthStatus
    timestamp: str
    metrics: dict[str, Measured]
    active_alerts: int
    critical_alerts: int
    checks: dict[str, Checked]


class ListedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``GET /alerts``."""

    id: int
    rule: str
    severity: Severity
    detail: str
    raised: str
    resolved: str | None


def iso(time_ms: int) -> str:
    """ISO 8601 in UTC with seconds, ending in Z."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def health_document(report: HealthReport, open_alerts: Sequence[Alert]) -> HealthDocument:
    return HealthDocument(
        overall_status=report.overall_status,
        timestamp=iso(report.time_ms),
        metrics={name: _measured(finding) for name, finding in report.metrics.items()},
        active_alerts=len(open_alerts),
        critical_alerts=sum(alert.severity is Severity.CRITICAL for alert in open_alerts),
        checks={
            name: Checked(status=finding.status, detail=finding.detail, latency_ms=_short(finding.latency_ms))
            for name, finding in report.checks.items()
        },
    )


def _measured(finding: Finding) -> Measured:
    return Measured(value=_short(finding.value), status=finding.status, unit=finding.unit, detail=finding.detail)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def stats_document(service: Service) -> dict[str, Any]:
    """``GET /stats``."""
    now_ms = service.now_ms()
    about = {
        "version": service.version,
        "timestamp": iso(now_ms),
        "started": iso(service.started_ms),
        "uptime_s": max(0, now_ms - service.started_ms) // 1000,
        "ready": service.ready(),
    }
    return {**about, **service.stats()}


def overview_document(counts: Overview, now_ms: int, active_users: int | None) -> dict[str, Any]:
    """``GET /users/overview``."""
    return {
        "timestamp": iso(now_ms),
        "since": iso(since_yesterday(now_ms)),
        "total_users": counts.users,
        "active_users": active_users,
        "registered_last_24h": counts.registered_since,
        "traded_last_24h": counts.traded_since,
        "by_tier": counts.by_tier,
        "by_role": counts.by_role,
        "open_orders": counts.open_orders,
        "open_positions": counts.open_positions,
        "orders": counts.orders,
        "fills": counts.fills,
    }


def since_yesterday(now_ms: int) -> int:
    return max(0, now_ms - _MS_PER_DAY)


def alerts_document(alerts: Sequence[Alert], open_alerts: Sequence[Alert], now_ms: int) -> dict[str, Any]:
    """``GET /alerts``."""
    return {
        "timestamp": iso(now_ms),
        "active_alerts": len(open_alerts),
        "critical_alerts": sum(alert.severity is Severity.CRITICAL for alert in open_alerts),
        "alerts": [
            ListedAlert(
                id=alert.alert_id,
                rule=alert.rule,
                severity=alert.severity,
                detail=alert.detail,
                raised=iso(alert.raised_ms),
                resolved=None if alert.resolved_ms is None else iso(alert.resolved_ms),
            )
            for alert in alerts
        ],
    }
