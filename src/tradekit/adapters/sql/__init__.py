"""Storage in SQLite: one writer with group commit, pooled readers."""

from tradekit.adapters.sql.storage import SqlStorage, open_storage

__all__ = ["SqlStorage", "open_storage"]
