"""What every row shares: children that measure, rounds that alternate, and the result that is stored."""

import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

RESULTS = Path(__file__).parent / "results"
CHILD_TIMEOUT_S = 900
TRADEKIT = (sys.executable, "-c", "from tradekit_cli.main import main; main()")
"""The command, whatever the environment calls it."""

Sample = dict[str, float]
"""Figures of one round of one contestant, by name."""
Contestants = Mapping[str, Callable[[], Sample]]


@attrs.frozen(kw_only=True)
class Options:
    """How long and how large."""

    rounds: int = 5
    quick: bool = False
    peers: str | None = None
    """The interpreter of the environment that holds the peers."""
    say: Callable[[str], None] = lambda text: None

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@attrs.frozen
class Verdict:
    """One goal, and what was measured."""

    goal: str
    measured: float
    unit: str
    met: bool | None
    """None: could not be measured here."""


@attrs.frozen(kw_only=True)
class Result:
    """A row of the table with all that stands behind it."""

    row: str
    title: str
    figures: dict[str, dict[str, float]]
    """Medians by contestant and figure."""
    verdicts: list[Verdict]
    rounds: dict[str, list[Sample]] = attrs.field(factory=dict)
    units: dict[str, str] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    quick: bool = False
    load_before: float | None = None
    """Processes that wanted the cores in the minute before: above their number, wall time says little of us."""

    def document(self) -> dict[str, Any]:
        """As it is stored, with the machine."""
        return {"machine": machine(), **attrs.asdict(self)}

    def save(self, directory: Path = RESULTS) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{self.row.lower()}.json").write_text(json.dumps(self.document(), indent=1) + "\n")


def at_most(goal: str, measured: float, bound: float, unit: str) -> Verdict:
    return Verdict(goal, round(measured, 3), unit, measured <= bound)


def at_least(goal: str, measured: float, bound: float, unit: str) -> Verdict:
    return Verdict(goal, round(measured, 3), unit, measured >= bound)


def unknown(goal: str, unit: str) -> Verdict:
    return Verdict(goal, 0, unit, None)


def alternate(contestants: Contestants, options: Options) -> dict[str, list[Sample]]:
    """Everybody once per round, in turn, so that what else the machine does meets all alike."""
    rounds: dict[str, list[Sample]] = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, run in contestants.items():
            sample = run()
            options.say(f"  round {number + 1} {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in sample.items()))
            rounds[name].append(sample)
    return rounds


def medians(rounds: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Median per figure; the spread (max - min over median) of the first one says how quiet the machine was."""
    found: dict[str, dict[str, float]] = {}
    for name, samples in rounds.items():
        figures = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]} if samples else {}
        found[name] = {key: float(f"{value:.4g}") for key, value in figures.items()}
    return found


def child(module: str, *arguments: object, python: str | None = None, last_line: bool = True) -> Sample:
    """Run a module or script in a process of its own; it prints one JSON object as its last line."""
    target = [module] if module.endswith(".py") else ["-m", module]
    command = [python or sys.executable, *target, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    answer: Sample = json.loads(done.stdout.strip().splitlines()[-1]) if last_line else {}
    return answer


def peer(script: str) -> str:
    return str(Path(__file__).parent / "peers" / script)


def tell(**figures: float) -> None:
    """What a child says."""
    print(json.dumps(figures))


@contextmanager
def stopwatch(per: int, into: Sample, unit: float = 1e6) -> Iterator[None]:
    """CPU and wall time of the block per item, in microseconds unless told."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    into["cpu_us"] = (time.process_time() - cpu) / per * unit
    into["wall_us"] = (time.perf_counter() - wall) / per * unit


def rss_mib(pid: int | None = None) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def cpu_s(pid: int) -> float:
    """CPU time a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """Model, cores, versions and the disk's commit time; no name of host or person."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "disk_commit_ms": round(disk_commit_ms(), 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def disk_commit_ms(commits: int = 50) -> float:
    """Median of one row per transaction, WAL and synchronous=FULL, where temporary files go."""
    with tempfile.TemporaryDirectory() as directory:
        db = durable(Path(directory) / "commit.db")
        db.execute("CREATE TABLE t (a INTEGER)")
        took: list[float] = []
        for number in range(commits):
            started = time.perf_counter()
            db.execute("INSERT INTO t VALUES (?)", (number,))
            took.append((time.perf_counter() - started) * 1000)
        db.close()
    return statistics.median(took)


def durable(path: Path) -> sqlite3.Connection:
    """SQLite as the product runs it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0
