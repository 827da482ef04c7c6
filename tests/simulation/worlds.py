"""Small worlds in which much goes wrong."""

from tradekit.testing.simulation import FaultRates, Plan

HARSH = FaultRates(
    commit_fails=0.02,
    commit_answer_lost=0.02,
    submit_never_arrives=0.05,
    submit_answer_lost=0.1,
    submit_late=0.05,
    venue_unreachable=0.1,
    report_repeated=0.3,
    crash_every_s=400,
    crash_is_zombie=0.6,
    storage_stalls_every_s=300,
    maintenance_every_s=600,
)


def harsh(seed: int) -> Plan:
    """Nine impatient people for a day of trouble in 24 minutes: about 450 commands and 100 orders in a second or two."""
    return Plan(users=9, hours=0.4, seed=seed, action_every_s=40, faults=HARSH, settle_s=300)


def usual(seed: int) -> Plan:
    """Fifty people for an hour."""
    return Plan(users=50, hours=1, seed=seed)
