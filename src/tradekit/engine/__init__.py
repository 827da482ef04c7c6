"""What runs all day: lanes, fan-out, the order gateway, the outbox, housekeeping."""
