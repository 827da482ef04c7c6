"""A promise that was broken."""

import msgspec

VIOLATIONS_MAX = 50
"""Further ones of a run are counted, not described: they follow from the first."""

MEANINGS: dict[str, str] = {
    "I1": "every accepted intent ends, rests at the venue, or is being resolved",
    "I2": "at most one venue order per intent",
    "I3": "trades, positions and calls never exceed the tier, and unused reservations return",
    "I4": "no new entry on an instrument while an order on it is unresolved",
    "I5": "a position is the signed sum of its fills, each counted once",
    "I6": "cash is the exact sum of deposits, flows and fees",
    "I7": "one effect per inbound message",
    "I8": "a user's messages are applied in order, one at a time",
    "I9": "nothing of one user reaches another",
    "I10": "the audit chain is gap-free and verifies",
    "I11": "one owner commits",
    "I12": "acknowledged means durable",
    "I13": "only legal order transitions",
    "I14": "what we know of an order is what the venue knows",
    "I15": "one outcome per signal and subscriber",
    "I16": "maintenance and halts admit no entries and stop no exits",
    "I19": "queues drain once faults stop",
    "I20": "memory is bounded",
    "I22": "nothing is sold that is not held, and no exit that waits is larger than the position",
    "I23": "no exit of a position is lost",
}
"""What each id promises; I17 and I18 need parts that a simulation does not have, I21 compares two runs."""


class Violation(msgspec.Struct, frozen=True):
    """Which invariant, and what was found."""

    invariant: str
    detail: str
    at_s: float = 0.0
    """Simulated seconds since the start; 0 for what was found in the database afterwards."""


class Violations:
    """Collects, up to a bound."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self.count = 0

    def add(self, invariant: str, detail: str, at_s: float = 0.0) -> None:
        """Note a broken promise."""
        assert invariant in MEANINGS, invariant
        self.count += 1
        if len(self.found) < VIOLATIONS_MAX:
            self.found.append(Violation(invariant, detail, at_s))
