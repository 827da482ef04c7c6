"""Storage in SQLite: one writer with group commit, pooled readers."""




