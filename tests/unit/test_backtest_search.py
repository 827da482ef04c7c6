"""Looking ahead, sweeps, walk-forward, and strategies by name."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.unit.backtest_support import MINUTE_MS, START_MS, Scripted, flat_bars
from tradekit.backtest import LooksAhead, Options, Series, StrategyFailed, build, check_lookahead, run, sweep, walk_forward
from tradekit.backtest.catalog import grid, names, pairs
from tradekit.domain.errors import BadInput, DataError
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.strategies import EmaCross, RsiReversion


def waves(count: int = 600, symbol: str = "BTC/USDT") -> list[Bar]:
    """A price that rises and falls in waves of two lengths."""
    closes, price = [], 1000
    for number in range(count):
        price += (7 if number // 20 % 2 else -6) + (3 if number // 7 % 2 else -3)
        closes.append(str(max(price, 50)))
    return flat_bars(*closes, symbol=symbol)


class Peeks:
    """Buys before a rise and sells before a fall: it was made from the bars it will see."""

    name, title, advanced = "peeks", "Peeks", False

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.closes = {bar.open_ms: bar.close for bar in bars}

    def evaluator(self, symbol: str) -> "Peeks":
        return self

    def on_bar(self, bar: Bar) -> Side | None:
        coming = self.closes.get(bar.open_ms + bar.timeframe_ms)
        return None if coming is None else Side.BUY if coming > bar.close else Side.SELL


class Remembers(Peeks):
    """Keeps what an earlier run has shown it."""

    name = "remembers"

    def __init__(self) -> None:
        super().__init__([])

    def on_bar(self, bar: Bar) -> Side | None:
        said = super().on_bar(bar)
        self.closes[bar.open_ms] = bar.close
        return said


def test_peeking_pays_and_is_caught() -> None:
    bars = waves()
    assert (
        run(Peeks(bars), bars, Options(fees=Decimal(0))).metrics.return_pct
        > run(EmaCross(), bars, Options(fees=Decimal(0))).metrics.return_pct
    )
    with pytest.raises(LooksAhead) as caught:
        check_lookahead(Peeks, bars)
    error = caught.value
    # The first difference is where the shortest part ends: its last bar has no next one to look at.
    last = bars[len(bars) // 21 - 1]
    assert (error.symbol, error.bar_ms, error.end_ms, error.unknown) == ("BTC/USDT", last.open_ms, last.close_ms, "nothing")
    assert error.code == "LOOKS_AHEAD"
    assert str(error).startswith("peeks looks ahead: on BTC/USDT the bar of ")


def test_a_memory_of_earlier_runs_is_caught() -> None:
    with pytest.raises(LooksAhead, match="remembers looks ahead"):
        check_lookahead(Remembers(), waves())


@pytest.mark.parametrize("strategy", [EmaCross(), EmaCross(fast=3, slow=9), RsiReversion(period=5)], ids=lambda strategy: strategy.title)
def test_honest_strategies_pass(strategy) -> None:
    assert check_lookahead(strategy, [Series.of(waves()), Series.of(waves(300, "ETH/USDT"))]) > 10


GRID = {"fast": ["3", "5", "12"], "slow": ["9", "5"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_tries_every_combination_and_puts_the_best_first(workers: int) -> None:
    bars = waves()
    tried = sweep(partial(build, "ema-cross"), GRID, bars, by="return_pct", workers=workers)
    assert len(tried) == 6
    made = [each for each in tried if each.metrics is not None]
    assert [each.parameters for each in tried[len(made) :]] == [
        {"fast": "5", "slow": "5"},
        {"fast": "12", "slow": "9"},
        {"fast": "12", "slow": "5"},
    ]
    assert all("fast period" in each.problem for each in tried[len(made) :])
    returns = [each.metrics.return_pct for each in made if each.metrics]
    assert returns == sorted(returns, reverse=True)
    for each in made:
        alone = run(EmaCross(**{name: int(text) for name, text in each.parameters.items()}), bars)
        assert alone.metrics == each.metrics


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_in_a_worker_is_told_as_it_is(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "breaking.py"
    path.write_text(OWN.replace("return Side.BUY", "return 1 / 0"))
    with pytest.raises(StrategyFailed, match="own failed on the bar of BTC/USDT at 2023-11-15 00:00: ZeroDivisionError"):
        sweep(partial(build, f"{path}:Own"), {"every": ["1", "2"]}, waves(50), workers=workers)
    broken = Series.of(waves(50)[:20] + waves(50)[10:])
    with pytest.raises(DataError, match="not in order of time"):
        sweep(partial(build, "ema-cross"), {"fast": ["1", "2"]}, broken, workers=workers)


def test_a_smaller_fall_is_better() -> None:
    tried = sweep(partial(build, "ema-cross"), {"fast": ["3", "5", "8"]}, waves(), fixed={"slow": "20"}, by="max_drawdown_pct", workers=1)
    falls = [each.metrics.max_drawdown_pct for each in tried if each.metrics]
    assert falls == sorted(falls)
    assert tried[0].parameters["slow"] == "20"


def test_walk_forward_trades_only_what_was_not_seen_when_choosing() -> None:
    bars = waves(900)
    told: list[tuple[int, int]] = []
    folds = walk_forward(
        partial(build, "ema-cross"),
        {"fast": ["3", "5"], "slow": ["9", "21"]},
        bars,
        folds=2,
        by="return_pct",
        workers=1,
        progress=lambda done, total: told.append((done, total)),
    )
    marks = [START_MS + number * 300 * MINUTE_MS for number in range(4)]
    assert [(fold.train_from_ms, fold.test_from_ms, fold.test_to_ms) for fold in folds] == [tuple(marks[:3]), tuple(marks[1:])]
    assert told[-1] == (10, 10)
    for number, fold in enumerate(folds):
        train = Series.of(bars).between(fold.train_from_ms, fold.test_from_ms)
        best = sweep(partial(build, "ema-cross"), {"fast": ["3", "5"], "slow": ["9", "21"]}, train, by="return_pct", workers=1)[0]
        assert (fold.parameters, fold.train) == (best.parameters, best.metrics), number
        both = Series.of(bars).between(fold.train_from_ms, fold.test_to_ms)
        assert fold.test == run(build("ema-cross", fold.parameters), both, Options(trade_from_ms=fold.test_from_ms)).metrics
        assert fold.test.trades > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: sweep(partial(build, "ema-cross"), GRID, waves(), by="luck", workers=1),
        lambda: sweep(partial(build, "ema-cross"), GRID, waves(), fixed={"fast": "3"}, workers=1),
        lambda: sweep(partial(build, "ema-cross"), {"fast": ["1"] * 1000, "slow": ["2"] * 1000}, waves(), workers=1),
        lambda: walk_forward(partial(build, "ema-cross"), {}, waves(), folds=0, workers=1),
        lambda: walk_forward(partial(build, "ema-cross"), {"fast": ["30"]}, waves(), folds=1, workers=1),
    ],
    ids=["unknown measure", "swept and fixed", "too many", "no fold", "no strategy"],
)
def test_impossible_searches_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()


def test_built_in_strategies_are_known_by_name() -> None:
    assert {"ema-cross", "rsi-reversion"} <= set(names())
    assert build("ema-cross", {"fast": "3", "slow": "8"}) == EmaCross(fast=3, slow=8)
    assert build("rsi-reversion", {"oversold": "25.5"}) == RsiReversion(oversold=25.5)


OWN = """
from tradekit import Side

