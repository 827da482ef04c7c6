"""Small worlds in which much goes wrong."""

from tradekit.testing.simulation import FaultRates, Plan, Report

HARSH = FaultRates(
    commit_fails=0.02,
    commit_answer_lost=0.02,
    lost_request=0.08,
    lost_answer=0.1,
    late_request=0.05,
    error_before=0.03,
    error_after=0.03,
    rate_limit=0.02,
    clock=0.01,
    partial=0.3,
    invisible=0.15,
    late_fill=0.05,
    late_trades=0.15,
    event_twice=0.3,
    event_swapped=0.3,
    event_lost=0.5,
    hang_every_s=500,
    ban_every_s=1000,
    venue_maintenance_every_s=1000,
    stream_cut_every_s=600,
    transfer_every_s=60,
    foreign_order_every_s=60,
    halt_every_s=500,
    crash_every_s=400,
    crash_is_zombie=0.6,
    crash_is_drain=0.4,
    storage_stalls_every_s=300,
    maintenance_every_s=600,
)


def harsh(seed: int) -> Plan:
    """Nine impatient people for a day of trouble in 24 minutes: about 450 commands and 100 orders in a second or two."""
    return Plan(users=9, hours=0.4, seed=seed, action_every_s=40, faults=HARSH, settle_s=300, live_every=3, reconcile_every_s=200)


def usual(seed: int) -> Plan:
    """Fifty people for an hour."""
    return Plan(users=50, hours=1, seed=seed, action_every_s=1200)


def told(report: Report) -> str:
    """Whatever was violated, and what to run again."""
    violations = "\n".join(f"  {found.invariant} at {found.at_s} s: {found.detail}" for found in report.violations)
    return f"seed {report.seed}, {report.users} users, {report.hours:g} h:\n{violations}"
