"""Fills, money, order of time and measures of a backtest."""

import csv
import gzip
import math
import pickle
import statistics
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest_support import MINUTE_MS, START_MS, Scripted, a_bar, an_instrument, flat_bars, reference_ema_cross
from tradekit.backtest import EXACT, FillAt, Options, Series, StrategyFailed, gaps, refuse_gaps, run
from tradekit.backtest.account import Account
from tradekit.backtest.curve import DAY_MS, Curve
from tradekit.backtest.market import BarMarket
from tradekit.backtest.series import moments
from tradekit.backtest.skipped import WORDS, skipped_rows
from tradekit.backtest.venue import BarVenue
from tradekit.domain.errors import BadInput, DataError, NotFound, OrderDenied
from tradekit.domain.instruments import Bar, instrument_for
from tradekit.domain.matching import MatchingModel
from tradekit.domain.orders import OrderType, Side
from tradekit.domain.risk import Check, OrderRequest, TradingPolicy
from tradekit.services.decisions import Source
from tradekit.strategies import EmaCross

D = Decimal


@pytest.fixture(scope="session")
def eurusd(recorded_eurusd: Path) -> Series:
    """A year of hourly EUR/USD."""
    with recorded_eurusd.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    bars = [
        Bar(
            symbol="EUR/USD",
            timeframe_ms=3_600_000,
            open_ms=START_MS + index * 3_600_000,
            open=D(row["Open"]),
            high=D(row["High"]),
            low=D(row["Low"]),
            close=D(row["Close"]),
            volume=D(row["Volume"]),
        )
        for index, row in enumerate(rows)
    ]
    return Series.of(bars)


@pytest.fixture(scope="session")
def apple(recorded_stocks: Path) -> list[Bar]:
    """Daily bars of AAPL as a continuous market."""
    with gzip.open(recorded_stocks, "rt", encoding="utf-8") as text:
        rows = [row for row in csv.reader(text) if row and row[0] == "AAPL"]
    assert len(rows) > 1000, rows[:2]
    return [
        Bar(
            symbol="AAPL/USD",
            timeframe_ms=DAY_MS,
            open_ms=START_MS + index * DAY_MS,
            open=D(row[2]),
            high=max(map(D, row[2:6])),
            low=min(map(D, row[2:6])),
            close=D(row[5]),
            volume=D(row[6]),
        )
        for index, row in enumerate(rows)
    ]


