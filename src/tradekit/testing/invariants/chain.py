"""The audit chain, hashed again."""

import sqlite3

from tradekit.domain.audit import GENESIS, AuditEntry, link
from tradekit.testing.invariants.violation import Violations


def audit_verifies(db: sqlite3.Connection, found: Violations) -> None:
    """I10: per partition the rows are numbered from 1 without a gap and each hash follows from the one before."""
    heads: dict[int, tuple[int, bytes]] = {}
    query = "SELECT partition, seq, subject, actor, action, detail, time_ms, hash FROM audit ORDER BY partition, seq"
    for row in db.execute(query):
        partition = row["partition"]
        seq, head = heads.get(partition, (0, GENESIS))
        entry = AuditEntry(
            partition=partition,
            subject=row["subject"],
            actor=row["actor"],
            action=row["action"],
            detail=row["detail"],
            time_ms=row["time_ms"],
        )
        if row["seq"] != seq + 1:
            found.add("I10", f"partition {partition}: row {row['seq']} follows row {seq}")
        if link(head, row["seq"], entry) != row["hash"]:
            found.add("I10", f"partition {partition}: row {row['seq']} does not verify")
        heads[partition] = (row["seq"], row["hash"])
