"""Where our books and a venue's did not agree, and what was done about it."""

from enum import StrEnum

import msgspec

from tradekit.domain.instruments import Symbol


class DiscrepancyKind(StrEnum):
    """What did not agree."""

    LATE_FILL = "late_fill"
    """A fill of an order that was over; booked."""
    UNKNOWN_ORDER = "unknown_order"
    """The venue reports on an order that we never made."""
    FOREIGN_ORDER = "foreign_order"
    """An order at the venue that was not placed through us; adopted or ignored by setting."""
    CASH = "cash"
    """The venue's balance of quote currency is another; ours was adjusted by a ledger entry."""
    POSITION_SHORT = "position_short"
    """The venue holds less than our position; no entries in the instrument until they agree."""
    OVERSOLD = "oversold"
    """A fill sold more than our position."""


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One difference, found once and closed when it is gone."""

    key: str
    """The same difference has the same key (:func:`discrepancy_key`), so that finding it again changes nothing."""
    user_id: int
    partition: int
    account: str
    kind: DiscrepancyKind
    symbol: Symbol = ""
    detail: str = ""
    """Facts as ``name=value`` pairs."""
    raised_ms: int
    resolved_ms: int = 0
    """0: not yet. What needs no mending is resolved when it is raised."""


def discrepancy_key(user_id: int, account: str, kind: DiscrepancyKind, reference: str) -> str:
    """Identifies a difference by what it is about: an instrument, a currency or an order."""
    return f"{user_id}/{account}/{kind}/{reference}"
