"""What the operator allows: for everyone, or at one venue. Kept until it is changed, also over a restart."""

from enum import StrEnum

import msgspec

EVERYWHERE = "all"
"""The scope of everyone at every venue; others are venues (``binance``, ``paper``) and users (``user:42``)."""


class GlobalState(StrEnum):
    """What is allowed."""

    NORMAL = "normal"
    REDUCING = "reducing"
    """Exits only."""
    HALTED = "halted"
    """Exits only, and resting entries are canceled."""


class Control(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A limit on trading and who set it."""

    scope: str
    state: GlobalState = GlobalState.NORMAL
    reason: str = ""
    by: str = ""
    """Pseudonym of the operator, or ``cli``."""
    changed_ms: int


Controls = dict[str, Control]
"""By scope; what is not listed is normal."""


def user_scope(user_id: int) -> str:
    """The scope of one user."""
    return f"user:{user_id}"


def user_of(scope: str) -> int | None:
    """The number of the user whose scope this is; None of others."""
    kind, _, number = scope.partition(":")
    return int(number) if kind == "user" and number.isdecimal() else None


def state_of(controls: Controls, venue: str, user_id: int) -> GlobalState:
    """The strictest of what holds everywhere, at the venue, and for the user."""
    if not controls:
        return GlobalState.NORMAL
    found = [controls[scope].state for scope in (EVERYWHERE, venue, user_scope(user_id)) if scope in controls]
    for state in (GlobalState.HALTED, GlobalState.REDUCING):
        if state in found:
            return state
    return GlobalState.NORMAL
