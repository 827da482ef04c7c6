"""What a simulation is asked to do, and what it found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tradekit.domain.errors import BadInput
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

    lost_request: float = 0.01
    """Of an order, a cancel or a question: it never reaches the venue."""
    lost_answer: float = 0.02
    """The venue acted; the service hears nothing."""
    late_request: float = 0.01
    """No answer, and the order reaches the venue a moment later."""
    delay: float = 0.05
    """An answer that takes long, sometimes longer than the service waits."""
    error_before: float = 0.01
    """The live venue answers 5xx and does nothing."""
    error_after: float = 0.01
    """The live venue acts and answers 5xx."""
    rate_limit: float = 0.005
    """The live venue answers 429, unread."""
    ban_every_s: float = 7200
    """The live venue turns everything away for a while."""
    clock: float = 0.002
    """The live venue finds our time wrong: turned away, unread."""
    partial: float = 0.1
    """Of a live order only a part fills at once, though the book would fill more."""
    late_fill: float = 0.3
    """A live order that was canceled had filled in part after all."""
    invisible: float = 0.05
    """A live order does not show for the first seconds."""
    late_trades: float = 0.1
    """A question about a live order fails, as its fills do not show yet."""
    event_twice: float = 0.05
    event_swapped: float = 0.1
    """An event comes after later ones."""
    event_lost: float = 0.2
    """Of the live venue's stream."""
    stream_cut_every_s: float = 3600
    """The live venue's stream is down for a while, for everybody."""
    hang_every_s: float = 3600
    """Every call of one user to the live venue hangs."""
    venue_maintenance_every_s: float = 10_800
    """The live venue answers nothing but 503."""
    transfer_every_s: float = 600
    """Money or coins come to a live account, or leave it, behind our back."""
    foreign_order_every_s: float = 600
    """A customer places or cancels an order at the venue, not through us."""

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
    clock_jump_every_s: float = 3600
    maintenance_every_s: float = 5400
    halt_every_s: float = 5400
    """The operator halts or limits trading: everywhere, at a venue, or for a user. Not a fault, but a misfortune to whoever trades."""


NO_FAULTS = FaultRates(**{field.name: 0.0 for field in attrs.fields(FaultRates)})


def name_of(field: str) -> str:
    """A fault as people write it: ``lost-answer``, ``crash``."""
    return field.removesuffix("_every_s").replace("_", "-")


FAULTS: dict[str, str] = {name_of(field.name): field.name for field in attrs.fields(FaultRates)}
"""Field of :class:`FaultRates` by the fault's name."""
_OF_CRASHES = frozenset({"crash-is-zombie", "crash-is-drain"})


def faults_named(names: str) -> FaultRates:
    """``all``, ``none``, or names with commas between, each as often as by default.

    :raises BadInput: there is no such fault; lists those there are.
    """
    wanted = [name.strip().lower() for name in names.split(",")]
    if wanted == ["all"]:
        return FaultRates()
    if wanted == ["none"]:
        return NO_FAULTS
    for name in wanted:
        if name not in FAULTS:
            problem = "is not a fault" if name not in {"all", "none"} else "stands for itself, not in a list"
            raise BadInput(field="--faults", value=name[:40], problem=problem, hint="all, none, or some of " + ", ".join(FAULTS))
    if _OF_CRASHES & set(wanted):
        wanted.append("crash")
    usual = FaultRates()
    return attrs.evolve(NO_FAULTS, **{FAULTS[name]: getattr(usual, FAULTS[name]) for name in wanted})


@attrs.frozen(kw_only=True)
class Plan:
    """One simulation; the same plan gives the same digest."""

    users: int
    hours: float
    seed: int
    faults: FaultRates = FaultRates()
    action_every_s: float = 3600
    """Mean pause of a user between two actions."""
    tick_s: float = 10
    live_every: int = 4
    """One person of so many trades at the live venue; 0: nobody does."""
    adopt_foreign: bool | None = None
    """Whether foreign orders are adopted; None: with odd seeds."""
    reconcile_every_s: float = 1800
    """Accounts at the live venue are compared with it this often."""
    sessions_max: int = 0
    """Users in memory at once; 0: two thirds of all, so that sessions are evicted."""
    settle_s: float = 600
    """Time to come to rest after the last action, without further faults."""
    trace: Path | None = None
    """Where to write what is hashed, one JSON line per step; its SHA-256 is the digest."""
    keep: Path | None = None
    """Directory for the database and the paper venue's book; otherwise a temporary one."""
    weigh: bool = False
    """Count what the service keeps in memory as time goes by, which is slow."""
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
    live_orders: int
    """Of the orders those sent to the live venue."""
    live_accounts: int
    held_orders: int
    """Of the orders those that waited here for a trigger."""
    adjustments: int
    """Times that cash was taken over from the venue, the first time left out."""
    faults: dict[str, int]
    """How often each fault that could happen did, by name; then what became of it."""
    footprint: list[int]
    """Objects in the service's memory, in regular distances since its last start; empty unless asked for."""
    cpu_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found
