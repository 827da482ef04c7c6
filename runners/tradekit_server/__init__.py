"""The HTTP runner: health, statistics, metrics and the status page."""
