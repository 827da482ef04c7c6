"""Acknowledged means durable: a process killed while it commits loses nothing it has acknowledged."""

import subprocess
import sys
from pathlib import Path

import pytest

from tradekit.adapters.sql import open_storage
from tradekit.domain.audit import GENESIS, link
from tradekit.testing.factories import FixedClock

COMMIT = """
import sys
from functools import partial
import anyio
from tradekit.adapters.sql import open_storage
from tradekit.domain.changes import Changes
from tradekit.testing.factories import FixedClock, an_audit_entry, an_order

async def main(path, offset):
    async with open_storage(path, clock=FixedClock()) as storage:
        number = offset
        slots = anyio.Semaphore(50, fast_acquire=True)

        def done(name, error):
            assert error is None, error
            print(name, flush=True)
            slots.release()

        while True:
            number += 1
            await slots.acquire()
            rows = Changes(orders=(an_order(f"cause/{number}", user_id=number),), audit=(an_audit_entry(detail=str(number)),))
            storage.submit(rows, partial(done, number))

anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""


def killed_after(path: Path, offset: int, acknowledged: int) -> set[int]:
    """Commit numbers above ``offset`` until so many are acknowledged, kill -9, return every number acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", COMMIT, str(path), str(offset)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout.readlines()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    # The kill may cut the last line: what is not a whole line was not acknowledged.
    return {int(line) for line in lines if line.endswith("\n")}


@pytest.mark.anyio
async def test_every_commit_acknowledged_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "tradekit.db"
    acknowledged: set[int] = set()
    for offset, count in ((0, 1), (10_000, 40), (20_000, 333)):
        acknowledged |= killed_after(path, offset, count)
    assert len(acknowledged) >= 374
    async with open_storage(path, clock=FixedClock()) as storage:
        rows = await storage.audit(0, limit=100_000)
        stored = [int(row.entry.detail) for row in rows]
        assert acknowledged <= set(stored)
        assert len(stored) == len(set(stored))
        head = GENESIS
        for number, row in enumerate(rows, start=1):
            head = link(head, number, row.entry)
            assert (row.seq, row.hash) == (number, head)
        # All or nothing: the order of each chained row is there too.
        assert (await storage.overview(0)).orders == len(stored)
