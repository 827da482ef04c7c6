"""What a simulation is asked to do, and what it found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tradekit.testing.invariants import Violation


@attrs.frozen(kw_only=True)
class FaultRates:
    """How often things go wrong: chances per event, and mean distances in seconds (0: never)."""

    commit_fails: float = 0.004
    """Nothing is written; the service hears StorageFailed."""
    commit_answer_lost: float = 0.004
    """It is written; the service hears StorageFailed."""
    commit_slow: float = 0.02
    read_fails: float = 0.002
    storage_stalls_every_s: float = 1800
    submit_never_arrives: float = 0.01
    submit_answer_lost: float = 0.02
    submit_late: float = 0.01
    """No answer, and the order reaches the venue a moment later."""
    venue_slow: float = 0.05
    venue_unreachable: float = 0.02
    """Of cancels and questions: no answer, before or after."""
    report_repeated: float = 0.05
    report_late: float = 0.1
    send_limited: float = 0.01
    """429 with retry_after."""
    send_answer_lost: float = 0.01
    send_slow: float = 0.02
    send_blocked: float = 0.0005
    update_repeated: float = 0.03
    update_reordered: float = 0.03
    update_late: float = 0.02
    crash_every_s: float = 1200
    crash_is_zombie: float = 0.3
    """The old process still holds commits and offers them after its successor took over."""
    crash_is_drain: float = 0.2
    """It is stopped in good order instead."""
    clock_jumps_every_s: float = 3600
    maintenance_every_s: float = 5400


NO_FAULTS = FaultRates(**{field.name: 0.0 for field in attrs.fields(FaultRates)})


@attrs.frozen(kw_only=True)
class Plan:
    """One simulation; the same plan gives the same digest."""

    users: int
    hours: float
    seed: int
    faults: FaultRates = FaultRates()
    action_every_s: float = 1200
    """Mean pause of a user between two actions."""
    tick_s: float = 10
    sessions_max: int = 0
    """Users in memory at once; 0: two thirds of all, so that sessions are evicted."""
    settle_s: float = 600
    """Time to come to rest after the last action, without further faults."""
    trace: Path | None = None
    """Where to write what is hashed, one JSON line per step; its SHA-256 is the digest."""
    keep: Path | None = None
    """Directory for the database and the venue's book; otherwise a temporary one."""
    progress: Callable[[float], None] | None = None
    """Told now and then how much of the time has passed, as a share of 1."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a simulation."""

    digest: str
    violations: list[Violation]
    users: int
    hours: float
    seed: int
    commands: int
    orders: int
    fills: int
    signals: int
    deliveries: int
    sent: int
    commits: int
    restarts: int
    faults: dict[str, int]
    cpu_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found
