"""What the operator allows: for everyone, or at one venue. Kept until it is changed, also over a restart."""

from enum import StrEnum

import msgspec

EVERYWHERE = "all"
"""The scope of everyone at every venue; others are names of venues (``binance``, ``paper``)."""


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


def state_of(controls: Controls, venue: str) -> GlobalState:
    """The stricter of what holds everywhere and what holds at the venue."""
    found = [controls[scope].state for scope in (EVERYWHERE, venue) if scope in controls]
    for state in (GlobalState.HALTED, GlobalState.REDUCING):
        if state in found:
            return state
    return GlobalState.NORMAL
