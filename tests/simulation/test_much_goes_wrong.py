"""The service keeps its promises when much goes wrong at once. A failing seed is printed and replays."""

import os

import attrs

from tests.simulation.worlds import HARSH, harsh, told
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.plan import name_of

SEEDS = int(os.environ.get("TRADEKIT_SIMULATION_SEEDS", "10"))
"""``nox -s simulation`` runs more."""
RARE = frozenset({"send-blocked", "clock-jump", "late-fill", "late-trades", "event-lost", "crash-is-drain"})
"""Too rare for so few seeds; each alone is tested for itself."""


def test_every_invariant_holds_when_much_goes_wrong() -> None:
    reports = [simulate(harsh(seed)) for seed in range(SEEDS)]
    assert [told(report) for report in reports if report.violations] == []
    happened = {name for report in reports for name, count in report.faults.items() if count}
    assert {name_of(field) for field, rate in attrs.asdict(HARSH).items() if rate} - RARE <= happened
    assert "zombie-commits-refused" in happened
