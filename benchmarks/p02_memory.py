"""P2: resident memory of a running service with 10,000 users in memory."""

import sys
import tempfile
from pathlib import Path

import anyio

from benchmarks import population
from benchmarks.measure import Options, Result, Sample, alternate, at_least, at_most, child, medians, peer, rss_mib, tell
from tradekit.app import Tradekit
from tradekit.config import Settings

ROW, TITLE = "P2", "Memory of a running service with 10,000 users"
POSITIONS = 2
FREQTRADE_MIB = 320.0
"""Of one running bot, measured when the design was made; it needs an exchange to run, so here only its imports are measured."""


def run(options: Options) -> Result:
    users = options.size(10_000, 200)
    with tempfile.TemporaryDirectory() as directory:
        options.say(f"  making {users} users with {POSITIONS} positions each")
        child("benchmarks.population", directory, users, POSITIONS)
        contestants = {"tradekit": lambda: child("benchmarks.p02_memory", directory, users)}
        if options.peers and _has_freqtrade(options.peers):
            contestants["freqtrade, imports only"] = lambda: child(peer("freqtrade_rss.py"), python=options.peers)
        rounds = alternate(contestants, options)
    median = medians(rounds)
    rss = median["tradekit"]["rss_mib"]
    per_gib = users / rss * 1024
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"rss_mib": "MiB", "per_user_kib": "KiB per user above the empty service", "cpu_s": "s CPU to import"},
        verdicts=[
            at_most("10,000 users in <= 320 MiB", rss, 320, "MiB"),
            at_least(">= 10,000x the users per GiB of freqtrade (one bot per user)", per_gib / (1024 / FREQTRADE_MIB), 10_000, "x"),
        ],
        notes=[
            f"{users} users with settings, limits and {POSITIONS} positions, every session loaded; {per_gib:,.0f} users per GiB.",
            f"freqtrade runs one bot per user at {FREQTRADE_MIB:.0f} MiB (measured when the design was made): it cannot start without an"
            " exchange, so this run measures only its imports, a lower bound.",
        ],
        quick=options.quick,
    )


def _has_freqtrade(python: str) -> bool:
    return any(Path(python).parent.parent.glob("lib/python*/site-packages/freqtrade"))


async def measure(directory: Path, users: int) -> Sample:
    settings = Settings.load(flags={"data": directory}, environ={"MAX_CONCURRENT_USERS": str(users + 10)})
    async with Tradekit.open(settings) as tk, anyio.create_task_group() as tasks:
        tasks.start_soon(tk.serve)
        service = tk.service
        before = rss_mib()
        ids = [user_id for _, user_id in await service.storage.directory()]
        await population.load(service, ids)
        await anyio.sleep(1)
        loaded = len(service.sessions)
        if loaded != users:
            raise RuntimeError(f"{loaded} of {users} sessions in memory")
        after = rss_mib()
        tasks.cancel_scope.cancel()
    return {"rss_mib": after, "per_user_kib": (after - before) * 1024 / users}


if __name__ == "__main__":
    tell(**anyio.run(measure, Path(sys.argv[1]), int(sys.argv[2])))
