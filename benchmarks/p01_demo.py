"""P1: users through the Telegram runner and the loopback Bot API server, orders on the paper exchange, everything durable.

``tradekit demo`` makes load, service and judgement; here it runs as it is, and with a disk that takes 5 ms more for every commit.
"""

import argparse
import sys
import time
from typing import Any

from benchmarks.measure import Options, Result, Sample, at_most, child, medians

ROW, TITLE = "P1", "1,000 users through Telegram, durable, p95 latency"
SLOWER_S = 0.005
FIGURES = ("updates", "replies", "orders", "fills", "errors", "lost", "duplicated", "pending", "rss_mib", "cpu_s")


def run(options: Options) -> Result:
    users, seconds = options.size(1_000, 20), options.size(60, 3)
    kinds = {f"{users} users": (users, 0.0), f"{users} users, each commit 5 ms slower": (users, SLOWER_S)}
    if not options.quick:
        kinds["10,000 users"] = (10_000, 0.0)
    rounds: dict[str, list[Sample]] = {}
    for name, (count, slower_s) in kinds.items():
        sample = child("benchmarks.p01_demo", count, seconds, "--slower-s", slower_s)
        options.say(f"  {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in sample.items()))
        rounds[name] = [sample]
    median = medians(rounds)
    first, slow = (median[name] for name in list(kinds)[:2])
    verdicts = [
        at_most("p95 < 20 ms at 1,000 users", first["p95_ms"], 20, "ms"),
        at_most("requirement: p95 < 100 ms", first["p95_ms"], 100, "ms"),
        at_most("requirement: p95 < 100 ms with 5 ms per commit", slow["p95_ms"], 100, "ms"),
        at_most("requirement: signal to fill p95 < 5 s", first["end_to_end_p95_ms"], 5_000, "ms"),
        at_most("0 errors, nothing lost or done twice", sum(first[key] for key in ("errors", "lost", "duplicated")), 0, "of all"),
    ]
    if "10,000 users" in median:
        large = median["10,000 users"]
        verdicts.append(at_most("requirement still met at 10,000 users: p95 < 100 ms", large["p95_ms"], 100, "ms"))
        verdicts.append(at_most("requirement at 10,000 users: signal to fill p95 < 5 s", large["end_to_end_p95_ms"], 5_000, "ms"))
        verdicts.append(at_most("0 errors at 10,000 users", sum(large[key] for key in ("errors", "lost", "duplicated")), 0, "of all"))
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"p95_ms": "p95 ms, update handed out to answer received", "end_to_end_p95_ms": "p95 ms, signal to fill committed"},
        verdicts=verdicts,
        notes=[
            f"{seconds} s each, one run: a command per user every 10 s, a signal every 5 s to 60 %, as far as 1,000 messages/s allow.",
            "Load and Bot API server share the machine with the service, in a process of their own.",
        ],
        quick=options.quick,
    )


def demo(users: int, seconds: float, slower_s: float) -> int:
    from tradekit.adapters.paper.book_file import BookFile
    from tradekit.adapters.sql.writer import SqliteWriter
    from tradekit_cli.demo.runner import run as run_demo

    if slower_s:
        for kind in (SqliteWriter, BookFile):
            _slow(kind, slower_s)
    return run_demo(users=users, seconds=seconds, seed=1, feed=None, telegram_limit=1_000, keep=None, as_json=True)


def _slow(kind: Any, seconds: float) -> None:
    """A disk that takes longer: in the thread that writes, after every transaction."""
    write = kind.write

    def slower(self: Any, rows: Any) -> Any:
        answer = write(self, rows)
        time.sleep(seconds)
        return answer

    kind.write = slower


def flat(report: dict[str, Any]) -> Sample:
    """The figures of a demo's report that the table shows."""
    figures = {f"{share}_ms": float(report["latency_ms"][share] or 0) for share in ("p50", "p95", "p99")}
    figures["end_to_end_p95_ms"] = float(report["end_to_end_ms"]["p95"] or 0)
    return figures | {name: float(report[name]) for name in FIGURES}


def main() -> None:
    import contextlib
    import io
    import json

    parser = argparse.ArgumentParser()
    parser.add_argument("users", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--slower-s", type=float, default=0.0)
    arguments = parser.parse_args()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        demo(arguments.users, arguments.seconds, arguments.slower_s)
    report = json.loads(said.getvalue())
    print("\n".join(report["findings"]), file=sys.stderr)
    print(json.dumps(flat(report)))


if __name__ == "__main__":
    main()
