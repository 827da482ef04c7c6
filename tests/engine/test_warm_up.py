"""Bars from before the start: strategies are warm with the first bar that closes, and nobody acts on what is over."""

import random
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.engine_support import Running, running, until
from tests.engine.test_rules import signals_of
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.ports.strategy import Evaluator, Strategy
from tradekit.strategies import Dca, DonchianBreakout, EmaCross, Grid, RsiReversion

pytestmark = pytest.mark.anyio
BTC = "BTC/USDT"
STRATEGIES: tuple[Strategy, ...] = (
    EmaCross(fast=3, slow=8, name="quick-cross"),
    RsiReversion(period=5, name="quick-reversion"),
    DonchianBreakout(entry=6, exit=3, name="quick-breakout"),
    Dca(every=7, name="often"),
    Grid(name="lattice"),
)


def walk(count: int) -> list[Bar]:
    chance, price, bars = random.Random(3), 100.0, []
    for number in range(1, count + 1):
        opened, price = price, price * (1 + chance.gauss(0, 0.02))
        prices = {"open": opened, "high": max(opened, price) * 1.001, "low": min(opened, price) * 0.999, "close": price}
        rounded = {name: Decimal(f"{value:.2f}") for name, value in prices.items()}
        bars.append(Bar(symbol=BTC, timeframe_ms=60_000, open_ms=number * 60_000, volume=Decimal(1), **rounded))
    return bars


async def told(run: Running, bars: list[Bar]) -> list[str]:
    for bar in bars:
        run.service.market.take(bar)
    await until(lambda: not run.service.strategies.busy)
    await run.quiet()
    return sorted(signal.signal_id for signal in await run.storage.signals(1000))


async def test_what_was_seen_before_the_start_counts_as_if_the_service_had_run_all_along(tmp_path: Path) -> None:
    past, live = walk(200)[:120], walk(200)[120:]
    for directory in ("before", "after", "cold"):
        (tmp_path / directory).mkdir()
    async with running(tmp_path / "before") as run:
        for strategy in STRATEGIES:
            run.service.strategies.add(strategy)
        before = await told(run, past)
        all_along = set(await told(run, live)) - set(before)
    async with running(tmp_path / "after") as run:
        for strategy in STRATEGIES:
            run.service.strategies.add(strategy)
        for bar in past:
            run.service.strategies.warm_up(bar)
        assert await told(run, []) == [], "what is over is nobody's signal"
        assert set(await told(run, live)) == all_along
        assert len(all_along) > 20
    async with running(tmp_path / "cold") as run:
        for strategy in STRATEGIES:
            run.service.strategies.add(strategy)
        assert set(await told(run, live)) != all_along, "without the past they would not all agree"


class Breaks:
    name = title = "breaks"
    advanced = False

    def evaluator(self, symbol: str) -> Evaluator:
        return self

    def on_bar(self, bar: Bar) -> Side | None:
        raise ZeroDivisionError("by zero")


async def test_a_strategy_that_fails_on_the_past_is_known_to_fail(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        run.service.strategies.add(Breaks())
        run.service.strategies.warm_up(walk(1)[0])
        assert "ZeroDivisionError" in run.service.strategies.failing["breaks"]
        assert await signals_of(run, "breaks", 0) == []
