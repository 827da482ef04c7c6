"""``GET /metrics``: the statistics as Prometheus families, in base units."""

from collections.abc import Iterator
from typing import Any, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tradekit.domain.alerts import Severity
from tradekit.domain.health import HealthStatus
from tradekit_server.recorder import Recorder, number
from tradekit_server.service import Service

CONTENT_TYPE = CONTENT_TYPE_LATEST
Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)
_LEVEL = {HealthStatus.DISABLED: -1, HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}

# family, help, group of the statistics, label, keys
_COUNTERS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("tradekit_messages", "Messages from users, by what became of them.", "messages", "result", ("received", "handled", "failed")),
    ("tradekit_orders", "Orders placed.", "trading", "", ("orders",)),
    ("tradekit_fills", "Executions.", "trading", "", ("fills",)),
    ("tradekit_signals", "Signals published.", "trading", "", ("signals",)),
    ("tradekit_deliveries", "Signals decided for one subscriber.", "trading", "", ("deliveries",)),
    ("tradekit_refused", "Requests refused by a rule, such as a quota or a risk check.", "trading", "", ("refused",)),
    (
        "tradekit_outbox_messages",
        "Replies and notices, by what became of them.",
        "outbox",
        "result",
        ("sent", "failed", "coalesced", "expired"),
    ),
    ("tradekit_storage_commits", "Commits that became durable.", "storage", "", ("commits",)),
    ("tradekit_storage_rows", "Rows that became durable.", "storage", "", ("rows",)),
)
_GAUGES: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    (
        "tradekit_users",
        "Users registered, active lately, and with a session in memory.",
        "users",
        "state",
        ("registered", "active", "sessions"),
    ),
    ("tradekit_messages_waiting", "Messages waiting in lanes.", "messages", "", ("waiting",)),
    ("tradekit_outbox_waiting", "Messages waiting to be sent.", "outbox", "", ("waiting",)),
    ("tradekit_storage_queued", "Commits waiting or being written.", "storage", "", ("queued",)),
)
# family, help, group, {quantile: key of a value in milliseconds}
_LATENCIES: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    (
        "tradekit_latency_seconds",
        "From a message received to its effects being durable.",
        "messages",
        {"0.5": "latency_ms_p50", "0.95": "latency_ms_p95", "0.99": "latency_ms_p99"},
    ),
    (
        "tradekit_response_seconds",
        "From a message received to its reply being handed to the messenger.",
        "messages",
        {"0.95": "response_ms_p95"},
    ),
    ("tradekit_storage_commit_seconds", "Time for a commit to become durable.", "storage", {"0.95": "commit_ms_p95"}),
)


class ServiceCollector:
    """Reads the service when scraped."""

    def __init__(self, service: Service, recorder: Recorder) -> None:
        self._service = service
        self._recorder = recorder

    def describe(self) -> list[Metric]:
        """Names nothing in advance, so that registering does not read the service."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, in the same order."""
        stats = self._service.stats()
        yield from self._about()
        for name, text, group, label, keys in _COUNTERS:
            yield _filled(CounterMetricFamily(name, text, labels=[label] if label else None), stats, group, label, keys)
        for name, text, group, label, keys in _GAUGES:
            yield _filled(GaugeMetricFamily(name, text, labels=[label] if label else None), stats, group, label, keys)
        for name, text, group, quantiles in _LATENCIES:
            family = GaugeMetricFamily(name, text, labels=["quantile"])
            for quantile, key in quantiles.items():
                value_ms = number(stats, group, key)
                if value_ms is not None:
                    family.add_metric([quantile], value_ms / 1000)
            yield family
        yield from self._health()
        recorded = GaugeMetricFamily(
            "tradekit_metric", "The newest sample of every recorded metric; its name carries the unit.", labels=["name"]
        )
        for name, value in self._service.metrics().items():
            recorded.add_metric([name], value)
        yield recorded

    def _about(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("tradekit_info", "Always 1; the labels say what runs.", labels=["version", "market"])
        info.add_metric([self._service.version, self._service.market.source], 1)
        yield info
        yield GaugeMetricFamily("tradekit_start_time_seconds", "When the service started, Unix time.", self._service.started_ms / 1000)
        yield GaugeMetricFamily("tradekit_market_symbols", "Instruments.", len(self._service.market.symbols()))
        yield GaugeMetricFamily("tradekit_ready", "Whether the service takes work.", float(self._service.ready()))

    def _health(self) -> Iterator[Metric]:
        report = self._service.health()
        yield GaugeMetricFamily("tradekit_health", "0 healthy, 1 degraded, 2 unhealthy.", _LEVEL[report.overall_status])
        yield GaugeMetricFamily("tradekit_health_time_seconds", "When the checks last ran, Unix time.", report.time_ms / 1000)
        checks = GaugeMetricFamily("tradekit_check", "-1 not configured, 0 healthy, 1 degraded, 2 unhealthy.", labels=["check"])
        for name, finding in report.checks.items():
            checks.add_metric([name], _LEVEL[finding.status])
        yield checks
        alerts = GaugeMetricFamily("tradekit_alerts", "Unresolved alerts.", labels=["severity"])
        for severity in Severity:
            alerts.add_metric([severity], sum(alert.severity is severity for alert in self._recorder.open_alerts))
        yield alerts


def _filled(family: Family, stats: Any, group: str, label: str, keys: tuple[str, ...]) -> Family:
    for key in keys:
        value = number(stats, group, key)
        if value is not None:
            family.add_metric([key] if label else [], value)
    return family


class Exposition:
    """The service's own registry; the process's memory, CPU time and open files ride along."""

    def __init__(self, service: Service, recorder: Recorder) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(ServiceCollector(service, recorder))
        ProcessCollector(namespace="tradekit", registry=self._registry)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
