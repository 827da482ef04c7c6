"""The service keeps its promises in an hour of fifty people, whatever the seed brings. A failing seed is printed and replays."""

import os

from tests.simulation.worlds import told, usual
from tradekit.testing.simulation import NO_FAULTS, Plan, simulate

SEEDS = max(8, int(os.environ.get("TRADEKIT_SIMULATION_SEEDS", "0")) // 2)
"""``nox -s simulation`` runs more."""


def test_every_invariant_holds_for_fifty_people_over_an_hour() -> None:
    reports = [simulate(usual(seed)) for seed in range(SEEDS)]
    assert [told(report) for report in reports if report.violations] == []
    assert sum(report.restarts for report in reports) > len(reports)
    assert all(report.commands > 100 and report.fills > 5 for report in reports)
    assert sum(report.live_orders for report in reports) > 10
    assert sum(report.held_orders for report in reports) > 10


def test_without_faults_everything_is_done_once_and_nothing_is_repeated() -> None:
    report = simulate(Plan(users=20, hours=0.5, seed=5, action_every_s=120, faults=NO_FAULTS))
    assert not report.violations, told(report)
    assert report.restarts == 0
    assert report.faults == {}
    assert report.live_orders > 5
    assert report.orders > 20
