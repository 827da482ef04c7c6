"""What every strategy must do."""

import gc
import re
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import msgspec

from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Advice, Evaluator, Strategy, advice_of

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def advices(strategy: Strategy, bars: Sequence[Bar]) -> list[tuple[int, Advice]]:
    """(index of the bar, advice) of every signal, from a fresh memory."""
    return _fed(strategy.evaluator(bars[0].symbol), bars)


def signals(strategy: Strategy, bars: Sequence[Bar]) -> list[tuple[int, Side]]:
    """(index of the bar, side) of every signal, from a fresh memory."""
    return [(index, advice.side) for index, advice in advices(strategy, bars)]


def _fed(evaluator: Evaluator, bars: Sequence[Bar]) -> list[tuple[int, Advice]]:
    return [(index, advice) for index, bar in enumerate(bars) if (advice := advice_of(evaluator.on_bar(bar))) is not None]


class StrategyContract:
    """Give two fixtures, ``strategy`` and ``bars``: at least 500 bars of one instrument on which it signals
    every one of its ``sides``; and set ``warm_up``."""

    warm_up: int
    """Bars that can bring no signal yet."""
    sides: frozenset[Side] = frozenset(Side)
    """What it can say."""

    def test_name_can_be_typed_and_title_read(self, strategy: Strategy) -> None:
        assert NAME.fullmatch(strategy.name)
        assert strategy.title.strip()

    def test_signals_of_its_sides_come(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        assert {side for _, side in signals(strategy, bars)} == self.sides

    def test_same_bars_give_the_same_signals(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        assert advices(strategy, bars) == advices(strategy, bars)

    def test_no_signal_before_it_is_warm(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        for start in range(0, len(bars) - self.warm_up, max(1, len(bars) // 50)):
            assert signals(strategy, bars[start : start + self.warm_up]) == []

    def test_future_bars_change_no_past_signal(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        whole = advices(strategy, bars)
        for cut in range(1, len(bars), max(1, len(bars) // 20)):
            past = [signal for signal in whole if signal[0] < cut]
            assert advices(strategy, bars[:cut]) == past
            crash = [msgspec.structs.replace(bar, open=bar.low / 2, low=bar.low / 2, close=bar.low / 2) for bar in bars[cut:]]
            assert [signal for signal in advices(strategy, [*bars[:cut], *crash]) if signal[0] < cut] == past

    def test_instruments_do_not_mix(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        mirrored = [_mirrored(bar) for bar in bars]
        first, second = strategy.evaluator(bars[0].symbol), strategy.evaluator(mirrored[0].symbol)
        heard: tuple[list[tuple[int, Advice]], list[tuple[int, Advice]]] = ([], [])
        for index, pair in enumerate(zip(bars, mirrored, strict=True)):
            for evaluator, bar, list_ in zip((first, second), pair, heard, strict=True):
                if (advice := advice_of(evaluator.on_bar(bar))) is not None:
                    list_.append((index, advice))
        assert heard == (advices(strategy, bars), advices(strategy, mirrored))

    def test_work_per_bar_does_not_grow(self, strategy: Strategy, bars: Sequence[Bar]) -> None:
        evaluator = strategy.evaluator(bars[0].symbol)
        lines = [_lines(lambda bar=bar: evaluator.on_bar(bar)) for bar in bars]  # type: ignore[misc]
        warm = lines[self.warm_up : len(lines) // 2]
        assert max(lines[len(lines) // 2 :]) <= 2 * max(warm)


def _mirrored(bar: Bar) -> Bar:
    """The bar of a market that falls when this one rises."""
    return msgspec.structs.replace(bar, symbol="MIRROR/USDT", open=1 / bar.open, high=1 / bar.low, low=1 / bar.high, close=1 / bar.close)


def _lines(call: Callable[[], Any]) -> int:
    """Lines of Python that a call runs: work that can be counted the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    # A collection calls back into whoever listens to it (Hypothesis does), and those lines are not the strategy's.
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count
