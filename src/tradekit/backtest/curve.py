"""Equity over time, and what can be read off it."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import attrs

from tradekit.domain.instruments import Bar

DAY_MS = 86_400_000
YEAR_MS = 365.25 * DAY_MS


@attrs.define(eq=False)
class Curve:
    """Cash plus positions at the closing price, in quote currency, at the close of every bar. Floats: for measures, not for money."""

    times_ms: "array[int]" = attrs.field(factory=lambda: array("q"))
    values: "array[float]" = attrs.field(factory=lambda: array("d"))

    def add(self, time_ms: int, value: float) -> None:
        """The next point."""
        self.times_ms.append(time_ms)
        self.values.append(value)

    def extend(self, bars: Sequence[Bar], values: list[float]) -> None:
        """A point per bar, at its close."""
        self.times_ms.fromlist([bar.open_ms + bar.timeframe_ms for bar in bars])
        self.values.fromlist(values)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.times_ms, self.values, strict=True)

    def thinned(self, points_max: int) -> list[tuple[int, float]]:
        """At most so many points, first and last among them; of each stretch its lowest and its highest, so that falls keep their depth."""
        if len(self) <= points_max:
            return list(self)
        stretches = (points_max - 2) // 2
        kept = {0, len(self) - 1}
        for number in range(stretches):
            start, end = number * len(self) // stretches, (number + 1) * len(self) // stretches
            part = self.values[start:end]
            kept |= {start + part.index(min(part)), start + part.index(max(part))}
        return [(self.times_ms[index], self.values[index]) for index in sorted(kept)]

    def drawdowns(self) -> Iterator[float]:
        """Percent below the highest value so far, per point: zero or negative."""
        peak = 0.0
        for value in self.values:
            peak = max(peak, value)
            yield (value / peak - 1) * 100 if peak > 0 else 0.0

    def deepest(self) -> tuple[float, int]:
        """The deepest fall in percent (zero or positive), and the longest time below an earlier peak in milliseconds."""
        peak = trough = 0.0
        deepest, longest_ms, last, peak_at = 0.0, 0, 0, 0
        for index, value in enumerate(self.values):
            if value >= peak:
                if trough < peak:
                    deepest = max(deepest, 1 - trough / peak)
                    longest_ms = max(longest_ms, self.times_ms[index - 1] - self.times_ms[peak_at])
                peak = trough = value
                peak_at = index
            elif value < trough:
                trough = value
            last = index
        if trough < peak:
            deepest = max(deepest, 1 - trough / peak)
            longest_ms = max(longest_ms, self.times_ms[last] - self.times_ms[peak_at])
        return deepest * 100, longest_ms

    def returns(self, initial: float) -> list[float]:
        """Relative change per UTC day, or per bar if bars are longer; days without a bar are left out."""
        previous, found, end = initial, [], 0
        while end < len(self):
            # A bar that closes at midnight belongs to the day it ends.
            midnight = ((self.times_ms[end] - 1) // DAY_MS + 1) * DAY_MS
            end = bisect_right(self.times_ms, midnight, end)
            value = self.values[end - 1]
            found.append(value / previous - 1 if previous else 0.0)
            previous = value
        return found
