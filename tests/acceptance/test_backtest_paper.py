"""A backtest trades as the running service does on paper: the whole service on a real clock and disk, and a backtest of the same bars."""

import csv
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tradekit import Identity, Quote, Settings, TierName, Tradekit
from tradekit.backtest import Options, Series, run
from tradekit.bootstrap import Parts
from tradekit.domain.instruments import Bar, Instrument, instrument_for
from tradekit.domain.matching import MatchingModel
from tradekit.strategies import EmaCross

pytestmark = pytest.mark.anyio
ADA = Identity("app", "ada")
STRATEGY = EmaCross(fast=3, slow=8)


class OneByOne:
    """Recorded bars; each waits until the service has done all that the one before caused."""

    source = "replay"

    def __init__(self, series: Series) -> None:
        self._series = series
        self.tk: Tradekit | None = None
        self._hears = STRATEGY.evaluator(series.symbol)
        self._signals = 0
        self.ended = anyio.Event()

    def instruments(self) -> tuple[Instrument, ...]:
        return (self._series.instrument,)

    def opening(self) -> tuple[Quote, ...]:
        first = next(iter(self._series))
        return (Quote(symbol=first.symbol, price=first.open, time_ms=first.open_ms),)

    async def past(self) -> tuple[Bar, ...]:
        return ()

    async def events(self) -> AsyncIterator[Quote | Bar]:
        assert self.tk is not None
        for bar in self._series:
            yield Quote(symbol=bar.symbol, price=bar.close, time_ms=self.tk.clock.now_ms())
            yield bar
            self._signals += self._hears.on_bar(bar) is not None
            await self._settled(self.tk)
        self.ended.set()

    async def _settled(self, tk: Tradekit) -> None:
        with anyio.fail_after(10):
            while tk.service.telemetry.counts["signals.done"] < self._signals:  # noqa: ASYNC110 - a counter of the service
                await anyio.sleep(0.001)
            assert await tk.quiet(ADA, timeout_s=10)


def recorded(path: Path, count: int) -> Series:
    with path.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))[:count]
    bars = [
        Bar(
            symbol="EUR/USD",
            timeframe_ms=3_600_000,
            open_ms=1_700_006_400_000 + index * 3_600_000,
            open=Decimal(row["Open"]),
            high=Decimal(row["High"]),
            low=Decimal(row["Low"]),
            close=Decimal(row["Close"]),
            volume=Decimal(row["Volume"]),
        )
        for index, row in enumerate(rows)
    ]
    return Series.of(bars, instrument_for("EUR/USD", bars[0].open))


async def test_a_paper_account_of_the_service_and_a_backtest_make_the_same_trades(recorded_eurusd: Path, tmp_path: Path) -> None:
    settings = Settings.load(flags={"data": str(tmp_path)}, environ={})
    series = recorded(recorded_eurusd, 250)
    feed = OneByOne(series)
    async with Tradekit.open(settings, parts=Parts(feed=feed, strategies=(STRATEGY,))) as tk:
        feed.tk = tk
        await tk.users.register(ADA)
        await tk.users.set_tier(ADA, TierName.ENTERPRISE)
        await tk.signals.subscribe(ADA, STRATEGY.name)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tk.serve)
            with anyio.fail_after(60):
                await feed.ended.wait()
            tasks.cancel_scope.cancel()
        user_id = (await tk.users.get(ADA)).user.user_id
        live_fills = list(reversed(await tk.reader.fills(user_id, limit=1000)))
        live_trades = list(reversed(await tk.reader.trades(user_id, limit=1000)))
    # The paper exchange's own model: spread, slippage, and noise that hangs on the order's id, which is the same in both.
    report = run(STRATEGY, series, Options(fill="close", model=MatchingModel()))
    assert user_id == 1
    assert len(live_trades) > 10
    assert [(f.client_order_id, f.side, f.quantity, f.price, f.fee) for f in report.fills] == [
        (f.client_order_id, f.side, f.quantity, f.price, f.fee) for f in live_fills
    ]
    assert [(t.quantity, t.pnl, t.fees) for t in report.trades] == [(t.quantity, t.pnl, t.fees) for t in live_trades]
