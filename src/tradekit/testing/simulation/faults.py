"""Which event goes wrong, by chance and by seed."""

import random
from collections import Counter

import attrs

from tradekit.testing.simulation.plan import FaultRates, name_of


class Faults:
    """The dice. Nothing goes wrong while :attr:`active` is false."""

    def __init__(self, rates: FaultRates, seed: int) -> None:
        self.rates = rates
        self.active = True
        self.counts: Counter[str] = Counter({name_of(name): 0 for name, rate in attrs.asdict(rates).items() if rate})
        """By name; those that could happen and did not are there with 0."""
        self._random = random.Random(f"{seed}/faults")

    def hit(self, name: str) -> bool:
        """Whether the event of this name goes wrong now; ``name`` is a field of :class:`FaultRates`."""
        rate: float = getattr(self.rates, name)
        if not rate or not self.active or self._random.random() >= rate:
            return False
        self.counts[name_of(name)] += 1
        return True

    def count(self, name: str) -> None:
        """Note what was done on purpose; ``name`` is a field of :class:`FaultRates`, or what became of a fault."""
        self.counts[name_of(name)] += 1

    def between(self, low_s: float, high_s: float) -> float:
        """A duration in seconds, in whole milliseconds."""
        return self._random.randint(round(low_s * 1000), round(high_s * 1000)) / 1000

    def pause(self, mean_s: float) -> float:
        """Until the next of events that come on average every ``mean_s`` seconds, in whole milliseconds."""
        return round(self._random.expovariate(1 / mean_s), 3)

    def even(self) -> bool:
        """Heads or tails."""
        return self._random.random() < 0.5

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return self._random.randrange(count)
