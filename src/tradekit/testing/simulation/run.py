"""Running a plan."""

import gc
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradekit.testing.simulation.loop import run_simulated
from tradekit.testing.simulation.plan import Plan, Report
from tradekit.testing.simulation.world import World

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - only for directories of our own inside it
"""Where files need no disk; durability against power cuts is nothing that a simulation could show."""


def simulate(plan: Plan) -> Report:
    """Run one simulation to its end and judge it. The same plan gives the same digest, whatever the process.

    :raises Deadlock: everybody waited for somebody.
    """
    with _directory(plan.keep) as directory, _quiet():
        return run_simulated(World(plan, directory).run, plan.seed)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
        return
    place = Path(tempfile.mkdtemp(prefix="tradekit-sim-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Faults are wanted here: their log lines would hide what matters. The collector would find little and cost a third."""
    before, thresholds = logging.root.manager.disable, gc.get_threshold()
    logging.disable(logging.CRITICAL)
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        logging.disable(before)
        gc.set_threshold(*thresholds)
