"""Speed and memory as ratios to peers and limits, measured in one run: ``python -m benchmarks.run``."""
