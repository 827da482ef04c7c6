"""P11: resident memory of an idle service, against what its imports alone need."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Options, Result, Sample, alternate, at_most, child, medians, rss_mib, tell
from benchmarks.served import up

ROW, TITLE = "P11", "Memory of an idle service"
SETTLE_S = 5.0
IMPORTS = ("tradekit_cli.main", "tradekit_cli.commands", "tradekit_cli.service", "tradekit_server", "uvicorn", "uvloop", "httptools")


def run(options: Options) -> Result:
    rounds = alternate({"tradekit": idle, "its imports": lambda: child("benchmarks.p11_idle")}, options)
    median = medians(rounds)
    ratio = median["tradekit"]["rss_mib"] / median["its imports"]["rss_mib"]
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"rss_mib": "MiB"},
        verdicts=[at_most("<= 1.15x its imports", ratio, 1.15, "x")],
        notes=[
            f"{SETTLE_S:.0f} s after it was ready, on a database that exists, with page, terminal socket and simulated market; no token."
        ],
        quick=options.quick,
    )


def idle() -> Sample:
    with tempfile.TemporaryDirectory() as directory:
        with up(Path(directory)):
            pass  # makes the database: what only that needs is not there in later starts
        with up(Path(directory)) as served:
            time.sleep(SETTLE_S)
            return {"rss_mib": rss_mib(served.pid)}


if __name__ == "__main__":
    for name in IMPORTS:
        try:
            __import__(name)
        except ImportError:
            print(f"without {name}", file=sys.stderr)
    tell(rss_mib=rss_mib())
