"""What a demo found, in numbers."""

import re
import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import msgspec

from tradekit.testing.bot_api.load_plan import LoadReport, LoadRow
from tradekit_cli.demo.evidence import Evidence
from tradekit_cli.demo.hang import SETTING_OUT, Hang, Moved

CLASSES = ("fills", "replies", "signals", "digests")
"""Names of the priorities, from the first."""
PROBE_COMMITS = 40
_PUBLISHED = re.compile(r"^Signal ([0-9a-f]{16}) by ", re.MULTILINE)


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
    """Updates whose answer the loopback server saw as such."""
    orders: int
    fills: int
    signals: int
    """Of the provider."""
    deliveries: int
    """Outcomes of signals, one per signal and follower."""
    errors: int
    """Updates without an answer or given up, failures, and errors in the log."""
    error_rate: float
    latency_ms: Quantiles
    """From handing an update out at the loopback server to receiving its answer there; arrivals left out."""
    latency_ms_by_intent: dict[str, Quantiles]
    end_to_end_ms: Quantiles
    """From handing the provider's message out to the commit of a follower's fill."""
    delivery_ms_by_class: dict[str, Quantiles]
    """From the commit of an outgoing message to the server's answer, by priority: fills before replies before signals."""
    late: int
    """Updates whose answer came after its person had given up."""
    coalesced: int
    """Messages that a newer one of their topic replaced, or that their card said already."""
    expired: int
    pending: int
    """Messages that still waited at the end."""
    lost: int
    duplicated: int
    limited: int
    """Sends that the loopback server answered with 429."""
    rss_mib: float
    """Of the service's process, at the end of the load."""
    cpu_s: float
    """Of the service's process, while the load ran."""
    updates_per_s: float
    messages_per_s: float
    """Received by the loopback server; both in the measured time."""
    disk_commit_ms: Quantiles
    """One row in a transaction of its own with synchronous=FULL, in the same directory, before the load."""
    health: str
    """What `/health` of the server said at the end of the load."""
    telegram_limit: int
    feed: str
    seed: int
    venue: str
    """Where people's orders went: ``paper`` or ``loopback``."""
    faults_injected: dict[str, int]
    """At the loopback venue, by name."""
    unknown_left: int
    """Orders at the venue of which nobody knows what became of them, at the end."""
    hang: Hang | None
    """What others noticed of one user's calls that hung."""
    findings: list[str]
    """What was found to be wrong, the first of it."""

    @property
    def exit_code(self) -> int:
        """1 if anything is wrong."""
        return int(bool(self.errors or self.lost or self.duplicated or self.unknown_left))


def measure_commits(directory: Path) -> Quantiles:
    """What a durable commit costs here."""
    path = directory / "commit-probe.db"
    samples = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE probe (value INTEGER)")
        for value in range(PROBE_COMMITS):
            started_s = time.perf_counter()
            db.execute("INSERT INTO probe VALUES (?)", (value,))
            samples.append((time.perf_counter() - started_s) * 1000)
    path.unlink()
    return Quantiles.of(samples)


def measured(load: LoadReport) -> list[LoadRow]:
    """What people did once they had arrived."""
    return [row for row in load.rows if row.intent not in SETTING_OUT]


def latencies(rows: list[LoadRow]) -> tuple[Quantiles, dict[str, Quantiles]]:
    """Over all, and by what people wanted."""
    by_intent: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.latency_ms is not None:
            by_intent[row.intent].append(row.latency_ms)
    every = [sample for samples in by_intent.values() for sample in samples]
    return Quantiles.of(every), {intent: Quantiles.of(samples) for intent, samples in sorted(by_intent.items())}


def end_to_end(evidence: Evidence) -> Quantiles:
    """Per fill of a follower: from the provider's message at the loopback server to the commit of the fill."""
    rows = evidence.database.rows("SELECT signal_id, created_ms FROM signals WHERE source LIKE 'provider:%'")
    emitted_ms: dict[str, int] = dict(rows)
    for message in evidence.log.messages:
        update = evidence.log.handed_out.get(message.answers_update_id or 0)
        for signal_id in _PUBLISHED.findall(message.text or ""):
            if update is not None and signal_id in emitted_ms:
                emitted_ms[signal_id] = min(emitted_ms[signal_id], update.time_ms)
    fills = evidence.database.rows(
        "SELECT f.client_order_id, f.trade_id, o.signal_id FROM fills f JOIN orders o USING (client_order_id) WHERE o.signal_id != ''"
    )
    committed_ms = evidence.journal.fill_ms
    return Quantiles.of(
        [
            float(committed_ms[order_id, trade_id] - emitted_ms[signal_id])
            for order_id, trade_id, signal_id in fills
            if signal_id in emitted_ms and (order_id, trade_id) in committed_ms
        ]
    )


def deliveries_by_class(evidence: Evidence, since_ms: int = 0) -> dict[str, Quantiles]:
    """From the commit of each message that was sent to the answer of the server, of those committed since a time."""
    samples: dict[str, list[float]] = defaultdict(list)
    for outbox_id, (committed_ms, queued) in evidence.journal.queued.items():
        sent = evidence.journal.sent.get(outbox_id)
        if sent is not None and committed_ms >= since_ms:
            samples[CLASSES[queued.priority]].append(float(sent.time_ms - committed_ms))
    return {name: Quantiles.of(samples[name]) for name in CLASSES if samples[name]}


def lines(report: DemoReport) -> list[tuple[str, str]]:
    """For people: what, and how much."""
    found: list[tuple[str, str]] = []
    for name, value in msgspec.structs.asdict(report).items():
        if isinstance(value, Quantiles):
            found.append((name, _quantiles(value)))
        elif isinstance(value, Hang):
            found += _hang_lines(value)
        elif name == "faults_injected":
            found += [(f"fault {fault}", str(count)) for fault, count in value.items()]
        elif isinstance(value, dict):
            found += [(f"{name} {part}", _quantiles(quantiles)) for part, quantiles in value.items()]
        elif name == "findings":
            found += [("", finding) for finding in value]
        elif value is not None:
            found.append((name, f"{value:g}" if isinstance(value, float) else str(value)))
    return found


def _quantiles(value: Quantiles) -> str:
    if value.p50 is None:
        return "-"
    return f"p50 {value.p50:g}  p95 {value.p95:g}  p99 {value.p99:g}"


def _hang_lines(hang: Hang) -> list[tuple[str, str]]:
    about = f"{hang.calls} calls of user {hang.user} in {hang.seconds:g} s"
    return [("hang", about), ("hang, others' replies", _moved(hang)), ("hang, others' orders", _moved(hang.orders))]


def _moved(found: Moved) -> str:
    if found.p95_before_ms is None or found.p95_during_ms is None:
        return "-"
    word = {True: "unmoved", False: "MOVED", None: "too few to say"}[found.unmoved]
    return f"p95 {found.p95_before_ms:g} before, {found.p95_during_ms:g} during: {word}"
