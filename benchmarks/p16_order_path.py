"""P16: the order path on paper: orders acknowledged per second with 1, 100 and 1,000 users at once, each durable before it is sent."""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio

from benchmarks.measure import Options, Result, Sample, Verdict, alternate, at_least, at_most, child, medians, percentile, tell
from benchmarks.p04_fanout import plain
from benchmarks.population import as_in_production, register, service_on, settled
from tradekit.domain.orders import OrderType, Side
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import SessionState
from tradekit.engine.service import Service
from tradekit.services import trading
from tradekit.services.decisions import Context, Decision
from tradekit_cli.hosting import loop_options

ROW, TITLE = "P16", "Order path on paper, durable: orders per second with 1, 100 and 1,000 users at once"
AT_ONCE = (1, 100, 1_000)
ORDERS = {1: 500, 100: 5_000, 1_000: 5_000}
SYMBOL, QUANTITY = "BTC/USDT", Decimal("0.0005")
ORDERS_EACH_MAX = 5
"""The daily entries of the free plan: as many people take turns as the orders need."""
PLAIN_ORDERS = 10_000
BUSY_SHARE_MIN = 0.01


def run(options: Options) -> Result:
    sizes = AT_ONCE[:2] if options.quick else AT_ONCE
    contestants = {
        f"{users:,} at once": partial(child, "benchmarks.p16_order_path", "tradekit", options.size(ORDERS[users], 200), users)
        for users in sizes
    }
    contestants["plain loop"] = partial(child, "benchmarks.p16_order_path", "plain", options.size(PLAIN_ORDERS, 500), 1)
    rounds = alternate(contestants, options)
    median = medians(rounds)
    limit, busy = median["plain loop"]["per_s"], median[f"{sizes[-1]:,} at once"]
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={
            "per_s": "orders per second",
            "cpu_us": "us CPU per order",
            "ack_p50_ms": "ms until durable and sent, p50",
            "ack_p95_ms": "ms until durable and sent, p95",
        },
        verdicts=_verdicts(median, busy, limit),
        notes=[
            "Everybody at work has one order placed, waits until it is durable and handed to the exchange, and has the next one placed; the"
            " clock stops once every fill is booked and durable too, and the CPU of all that is counted.",
            "An order is quota, risk checks, reservation and intent in one commit, the paper exchange's own book, then fill, position,"
            " ledger, audit and notification in another. With one user at a time each waits for its own two commits.",
            "The plain loop is P4's: two rows of integers per order and one commit in all.",
        ],
        quick=options.quick,
    )


def _verdicts(median: dict[str, Sample], busy: Sample, limit: float) -> list[Verdict]:
    lost = sum(figures.get("lost", 0) for figures in median.values())
    return [
        at_most("0 orders acknowledged and not filled", lost, 0, "orders"),
        at_least(
            f">= {BUSY_SHARE_MIN}x the plain loop's orders per second, most users at once", busy["per_s"] / limit, BUSY_SHARE_MIN, "x"
        ),
    ]


async def ours(orders: int, users: int) -> Sample:
    """``orders`` in all, by so many users at once."""
    with tempfile.TemporaryDirectory() as directory:
        people = max(users, -(-orders // ORDERS_EACH_MAX))
        async with service_on(Path(directory), people) as service:
            ids = await register(service, people)
            as_in_production()
            took: list[float] = []
            turn = iter(range(orders))
            cpu, wall = time.process_time(), time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(users):
                    tasks.start_soon(_user, service, ids, turn, took)
            await settled(service)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            filled = service.telemetry.counts["fills"]
    return {
        "per_s": orders / wall,
        "cpu_us": cpu / orders * 1e6,
        "ack_p50_ms": percentile(took, 0.5),
        "ack_p95_ms": percentile(took, 0.95),
        "lost": orders - filled,
    }


async def _user(service: Service, ids: Sequence[int], turn: Iterator[int], took: list[float]) -> None:
    """One order after the other, as long as there are any to send."""
    for number in turn:
        user_id = ids[number % len(ids)]
        started = time.perf_counter()
        await service.orchestrator.call(user_id, _buy, cause=f"order/{number}")
        took.append((time.perf_counter() - started) * 1000)


def _buy(state: SessionState, ctx: Context) -> Decision:
    return trading.place(state, OrderRequest(symbol=SYMBOL, side=Side.BUY, quantity=QUANTITY, type=OrderType.MARKET), ctx)


def limit(orders: int) -> Sample:
    figures = plain(orders)
    return {"per_s": 1e6 / figures["wall_us"], "cpu_us": figures["cpu_us"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["tradekit", "plain"])
    parser.add_argument("orders", type=int)
    parser.add_argument("users", type=int)
    arguments = parser.parse_args()
    if arguments.who == "plain":
        tell(**limit(arguments.orders))
    else:
        tell(**anyio.run(ours, arguments.orders, arguments.users, backend_options=loop_options()))


if __name__ == "__main__":
    main()
