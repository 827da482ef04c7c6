"""P10: CPU of ``tradekit --help``."""

import os
import resource
import subprocess

from benchmarks.measure import TRADEKIT, Options, Result, Sample, alternate, at_most, medians, peer, unknown

ROW, TITLE = "P10", "CPU of tradekit --help"
RUNS = 3


def run(options: Options) -> Result:
    contestants = {"tradekit": lambda: _cpu([*TRADEKIT, "--help"])}
    if options.peers:
        script = [options.peers, peer("typer_help.py"), "--help"]
        contestants["typer with rich"] = lambda: _cpu(script)
        contestants["typer without rich"] = lambda: _cpu(script, TYPER_USE_RICH="0")
    rounds = alternate(contestants, options)
    median = medians(rounds)
    goal = "<= 1.3x typer without rich"
    plain = median.get("typer without rich")
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"cpu_ms": "ms CPU"},
        verdicts=[at_most(goal, median["tradekit"]["cpu_ms"] / plain["cpu_ms"], 1.3, "x") if plain else unknown(goal, "x")],
        notes=["A test checks that no heavy module is imported for it."],
        quick=options.quick,
    )


def _cpu(command: list[str], **environment: str) -> Sample:
    before = _children_s()
    for _ in range(RUNS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return {"cpu_ms": (_children_s() - before) / RUNS * 1000}


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
