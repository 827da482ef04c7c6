"""Brackets of a backtest: where a bar's prices reach them, what goes first, what a gap does."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest_support import Scripted, a_bar, an_instrument, flat_bars
from tradekit.backtest import EXACT, Options, Series, run
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side

D = Decimal
START = flat_bars("100", "100")
"""The signal comes with the first bar's close; the entry fills at the second bar's open, 100."""


def sold(*bars: Bar, **settings: str) -> list[Decimal]:
    """Prices of the exits, in order, of one entry at 100 with these exits."""
    series = Series.of([*START, *bars], instrument=an_instrument(taker_fee="0", maker_fee="0"))
    options = Options(cash=D(10_000), model=EXACT, settings={"size": "1000"} | settings)
    report = run(Scripted(script={0: Side.BUY}), series, options=options)
    assert report.fills[0].price == 100
    return [fill.price for fill in report.fills if fill.side is Side.SELL]


@pytest.mark.parametrize(
    ("bar", "settings", "prices"),
    [
        pytest.param(("100", "100", "97", "99"), {"stop_loss_pct": "2"}, ["98"], id="stop on the way down"),
        pytest.param(("95", "96", "94", "96"), {"stop_loss_pct": "2"}, ["95"], id="a gap sells at the open"),
        pytest.param(("100", "104", "99", "103"), {"take_profit_pct": "3"}, ["103"], id="target"),
        pytest.param(("108", "109", "107", "108"), {"take_profit_pct": "3"}, ["108"], id="a gap in our favour"),
        # A rising bar visits its low first, a falling one its high.
        pytest.param(("100", "104", "97", "103"), {"stop_loss_pct": "2", "take_profit_pct": "3"}, ["98"], id="low first"),
        pytest.param(("100", "104", "97", "98"), {"stop_loss_pct": "2", "take_profit_pct": "3"}, ["103"], id="high first"),
        pytest.param(("100", "107", "99", "106"), {"take_profits": "3:50,6:50"}, ["103", "106"], id="both rungs in one bar"),
        pytest.param(("100", "110", "100", "104"), {"trailing_stop_pct": "5"}, ["104.5"], id="trailing from the bar's high"),
        pytest.param(("100", "110", "100", "106"), {"trailing_stop_pct": "5"}, [], id="trailing not reached"),
        pytest.param(("100", "101", "99", "100"), {"time_exit_s": "60"}, ["100"], id="time"),
    ],
)
def test_where_an_exit_goes_to_market(bar: tuple[str, str, str, str], settings: dict[str, str], prices: list[str]) -> None:
    assert sold(a_bar(2, *bar), **settings) == [D(price) for price in prices]


def test_a_trailing_stop_remembers_the_best_price_of_earlier_bars() -> None:
    bars = (a_bar(2, "100", "110", "100", "110"), a_bar(3, "110", "110", "106", "106"), a_bar(4, "106", "106", "104", "104"))
    assert sold(*bars, trailing_stop_pct="5") == [D("104.5")]


def test_an_entry_that_was_stopped_may_be_made_again_by_the_next_signal() -> None:
    bars = [*START, a_bar(2, "100", "100", "97", "97"), *(a_bar(number, "97", "97", "97", "97") for number in (3, 4, 5))]
    series = Series.of(bars, instrument=an_instrument(taker_fee="0", maker_fee="0"))
    options = Options(cash=D(10_000), model=EXACT, settings={"size": "1000", "stop_loss_pct": "2"})
    report = run(Scripted(script={0: Side.BUY, 3: Side.BUY}), series, options=options)
    assert [(fill.side, fill.price) for fill in report.fills] == [(Side.BUY, 100), (Side.SELL, 98), (Side.BUY, 97)]
    assert len(report.open_positions) == 1


walks = st.lists(st.integers(-300, 300), min_size=5, max_size=40)


@given(walk=walks, stop=st.integers(1, 5), target=st.integers(1, 8))
def test_every_trade_ends_at_its_stop_its_target_or_a_gap(walk: list[int], stop: int, target: int) -> None:
    closes = [D(100)]
    for change in walk:
        closes.append(max(D(1), closes[-1] * (10_000 + change) / 10_000).quantize(D("0.01")))
    bars = flat_bars(*map(str, closes))
    series = Series.of(bars, instrument=an_instrument(taker_fee="0", maker_fee="0"))
    settings = {"size": "1000", "stop_loss_pct": str(stop), "take_profit_pct": str(target)}
    every_fourth = dict.fromkeys(range(0, len(bars), 4), Side.BUY)
    report = run(Scripted(script=every_fourth), series, options=Options(cash=D(10_000), model=EXACT, settings=settings))
    held = sum((fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in report.fills), D(0))
    assert held == sum((position.quantity for position in report.open_positions), D(0))
    assert held >= 0
    for trade in report.trades:
        assert trade.exit_price != trade.entry_price
