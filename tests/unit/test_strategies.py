import csv
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talipp import indicators as talipp

from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Strategy
from tradekit.strategies import Dca, DonchianBreakout, EmaCross, Grid, RsiReversion
from tradekit.strategies.indicators import Ema, Rsi
from tradekit.testing.contracts.strategy import StrategyContract, signals


@pytest.fixture(scope="session")
def bars(recorded_eurusd: Path) -> list[Bar]:
    """A month and a half of hourly EUR/USD."""
    with recorded_eurusd.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))[:1_000]
    return [
        Bar(
            symbol="EUR/USD",
            timeframe_ms=3_600_000,
            open_ms=index * 3_600_000,
            open=Decimal(row["Open"]),
            high=Decimal(row["High"]),
            low=Decimal(row["Low"]),
            close=Decimal(row["Close"]),
            volume=Decimal(row["Volume"]),
        )
        for index, row in enumerate(rows)
    ]


@pytest.fixture(scope="session")
def closes(bars: list[Bar]) -> list[float]:
    return [float(bar.close) for bar in bars]


class TestEmaCross(StrategyContract):
    warm_up = 26

    @pytest.fixture
    def strategy(self) -> Strategy:
        return EmaCross()


class TestEmaCrossFast(StrategyContract):
    warm_up = 8

    @pytest.fixture
    def strategy(self) -> Strategy:
        return EmaCross(fast=3, slow=8, name="ema-cross-3-8")


class TestRsiReversion(StrategyContract):
    warm_up = 15

    @pytest.fixture
    def strategy(self) -> Strategy:
        return RsiReversion()


class TestDonchianBreakout(StrategyContract):
    warm_up = 10

    @pytest.fixture
    def strategy(self) -> Strategy:
        return DonchianBreakout()


class TestDca(StrategyContract):
    warm_up = 23
    sides = frozenset({Side.BUY})

    @pytest.fixture
    def strategy(self) -> Strategy:
        return Dca()


class TestGrid(StrategyContract):
    warm_up = 1

    @pytest.fixture
    def strategy(self) -> Strategy:
        return Grid(step_pct=Decimal("0.25"), levels=6)


@pytest.mark.parametrize("period", [1, 2, 12, 26, 200])
def test_ema_equals_talipp(period: int, closes: list[float]):
    ours = Ema(period)
    theirs = talipp.EMA(period=period, input_values=closes)
    for index, close in enumerate(closes):
        assert ours.add(close) == (None if theirs[index] is None else pytest.approx(theirs[index], rel=1e-9, abs=0)), index


@pytest.mark.parametrize("period", [2, 14, 100])
def test_rsi_equals_talipp(period: int, closes: list[float]):
    ours = Rsi(period)
    theirs = talipp.RSI(period=period, input_values=closes)
    for index, close in enumerate(closes):
        assert ours.add(close) == (None if theirs[index] is None else pytest.approx(theirs[index], rel=1e-9, abs=1e-9)), index


def test_ema_cross_signals_where_talipps_averages_cross(bars: list[Bar], closes: list[float]):
    fast, slow = talipp.EMA(period=12, input_values=closes), talipp.EMA(period=26, input_values=closes)
    above = [fast[index] > slow[index] for index in range(25, len(closes))]
    crossings = [(index + 25, Side.BUY if now else Side.SELL) for index, (before, now) in enumerate(pairwise(above), 1) if before != now]
    assert len(crossings) > 10
    assert signals(EmaCross(), bars) == crossings


def test_rsi_reversion_signals_where_talipps_index_returns(bars: list[Bar], closes: list[float]):
    index = talipp.RSI(period=14, input_values=closes)
    expected = []
    for at in range(15, len(closes)):
        if index[at - 1] < 30 <= index[at]:
            expected.append((at, Side.BUY))
        elif index[at - 1] > 70 >= index[at]:
            expected.append((at, Side.SELL))
    assert len(expected) > 10
    assert signals(RsiReversion(), bars) == expected


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=100), st.integers(1, 20))
def test_indicators_stay_within_their_range(prices: list[float], period: int):
    ema, rsi = Ema(period), Rsi(period)
    for count, price in enumerate(prices, 1):
        average, strength = ema.add(price), rsi.add(price)
        assert (average is None) == (count < period)
        assert (strength is None) == (count <= period)
        if average is not None:
            assert min(prices) * (1 - 1e-9) <= average <= max(prices) * (1 + 1e-9)
        if strength is not None:
            assert 0 <= strength <= 100


def test_index_of_a_price_that_stands_is_neutral():
    rsi = Rsi(3)
    assert [rsi.add(5.0) for _ in range(5)] == [None, None, None, 50.0, 50.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EmaCross(fast=26, slow=12),
        lambda: EmaCross(fast=0),
        lambda: RsiReversion(period=1),
        lambda: RsiReversion(oversold=80),
        lambda: Ema(0),
        lambda: Rsi(0),
    ],
    ids=["fast-not-faster", "ema-cross-zero", "rsi-too-short", "rsi-levels", "ema-zero", "rsi-zero"],
)
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match="period"):
        wrong()


def test_titles_show_the_parameters():
    assert EmaCross(fast=3, slow=8).title == "EMA cross 3/8"
    assert RsiReversion().title == "RSI reversion 14, 30/70"
