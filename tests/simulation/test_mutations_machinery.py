"""A planted bug in the handling of messages, commits, limits and restarts is noticed."""

import pytest

from tests.simulation.hunting import OF_THE_MACHINERY, hunted
from tests.simulation.worlds import harsh, told
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.mutations import MUTATIONS


@pytest.mark.parametrize("name", OF_THE_MACHINERY)
def test_a_planted_bug_is_caught(name: str) -> None:
    assert hunted(name) == ""


def test_a_plant_is_gone_afterwards() -> None:
    for plant, _ in MUTATIONS.values():
        with plant():
            pass
    report = simulate(harsh(0))
    assert not report.violations, told(report)
