"""P12: from the command to the ready line, with 10,000 users stored."""

import tempfile
from pathlib import Path

from benchmarks.measure import Options, Result, Sample, alternate, at_most, child, medians
from benchmarks.served import up

ROW, TITLE = "P12", "Start with 10,000 stored users until ready"
FREQTRADE_CPU_S = 12.0
"""For one user, measured when the design was made."""


def run(options: Options) -> Result:
    users = options.size(10_000, 200)
    with tempfile.TemporaryDirectory() as stored, tempfile.TemporaryDirectory() as empty:
        options.say(f"  making {users} users with 2 positions each")
        child("benchmarks.population", stored, users, 2)
        rounds = alternate({"tradekit": lambda: start(Path(stored)), "without users": lambda: start(Path(empty))}, options)
    median = medians(rounds)
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"cpu_s": "s CPU", "wall_s": "s wall"},
        verdicts=[at_most("<= 0.25x freqtrade's start for one user", median["tradekit"]["cpu_s"] / FREQTRADE_CPU_S, 0.25, "x")],
        notes=[
            f"freqtrade: {FREQTRADE_CPU_S:.0f}-14 s CPU for one user, measured when the design was made: it needs an exchange to start."
        ],
        quick=options.quick,
    )


def start(directory: Path) -> Sample:
    with up(directory) as served:
        return {"cpu_s": served.ready_cpu_s, "wall_s": served.ready_wall_s}
