"""Progress on stderr, and what the service's process uses."""
