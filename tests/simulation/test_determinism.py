"""The same seed gives the same run: in another process, under another hash seed, and step by step in the trace."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.simulation.worlds import harsh
from tradekit.testing.simulation import Plan, simulate
from tradekit.testing.simulation.loop import Deadlock, run_simulated

SCRIPT = """
import json, sys
from tradekit.testing.simulation import Plan, simulate
from tests.simulation.worlds import harsh
report = simulate(harsh(3))
print(json.dumps([report.digest, len(report.violations), report.commands]))
"""


def in_a_process(hash_seed: str) -> list[object]:
    env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_the_digest_does_not_depend_on_the_process_or_on_hashes() -> None:
    here = simulate(harsh(3))
    first, second = in_a_process("1"), in_a_process("2")
    assert first == second == [here.digest, 0, here.commands]


def test_another_seed_is_another_run() -> None:
    assert simulate(Plan(users=5, hours=0.1, seed=1)).digest != simulate(Plan(users=5, hours=0.1, seed=2)).digest


def test_the_trace_is_what_was_hashed(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    report = simulate(Plan(users=9, hours=0.1, seed=1, action_every_s=20, trace=trace))
    assert hashlib.sha256(trace.read_bytes()).hexdigest() == report.digest
    steps = [json.loads(line) for line in trace.read_text().splitlines()]
    assert {"commit", "send", "order", "venue.submit"} <= {kind for _, kind, *_ in steps}
    assert [time_us for time_us, *_ in steps] == sorted(time_us for time_us, *_ in steps)


def test_time_jumps_to_the_next_timer_and_costs_nothing() -> None:
    async def main() -> float:
        await anyio.sleep(86_400)
        return anyio.current_time()

    assert run_simulated(main, seed=1) == pytest.approx(86_400)


def test_waiting_for_nobody_is_a_deadlock() -> None:
    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run_simulated(main, seed=1)


def test_the_order_of_ready_tasks_follows_the_seed() -> None:
    def order(seed: int) -> list[int]:
        seen: list[int] = []

        async def note(number: int) -> None:
            seen.append(number)

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(note, number)

        run_simulated(main, seed)
        return seen

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(20))


def test_a_thread_is_refused() -> None:
    async def main() -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, print)

    with pytest.raises(RuntimeError, match="thread"):
        run_simulated(main, seed=1)
