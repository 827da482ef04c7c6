"""One class of tests per port: an adapter subclasses it and provides one fixture."""
