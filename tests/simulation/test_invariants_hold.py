"""The service keeps its promises whatever the seed brings. A failing seed is printed and replays."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import attrs
import pytest

from tests.simulation.worlds import HARSH, harsh, usual
from tradekit.testing.simulation import NO_FAULTS, Plan, Report, simulate
from tradekit.testing.simulation.plan import name_of

SEEDS = int(os.environ.get("TRADEKIT_SIMULATION_SEEDS", "8"))
"""``nox -s simulation`` runs more."""
RARE = frozenset({"send-blocked", "clock-jump", "read-fails", "late-fill", "clock"})
"""Too rare for so few seeds; each alone is tested for itself."""


def every(plans: list[Plan]) -> list[Report]:
    """Run the plans on two processors."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        return list(workers.map(simulate, plans))


def told(report: Report) -> str:
    violations = "\n".join(f"  {found.invariant} at {found.at_s} s: {found.detail}" for found in report.violations)
    return f"seed {report.seed}, {report.users} users, {report.hours:g} h:\n{violations}"


def test_every_invariant_holds_for_fifty_people_over_an_hour() -> None:
    reports = every([usual(seed) for seed in range(max(2, SEEDS // 2))])
    assert [told(report) for report in reports if report.violations] == []
    assert sum(report.restarts for report in reports) > len(reports)
    assert all(report.commands > 100 and report.fills > 5 for report in reports)
    assert sum(report.live_orders for report in reports) > 10
    assert sum(report.held_orders for report in reports) > 10


def test_every_invariant_holds_when_much_goes_wrong() -> None:
    reports = every([harsh(seed) for seed in range(SEEDS)])
    assert [told(report) for report in reports if report.violations] == []
    happened = {name for report in reports for name, count in report.faults.items() if count}
    assert {name_of(field) for field, rate in attrs.asdict(HARSH).items() if rate} - RARE <= happened
    assert "zombie-commits-refused" in happened


def test_without_faults_everything_is_done_once_and_nothing_is_repeated() -> None:
    report = simulate(Plan(users=20, hours=0.5, seed=5, action_every_s=120, faults=NO_FAULTS))
    assert report.violations == []
    assert report.restarts == 0
    assert report.faults == {}
    assert report.live_orders > 5
    assert report.orders > 20


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
