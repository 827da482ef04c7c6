"""Counters and recent latencies of the engine, cheap enough for every message."""

from collections import Counter, deque

SAMPLES_MAX = 4096


class Telemetry:
    """Counts since start, and the last few thousand durations of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._samples: dict[str, deque[float]] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] += by

    def observe(self, name: str, value: float) -> None:
        """Keep one duration; ``name`` carries the unit."""
        samples = self._samples.get(name)
        if samples is None:
            samples = self._samples[name] = deque(maxlen=SAMPLES_MAX)
        samples.append(value)

    def quantiles(self, name: str, *fractions: float) -> tuple[float | None, ...]:
        """Of the kept durations, such as ``quantiles("latency_ms", 0.5, 0.95)``; None without any."""
        samples = sorted(self._samples.get(name, ()))
        if not samples:
            return tuple(None for _ in fractions)
        return tuple(samples[min(len(samples) - 1, int(fraction * len(samples)))] for fraction in fractions)