class Own:
    name, title, advanced = "own", "Own", False

    def __init__(self, every: int = 2, loud: bool = False):
        self.every, self.loud = every, loud

    def evaluator(self, symbol):
        return self

    def on_bar(self, bar):
        return Side.BUY

ready = Own(7)
nothing = 5
"""


def test_a_class_of_ones_own_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own_strategy.py"
    path.write_text(OWN)
    made = build(f"{path}:Own", {"every": "5", "loud": "yes"})
    assert (made.every, made.loud) == (5, True)
    assert build(f"{path}:ready").every == 7


@pytest.mark.parametrize(
    ("spec", "parameters", "problem"),
    [
        ("ema-crss", {}, "is not known"),
        ("nowhere.py:Own", {}, "cannot be loaded"),
        ("tradekit.nowhere:Own", {}, "cannot be loaded"),
        ("tradekit.strategies:Nobody", {}, "cannot be loaded"),
        ("tradekit.domain.amounts:DIGITS_MAX", {}, "is no strategy"),
        ("ema-cross", {"quick": "3"}, "is not a parameter"),
        ("ema-cross", {"fast": "x"}, "is not a whole number"),
        ("rsi-reversion", {"oversold": "low"}, "is not a number"),
        ("ema-cross", {"fast": "30", "slow": "20"}, "must be shorter"),
    ],
)
def test_strategies_that_cannot_be_made_are_refused(spec: str, parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        build(spec, parameters)


def test_ranges_and_lists_of_values() -> None:
    assert grid(["fast=5:20:5", "slow=0.1:0.3:0.1", "kind=a,b", "days=1:3"]) == {
        "fast": ["5", "10", "15", "20"],
        "slow": ["0.1", "0.2", "0.3"],
        "kind": ["a", "b"],
        "days": ["1", "2", "3"],
    }


@pytest.mark.parametrize("text", ["fast", "fast=", "fast=5:1:1", "fast=1:5:0", "fast=a:b:c", "fast=1:99999:1", "fast=1:2:3:4"])
def test_ranges_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        grid([text])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="twice"):
        pairs(["fast=1", "fast=2"], "parameter")


def test_a_script_that_knows_bars_by_number_passes() -> None:
    assert check_lookahead(Scripted(script={3: Side.BUY, 300: Side.SELL}), waves()) > 0
