"""What a user can say, one file per topic. Each file ends in ``COMMANDS``, which the registry collects."""
