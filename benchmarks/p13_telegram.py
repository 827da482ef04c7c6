"""P13: CPU per Telegram update; :mod:`benchmarks.telegram_update` measures it."""

import json
import tempfile
from pathlib import Path

from benchmarks.measure import Options, Result, at_least, child, medians

ROW, TITLE = "P13", "Telegram runner, CPU per update answered"


def run(options: Options) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "p13.json"
        child("benchmarks.telegram_update", "--rounds", options.rounds, "--chats", options.size(1_000, 20), "--out", out, last_line=False)
        measured = json.loads(out.read_text())
    rounds = measured["rounds"]
    median = medians(rounds)
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"cpu_us": "us CPU per update", "wall_us": "us wall per update"},
        verdicts=[
            at_least(f">= 3x cheaper than python-telegram-bot ({path})", median["ptb"]["cpu_us"] / median[path]["cpu_us"], 3, "x")
            for path in ("webhook", "polling")
        ],
        notes=["Every update is answered with one message through a loopback Bot API server; ptb is python-telegram-bot as it comes."],
        quick=options.quick,
    )
