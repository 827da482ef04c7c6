"""Dollar-cost averaging, Donchian breakout and grid against the plainest possible account of what they should say."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Advice
from tradekit.strategies import Dca, DonchianBreakout, Grid, built_in
from tradekit.testing.contracts.strategy import advices

SOME = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80)
"""Closes, and how far the low and the high of the bar are away; small whole numbers, so that equal prices are frequent."""


def bars_of(prices: list[tuple[int, int, int]]) -> list[Bar]:
    return [
        Bar(
            symbol="BTC/USDT",
            timeframe_ms=60_000,
            open_ms=index * 60_000,
            open=Decimal(close),
            low=max(Decimal(close - below), Decimal("0.5")),
            high=Decimal(close + above),
            close=Decimal(close),
            volume=Decimal(1),
        )
        for index, (close, below, above) in enumerate(prices)
    ]


@given(SOME, st.integers(1, 9), st.sampled_from(["0.1", "1", "100"]))
def test_dca_buys_on_every_nth_bar(prices: list[tuple[int, int, int]], every: int, fraction: str) -> None:
    expected = [(index, Advice(Side.BUY, Decimal(fraction))) for index in range(every - 1, len(prices), every)]
    assert advices(Dca(every=every, fraction=Decimal(fraction)), bars_of(prices)) == expected


@given(SOME, st.integers(1, 8), st.integers(1, 8))
def test_donchian_leaves_the_channel_of_the_bars_before(prices: list[tuple[int, int, int]], entry: int, exit_: int) -> None:
    bars = bars_of(prices)
    expected: list[tuple[int, Advice]] = []
    for index, bar in enumerate(bars):
        said = expected[-1][1].side if expected else None
        before = bars[:index]
        if len(before) >= entry and bar.close > max(each.high for each in before[-entry:]):
            side = Side.BUY
        elif len(before) >= exit_ and bar.close < min(each.low for each in before[-exit_:]):
            side = Side.SELL
        else:
            continue
        if side is not said:
            expected.append((index, Advice(side)))
    assert advices(DonchianBreakout(entry=entry, exit=exit_), bars) == expected


@given(SOME, st.sampled_from(["5", "20", "50"]), st.integers(1, 5), st.sampled_from(["0", "7", "12.5"]))
def test_grid_trades_each_line_it_passes_while_it_has_lots(prices: list[tuple[int, int, int]], step: str, levels: int, anchor: str) -> None:
    bars = bars_of(prices)
    middle = Decimal(anchor) or bars[0].close
    lines = [middle * (1 + Decimal(step) / 100) ** power for power in range(-levels, levels + 1)]
    expected: list[tuple[int, Advice]] = []
    lots = 0
    for index in range(1, len(bars)):
        before, now = bars[index - 1].close, bars[index].close
        fallen = sum(now < line <= before for line in lines)
        risen = sum(before < line <= now for line in lines)
        bought, sold = min(fallen, levels - lots), min(risen, lots)
        share = Decimal(sold) / lots if sold else Decimal(0)
        lots += bought - sold
        note = f"{lots} of {levels} lots"
        if bought:
            expected.append((index, Advice(Side.BUY, Decimal(bought), note)))
        elif sold:
            expected.append((index, Advice(Side.SELL, share, note)))
        assert 0 <= lots <= levels
    assert advices(Grid(step_pct=Decimal(step), levels=levels, anchor=Decimal(anchor)), bars) == expected


@pytest.mark.parametrize(
    ("strategy", "parameters", "problem"),
    [
        (Dca, {"every": 0}, "at least 1 bar, not 0"),
        (Dca, {"fraction": Decimal(0)}, "not 0"),
        (Dca, {"fraction": Decimal(101)}, "up to 100, not 101"),
        (Dca, {"fraction": Decimal(-1)}, "not -1"),
        (Dca, {"fraction": Decimal("NaN")}, "not NaN"),
        (DonchianBreakout, {"entry": 0}, "0 and 10"),
        (DonchianBreakout, {"exit": 1001}, "20 and 1001"),
        (Grid, {"step_pct": Decimal(0)}, "not 0"),
        (Grid, {"step_pct": Decimal(100)}, "not 100"),
        (Grid, {"step_pct": Decimal("NaN")}, "not NaN"),
        (Grid, {"levels": 0}, "1 to 50 levels, not 0"),
        (Grid, {"levels": 51}, "1 to 50 levels, not 51"),
        (Grid, {"anchor": Decimal(-1)}, "not -1"),
        (Grid, {"anchor": Decimal("Infinity")}, "not Infinity"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(strategy: Any, parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        strategy(**parameters)


def test_built_in_strategies_differ_in_name_and_say_their_parameters() -> None:
    offered = {strategy.name: (strategy.title, strategy.advanced) for strategy in built_in()}
    assert offered == {
        "ema-cross": ("EMA cross 12/26", False),
        "rsi-reversion": ("RSI reversion 14, 30/70", False),
        "donchian-breakout": ("Donchian breakout 20/10", False),
        "dca": ("Buy every 24 bars", False),
        "grid": ("Grid of 10 levels, 1 % apart", True),
    }
