"""Run the benchmarks: ``python -m benchmarks.run [--rows P4,P8] [--rounds 5] [--quick]``.

Progress goes to stderr, the table to stdout, results to ``benchmarks/results``. TRADEKIT_BENCH_PEERS names the interpreter of the
environment that holds the peers; without it, rows that need one say so.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Protocol

import attrs

from benchmarks import (
    p01_demo,
    p02_memory,
    p03_session,
    p04_fanout,
    p05_backtest,
    p06_quota,
    p08_writes,
    p09_health,
    p10_help,
    p11_idle,
    p12_start,
    p13_telegram,
    p16_order_path,
    p17_reconcile,
)
from benchmarks.measure import Options, Result
from benchmarks.table import lines


class Row(Protocol):
    """A module that measures one row of the table."""

    ROW: str
    TITLE: str
    run: Callable[[Options], Result]


ROWS: dict[str, Row] = {
    module.ROW: module  # type: ignore[misc]
    for module in (
        p01_demo, p02_memory, p03_session, p04_fanout, p05_backtest, p06_quota,
        p08_writes, p09_health, p10_help, p11_idle, p12_start, p13_telegram, p16_order_path, p17_reconcile,
    )
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="such as P4,P8; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs; results are not kept")
    chosen = parser.parse_args(arguments)
    names = [name.strip().upper() for name in chosen.rows.split(",")]
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"unknown rows {', '.join(unknown)}; known: {', '.join(ROWS)}")
    options = Options(rounds=chosen.rounds, quick=chosen.quick, peers=os.environ.get("TRADEKIT_BENCH_PEERS"), say=_say)
    results: list[Result] = []
    failed = 0
    for name in names:
        _say(f"{name}: {ROWS[name].TITLE}")
        load_before = round(os.getloadavg()[0], 1)
        try:
            result = attrs.evolve(ROWS[name].run(options), load_before=load_before)
        except Exception as error:  # noqa: BLE001 - one row must not cost the others theirs
            _say(f"{name} failed: {error}")
            failed += 1
            continue
        if not options.quick:
            result.save()
        results.append(result)
    print("\n".join(lines([result.document() for result in results])))
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
