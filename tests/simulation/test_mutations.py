"""A planted bug is noticed: each must break one of the invariants it is expected to break, within twenty seeds."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.simulation.worlds import harsh
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.mutations import MUTATIONS

SEEDS = 20
TRY_FIRST = {"triggers_forgotten_by_a_restart": 5, "halt_forgotten_by_a_restart": 4}
"""Seeds that have caught a rare one; only the order of the twenty, so that the suite is quick."""
Caught = tuple[bool, list[str]]


def hunt(name: str) -> Caught:
    """Whether the planted bug was caught, and every invariant that was seen broken until then."""
    plant, expected = MUTATIONS[name]
    first = TRY_FIRST.get(name, 0)
    seen: set[str] = set()
    for number in range(SEEDS):
        with plant():
            report = simulate(harsh((first + number) % SEEDS))
        seen |= {violation.invariant for violation in report.violations}
        if seen & expected:
            return True, sorted(seen)
    return False, sorted(seen)


@pytest.fixture(scope="module")
def hunts() -> Iterator[dict[str, Future[Caught]]]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        yield {name: workers.submit(hunt, name) for name in MUTATIONS}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str, hunts: dict[str, Future[Caught]]) -> None:
    caught, seen = hunts[name].result()
    assert caught, f"{name} was not caught in {SEEDS} seeds; seen: {seen}, expected one of {sorted(MUTATIONS[name][1])}"


def test_a_plant_is_gone_afterwards() -> None:
    for plant, _ in MUTATIONS.values():
        with plant():
            pass
    assert simulate(harsh(0)).violations == []
