"""Several instruments in one backtest: the same as one alone where the others are silent, whatever their timeframes."""

from collections.abc import Mapping
from decimal import Decimal

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest_support import MINUTE_MS, START_MS, Scripted, a_bar, an_instrument, flat_bars
from tradekit.backtest import FillAt, Options, Report, Series, run
from tradekit.domain.errors import BadInput
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Evaluator

D = Decimal
A, B = "A/USD", "B/USD"


@attrs.frozen(kw_only=True)
class OnA:
    """A script that is followed on one instrument alone."""

    script: Mapping[int, Side]
    name: str = "scripted"
    title: str = "Scripted"
    advanced: bool = False

    def evaluator(self, symbol: str) -> Evaluator:
        return Scripted(script=self.script if symbol == A else {}).evaluator(symbol)


def silent(count: int) -> list[Bar]:
    return flat_bars(*["10"] * count, symbol=B)


steps = st.lists(st.integers(-30, 30), min_size=2, max_size=40)
signals = st.dictionaries(st.integers(0, 40), st.sampled_from(list(Side)), max_size=12)
exits = st.sampled_from(
    [
        {},
        {"stop_loss_pct": "1"},
        {"trailing_stop_pct": "2", "time_exit_s": "300"},
        {"take_profits": "1:50,2:50", "stop_loss_pct": "3"},
        {"cooldown_s": "120"},
    ]
)


@given(steps=steps, script=signals, settings=exits, fill=st.sampled_from(list(FillAt)), warm_up=st.integers(0, 5))
def test_beside_a_silent_instrument_the_report_stays_the_same(
    steps: list[int], script: dict[int, Side], settings: dict[str, str], fill: FillAt, warm_up: int
) -> None:
    bars, price = [], D(100)
    for number, step in enumerate(steps):
        opened, price = price + D(step) / 20, max(D(1), price + D(step) / 10)
        high, low = max(opened, price) + D("0.2"), min(opened, price) - D("0.2")
        bars.append(a_bar(number, f"{opened:f}", f"{high:f}", f"{low:f}", f"{price:f}", A))
    options = Options(settings={"size": "1000", **settings}, fill=fill, trade_from_ms=START_MS + warm_up * MINUTE_MS)
    if warm_up >= len(steps):
        return
    one, other = Series.of(bars, an_instrument(A)), Series.of(silent(len(bars)), an_instrument(B))
    alone, beside = run(OnA(script=script), one, options), run(OnA(script=script), [one, other], options)
    assert _facts(beside) == _facts(alone)


def _facts(report: Report) -> tuple[object, ...]:
    """What the second instrument must not change: it is held by nobody, but counts in buy and hold."""
    metrics = msgspec.structs.replace(report.metrics, buy_and_hold_pct=0.0)
    return report.trades, report.fills, report.skipped, report.open_positions, list(report.equity), metrics


@pytest.mark.parametrize("settings", [{}, {"stop_loss_pct": "50"}], ids=["no order open", "a stop that waits"])
def test_a_position_is_worth_its_last_close_whether_or_not_an_order_is_open(settings: dict[str, str]) -> None:
    long = [
        msgspec.structs.replace(a_bar(number * 5, opened, "100", opened, "100", A), timeframe_ms=5 * MINUTE_MS)
        for number, opened in enumerate(("100", "100", "90"))
    ]
    options = Options(settings={"size": "1000", **settings}, fees=D(0))
    report = run(OnA(script={0: Side.BUY}), [Series.of(long), Series.of(silent(15))], options)
    assert set(report.equity.values) == {10_000.0}
    assert report.metrics.max_drawdown_pct == 0
    assert report.metrics.exposure_pct <= 100


def test_an_instrument_without_bars_to_trade_on_is_named() -> None:
    series = [Series.of(flat_bars("100", symbol=A)), Series.of(silent(15))]
    with pytest.raises(BadInput, match=r"A/USD.*has no bars after 2023-11-15 00:08"):
        run(OnA(script={}), series, Options(trade_from_ms=START_MS + 8 * MINUTE_MS))
