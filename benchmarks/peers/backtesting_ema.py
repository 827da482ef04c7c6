"""Peer of P5: the same EMA cross on the same bars with backtesting.py. Prints bars per second of CPU; writes its trades."""

import csv
import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

warnings.filterwarnings("ignore")


def ema(values: np.ndarray, period: int) -> np.ndarray:
    """Begun with a simple mean, as ours."""
    values, found = np.asarray(values, dtype=float), np.full(len(values), np.nan)
    found[period - 1] = value = sum(values[:period].tolist()) / period
    for index in range(period, len(values)):
        value += 2 / (period + 1) * (values[index] - value)
        found[index] = value
    return found


class EmaCross(Strategy):
    fast, slow, quote = 12, 48, 1000

    def init(self) -> None:
        close = self.data.Close
        self.quick, self.calm = self.I(ema, close, self.fast, name="fast"), self.I(ema, close, self.slow, name="slow")
        self.above = None

    def next(self) -> None:
        quick, calm = self.quick[-1], self.calm[-1]
        if quick == calm:
            return
        before, self.above = self.above, quick > calm
        if before is None or before == self.above:
            return
        if self.above:
            self.buy(size=int(self.quote // self.data.Close[-1]))
        elif self.position:
            self.position.close()


def main(data: str, trades: str, fast: int, slow: int, cash: float, quote: int, fee: float) -> None:
    bars = pd.read_csv(data)
    bars["time"] = pd.to_datetime(bars["time"], unit="s")
    bars = bars.set_index("time").rename(columns=str.capitalize)
    EmaCross.fast, EmaCross.slow, EmaCross.quote = fast, slow, quote
    test = Backtest(bars, EmaCross, cash=cash, commission=fee)
    started = time.process_time()
    result = test.run()
    took = time.process_time() - started
    with open(trades, "w", newline="") as text:
        writer = csv.writer(text)
        for row in result["_trades"].itertuples():
            writer.writerow((row.EntryBar, row.ExitBar, row.EntryPrice, row.ExitPrice, row.Size, row.PnL))
    print(json.dumps({"per_s": len(bars) / took, "trades": len(result["_trades"]), "process_s": time.process_time()}))


if sys.argv[1] == "present":
    print("{}")
else:
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7]))