@pytest.mark.parametrize(("fast", "slow"), [(12, 26), (12, 48), (3, 8)])
@pytest.mark.parametrize("fee", ["0", "0.001"])
def test_trades_equal_an_independent_reference(eurusd: Series, fast: int, slow: int, fee: str) -> None:
    report = run(EmaCross(fast=fast, slow=slow), eurusd, Options(fees=D(fee)))
    step = eurusd.instrument.step_size
    expected = reference_ema_cross(list(eurusd), fast, slow, 100, step, float(fee))
    assert len(expected) > 50
    hour = eurusd.timeframe_ms
    found = [((t.entry_ms - START_MS) // hour, (t.exit_ms - START_MS) // hour, float(t.quantity)) for t in report.trades]
    assert found == [trade[:3] for trade in expected]
    bars = list(eurusd)
    assert [(t.entry_price, t.exit_price) for t in report.trades] == [(bars[a].open, bars[b].open) for a, b, _ in found]
    for ours, theirs in zip(report.trades, expected, strict=True):
        # Two flows of a hundred, each rounded to 1e-8: within 1e-9 of what was traded.
        assert float(ours.pnl) == pytest.approx(theirs[3], abs=1e-9 * 100)


def test_the_same_run_twice_is_the_same(eurusd: Series) -> None:
    first, second = (msgspec.json.encode(run(EmaCross(), eurusd, Options(model=MatchingModel(seed=4))).document()) for _ in range(2))
    assert first == second


def test_a_signal_fills_at_the_next_opening_with_the_fee() -> None:
    bars = [a_bar(0, "100", "100", "100", "100"), a_bar(1, "101", "110", "90", "105"), a_bar(2, "103", "104", "102", "104")]
    report = run(Scripted(script={0: Side.BUY, 1: Side.SELL}), Series.of(bars, an_instrument()))
    (trade,) = report.trades
    assert (trade.entry_ms, trade.entry_price) == (bars[1].open_ms, D(101))
    assert (trade.exit_ms, trade.exit_price) == (bars[2].open_ms, D(103))
    assert trade.quantity == 1
    assert trade.fees == D("0.204")
    assert trade.pnl == D("1.796")
    assert report.metrics.final_equity == D("10001.796")
    assert report.metrics.fees == D("0.204")
    assert list(report.equity) == [(bars[0].close_ms, 10_000), (bars[1].close_ms, 10_003.899), (bars[2].close_ms, 10_001.796)]


def test_filled_at_the_close_a_signal_trades_at_the_price_that_made_it() -> None:
    report = run(Scripted(script={1: Side.BUY, 3: Side.SELL}), flat_bars("100", "102", "104", "106"), Options(fill="close"))
    (trade,) = report.trades
    assert report.fill == FillAt.CLOSE
    assert (trade.entry_price, trade.exit_price) == (D(102), D(106))
    assert trade.entry_ms == START_MS + 2 * MINUTE_MS


def test_the_papers_spread_and_slippage_cost() -> None:
    bars = flat_bars(*["100"] * 6)
    script = Scripted(script={0: Side.BUY, 2: Side.SELL})
    exact, paper = (run(script, bars, Options(fees=D(0), model=model)).metrics.final_equity for model in (EXACT, MatchingModel()))
    assert exact == 10_000
    assert paper < exact


def test_an_order_of_the_last_bar_never_fills_and_an_open_position_counts_at_the_close() -> None:
    report = run(Scripted(script={0: Side.BUY, 3: Side.SELL}), flat_bars("100", "100", "100", "150"), Options(fees=D(0)))
    assert report.trades == ()
    assert [held.quantity for held in report.open_positions] == [1]
    assert report.metrics.final_equity == 10_050
    assert report.metrics.open_pnl == 50
    assert (report.metrics.orders, report.metrics.fills) == (2, 1)


def test_risk_checks_refuse_as_in_the_service_and_are_counted() -> None:
    bars = flat_bars(*["100"] * 8)
    report = run(Scripted(script={0: Side.SELL, 2: Side.BUY}), bars, Options(settings={"size": "5000"}))
    assert report.skipped == {"MAX_RISK_PER_TRADE": 1, "NO_POSITION": 1}
    assert report.metrics.skipped == 2
    assert report.fills == ()


def test_quotas_of_plans_do_not_bind() -> None:
    """The free plan allows five entries a day; a strategy is judged without."""
    bars = flat_bars(*["100"] * 100)
    report = run(Scripted(script={number: Side.BUY if number % 2 else Side.SELL for number in range(100)}), bars)
    assert report.metrics.trades > 40


def test_the_daily_loss_limit_stops_entries_until_the_next_day() -> None:
    closes = ["100", "100", "40", "40", "40", "40"]
    bars = flat_bars(*closes)
    late = [msgspec.structs.replace(bar, open_ms=bar.open_ms + DAY_MS) for bar in flat_bars("40", "40", "40", "40")]
    script = {0: Side.BUY, 2: Side.SELL, 3: Side.BUY, 6: Side.BUY}
    options = Options(settings={"sizing": "percent_of_equity", "size": "25"}, fees=D(0))
    report = run(Scripted(script=script), [*bars, *late], options)
    assert report.skipped == {"MAX_DAILY_LOSS": 1}
    assert [fill.side for fill in report.fills] == [Side.BUY, Side.SELL, Side.BUY]


def test_signals_without_an_order_are_explained_the_most_frequent_first() -> None:
    told = skipped_rows({"MAX_EXPOSURE": 2, "NO_POSITION": 7, "OF_A_PLUGIN": 2})
    assert told == [
        ("it said to sell, and nothing was held (NO_POSITION)", "7"),
        ("as much as max_exposure_pct allows was tied up already (MAX_EXPOSURE)", "2"),
        ("OF_A_PLUGIN", "2"),
    ]


def test_every_check_that_a_backtest_can_fail_has_words() -> None:
    of_the_service = {
        Check.MAINTENANCE, Check.SESSION_NOT_ACTIVE, Check.HALTED, Check.REDUCING_ONLY, Check.ACCOUNT_INVALID, Check.TIER_FEATURE,
        Check.API_RATE_LIMIT, Check.DAILY_TRADES_LIMIT, Check.MAX_POSITIONS,
    }  # fmt: skip
    of_limit_orders = {Check.PRICE_DEVIATION, Check.TRIGGER_PRICE, Check.QTY_PRECISION}
    of_the_data = {Check.INSTRUMENT_UNKNOWN, Check.INSTRUMENT_NOT_TRADABLE, Check.DUPLICATE_SIGNAL}
    assert set(Check) - of_the_service - of_limit_orders - of_the_data <= set(WORDS)


def test_instruments_share_the_cash_in_order_of_time() -> None:
    first, second = flat_bars("100", "100", "110", "110", symbol="A/USD"), flat_bars("10", "10", "10", "12", symbol="B/USD")
    report = run(Scripted(script={0: Side.BUY, 2: Side.SELL}), [Series.of(first), Series.of(second)], Options(fees=D(0)))
    # Both close, then both open: orders of one closing meet the market together.
    assert [(fill.symbol, fill.time_ms) for fill in report.fills] == [
        ("A/USD", first[1].open_ms),
        ("B/USD", first[1].open_ms),
        ("A/USD", first[3].open_ms),
        ("B/USD", first[3].open_ms),
    ]
    assert report.metrics.final_equity == 10_010
    assert report.bars == 8
    assert len(report.equity) == 4


def test_what_ends_at_a_time_comes_before_what_begins() -> None:
    short = flat_bars("1", "1", "1", symbol="A/USD")
    long = [msgspec.structs.replace(bar, timeframe_ms=2 * MINUTE_MS) for bar in flat_bars("2", "2", symbol="B/USD")[:1]]
    told = [
        ([bar.symbol for bar in closing], [bar.symbol for bar in opening])
        for closing, opening in moments([Series.of(short), Series.of(long)])
    ]
    assert told == [([], ["A/USD", "B/USD"]), (["A/USD"], ["A/USD"]), (["A/USD", "B/USD"], ["A/USD"]), (["A/USD"], [])]


def test_bars_before_the_start_only_warm_up(eurusd: Series) -> None:
    bars = list(eurusd)[:2000]
    start_ms = bars[1000].open_ms
    cold = run(EmaCross(), bars[1000:])
    warm = run(EmaCross(), bars, Options(trade_from_ms=start_ms))
    whole = run(EmaCross(), bars)
    assert warm.from_ms == start_ms
    assert len(warm.equity) == len(cold.equity) == 1000
    assert [trade.exit_ms for trade in warm.trades][1:] == [t.exit_ms for t in whole.trades if t.exit_ms > warm.trades[0].exit_ms]
    assert warm.metrics.buy_and_hold_pct == cold.metrics.buy_and_hold_pct


def an_account() -> tuple[Account, BarVenue]:
    market = BarMarket([an_instrument()])
    venue = BarVenue(market, EXACT)
    market.shown["BTC/USDT"] = a_bar(0, "100", "100", "100", "100")
    source = Source(name="mine", title="Mine")
    return Account(market, venue, source, cash=D(10_000), settings={}, policy=TradingPolicy(), now_ms=START_MS), venue


def buy_limit(price: str) -> OrderRequest:
    return OrderRequest(symbol="BTC/USDT", side=Side.BUY, quantity=D(1), type=OrderType.LIMIT, price=D(price))


def test_a_limit_order_rests_and_fills_inside_a_bar_at_its_limit_as_maker() -> None:
    account, venue = an_account()
    account.place(buy_limit("95"), START_MS + MINUTE_MS, "one")
    quiet, reaching = a_bar(1, "100", "101", "99", "100"), a_bar(2, "100", "101", "94", "96")
    for bar in (quiet, reaching):
        account.hear_reports(venue.opened(bar))
        account.hear_reports(venue.closed(bar))
    (fill,) = account.book.fills
    # The bar falls: its high comes first, a quarter in; its low half-way.
    assert (fill.price, fill.time_ms, fill.liquidity) == (D(95), reaching.open_ms + MINUTE_MS // 2, "maker")
    assert fill.fee == D("0.0475")
    assert account.state.session.cash == 10_000 - 95 - D("0.0475")
    assert not venue.resting


def test_a_limit_order_that_the_opening_price_beats_takes_it() -> None:
    account, venue = an_account()
    account.place(buy_limit("100"), START_MS + MINUTE_MS, "one")
    account.hear_reports(venue.opened(a_bar(1, "97", "98", "96", "97")))
    assert [(fill.price, fill.liquidity) for fill in account.book.fills] == [(D(97), "taker")]


@pytest.mark.parametrize("opened", [False, True], ids=["on its way", "resting"])
def test_a_canceled_order_never_fills_and_frees_its_cash(opened: bool) -> None:
    account, venue = an_account()
    order = account.place(buy_limit("95"), START_MS + MINUTE_MS, "one")
    if opened:
        account.hear_reports(venue.opened(a_bar(1, "100", "101", "99", "100")))
    assert account.state.free < 10_000
    account.cancel(order.client_order_id[:8], START_MS + 2 * MINUTE_MS)
    account.hear_reports(venue.opened(a_bar(2, "90", "90", "90", "90")))
    account.hear_reports(venue.closed(a_bar(2, "90", "90", "90", "90")))
    assert account.state.free == 10_000
    assert account.book.fills == []
    with pytest.raises(NotFound):
        account.cancel("all", START_MS + 3 * MINUTE_MS)


def test_a_thin_market_fills_a_resting_order_piece_by_piece() -> None:
    account, _ = an_account()
    venue = account.venue = BarVenue(account.market, MatchingModel(spread_bps=D(0), slippage_bps=D(0), depth_quote=D(40)))
    account.place(buy_limit("95"), START_MS + MINUTE_MS, "one")
    account.hear_reports(venue.opened(a_bar(1, "100", "100", "100", "100")))
    account.hear_reports(venue.closed(a_bar(1, "100", "100", "94", "94")))
    assert [fill.quantity for fill in account.book.fills] == [D("0.421"), D("0.421")]
    account.hear_reports(venue.opened(a_bar(2, "94", "94", "94", "94")))
    assert sum(fill.quantity for fill in account.book.fills) == 1
    assert not venue.resting


def test_an_order_the_service_would_refuse_is_refused() -> None:
    account, _ = an_account()
    with pytest.raises(OrderDenied) as denied:
        account.place(OrderRequest(symbol="BTC/USDT", side=Side.BUY, quantity=D(101)), START_MS, "one")
    assert denied.value.check == "MAX_RISK_PER_TRADE"


@given(
    st.lists(st.sampled_from([None, Side.BUY, Side.SELL]), min_size=2, max_size=60),
    st.lists(st.integers(50, 150), min_size=60, max_size=60),
)
def test_money_adds_up_whatever_is_traded(script: list[Side | None], prices: list[int]) -> None:
    bars = flat_bars(*map(str, prices[: len(script)]))
    report = run(Scripted(script={n: side for n, side in enumerate(script) if side}), Series.of(bars, an_instrument()))
    m = report.metrics
    flows = sum((f.quantity * f.price * (1 if f.side is Side.SELL else -1) - f.fee for f in report.fills), D(0))
    worth = sum((held.quantity * bars[-1].close for held in report.open_positions), D(0))
    assert m.final_equity == 10_000 + flows + worth
    assert m.pnl == sum((trade.pnl for trade in report.trades), D(0))
    assert m.fees == sum((fill.fee for fill in report.fills), D(0))
    assert m.final_equity == m.initial_equity + m.pnl + m.open_pnl
    assert report.equity.values[-1] == pytest.approx(float(m.final_equity), abs=1e-6)
    assert m.fills == sum(1 for _ in report.fills) <= m.orders


def test_measures_follow_their_formulas(apple: list[Bar]) -> None:
    options = Options(settings={"sizing": "percent_of_equity", "size": "20", "max_drawdown_pct": "100", "max_daily_loss_pct": "100"})
    report = run(EmaCross(), apple, options)
    m, values = report.metrics, [10_000.0, *report.equity.values]
    daily = [after / before - 1 for before, after in pairwise(values)]
    years = len(apple) / 365.25
    assert m.trades > 20
    assert m.sharpe == pytest.approx(statistics.mean(daily) / statistics.stdev(daily) * math.sqrt(len(daily) / years))
    downside = math.sqrt(sum(min(0, value) ** 2 for value in daily) / len(daily))
    assert m.sortino == pytest.approx(statistics.mean(daily) / downside * math.sqrt(365.25))
    assert m.cagr_pct == pytest.approx(((values[-1] / 10_000) ** (1 / years) - 1) * 100)
    assert m.max_drawdown_pct == pytest.approx(max(1 - value / max(values[: n + 1]) for n, value in enumerate(values)) * 100)
    won, lost = [t.pnl for t in report.trades if t.pnl > 0], [t.pnl for t in report.trades if t.pnl < 0]
    assert m.profit_factor == pytest.approx(float(sum(won) / -sum(lost)))
    assert m.win_rate_pct == pytest.approx(100 * len(won) / m.trades)
    held = sum(1 for bar in apple if any(t.entry_ms < bar.close_ms <= t.exit_ms for t in report.trades))
    held += sum(1 for bar in apple for p in report.open_positions if p.opened_ms < bar.close_ms)
    assert m.exposure_pct == pytest.approx(100 * held / len(apple))
    assert m.buy_and_hold_pct == pytest.approx(float(apple[-1].close / apple[0].open - 1) * 100)


def test_measures_without_a_value_are_none_and_not_zero() -> None:
    m = run(Scripted(script={}), flat_bars("100", "100", "100")).metrics
    assert (m.trades, m.return_pct, m.max_drawdown_pct, m.exposure_pct) == (0, 0, 0, 0)
    assert [m.cagr_pct, m.sharpe, m.sortino, m.win_rate_pct, m.profit_factor, m.expectancy, m.average_trade_s] == [None] * 7


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    curve = Curve()
    for number in range(10_000):
        curve.times_ms.append(number)
        curve.values.append(100 + math.sin(number / 50) + (-40 if number == 7777 else 0))
    points = curve.thinned(200)
    assert len(points) <= 200
    assert points == sorted(set(points))
    assert (points[0], points[-1]) == ((0, curve.values[0]), (9_999, curve.values[-1]))
    assert min(value for _, value in points) == curve.values[7777]
    assert curve.thinned(10_000) == list(curve)


def test_a_missing_bar_is_refused_with_line_and_times() -> None:
    bars = flat_bars(*["100"] * 10)
    series = attrs.evolve(Series.of(bars[:4] + bars[6:]), name="mine.csv", first_line=2)
    (gap,) = gaps(series)
    assert (gap.line, gap.bars, gap.after_ms, gap.until_ms) == (5, 2, bars[3].open_ms, bars[6].open_ms)
    with pytest.raises(DataError, match="2 bars of 60 s are missing") as refused:
        refuse_gaps(series)
    assert "line 5" in refused.value.problem
    assert refused.value.fix
    refuse_gaps(Series.of(bars))


@pytest.mark.parametrize(
    ("order", "problem"), [([0, 1, 1, 2], "line 3: the bar of .* twice"), ([0, 2, 1, 3], "line 3: the bar of .* not in order")]
)
def test_bars_out_of_order_are_refused(order: list[int], problem: str) -> None:
    bars = flat_bars(*["100"] * 4)
    with pytest.raises(DataError, match=problem):
        run(Scripted(script={}), [bars[number] for number in order])


def test_bars_of_another_instrument_are_refused() -> None:
    with pytest.raises(DataError, match="ETH/USDT among the bars of BTC/USDT"):
        run(Scripted(script={}), [*flat_bars("1", "1"), *flat_bars("1", "1", "1", symbol="ETH/USDT")[2:]])


@pytest.mark.parametrize(
    ("data", "problem"),
    [([], "is empty"), ([Series.of(flat_bars("1")), Series.of(flat_bars("2"))], "twice")],
    ids=["nothing", "twice"],
)
def test_impossible_data_is_refused(data, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        run(Scripted(script={}), data)


@pytest.mark.parametrize(
    "values",
    [
        {"cash": D(0)},
        {"fees": D(1)},
        {"fees": D("-0.1")},
        {"settings": {"sise": "5"}},
        {"settings": {"size": "x"}},
        {"settings": {"language": "en"}},
    ],
    ids=str,
)
def test_impossible_options_are_refused(values) -> None:
    with pytest.raises(BadInput):
        run(Scripted(script={}), flat_bars("1", "1"), Options(**values))


def test_a_part_of_the_data_is_cut_by_opening_time() -> None:
    bars = flat_bars(*["100"] * 10)
    part = Series.of(bars).between(bars[2].open_ms, bars[5].open_ms)
    assert [bar.open_ms for bar in part] == [bar.open_ms for bar in bars[2:5]]
    assert part.count == 3
    with pytest.raises(BadInput, match="has no bars"):
        Series.of(bars).between(bars[9].close_ms, None)


class Breaks:
    name, title, advanced = "breaks", "Breaks", False

    def evaluator(self, symbol: str) -> "Breaks":
        return self

    def on_bar(self, bar: Bar) -> None:
        raise ZeroDivisionError("by zero")


def test_a_strategy_that_breaks_is_named_with_its_bar() -> None:
    with pytest.raises(StrategyFailed, match="breaks failed on the bar of BTC/USDT at 2023-11-15 00:00: ZeroDivisionError: by zero"):
        run(Breaks(), flat_bars("1", "1"))


@pytest.mark.parametrize("trade_from_ms", [None, START_MS + 100 * 3_600_000], ids=["at once", "after a warm-up"])
def test_progress_ends_with_everything_done(eurusd: Series, trade_from_ms: int | None) -> None:
    options, told = Options(trade_from_ms=trade_from_ms), list[tuple[int, int]]()
    run(EmaCross(), list(eurusd), options, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (eurusd.count, eurusd.count)
    other = Series.of([msgspec.structs.replace(bar, symbol="GBP/USD") for bar in eurusd])
    run(EmaCross(), [eurusd, other], options, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2 * eurusd.count, 2 * eurusd.count)


def test_series_in_memory_travel_to_other_processes() -> None:
    series = Series.of(flat_bars("1", "2"), instrument_for("BTC/USDT", D(1)))
    assert list(pickle.loads(pickle.dumps(series))) == list(series)  # noqa: S301 - our own bytes
