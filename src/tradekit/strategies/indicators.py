"""Indicators that take one value at a time in constant work. They are ratios and averages to compare, not money: floats do.

Seeded as TA-Lib seeds them: the first value is a simple mean over the first ``period`` inputs.
"""

from collections import deque


class Ema:
    """Exponential moving average with smoothing 2 / (period + 1); ``value`` is None until ``period`` inputs were seen."""

    __slots__ = ("_alpha", "_count", "_period", "_sum", "value")

    def __init__(self, period: int) -> None:
        """:raises ValueError: a period below 1."""
        if period < 1:
            raise ValueError(f"an average needs a period of at least 1, not {period}")
        self._period = period
        self._alpha = 2 / (period + 1)
        self._count = 0
        self._sum = 0.0
        self.value: float | None = None

    def add(self, price: float) -> float | None:
        """Take the next input and return the new value."""
        value = self.value
        if value is not None:
            self.value = value = value + self._alpha * (price - value)
            return value
        self._count += 1
        self._sum += price
        if self._count == self._period:
            self.value = self._sum / self._period
        return self.value


class EmaDifference:
    """The fast exponential average less the slow one; None until both are known. In one step, for it is asked at every bar there is."""

    __slots__ = ("_fast", "_fast_alpha", "_seeds", "_slow", "_slow_alpha")

    def __init__(self, fast: int, slow: int) -> None:
        """:raises ValueError: a period below 1."""
        self._seeds = Ema(fast), Ema(slow)
        self._fast_alpha, self._slow_alpha = 2 / (fast + 1), 2 / (slow + 1)
        self._fast: float | None = None
        self._slow: float | None = None

    def add(self, price: float) -> float | None:
        """Take the next input and return the new difference."""
        fast, slow = self._fast, self._slow
        if fast is None or slow is None:
            first, second = (seed.add(price) for seed in self._seeds)
            if first is None or second is None:
                return None
            self._fast, self._slow = first, second
            return first - second
        self._fast = fast = fast + self._fast_alpha * (price - fast)
        self._slow = slow = slow + self._slow_alpha * (price - slow)
        return fast - slow


class Rsi:
    """Relative strength index after Wilder (New Concepts in Technical Trading Systems, 1978), 0 to 100.

    ``value`` is None until ``period`` changes were seen, which takes one input more; 50 while the price has not moved at all.
    """

    __slots__ = ("_count", "_gain", "_loss", "_period", "_previous", "value")

    def __init__(self, period: int) -> None:
        """:raises ValueError: a period below 1."""
        if period < 1:
            raise ValueError(f"an index needs a period of at least 1, not {period}")
        self._period = period
        self._count = 0
        self._gain = 0.0
        self._loss = 0.0
        self._previous: float | None = None
        self.value: float | None = None

    def add(self, price: float) -> float | None:
        """Take the next input and return the new value."""
        if self._previous is None:
            self._previous = price
            return None
        change = price - self._previous
        self._previous = price
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if self._count < self._period:
            self._count += 1
            self._gain += gain / self._period
            self._loss += loss / self._period
        else:
            self._gain += (gain - self._gain) / self._period
            self._loss += (loss - self._loss) / self._period
        if self._count == self._period:
            total = self._gain + self._loss
            self.value = 100 * (self._gain / total) if total else 50.0
        return self.value


class Sma:
    """Mean of the last ``period`` inputs; ``value`` is None until as many were seen."""

    __slots__ = ("_inputs", "_period", "value")

    def __init__(self, period: int) -> None:
        """:raises ValueError: a period below 1."""
        if period < 1:
            raise ValueError(f"an average needs a period of at least 1, not {period}")
        self._period = period
        self._inputs: deque[float] = deque(maxlen=period)
        self.value: float | None = None

    def add(self, price: float) -> float | None:
        """Take the next input and return the new value; summed anew each time, so that no rounding adds up."""
        self._inputs.append(price)
        if len(self._inputs) == self._period:
            self.value = sum(self._inputs) / self._period
        return self.value


class Extreme:
    """Highest or lowest of the last ``period`` inputs; ``value`` is None until as many were seen."""

    __slots__ = ("_candidates", "_count", "_period", "_sign", "value")

    def __init__(self, period: int, *, highest: bool) -> None:
        """:raises ValueError: a period below 1."""
        if period < 1:
            raise ValueError(f"a channel needs a period of at least 1, not {period}")
        self._period = period
        self._sign = 1.0 if highest else -1.0
        self._candidates: deque[tuple[int, float]] = deque()
        """Inputs that may still become the extreme, the greatest (after ``_sign``) first."""
        self._count = 0
        self.value: float | None = None

    def add(self, price: float) -> float | None:
        """Take the next input and return the new value."""
        signed, waiting = price * self._sign, self._candidates
        while waiting and waiting[-1][1] <= signed:
            waiting.pop()
        waiting.append((self._count, signed))
        self._count += 1
        if waiting[0][0] <= self._count - 1 - self._period:
            waiting.popleft()
        if self._count >= self._period:
            self.value = waiting[0][1] * self._sign
        return self.value
