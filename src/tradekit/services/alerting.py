"""Which alerts the last health checks raise, and which they resolve."""

from collections.abc import Callable, Iterable

import msgspec

from tradekit.domain.alerts import Alert, Severity
from tradekit.domain.health import Finding, HealthStatus

SEVERITIES = {HealthStatus.UNHEALTHY: Severity.CRITICAL, HealthStatus.DEGRADED: Severity.WARNING}


def review(findings: dict[str, Finding], open_alerts: Iterable[Alert], now_ms: int, next_id: Callable[[], int]) -> tuple[Alert, ...]:
    """Alerts to store: one raised per failing check that has none, one resolved per check that is well again.

    A check that gets worse resolves its warning and raises a critical alert.
    """
    by_rule = {alert.rule: alert for alert in open_alerts}
    changed: list[Alert] = []
    for name, finding in findings.items():
        rule = f"health.{name}"
        severity = SEVERITIES.get(finding.status)
        known = by_rule.get(rule)
        if known is not None and severity is not known.severity:
            changed.append(msgspec.structs.replace(known, resolved_ms=now_ms))
            known = None
        if severity is not None and known is None:
            changed.append(Alert(alert_id=next_id(), rule=rule, severity=severity, detail=finding.detail, raised_ms=now_ms))
    return tuple(changed)
