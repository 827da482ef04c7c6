"""P4: one signal to every follower, durable on the paper exchange, while commands go on."""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import anyio

from benchmarks.measure import Options, Result, Sample, alternate, at_least, at_most, child, durable, medians, percentile, stopwatch, tell
from benchmarks.population import as_in_production, broadcast, identity, register, service_on
from tradekit.domain.orders import Side
from tradekit.engine.service import Service
from tradekit_cli.hosting import loop_options

ROW, TITLE = "P4", "Durable paper fan-out of one signal to 10,000 users, CPU per user"
COMMAND_EVERY_S = 0.05
LAG_EVERY_S = 0.005
PEER_SHARE = 10
"""The peer design waits for the disk once per user: it is measured on a tenth of the users, per user."""


def run(options: Options) -> Result:
    users = options.size(10_000, 300)
    rounds = alternate(
        {
            "tradekit": lambda: child("benchmarks.p04_fanout", "tradekit", users),
            "plain loop": lambda: child("benchmarks.p04_fanout", "plain", users),
            "task and transaction per user": lambda: child("benchmarks.p04_fanout", "peer", users // PEER_SHARE),
        },
        options,
    )
    median = medians(rounds)
    ours, plain, other = median["tradekit"], median["plain loop"], median["task and transaction per user"]
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={
            "cpu_us": "us CPU per user",
            "wall_us": "us wall per user",
            "lag_p99_ms": "loop lag p99, ms",
            "command_p95_ms": "command p95, ms",
        },
        verdicts=[
            at_most("<= 6x the plain loop", ours["cpu_us"] / plain["cpu_us"], 6, "x"),
            at_least(">= 8x cheaper than a task and a transaction per user", other["cpu_us"] / ours["cpu_us"], 8, "x"),
            at_most("loop lag p99 <= 20 ms meanwhile", ours["lag_p99_ms"], 20, "ms"),
            at_most("command p95 <= 50 ms meanwhile", ours["command_p95_ms"], 50, "ms"),
        ],
        notes=[
            f"{users} followers, all of whom trade; quota, risk, order, fill, position, ledger, delivery, audit and notification are rows"
            " on the disk, as is the paper exchange's own book. The order is durable before it is sent; its fill is a commit of its own.",
            "The plain loop writes two rows of integers per user and one commit in all: the least that keeps anything.",
            f"The peer design is measured on {users // PEER_SHARE} users, for it waits for the disk once per user; it writes eight rows.",
        ],
        quick=options.quick,
    )


async def ours(users: int) -> Sample:
    figures: Sample = {}
    with tempfile.TemporaryDirectory() as directory:
        async with service_on(Path(directory), users) as service, anyio.create_task_group() as beside:
            ids = await register(service, users)
            as_in_production()
            lags: list[float] = []
            commands: list[float] = []
            beside.start_soon(_lag, lags)
            beside.start_soon(_commands, service, ids, commands)
            with stopwatch(users, figures):
                await broadcast(service, ids[0], "BTC/USDT", Side.BUY)
            beside.cancel_scope.cancel()
            filled = service.telemetry.counts["fills"]
            if filled != users:
                raise RuntimeError(f"{filled} of {users} followers traded")
    return figures | {
        "lag_p99_ms": percentile(lags, 0.99),
        "command_p95_ms": percentile(commands, 0.95),
        "command_p50_ms": statistics.median(commands) if commands else 0.0,
    }


async def _lag(lags: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await anyio.sleep(LAG_EVERY_S)
        lags.append((time.perf_counter() - started - LAG_EVERY_S) * 1000)


async def _commands(service: Service, ids: list[int], took: list[float]) -> None:
    """Users all over the list ask for their positions; each waits for the answer."""
    number = 0
    while True:
        number = (number + 7919) % len(ids)
        handler = service.handler("/positions", identity(number), "")
        started = time.perf_counter()
        await service.orchestrator.call(ids[number], handler, cause=f"command/{time.monotonic_ns()}")
        took.append((time.perf_counter() - started) * 1000)
        await anyio.sleep(COMMAND_EVERY_S)


def plain(users: int) -> Sample:
    """Take the quota, spend the cash, write two rows; one commit."""
    figures: Sample = {}
    with tempfile.TemporaryDirectory() as directory:
        db = durable(Path(directory) / "plain.db")
        db.execute("CREATE TABLE account (user_id INTEGER PRIMARY KEY, cash INTEGER, used INTEGER)")
        db.execute("CREATE TABLE fill (id INTEGER PRIMARY KEY, user_id INTEGER, quantity INTEGER, price INTEGER)")
        cash, used = [1_000_000] * users, [0] * users
        with stopwatch(users, figures):
            db.execute("BEGIN")
            for user_id in range(users):
                if used[user_id] < 5 and cash[user_id] >= 10_000:
                    used[user_id] += 1
                    cash[user_id] -= 10_000
                    db.execute("INSERT INTO account VALUES (?, ?, ?)", (user_id, cash[user_id], used[user_id]))
                    db.execute("INSERT INTO fill (user_id, quantity, price) VALUES (?, ?, ?)", (user_id, 10, 1000))
            db.execute("COMMIT")
        db.close()
    return figures


async def peer(users: int) -> Sample:
    """The usual design: a task per user, a transaction per user, in a thread because the disk blocks."""
    figures: Sample = {}
    tables = ("quota", "orders", "fill", "position", "ledger", "delivery", "audit", "outbox")
    with tempfile.TemporaryDirectory() as directory:
        db = durable(Path(directory) / "peer.db")
        for table in tables:
            db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, user_id INTEGER, a TEXT, b TEXT, c TEXT)")
        inserts = [f"INSERT INTO {table} (user_id, a, b, c) VALUES (?, ?, ?, ?)" for table in tables]  # noqa: S608
        turn = asyncio.Lock()

        def transaction(user_id: int) -> None:
            db.execute("BEGIN IMMEDIATE")
            for insert in inserts:
                db.execute(insert, (user_id, "BTC/USDT", "0.00150000", "64321.10"))
            db.execute("COMMIT")

        async def follower(user_id: int) -> None:
            async with turn:
                await asyncio.to_thread(transaction, user_id)

        with stopwatch(users, figures):
            await asyncio.gather(*(asyncio.create_task(follower(user_id)) for user_id in range(users)))
        db.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["tradekit", "plain", "peer"])
    parser.add_argument("users", type=int)
    arguments = parser.parse_args()
    if arguments.who == "plain":
        tell(**plain(arguments.users))
    else:
        tell(**anyio.run(ours if arguments.who == "tradekit" else peer, arguments.users, backend_options=loop_options()))


if __name__ == "__main__":
    main()
