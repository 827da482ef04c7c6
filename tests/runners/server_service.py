"""A service whose every answer a test can set."""

from decimal import Decimal
from typing import Any

from tradekit.domain.alerts import Alert, MetricSample, Severity
from tradekit.domain.errors import StorageFailed
from tradekit.domain.health import Finding, HealthReport, HealthStatus, worst
from tradekit.domain.instruments import Instrument, Quote, instrument_for
from tradekit.domain.orders import Side
from tradekit.domain.signals import Signal
from tradekit.ports.storage import Overview

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class Market:
    def __init__(self) -> None:
        self.source = "simulated"
        self.quotes: dict[str, Quote] = {}

    def set(self, symbol: str, price: str, time_ms: int, *, final: bool = False) -> None:
        self.quotes[symbol] = Quote(symbol=symbol, price=Decimal(price), time_ms=time_ms, final=final)

    def quote(self, symbol: str) -> Quote | None:
        return self.quotes.get(symbol)

    def instrument(self, symbol: str) -> Instrument | None:
        quote = self.quotes.get(symbol)
        return instrument_for(symbol, quote.price) if quote else None

    def symbols(self) -> tuple[str, ...]:
        return tuple(self.quotes)


class FakeService:
    """Answers from plain attributes; ``storage_fails`` makes every question to the storage fail."""

    version = "1.2.3"

    def __init__(self) -> None:
        self.started_ms = START_MS
        self.clock_ms = START_MS + 3_600_000
        self.market = Market()
        self.is_ready = True
        self.storage_fails = False
        self.storage_asked = 0
        self.checks: dict[str, Finding] = {
            "database": Finding(status=HealthStatus.HEALTHY, detail="", latency_ms=1.234),
            "bot": Finding(
                status=HealthStatus.DISABLED, detail="No TELEGRAM_BOT_TOKEN is set, so nobody can reach the service by Telegram."
            ),
            "orchestrator": Finding(status=HealthStatus.HEALTHY, latency_ms=0.4),
            "queues": Finding(status=HealthStatus.HEALTHY, detail="0 messages wait"),
        }
        self.measures: dict[str, Finding] = {
            "cpu_usage": Finding(status=HealthStatus.HEALTHY, value=12.5, unit="%"),
            "memory_usage": Finding(status=HealthStatus.HEALTHY, value=41.0, unit="%"),
            "active_users": Finding(status=HealthStatus.HEALTHY, value=12.0),
        }
        self.values: dict[str, Any] = {
            "users": {"registered": 340, "active": 12, "sessions": 40},
            "trading": {"orders": 1204, "fills": 1190, "signals": 20, "deliveries": 600, "refused": 7},
            "messages": {
                "received": 5012, "handled": 5010, "failed": 0, "waiting": 2,
                "latency_ms_p50": 2.0, "latency_ms_p95": 8.5, "latency_ms_p99": 20.0, "response_ms_p95": 14.0,
            },
            "outbox": {"waiting": 3, "sent": 9000, "failed": 0, "coalesced": 11, "expired": 0},
            "storage": {"commits": 4000, "rows": 41_000, "queued": 1, "commit_ms_p95": 3.1},
            "monitoring_stats": {"memory_usage": {"rss_mib": 92.0, "percent": 41.0}, "cpu_usage": 12.5, "uptime_s": 3600},
            "market": {"source": "simulated", "symbols": 2, "last_ms": START_MS},
        }  # fmt: skip
        self.stored_alerts: list[Alert] = []
        self.signals: list[Signal] = []
        self.history: dict[str, list[MetricSample]] = {}
        self._report: HealthReport | None = None

    def check(self) -> None:
        """A round of checks now."""
        everything = {**self.checks, **self.measures}
        self._report = HealthReport(
            overall_status=worst(everything), time_ms=self.clock_ms, checks=dict(self.checks), metrics=dict(self.measures)
        )

    def now_ms(self) -> int:
        return self.clock_ms

    def ready(self) -> bool:
        return self.is_ready

    def health(self) -> HealthReport:
        if self._report is None:
            self.check()
        assert self._report is not None
        return self._report

    def stats(self) -> dict[str, Any]:
        return self.values

    def metrics(self) -> dict[str, float]:
        return {"messages.response_ms_p95": 14.0, "users.active": 12.0}

    def _ask(self) -> None:
        self.storage_asked += 1
        if self.storage_fails:
            raise StorageFailed(reason="disk I/O error at /secret/path")

    async def overview(self, since_ms: int) -> Overview:
        self._ask()
        return Overview(
            users=340, by_tier={"free": 300, "premium": 30, "enterprise": 10}, by_role={"user": 339, "owner": 1},
            registered_since=4 if since_ms == self.clock_ms - 86_400_000 else -1,
            traded_since=21, open_orders=5, open_positions=60, orders=1204, fills=1190,
        )  # fmt: skip

    async def alerts(self, limit: int, open_only: bool) -> list[Alert]:
        self._ask()
        return [alert for alert in self.stored_alerts if not (open_only and alert.resolved_ms is not None)][:limit]

    async def metric_history(self, name: str, since_ms: int) -> list[MetricSample]:
        self._ask()
        return [sample for sample in self.history.get(name, []) if sample.time_ms >= since_ms]

    async def recent_signals(self, limit: int) -> list[Signal]:
        self._ask()
        return self.signals[:limit]


def an_alert(alert_id: int = 1, severity: Severity = Severity.CRITICAL, resolved_ms: int | None = None, **over: Any) -> Alert:
    facts: dict[str, Any] = {"rule": "health.database", "detail": "The database did not answer within 2 s. Check the disk.", **over}
    return Alert(alert_id=alert_id, severity=severity, raised_ms=START_MS + 60_000, resolved_ms=resolved_ms, **facts)


def a_signal(number: int = 1, side: Side = Side.BUY, **over: Any) -> Signal:
    facts: dict[str, Any] = {
        "source": "ema-cross",
        "symbol": "BTC/USDT",
        "price": Decimal("42250.5"),
        "note": "fast average crossed above",
        **over,
    }
    created_ms = START_MS + number * 60_000
    return Signal(signal_id=f"s{number}", side=side, bar_ms=created_ms, created_ms=created_ms, expires_ms=created_ms + 60_000, **facts)
