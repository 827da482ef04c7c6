"""Alerts and the samples they are raised from."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How soon somebody must look."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is broken, from when it was raised until it was resolved."""

    alert_id: int
    rule: str
    """Such as ``health.database``; at most one unresolved alert per rule."""
    severity: Severity
    detail: str
    raised_ms: int
    resolved_ms: int | None = None


class MetricSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measured value; ``name`` carries the unit, such as ``latency_ms_p95``."""

    time_ms: int
    name: str
    value: float
