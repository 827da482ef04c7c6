"""P5: a year of one-minute bars, EMA 12/48, about 7,000 round trips; bars per second of CPU, and the same trades as the peers."""

import csv
import gc
import random
import sys
import tempfile
import time
from decimal import Decimal
from functools import partial
from pathlib import Path

from benchmarks.measure import Options, Result, Sample, Verdict, alternate, at_least, at_most, child, medians, peer, tell, unknown
from tradekit.backtest import Options as BacktestOptions
from tradekit.backtest import Series
from tradekit.backtest import run as backtest
from tradekit.domain.instruments import Bar, Instrument
from tradekit.strategies import EmaCross
from tradekit.strategies.indicators import Ema

ROW, TITLE = "P5", "Backtest of a year of one-minute bars"
BARS = 525_600
FAST, SLOW = 12, 48
CASH, SIZE, FEE = 1_000_000, 1_000, "0.001"
START_S = 1_640_995_200
PEERS = {"backtesting.py": ("backtesting_ema.py", 3), "freqtrade": ("freqtrade_ema.py", 20)}
"""Script, and how many times as fast we mean to be."""


def run(options: Options) -> Result:
    count = options.size(BARS, 20_000)
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "bars.csv"
        write_bars(data, count)
        contestants = {
            "tradekit": partial(child, "benchmarks.p05_backtest", "tradekit", data, _trades_of("tradekit", data)),
            "an object per bar": partial(child, "benchmarks.p05_backtest", "plain", data, _trades_of("plain", data)),
        }
        contestants |= {name: partial(_peer, name, options.peers, data) for name in PEERS if _present(name, options.peers)}
        rounds = alternate(contestants, options)
        median = medians(rounds)
        same = [verdict for name in PEERS for verdict in _compare(name, data, present=name in median)]
    ours = median["tradekit"]["per_s"]
    verdicts = [at_least(">= 0.2x an object per bar", ours / median["an object per bar"]["per_s"], 0.2, "x")]
    for name, (_, times) in PEERS.items():
        goal, theirs = f">= {times}x {name}", median.get(name)
        verdicts.append(at_least(goal, ours / theirs["per_s"], times, "x") if theirs else unknown(goal, "x"))
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"per_s": "bars per second of CPU", "trades": "round trips", "process_s": "s CPU of the process"},
        verdicts=[*verdicts, *same],
        notes=[
            f"{count} bars of a seeded random walk, in memory; EMA {FAST}/{SLOW} on the close, orders fill at the next opening, fee {FEE}.",
            "Ours: every order passes risk checks, the order path, the matching model and the ledger, in exact decimals.",
            "An object per bar: the same fills, fees and equity in one plain loop of floats, without orders or checks: the limit.",
            "From bars in memory to the result, without reading the file; the process is everything, start and reading included.",
            "freqtrade runs as it is, with a strategy file, a data file and a static pair list of its own; as there is no network, the"
            " peer script answers ccxt's question for the markets. Its statistics, made afterwards, are not counted.",
        ],
        quick=options.quick,
    )


def _peer(name: str, python: str, data: Path) -> Sample:
    return child(peer(PEERS[name][0]), data, _trades_of(name, data), FAST, SLOW, CASH, SIZE, FEE, python=python)


def _present(name: str, python: str | None) -> bool:
    try:
        return bool(python) and child(peer(PEERS[name][0]), "present", python=python) is not None
    except RuntimeError:
        return False


def _trades_of(name: str, data: Path) -> Path:
    return data.with_name(f"{name}.csv")


def _compare(name: str, data: Path, *, present: bool) -> list[Verdict]:
    """Entries and exits by bar, price and quantity; profits within 1e-9 of what was traded."""
    differ, furthest = f"trades that differ from {name}'s", f"largest difference of profit from {name}'s per trade, in 1e-9 of its size"
    if not present:
        return [unknown(differ, "trades"), unknown(furthest, "")]
    ours, theirs = (_trades(_trades_of(each, data)) for each in ("tradekit", name))
    differing = abs(len(ours) - len(theirs)) + sum(mine[:5] != other[:5] for mine, other in zip(ours, theirs, strict=False))
    apart = max((abs(mine[5] - other[5]) / SIZE for mine, other in zip(ours, theirs, strict=False)), default=0.0)
    return [at_most(differ, differing, 0, "trades"), at_most(furthest, apart * 1e9, 1, "")]


