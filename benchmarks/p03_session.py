"""P3: marginal bytes of a session in memory, 10,000 against 1,000."""

import argparse
import gc
import tempfile
from pathlib import Path

import anyio

from benchmarks import population
from benchmarks.measure import Options, Result, Sample, alternate, at_most, child, medians, rss_mib, tell

ROW, TITLE = "P3", "Marginal memory per session, 10,000 against 1,000"


def run(options: Options) -> Result:
    few, many = options.size(1_000, 100), options.size(10_000, 300)
    with tempfile.TemporaryDirectory() as directory:
        options.say(f"  making {many} users")
        child("benchmarks.population", directory, many, 0)
        rounds = alternate(
            {
                "tradekit": lambda: _difference("tradekit", directory, few, many),
                "task and stream per user": lambda: _difference("peer", directory, few, many),
            },
            options,
        )
    median = medians(rounds)
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"bytes": "bytes of resident memory per session"},
        verdicts=[at_most("<= 4 KiB per session", median["tradekit"]["bytes"], 4096, "bytes")],
        notes=[
            "A session is user, identity, settings, account, quota day and one subscription, loaded from the database.",
            "The peer is an idle task with a stream of its own per user and no data at all.",
        ],
        quick=options.quick,
    )


def _difference(who: str, directory: str, few: int, many: int) -> Sample:
    small, large = (child("benchmarks.p03_session", who, directory, count)["rss_mib"] for count in (few, many))
    return {"bytes": (large - small) * 2**20 / (many - few)}


async def ours(directory: Path, users: int) -> Sample:
    async with population.service_on(directory, users) as service:
        ids = [user_id for _, user_id in await service.storage.directory()][:users]
        await population.load(service, ids)
        gc.collect()
        return {"rss_mib": rss_mib()}


async def peer(directory: Path, users: int) -> Sample:
    del directory

    async def session(messages) -> None:
        async for _ in messages:
            pass

    async with anyio.create_task_group() as tasks:
        senders = []
        for _ in range(users):
            send, receive = anyio.create_memory_object_stream[object](8)
            senders.append(send)
            tasks.start_soon(session, receive)
        await anyio.sleep(0.5)
        gc.collect()
        figures = {"rss_mib": rss_mib()}
        tasks.cancel_scope.cancel()
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["tradekit", "peer"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("users", type=int)
    arguments = parser.parse_args()
    tell(**anyio.run(ours if arguments.who == "tradekit" else peer, arguments.directory, arguments.users))
