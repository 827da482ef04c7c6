"""The service keeps its promises whatever the seed brings. A failing seed is printed and replays."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import attrs
import pytest

from tests.simulation.worlds import harsh, usual
from tradekit.testing.simulation import NO_FAULTS, Plan, Report, simulate

SEEDS = int(os.environ.get("TRADEKIT_SIMULATION_SEEDS", "20"))
"""``nox -s simulation`` runs more."""


def every(plans: list[Plan]) -> list[Report]:
    """Run the plans on two processors."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        return list(workers.map(simulate, plans))


def told(report: Report) -> str:
    violations = "\n".join(f"  {found.invariant} at {found.at_s} s: {found.detail}" for found in report.violations)
    return f"seed {report.seed}, {report.users} users, {report.hours:g} h:\n{violations}"


def test_every_invariant_holds_for_fifty_people_over_an_hour() -> None:
    reports = every([usual(seed) for seed in range(SEEDS)])
    assert [told(report) for report in reports if report.violations] == []
    assert sum(report.restarts for report in reports) > SEEDS
    assert all(report.commands > 100 and report.fills > 5 for report in reports)


def test_every_invariant_holds_when_much_goes_wrong() -> None:
    reports = every([harsh(seed) for seed in range(SEEDS)])
    assert [told(report) for report in reports if report.violations] == []
    happened = {name for report in reports for name in report.faults}
    expected = {"crashes", "zombie_commits_refused", "commit_fails", "commit_answer_lost", "submit_never_arrives", "submit_answer_lost"}
    expected |= {
        "submit_late",
        "report_repeated",
        "send_limited",
        "send_answer_lost",
        "update_repeated",
        "update_reordered",
        "crash_is_drain",
    }
    assert expected <= happened


def test_without_faults_everything_is_done_once_and_nothing_is_repeated() -> None:
    report = simulate(Plan(users=20, hours=0.5, seed=5, action_every_s=120, faults=NO_FAULTS))
    assert report.violations == []
    assert report.restarts == 0
    assert report.faults == {}
    assert report.orders > 20


SINGLE = (
    ("commit_fails", 0.15),
    ("commit_answer_lost", 0.15),
    ("commit_slow", 0.5),
    ("read_fails", 0.03),
    ("submit_never_arrives", 0.3),
    ("submit_answer_lost", 0.3),
    ("submit_late", 0.3),
    ("venue_slow", 0.3),
    ("venue_unreachable", 0.3),
    ("report_repeated", 0.5),
    ("report_late", 0.5),
    ("send_limited", 0.15),
    ("send_answer_lost", 0.15),
    ("send_slow", 0.15),
    ("send_blocked", 0.05),
    ("update_repeated", 0.3),
    ("update_reordered", 0.5),
    ("update_late", 0.15),
)


@pytest.mark.parametrize(("fault", "rate"), SINGLE, ids=[fault for fault, _ in SINGLE])
def test_one_kind_of_fault_alone_breaks_nothing(fault: str, rate: float) -> None:
    rates = attrs.evolve(NO_FAULTS, **{fault: rate})
    report = simulate(Plan(users=9, hours=0.2, seed=11, action_every_s=30, faults=rates))
    assert not report.violations, told(report)
    assert report.faults[fault] > 0


@pytest.mark.parametrize("misfortune", ["crash_every_s", "storage_stalls_every_s", "clock_jumps_every_s", "maintenance_every_s"])
def test_one_kind_of_misfortune_alone_breaks_nothing(misfortune: str) -> None:
    rates = attrs.evolve(NO_FAULTS, **{misfortune: 90.0})
    report = simulate(Plan(users=9, hours=0.2, seed=12, action_every_s=30, faults=rates))
    assert not report.violations, told(report)
    assert sum(report.faults.values()) > 1