def _trades(path: Path) -> list[tuple[float, ...]]:
    with path.open(newline="") as text:
        return [tuple(map(float, row)) for row in csv.reader(text)]


def write_bars(path: Path, count: int) -> None:
    """A walk around a price of 20 with four decimals, the same every time."""
    chance, price = random.Random(5), 20.0
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("time", "open", "high", "low", "close", "volume"))
        for number in range(count):
            opened, close = price, max(5.0, price * (1 + chance.gauss(0, 0.0008)))
            high, low = max(opened, close) * 1.0002, min(opened, close) * 0.9998
            writer.writerow((START_S + number * 60, *(f"{value:.4f}" for value in (opened, high, low, close)), 1))
            price = round(close, 4)


def read_bars(path: Path) -> list[Bar]:
    with path.open(newline="") as text:
        rows = csv.reader(text)
        next(rows)
        return [
            Bar(
                symbol="ABC/USD",
                timeframe_ms=60_000,
                open_ms=int(row[0]) * 1000,
                open=Decimal(row[1]),
                high=Decimal(row[2]),
                low=Decimal(row[3]),
                close=Decimal(row[4]),
                volume=Decimal(row[5]),
            )
            for row in rows
        ]


def ours(data: Path, trades: Path) -> Sample:
    whole = Decimal(1)
    instrument = Instrument(symbol="ABC/USD", base="ABC", quote="USD", tick_size=Decimal("0.0001"), step_size=whole, min_qty=whole)
    series = Series.of(read_bars(data), instrument)
    options = BacktestOptions(cash=Decimal(CASH), fees=Decimal(FEE), settings={"size": str(SIZE)})
    gc.collect()
    started = time.process_time()
    report = backtest(EmaCross(fast=FAST, slow=SLOW), series, options)
    took = time.process_time() - started
    with trades.open("w", newline="") as text:
        writer = csv.writer(text)
        for trade in report.trades:
            entry, exit_ = (time_ms // 60_000 - START_S // 60 for time_ms in (trade.entry_ms, trade.exit_ms))
            writer.writerow((entry, exit_, trade.entry_price, trade.exit_price, trade.quantity, trade.pnl))
    return {"per_s": report.bars / took, "trades": len(report.trades), "process_s": time.process_time()}


class PlainBar:
    __slots__ = ("close", "high", "low", "open", "time", "volume")

    def __init__(self, time: int, open: float, high: float, low: float, close: float, volume: float) -> None:
        self.time, self.open, self.high, self.low, self.close, self.volume = time, open, high, low, close, volume


def plain(data: Path, trades: Path) -> Sample:
    with data.open(newline="") as text:
        rows = csv.reader(text)
        next(rows)
        columns = [(int(row[0]), *map(float, row[1:])) for row in rows]
    gc.collect()
    fast, slow, above, wish = Ema(FAST), Ema(SLOW), None, None
    cash, held, fee, found, entered, equity = float(CASH), 0, float(FEE), [], (0, 0.0), []
    started = time.process_time()
    for number, row in enumerate(columns):
        bar = PlainBar(*row)
        if wish is not None:
            if wish > 0:
                cash, held, entered = cash - wish * bar.open * (1 + fee), wish, (number, bar.open)
            else:
                profit = held * (bar.open - entered[1]) - fee * held * (bar.open + entered[1])
                cash, held = cash + held * bar.open * (1 - fee), found.append((entered[0], number, entered[1], bar.open, held, profit)) or 0
            wish = None
        quick, calm = fast.add(bar.close), slow.add(bar.close)
        if quick is not None and calm is not None and quick != calm:
            before, above = above, quick > calm
            if before is not None and before != above:
                wish = SIZE // bar.close if above else -1 if held else None
        equity.append(cash + held * bar.close)
    took = time.process_time() - started
    with trades.open("w", newline="") as text:
        csv.writer(text).writerows(found)
    return {"per_s": len(columns) / took, "trades": len(found), "process_s": time.process_time()}


if __name__ == "__main__":
    tell(**(ours if sys.argv[1] == "tradekit" else plain)(Path(sys.argv[2]), Path(sys.argv[3])))
