"""What the engine says of itself: health checks, statistics for people, flat metrics for time series."""

from typing import Any, Protocol

from tradekit.domain.health import Finding, HealthStatus, graded
from tradekit.engine.directory import Directory
from tradekit.engine.fanout import Fanout
from tradekit.engine.health import HealthMonitor
from tradekit.engine.market import Market
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.outbox import Outbox
from tradekit.engine.sessions import Sessions
from tradekit.engine.standing import Standing, standing_checks
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage

MARKET_STALE_S = 300
QUEUE_DEGRADED = 5_000
QUEUE_UNHEALTHY = 50_000
DATABASE_SLOW_MS = 250.0
DATABASE_DEAD_MS = 4_000.0
LATENCY_TARGET_MS = 100.0


class Engine(Standing, Protocol):
    """The parts that are looked at."""

    storage: Storage
    market: Market
    clock: Clock
    telemetry: Telemetry
    directory: Directory
    sessions: Sessions
    health: HealthMonitor
    outbox: Outbox
    orchestrator: Orchestrator
    fanout: Fanout
    started_ms: int

    def active_users(self) -> int:
        """Registered users in memory."""


def add_checks(service: Engine) -> None:
    """Register the engine's own checks; runners add or replace those of what they run."""
    monitor = service.health

    async def database() -> Finding:
        started = service.clock.monotonic()
        await service.storage.ping()
        took_ms = (service.clock.monotonic() - started) * 1000
        if trouble := service.storage.trouble:
            return Finding(status=HealthStatus.UNHEALTHY, detail=f"nothing can be written: {trouble}. What was acknowledged is kept")
        return graded(round(took_ms, 2), DATABASE_SLOW_MS, DATABASE_DEAD_MS, f"answers in {took_ms:.1f} ms", "ms")

    async def orchestrator() -> Finding:
        (p95,) = service.telemetry.quantiles("handle_ms", 0.95)
        waiting = service.orchestrator.at_work
        said = "no command yet" if p95 is None else f"95 % of messages handled in {p95:.1f} ms"
        return graded(p95 or 0.0, LATENCY_TARGET_MS * 5, LATENCY_TARGET_MS * 100, f"{said}, {waiting} waiting", "ms")

    async def queues() -> Finding:
        waiting = service.outbox.waiting + service.storage.queued + service.orchestrator.at_work + service.fanout.waiting
        return graded(waiting, QUEUE_DEGRADED, QUEUE_UNHEALTHY, f"{waiting} messages waiting in all queues", "messages")

    async def market() -> Finding:
        if service.market.source == "none":
            return Finding(status=HealthStatus.DISABLED, detail="no prices are asked for; entries are refused")
        last_ms = service.market.last_ms
        if last_ms is None:
            return Finding(status=HealthStatus.UNHEALTHY, detail="no price yet; entries are refused")
        if service.market.ended:
            return Finding(status=HealthStatus.HEALTHY, detail="the replay has ended; its last prices stand")
        age_s = (service.clock.now_ms() - last_ms) / 1000
        return graded(round(age_s, 1), MARKET_STALE_S, MARKET_STALE_S * 12, f"{service.market.origin}; last price {age_s:.0f} s ago", "s")

    async def network() -> Finding:
        if service.market.source != "live":
            return Finding(status=HealthStatus.DISABLED, detail="prices come from this machine")
        return await market()

    checks = {"database": database, "orchestrator": orchestrator, "queues": queues, "market": market, "network": network}
    for name, check in {**checks, **standing_checks(service)}.items():
        monitor.add(name, check)
    monitor.disabled("bot", "no TELEGRAM_BOT_TOKEN; the terminal chat works without one")


def statistics(service: Engine) -> dict[str, Any]:
    """For ``/stats`` and the page: plain values by subject."""
    telemetry, counts, host = service.telemetry, service.telemetry.counts, service.health.host
    p50, p95, p99 = telemetry.quantiles("handle_ms", 0.5, 0.95, 0.99)
    (commit_p95,) = telemetry.quantiles("commit_ms", 0.95)
    response_p50, response_p95 = telemetry.quantiles("response_ms", 0.5, 0.95)
    return {
        "users": {
            "registered": service.directory.registered,
            "active": service.active_users(),
            "sessions": len(service.sessions),
        },
        "trading": {
            "orders": counts["orders.submitted"],
            "fills": counts["fills"],
            "signals": counts["signals"],
            "deliveries": counts["deliveries"],
            "refused": counts["decisions.refused"],
            "unresolved": service.gateway.unresolved,
            "accounts": service.reconciler.known,
            "unsettled": service.reconciler.unsettled,
            "controls": len(service.board.controls),
        },
        "messages": {
            "received": counts["messages.received"],
            "handled": counts["messages.handled"],
            "failed": counts["messages.failed"],
            "busy": counts["messages.busy"],
            "waiting": service.orchestrator.at_work,
            "latency_ms_p50": _rounded(p50),
            "latency_ms_p95": _rounded(p95),
            "latency_ms_p99": _rounded(p99),
            "response_ms_p50": _rounded(response_p50),
            "response_ms_p95": _rounded(response_p95),
        },
        "outbox": {
            "waiting": service.outbox.waiting,
            "sent": counts["outbox.sent"],
            "failed": counts["outbox.failed"] + counts["outbox.refused"],
            "retried": counts["outbox.retried"],
            "coalesced": counts["outbox.coalesced"],
            "expired": counts["outbox.expired"],
        },
        "storage": {
            "queued": service.storage.queued,
            "commits": counts["storage.commits"],
            "rows": counts["storage.rows"],
            "commit_ms_p95": _rounded(commit_p95),
        },
        "monitoring_stats": {
            "memory_usage": {"rss_mib": round(host.rss_mib, 1), "percent": host.memory_percent},
            "cpu_usage": host.cpu_percent,
            "disk_usage": host.disk_percent,
            "uptime_s": (service.clock.now_ms() - service.started_ms) // 1000,
        },
        "market": {
            "source": service.market.source,
            "origin": service.market.origin,
            "symbols": list(service.market.symbols()),
            "last_ms": service.market.last_ms,
        },
    }


def flat_metrics(service: Engine) -> dict[str, float]:
    """Numbers worth keeping as time series, named ``subject.name``."""
    flat: dict[str, float] = {}
    for subject, values in statistics(service).items():
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                flat[f"{subject}.{name}"] = float(value)
    flat["monitoring_stats.rss_mib"] = service.health.host.rss_mib
    return flat


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
