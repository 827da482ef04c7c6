"""Hunting a planted bug: it must break one of the invariants it is expected to break, within twenty seeds."""

from tests.simulation.worlds import harsh
from tradekit.testing.simulation import simulate
from tradekit.testing.simulation.mutations import MUTATIONS

SEEDS = 20
TRY_FIRST = {
    "adjust_while_in_flight": 2,
    "exit_given_up": 1,
    "triggers_forgotten_by_a_restart": 5,
    "halt_forgotten_by_a_restart": 2,
    "sent_again_after_restart": 10,
}
"""Seeds that have caught a rare one; only the order of the twenty, so that the suite is quick."""
_OF_THE_MACHINERY = frozenset(
    {
        "quota_outside_the_commit",
        "acknowledge_before_commit",
        "no_fence",
        "decide_on_a_busy_session",
        "deliver_twice",
        "state_before_commit",
        "maintenance_admits_entries",
        "maintenance_stops_exits",
        "audit_without_a_chain",
        "notices_to_a_stranger",
        "triggers_forgotten_by_a_restart",
        "halt_forgotten_by_a_restart",
    }
)
OF_THE_MACHINERY = tuple(name for name in MUTATIONS if name in _OF_THE_MACHINERY)
"""Messages, commits, limits and restarts."""
OF_TRADING = tuple(name for name in MUTATIONS if name not in _OF_THE_MACHINERY)
"""Orders, fills and balances."""


def hunted(name: str) -> str:
    """Plant a bug and run seed after seed until it is caught. Returns what to say if it was not, else empty text."""
    plant, expected = MUTATIONS[name]
    first = TRY_FIRST.get(name, 0)
    seen: set[str] = set()
    for number in range(SEEDS):
        with plant():
            report = simulate(harsh((first + number) % SEEDS))
        seen |= {violation.invariant for violation in report.violations}
        if seen & expected:
            return ""
    return f"{name} was not caught in {SEEDS} seeds; seen: {sorted(seen)}, expected one of {sorted(expected)}"
