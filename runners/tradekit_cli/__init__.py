"""The command line runner."""
