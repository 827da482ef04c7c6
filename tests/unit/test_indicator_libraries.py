"""TA-Lib and talipp behind one port: the same values, bounded work and memory, and a clear word when neither is there."""

import importlib.util
import random
import sys
from decimal import Decimal
from functools import cache
from statistics import pstdev

import pytest

from tradekit.adapters.indicators import Indicators, installed
from tradekit.adapters.indicators.with_talib import WithTalib
from tradekit.adapters.indicators.with_talipp import WithTalipp
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.indicators import INDICATORS, complete
from tradekit.domain.instruments import Bar

LIBRARY = [indicator for indicator in INDICATORS.values() if indicator.library]
BARS = 1500
SETTLED = 700


@cache
def walk() -> list[Bar]:
    """A random walk at a price where squares lose digits."""
    chance, price = random.Random(7), 100_000.0
    bars = []
    for index in range(BARS):
        begin, price = price, price * (1 + chance.gauss(0, 0.002))
        edges = max(begin, price) * (1 + chance.random() / 1000), min(begin, price) * (1 - chance.random() / 1000)
        high, low, first, last = (Decimal(f"{value:.2f}") for value in (*edges, begin, price))
        bars.append(
            Bar(symbol="A/B", timeframe_ms=1, open_ms=index, open=first, high=high, low=low, close=last, volume=Decimal(1)),
        )
    return bars


def arguments_of(name: str) -> tuple[Decimal, ...]:
    indicator = INDICATORS[name]
    return complete(indicator, (Decimal(11),) if indicator.parameters[0].default is None else ())


@pytest.mark.parametrize("name", [indicator.name for indicator in LIBRARY])
def test_both_libraries_give_the_same_values(name: str) -> None:
    one, other = Indicators("talib").make(name, arguments_of(name)), Indicators("talipp").make(name, arguments_of(name))
    assert isinstance(one, WithTalib)
    assert isinstance(other, WithTalipp)
    ours = [one.add(bar) for bar in walk()]
    theirs = [other.add(bar) for bar in walk()]
    assert ours[0] is theirs[0] is None
    assert ours[SETTLED:] == pytest.approx(theirs[SETTLED:], rel=1e-6, abs=1e-6)
    assert len(set(ours[SETTLED:])) > 100


@pytest.mark.parametrize("name", [indicator.name for indicator in LIBRARY])
def test_talibs_value_does_not_depend_on_when_the_service_was_started(name: str) -> None:
    early, late = Indicators("talib").make(name, arguments_of(name)), Indicators("talib").make(name, arguments_of(name))
    first = [early.add(bar) for bar in walk()]
    second = [late.add(bar) for bar in walk()[300:]]
    assert second[800:] == pytest.approx(first[1100:], rel=1e-9)


@pytest.mark.parametrize("name", ["atr", "adx", "tema", "macd_signal", "cci", "stoch_d", "bollinger_lower"])
def test_talipp_keeps_no_more_bars_than_it_needs(name: str) -> None:
    made = WithTalipp(name, arguments_of(name))
    sizes = set()
    for bar in walk():
        made.add(bar)
        sizes.add(len(made._indicator.input_values))
    assert max(sizes) <= 2 * made._kept
    assert len(walk()) > 3 * made._kept


@pytest.mark.parametrize("library", ["talib", "talipp"])
def test_small_moves_of_a_high_price_are_measured(library: str) -> None:
    closes = [Decimal(100_000) + Decimal(number % 7) / 1000 for number in range(60)]
    deviation, upper = (
        Indicators(library).make("stddev", (Decimal(20),)),
        Indicators(library).make("bollinger_upper", (Decimal(20), Decimal(2))),
    )
    for number, close in enumerate(closes):
        bar = Bar(symbol="A/B", timeframe_ms=1, open_ms=number, open=close, high=close, low=close, close=close, volume=Decimal(1))
        measured, band = deviation.add(bar), upper.add(bar)
    expected = float(pstdev(closes[-20:]))
    assert measured == pytest.approx(expected, rel=1e-4)
    assert band == pytest.approx(float(sum(closes[-20:]) / 20) + 2 * expected, abs=1e-6)


@pytest.mark.parametrize("library", ["talib", "talipp"])
@pytest.mark.parametrize("name", [indicator.name for indicator in LIBRARY])
def test_a_price_that_stands_still_breaks_nothing(library: str, name: str) -> None:
    made = Indicators(library).make(name, arguments_of(name))
    still = Decimal("0.07")
    bar = Bar(symbol="A/B", timeframe_ms=1, open_ms=0, open=still, high=still, low=still, close=still, volume=Decimal(0))
    values = [made.add(bar) for _ in range(200)]
    assert all(value is None or abs(value) <= 100 for value in values)


def test_talib_is_taken_before_talipp_and_neither_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: set[str] = set()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else real(name, *rest))
    assert installed() == "talib"
    hidden.add("talib")
    assert installed() == "talipp"
    assert Indicators().missing == ""
    hidden.add("talipp")
    none = Indicators()
    assert none.missing == "install the extra: pip install 'tradekit[indicators]'"
    with pytest.raises(ConfigurationError, match=r"tradekit\[indicators\]"):
        none.make("atr", (Decimal(14),))


def test_asking_what_is_installed_imports_nothing() -> None:
    import subprocess

    code = (
        "import sys; from tradekit.adapters.indicators import Indicators as I; I(); print({'talib', 'talipp', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "set()"
