"""Catching a strategy that knows the future."""

from collections.abc import Callable, Sequence
from inspect import isclass
from itertools import zip_longest
from typing import cast

import attrs

from tradekit.backtest.series import Data, Series, minute, series_of
from tradekit.domain.amounts import ONE
from tradekit.domain.errors import UserError
from tradekit.domain.instruments import Bar
from tradekit.ports.strategy import Advice, Strategy, advice_of

CUTS = 20

Make = Callable[[Sequence[Bar]], Strategy]
"""Bars in, a strategy out: for a strategy that is made from the data it will trade."""


@attrs.define(kw_only=True, eq=False)
class LooksAhead(UserError):
    """A signal on a bar changes when later bars are withheld."""

    strategy: str
    symbol: str
    bar_ms: int
    """Open of the first bar whose signal differs."""
    known: str
    """The signal when the future is known."""
    unknown: str
    """The signal when the data ends at ``end_ms``."""
    end_ms: int

    def __str__(self) -> str:
        return (
            f"{self.strategy} looks ahead: on {self.symbol} the bar of {minute(self.bar_ms)} says {self.known}, "
            f"but {self.unknown} when the data ends at {minute(self.end_ms)}. Compute from the bars given so far and nothing else"
        )


def check_lookahead(strategy: Strategy | Make, data: Data, cuts: int = CUTS) -> int:
    """Run the strategy on data that ends early, again and again: what it said of the past must not depend on what came later.

    Returns the number of signals compared. A strategy that reads prices from elsewhere than the bars cannot be seen through; one that
    is made from the bars can: give its class, or a function of the bars, instead of a strategy.

    :raises LooksAhead: naming the first bar whose signal changes.
    """
    return sum(_check(strategy, series, cuts) for series in series_of(data))


_Signal = tuple[int, Advice]


def _check(strategy: Strategy | Make, series: Series, cuts: int) -> int:
    bars = tuple(series)
    ends = sorted({max(1, len(bars) * number // (cuts + 1)) for number in range(1, cuts + 1)})
    # The short ones first: a strategy that remembers what an earlier run has shown it is caught by the longer ones.
    parts = [(end, *_signals(strategy, series, bars[:end])) for end in ends]
    _, whole = _signals(strategy, series, bars)
    for end, name, part in parts:
        end_ms = bars[end - 1].close_ms
        past = [signal for signal in whole if signal[0] < end_ms]
        _compare(name, series.symbol, past, part, end_ms)
    return sum(len(part) for _, _, part in parts)


def _signals(strategy: Strategy | Make, series: Series, bars: Sequence[Bar]) -> tuple[str, list[_Signal]]:
    made = cast(Strategy, strategy) if hasattr(strategy, "evaluator") and not isclass(strategy) else cast(Make, strategy)(bars)
    on_bar = made.evaluator(series.symbol).on_bar
    return made.name, [(bar.open_ms, said) for bar in bars if (said := advice_of(on_bar(bar))) is not None]


def _compare(name: str, symbol: str, past: list[_Signal], part: list[_Signal], end_ms: int) -> None:
    for known, unknown in zip_longest(past, part):
        if known != unknown:
            bar_ms = min(signal[0] for signal in (known, unknown) if signal is not None)
            raise LooksAhead(
                strategy=name,
                symbol=symbol,
                bar_ms=bar_ms,
                known=_said(known, bar_ms),
                unknown=_said(unknown, bar_ms),
                end_ms=end_ms,
            )


def _said(signal: _Signal | None, bar_ms: int) -> str:
    if signal is None or signal[0] != bar_ms:
        return "nothing"
    advice = signal[1]
    return advice.side.value if advice.fraction == ONE else f"{advice.side.value} x {advice.fraction:f}"
