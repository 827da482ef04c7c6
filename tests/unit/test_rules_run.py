"""Rules on bars: they say what the plainest account says, once per stream, and nothing for what they cannot know."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.rule_support import bars_of, own_value, rules, spelled_out
from tradekit.adapters.indicators import Indicators
from tradekit.domain.errors import BadInput, ConfigurationError, RuleRefused
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.domain.rules import rule_source
from tradekit.domain.rules_text import parse_rule
from tradekit.domain.rules_tree import AGO_MAX, Rule
from tradekit.ports.indicators import SharesIndicators
from tradekit.ports.strategy import Strategy
from tradekit.strategies.rule import RuleStrategy, rule_strategy
from tradekit.strategies.streams import HISTORY_BARS, VALUES_KEPT, OwnIndicators, Stream
from tradekit.testing.contracts.strategy import StrategyContract, signals

OWN = OwnIndicators()


def said(text: str, closes: list[Any]) -> list[tuple[int, Side]]:
    return signals(rule_strategy(text, OWN), bars_of(closes))


def wave(count: int = 700) -> list[Bar]:
    return bars_of([100 + (index * 7) % 40 - (index * 3) % 17 for index in range(count)])


class TestRule(StrategyContract):
    warm_up = 22

    @pytest.fixture
    def bars(self) -> list[Bar]:
        return wave()

    @pytest.fixture
    def strategy(self) -> Strategy:
        return _Named(rule_strategy("buy when ema(5) crosses above ema(26); sell when rsi(14) < 50 or close < sma(20)[2]", OWN))


class _Named:
    """A rule under a name that people could type."""

    name, advanced = "a-rule", False

    def __init__(self, rule: RuleStrategy) -> None:
        self.evaluator, self.title = rule.evaluator, rule.title


@given(rules(own_value, max_leaves=3), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_rule_says_what_it_spells_out(rule: Rule, closes: list[int]) -> None:
    bars = bars_of(closes)
    strategy = RuleStrategy(rule=rule, indicators=OWN)
    expected = spelled_out(rule, bars) if not rule.symbols or "BTC/USDT" in rule.symbols else []
    assert signals(strategy, bars) == expected


def test_a_condition_speaks_when_it_comes_true_and_not_while_it_stays() -> None:
    assert said("buy when close > 10", [9, 11, 12, 10, 11]) == [(1, Side.BUY), (4, Side.BUY)]


def test_what_holds_on_the_first_bar_says_nothing() -> None:
    assert said("buy when close > 10", [11, 12, 9, 11]) == [(3, Side.BUY)]


def test_a_sale_goes_before_a_purchase_on_the_same_bar() -> None:
    assert said("buy when close > 10; sell when close > 11", [9, 12, 9, 11]) == [(1, Side.SELL), (3, Side.BUY)]


def test_a_crossing_takes_two_bars_and_touching_is_not_beyond() -> None:
    assert said("buy when close crosses above 10", [9, 10, 11, 12, 10, 11]) == [(2, Side.BUY), (5, Side.BUY)]
    assert said("sell when close crosses below 10", [11, 10, 9, 8]) == [(2, Side.SELL)]


def test_values_of_bars_before_are_read() -> None:
    assert said("buy when close > highest(2)[1]", [5, 5, 5, 9, 9, 12]) == [(3, Side.BUY), (5, Side.BUY)]
    assert said(f"buy when close > close[{AGO_MAX}]", [*range(60, 0, -1), 99]) == [(60, Side.BUY)]


def test_a_division_by_zero_leaves_the_condition_as_it_was() -> None:
    text = "buy when 1 / (close - 10) > 0"
    assert said(text, [9, 10, 11]) == [(2, Side.BUY)]
    assert said(text, [11, 10, 11]) == []


def test_an_unknown_part_makes_the_whole_unknown_in_any_place() -> None:
    for text in ("buy when close > 10 or sma(3) > 0", "buy when sma(3) > 0 or close > 10", "buy when not (sma(3) < 0 and close > 10)"):
        assert said(text, [9, 11, 9, 9]) == []


def test_a_rule_for_some_instruments_is_silent_on_others() -> None:
    strategy = rule_strategy("buy when close > 10; on ETH/USDT", OWN)
    assert signals(strategy, bars_of([9, 11])) == []
    assert signals(strategy, bars_of([9, 11], "ETH/USDT")) == [(1, Side.BUY)]


def test_the_name_is_the_source_and_the_title_the_canonical_text() -> None:
    strategy = rule_strategy("BUY when close>10", OWN)
    assert isinstance(strategy, SharesIndicators)
    assert strategy.title == "buy when close > 10"
    assert strategy.name == rule_source(strategy.title)


def test_a_rule_that_needs_a_library_says_which_extra_brings_it() -> None:
    with pytest.raises(RuleRefused, match=r"tradekit\[indicators\]") as caught:
        rule_strategy("buy when atr > 3 and adx > 20", Indicators(""))
    assert caught.value.code == "RULE_INDICATOR_MISSING"
    assert caught.value.detail["names"] == "adx, atr"
    rule_strategy("buy when rsi > 3", Indicators(""))
    with pytest.raises(RuleRefused):
        rule_strategy("buy when atr > 3", OWN)
    with pytest.raises(ConfigurationError):
        Stream(OWN).series("atr", 14)


class Counting:
    """A library that counts what it makes and computes."""

    missing = ""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.added: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    def make(self, name: str, arguments: tuple[Decimal, ...]) -> "Computation":
        self.made[name] += 1
        return Computation(self, name)


class Computation:
    def __init__(self, library: Counting, name: str) -> None:
        self.library, self.name = library, name

    def add(self, bar: Bar) -> float:
        self.library.added[self.name] += 1
        return float(bar.close)

    def take(self, bar: Bar) -> None:
        self.library.taken[self.name] += 1


def test_an_indicator_is_computed_once_for_all_rules_that_read_it() -> None:
    library = Counting()
    stream = Stream(library)
    texts = [f"buy when atr > {level}; sell when atr[1] < {level} or adx > 3" for level in range(20)]
    evaluators = [rule_strategy(text, library).evaluator_on(stream) for text in texts]
    for bar in bars_of(range(1, 31)):
        stream.add(bar)
        for evaluator in evaluators:
            evaluator.on_bar(bar)
    assert library.made == {"atr": 1, "adx": 1}
    assert library.added == {"atr": 30, "adx": 30}
    assert stream.computed == 2
    evaluators.clear()
    del evaluator
    assert stream.computed == 0


def test_an_indicator_asked_for_later_starts_with_the_bars_that_were_kept() -> None:
    early, late = Stream(OWN), Stream(OWN)
    kept = early.series("sma", 10)
    for bar in wave(100):
        early.add(bar)
        late.add(bar)
    fresh = late.series("sma", 10)
    assert fresh.at(0) == kept.at(0) is not None
    assert fresh.at(AGO_MAX + 1) == kept.at(AGO_MAX + 1) is not None
    assert fresh.at(AGO_MAX + 2) is None


def test_values_on_shared_streams_are_those_of_a_stream_of_its_own() -> None:
    strategy = RuleStrategy(rule=parse_rule("buy when ema(3) > ema(9); sell when rsi(5) < 40"), indicators=OWN)
    bars = wave(200)
    stream = Stream(OWN)
    shared = strategy.evaluator_on(stream)
    heard = []
    for index, bar in enumerate(bars):
        stream.add(bar)
        if (side := shared.on_bar(bar)) is not None:
            heard.append((index, side))
    assert heard == signals(strategy, bars)
    assert len(heard) > 5


def test_of_bars_that_have_passed_only_the_last_values_are_computed() -> None:
    library = Counting()
    stream = Stream(library)
    for bar in wave(400):
        stream.add(bar)
    late = stream.series("atr", 14)
    assert (library.taken["atr"], library.added["atr"]) == (HISTORY_BARS - VALUES_KEPT, VALUES_KEPT)
    assert late.at(0) == float(wave(400)[-1].close)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [("emma", (3,), "not known"), ("ema", (), "needs a number"), ("ema", (0,), "from 1"), ("ema", ("x",), "cannot be computed")],
)
def test_strategies_that_ask_for_what_does_not_exist_are_told(name: str, arguments: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        Stream(OWN).series(name, *arguments)
