"""What the page remembers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runners.server_service import START_MS, FakeService, an_alert
from tradekit.domain.alerts import MetricSample
from tradekit_server.charts import POINTS_MAX, chart, thinned
from tradekit_server.recorder import DAY_MS, RESPONSE, SYMBOLS_MAX, History, Recorder

steps = st.lists(st.tuples(st.integers(1, 5000), st.floats(-1e6, 1e6)), min_size=1, max_size=400)


@given(steps=steps, points_max=st.integers(4, 60))
def test_history_is_bounded_in_order_and_ends_with_the_newest(steps: list[tuple[int, float]], points_max: int) -> None:
    history, time_ms = History(window_ms=10**9, points_max=points_max), 0
    for step_ms, value in steps:
        time_ms += step_ms
        history.add(time_ms, value)
    points = history.points
    assert len(points) <= points_max
    assert points[-1] == (time_ms, steps[-1][1])
    assert points[0] == (steps[0][0], steps[0][1])
    assert all(earlier[0] < later[0] for earlier, later in pairwise(points))


def test_history_gives_up_what_is_older_than_its_window() -> None:
    history = History(window_ms=10_000)
    for second in range(100):
        history.add(second * 1000, float(second))
    assert [value for _, value in history.points] == [float(second) for second in range(89, 100)]


def test_history_covers_a_long_run_evenly() -> None:
    history = History(window_ms=DAY_MS, points_max=600)
    for second in range(86_400):
        history.add(second * 1000, 0.0)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(history.points)]
    assert len(history.points) > 250
    assert max(gaps[:-1]) <= 2 * min(gaps[:-1])


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=900))
def test_thinned_keeps_extremes_and_ends(values: list[float]) -> None:
    points = list(enumerate(values))
    kept = thinned(points)
    assert len(kept) <= POINTS_MAX
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert (min(v for _, v in kept), max(v for _, v in kept)) == (min(values), max(values))
    assert kept == sorted(kept)


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50), from_zero=st.booleans())
def test_chart_stays_inside_its_box(values: list[float], from_zero: bool) -> None:
    drawn = chart(list(enumerate(map(abs, values))), from_zero=from_zero, target=100.0)
    assert drawn is not None
    for pair in drawn.line.split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 600
        assert 0 <= y <= 100


def test_chart_of_one_point_is_none_and_a_flat_line_is_in_the_middle() -> None:
    assert chart([(0, 1.0)]) is None
    drawn = chart([(0, 5.0), (10, 5.0)])
    assert drawn is not None
    assert drawn.line == "0.0,50.0 600.0,50.0"


def test_only_changed_prices_are_recorded() -> None:
    service = FakeService()
    recorder = Recorder(service)
    for second, price in enumerate(["100", "100", "101"]):
        service.market.set("BTC/USDT", price, START_MS + (second // 2) * 1000)
        service.clock_ms += 1000
        recorder.sample_prices()
    assert [value for _, value in recorder.prices["BTC/USDT"].points] == [100.0, 101.0]


def test_recorded_instruments_are_bounded() -> None:
    service = FakeService()
    for number in range(SYMBOLS_MAX + 30):
        service.market.set(f"C{number}/USDT", "1", START_MS)
    recorder = Recorder(service)
    recorder.sample_prices()
    assert len(recorder.prices) == SYMBOLS_MAX


@pytest.mark.anyio
async def test_start_takes_over_what_was_recorded_before_a_restart() -> None:
    service = FakeService()
    times = [service.clock_ms - 30_000, service.clock_ms - 60_000, service.clock_ms - 2 * DAY_MS]
    service.history[RESPONSE] = [MetricSample(time_ms=time_ms, name=RESPONSE, value=50.0) for time_ms in reversed(times)]
    recorder = Recorder(service)
    await recorder.start()
    assert [value for _, value in recorder.series[RESPONSE].points] == [50.0, 50.0, 14.0]


@pytest.mark.anyio
async def test_failing_storage_keeps_the_last_known_alerts_and_says_so() -> None:
    service = FakeService()
    service.stored_alerts = [an_alert(1)]
    recorder = Recorder(service)
    await recorder.start()
    service.storage_fails = True
    await recorder.refresh()
    assert (len(recorder.open_alerts), recorder.alerts_known) == (1, False)
    service.storage_fails, service.stored_alerts = False, []
    await recorder.refresh()
    assert (len(recorder.open_alerts), recorder.alerts_known) == (0, True)
