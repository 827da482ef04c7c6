"""A planted bug is noticed: each must break one of the invariants it is expected to break, within twenty seeds."""

import pytest

from tests.simulation.worlds import harsh
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.mutations import MUTATIONS

SEEDS = 20


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str) -> None:
    plant, expected = MUTATIONS[name]
    seen: set[str] = set()
    for seed in range(SEEDS):
        with plant():
            report = simulate(harsh(seed))
        seen |= {violation.invariant for violation in report.violations}
        if seen & expected:
            return
    pytest.fail(f"{name} was not caught in {SEEDS} seeds; seen: {sorted(seen)}, expected one of {sorted(expected)}")


def test_a_plant_is_gone_afterwards() -> None:
    for plant, _ in MUTATIONS.values():
        with plant():
            pass
    assert simulate(harsh(0)).violations == []
