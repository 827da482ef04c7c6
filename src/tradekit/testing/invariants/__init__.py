"""What must hold whatever happens, as checks with ids: over a database and a venue's book, and over a run while it runs."""

from tradekit.testing.invariants.database import check_database, database_violations
from tradekit.testing.invariants.violation import MEANINGS, Violation, Violations

__all__ = ["MEANINGS", "Violation", "Violations", "check_database", "database_violations"]
