"""Third parties and machines: one package per technology, each behind a port."""
