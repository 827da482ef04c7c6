"""What goes wrong outside the venues, one thing at a time."""

import attrs
import pytest

from tests.simulation.worlds import told
from tradekit.testing.simulation import NO_FAULTS, Plan, simulate
from tradekit.testing.simulation.plan import name_of

SINGLE = (
    ("commit_fails", 0.15),
    ("commit_answer_lost", 0.15),
    ("commit_slow", 0.5),
    ("read_fails", 0.03),
    ("send_limited", 0.15),
    ("send_answer_lost", 0.15),
    ("send_slow", 0.15),
    ("send_blocked", 0.05),
    ("update_repeated", 0.3),
    ("update_reordered", 0.5),
    ("update_late", 0.15),
)
"""Those of the venues are in ``test_venue_faults``."""


@pytest.mark.parametrize(("fault", "rate"), SINGLE, ids=[fault for fault, _ in SINGLE])
def test_one_kind_of_fault_alone_breaks_nothing(fault: str, rate: float) -> None:
    rates = attrs.evolve(NO_FAULTS, **{fault: rate})
    report = simulate(Plan(users=9, hours=0.2, seed=11, action_every_s=30, faults=rates))
    assert not report.violations, told(report)
    assert report.faults[name_of(fault)] > 0


@pytest.mark.parametrize("misfortune", ["crash_every_s", "storage_stalls_every_s", "clock_jump_every_s", "maintenance_every_s"])
def test_one_kind_of_misfortune_alone_breaks_nothing(misfortune: str) -> None:
    rates = attrs.evolve(NO_FAULTS, **{misfortune: 90.0})
    report = simulate(Plan(users=9, hours=0.2, seed=12, action_every_s=30, faults=rates))
    assert not report.violations, told(report)
    assert sum(report.faults.values()) > 1


def test_stopping_in_good_order_alone_breaks_nothing() -> None:
    rates = attrs.evolve(NO_FAULTS, crash_every_s=90.0, crash_is_drain=1.0)
    report = simulate(Plan(users=9, hours=0.2, seed=13, action_every_s=30, faults=rates))
    assert not report.violations, told(report)
    assert report.faults["crash-is-drain"] > 1
