"""What the service keeps in memory does not grow with what it has done."""

import os
from contextlib import ExitStack
from statistics import median
from unittest import mock

import attrs

from tests.simulation.worlds import HARSH, told
from tradekit.engine import intake, market, telemetry
from tradekit.testing.simulation import Plan, Report, simulate

HOURS = 6 if "TRADEKIT_SIMULATION_SEEDS" in os.environ else 1.2
"""``nox -s simulation`` runs longer."""
WARM_UP = 0.3
"""Share of the time after which every user, account and cache is there."""
GROWTH_MAX = 200
"""Objects and entries by which two halves of the time may differ: so many orders more may be open in one than in the other."""


def growth(report: Report) -> float:
    """What came and stayed, from the middle of the first half of the time after the start to the middle of the second."""
    after = report.footprint[round(len(report.footprint) * WARM_UP) :]
    half = len(after) // 2
    return median(after[half:]) - median(after[:half])


def loaded(seed: int) -> Report:
    """Everything goes wrong, except that the service lives on: a restart would forget what leaked."""
    rates = attrs.evolve(HARSH, crash_every_s=0, halt_every_s=0, venue_maintenance_every_s=0)
    plan = Plan(users=9, hours=HOURS, seed=seed, action_every_s=30, faults=rates, settle_s=300, live_every=3, reconcile_every_s=200)
    # The last messages, durations and prices are remembered, so many of each; here fewer, so that the time is long enough to tell.
    with ExitStack() as stack:
        for module, bound in ((intake, "RECENT_MAX"), (telemetry, "SAMPLES_MAX"), (market, "HISTORY_MAX")):
            stack.enter_context(mock.patch.object(module, bound, 50))
        return simulate(attrs.evolve(plan, weigh=True))


def test_what_is_kept_does_not_grow_with_what_was_done() -> None:
    report = loaded(3)
    assert not report.violations, told(report)
    assert report.restarts == 0
    assert report.commands * (1 - WARM_UP) / 2 > 2.5 * GROWTH_MAX, "too short to tell"
    assert growth(report) < GROWTH_MAX, report.footprint


def test_a_leak_of_one_number_per_message_is_noticed() -> None:
    leak: list[int] = []
    dispatch = intake.Intake._dispatch

    def keep(self: intake.Intake, row: object) -> None:
        leak.append(0)
        vars(self)["leak"] = leak
        dispatch(self, row)  # type: ignore[arg-type] # a row of the inbox

    with mock.patch.object(intake.Intake, "_dispatch", keep):
        report = loaded(3)
    assert growth(report) > GROWTH_MAX
