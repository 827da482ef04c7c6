"""What goes wrong at a live venue, one thing at a time, and the names of faults."""

import json
import re
from pathlib import Path

import attrs
import pytest

from tests.simulation.worlds import told
from tradekit.domain.errors import BadInput
from tradekit.testing.simulation import FAULTS, NO_FAULTS, FaultRates, Plan, Report, faults_named, simulate
from tradekit_cli.demo.loopback import FAULTS as DEMO_FAULTS
from tradekit_cli.demo.loopback import HANG
from tradekit_cli.simulate import run

AT_THE_VENUE = (
    ("lost_request", 0.2),
    ("lost_answer", 0.3),
    ("late_request", 0.3),
    ("delay", 0.3),
    ("error_before", 0.3),
    ("error_after", 0.3),
    ("rate_limit", 0.2),
    ("clock", 0.2),
    ("partial", 0.6),
    ("late_fill", 0.5),
    ("invisible", 0.5),
    ("late_trades", 0.3),
    ("event_twice", 0.8),
    ("event_swapped", 0.8),
    ("event_lost", 0.8),
    ("ban_every_s", 120.0),
    ("stream_cut_every_s", 120.0),
    ("hang_every_s", 60.0),
    ("venue_maintenance_every_s", 120.0),
    ("transfer_every_s", 20.0),
    ("foreign_order_every_s", 20.0),
    ("halt_every_s", 120.0),
)


def live(seed: int, faults: FaultRates, **more: object) -> Report:
    """Five people, all of whom trade for real, for some minutes."""
    plan = Plan(users=5, hours=0.15, seed=seed, action_every_s=12, live_every=1, reconcile_every_s=100, faults=faults, settle_s=300)
    return simulate(attrs.evolve(plan, **more))


@pytest.mark.parametrize(("fault", "rate"), AT_THE_VENUE, ids=[fault for fault, _ in AT_THE_VENUE])
def test_one_kind_of_fault_at_a_live_venue_alone_breaks_nothing(fault: str, rate: float) -> None:
    # Few orders rest until the price comes to them.
    hours = 0.5 if fault.startswith("event") else 0.15
    # What only a question shows needs questions.
    rates = attrs.evolve(NO_FAULTS, lost_answer=0.3) if fault == "late_trades" else NO_FAULTS
    report = live(21, attrs.evolve(rates, **{fault: rate}), hours=hours)
    assert not report.violations, told(report)
    assert report.live_orders > 5
    (name,) = (name for name, field in FAULTS.items() if field == fault)
    assert report.faults[name] > 0


@pytest.mark.parametrize("adopt", [True, False])
def test_customers_who_also_act_at_the_venue_itself_keep_their_money(adopt: bool) -> None:
    report = live(22, attrs.evolve(NO_FAULTS, transfer_every_s=15.0, foreign_order_every_s=10.0), adopt_foreign=adopt)
    assert not report.violations, told(report)
    assert report.adjustments > 3


def test_all_is_everything_and_none_is_nothing() -> None:
    assert faults_named("all") == FaultRates()
    assert faults_named("none") == NO_FAULTS
    assert all(getattr(FaultRates(), field) for field in FAULTS.values())


def test_a_list_is_what_it_names() -> None:
    chosen = faults_named("lost-answer, event-lost")
    assert {field for field in FAULTS.values() if getattr(chosen, field)} == {"lost_answer", "event_lost"}
    assert faults_named("crash-is-zombie").crash_every_s == FaultRates().crash_every_s


def test_a_demo_calls_the_faults_that_it_shares_by_the_same_names() -> None:
    assert {*DEMO_FAULTS, HANG} <= set(FAULTS)


def test_every_fault_is_in_the_reference() -> None:
    reference = Path(__file__).parents[2].joinpath("docs/reference/cli.md").read_text(encoding="utf-8")
    section = reference.partition("\n## A simulation\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z-]+)`", section.partition("|---|")[2])) == set(FAULTS)


@pytest.mark.parametrize("names", ["lost-answers", "lost-answer,", "lost-answer,all", ""])
def test_an_unknown_fault_is_told_with_those_there_are(names: str) -> None:
    with pytest.raises(BadInput) as refused:
        faults_named(names)
    assert refused.value.field == "--faults"
    assert all(name in (refused.value.hint or "") for name in FAULTS)


def test_the_command_counts_the_faults_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(users=6, hours=0.1, seed=1, faults="lost-answer,hang", trace=None, as_json=True) == 0
    told_json, progress = capsys.readouterr()
    report = json.loads(told_json)
    assert set(report["faults"]) == {"lost-answer", "hang"}
    assert "100% of the time" in progress


def test_what_the_service_keeps_is_weighed() -> None:
    report = live(23, NO_FAULTS, hours=0.05, weigh=True)
    assert len(report.footprint) > 100
    assert 0 < min(report.footprint) < max(report.footprint)
