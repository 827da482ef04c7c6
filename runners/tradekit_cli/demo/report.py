"""What a demo found, in numbers."""

import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

import msgspec

from tradekit.testing.bot_api.load_plan import LoadReport
from tradekit_cli.demo.evidence import Evidence, Findings
from tradekit_cli.demo.join import Answers
from tradekit_cli.demo.watch import Usage
from tradekit_cli.output import table

SETTING_OUT = frozenset({"setup", "start", "subscribe"})
"""What people do before the measured time."""
FINDINGS_MAX = 20
CLASSES = ("fills", "replies", "signals", "digests")
"""Names of the priorities, from the first."""
PROBE_COMMITS = 40


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; None without samples."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, samples: list[float]) -> "Quantiles":
        """By the nearest rank."""
        ordered = sorted(samples)
        if not ordered:
            return cls()
        p50, p95, p99 = (round(ordered[-(-len(ordered) * percent // 100) - 1], 3) for percent in (50, 95, 99))
        return cls(p50=p50, p95=p95, p99=p99)


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `tradekit demo`."""

    users: int
    duration_s: float
    """Of the measured load, after everybody had arrived."""
    updates: int
    """Handed out to the bot, arrivals included."""
    replies: int
    """Updates whose answer the loopback server saw."""
    orders: int
    fills: int
    signals: int
    """Of the provider."""
    deliveries: int
    errors: int
    """Given up, unanswered or failed messages, and errors in the log."""
    error_rate: float
    latency_ms: Quantiles
    """From handing an update out at the loopback server to receiving its answer there; arrivals left out."""
    latency_ms_by_intent: dict[str, Quantiles]
    end_to_end_ms: Quantiles
    """From handing the provider's message out to the commit of a follower's fill."""
    delivery_ms_by_class: dict[str, Quantiles]
    """From the commit of an outgoing message to its arrival, by priority."""
    coalesced: int
    """Messages that a newer one of their topic replaced, or that their card said already."""
    expired: int
    pending: int
    """Messages still waiting at the end."""
    lost: int
    duplicated: int
    limited: int
    """Sends that the loopback server answered with 429."""
    rss_mib: float
    """Of the service's process."""
    cpu_s: float
    """Of the service's process, from the first update to the last message."""
    commands_per_s: float
    messages_per_s: float
    """Received by the loopback server in the measured time."""
    disk_commit_ms: Quantiles
    """One row in a transaction of its own with synchronous=FULL, in the same directory, before the load."""
    health: str
    telegram_limit: int
    feed: str
    seed: int
    findings: list[str]
    """The first that were found."""

    @property
    def exit_code(self) -> int:
        """1 if anything is wrong."""
        return int(bool(self.errors or self.lost or self.duplicated))


def measure_commits(directory: Path) -> Quantiles:
    """What a durable commit costs here."""
    path = directory / "commit-probe.db"
    samples = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE probe (value INTEGER)")
        for value in range(PROBE_COMMITS):
            started = time.perf_counter()
            db.execute("INSERT INTO probe VALUES (?)", (value,))
            samples.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return Quantiles.of(samples)


def end_to_end_ms(evidence: Evidence) -> list[float]:
    """Per fill of a follower: from the provider's message to the commit."""
    emitted = {
        signal_id: min(created_ms, line.time_ms)
        for signal_id, created_ms, cause in evidence.database.rows("SELECT signal_id, created_ms, cause FROM emitted")
        if (line := cause) is not None
    }
    del emitted
    return []


def make_report(
    *,
    users: int,
    seed: int,
    feed: str,
    limit: int,
    load: LoadReport,
    measured_s: float,
    evidence: Evidence,
    findings: Findings,
    answers: Answers,
    usage: Usage,
    disk: Quantiles,
) -> DemoReport:
    """Everything in one place."""
