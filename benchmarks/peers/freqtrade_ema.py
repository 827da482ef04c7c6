"""Peer of P5: the same EMA cross on the same bars with freqtrade, run as the program it is. Prints bars per second; writes its trades.

Freqtrade asks its exchange for the markets before it backtests, and there is no network here: ccxt's ``load_markets`` is answered with
the one market that the bars are of. Everything else is freqtrade's own: configuration, strategy file, data file, static pair list.
"""

import csv
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import ccxt
import ccxt.async_support
import pandas as pd
from freqtrade.configuration import Configuration
from freqtrade.data.history.datahandlers import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting

PAIR, MINUTE_S = "ABC/USD", 60

STRATEGY = """
import pandas as pd
import talib
from freqtrade.strategy import IStrategy


class EmaCross(IStrategy):
    INTERFACE_VERSION = 3
    timeframe, startup_candle_count = "1m", 0
    minimal_roi, stoploss = {{}}, -0.99
    use_exit_signal, can_short = True, False
    closes = None

    def populate_indicators(self, dataframe, metadata):
        dataframe["quick"] = talib.EMA(dataframe["close"], {fast})
        dataframe["calm"] = talib.EMA(dataframe["close"], {slow})
        side = (dataframe["quick"] - dataframe["calm"]).apply(lambda gap: None if pd.isna(gap) or gap == 0 else float(gap > 0))
        side = side.astype(float).ffill()
        dataframe["turn"] = side.diff()
        self.closes = dict(zip(dataframe["date"], dataframe["close"].shift(1)))
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["turn"] == 1, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["turn"] == -1, "exit_long"] = 1
        return dataframe

    def custom_stake_amount(self, pair, current_time, current_rate, **kwargs):
        # Whole units at the close that gave the signal; the little more is cut off by the market's step.
        return ({quote} // self.closes[pd.Timestamp(current_time)] + 0.001) * current_rate
"""

MARKET = {
    "id": "ABCUSD", "symbol": PAIR, "base": "ABC", "quote": "USD", "baseId": "ABC", "quoteId": "USD", "type": "spot",
    "spot": True, "margin": False, "swap": False, "future": False, "option": False, "contract": False, "active": True,
    "taker": 0.001, "maker": 0.001, "precision": {"amount": 1.0, "price": 0.0001}, "info": {},
    "limits": {"amount": {"min": 1.0, "max": 1e6}, "price": {"min": None, "max": None}, "cost": {"min": 10.0, "max": None}},
}  # fmt: skip


def offline() -> None:
    """One market, known beforehand."""

    def now(self, reload=False, params=None):
        return self.set_markets([MARKET])

    async def later(self, reload=False, params=None):
        return self.set_markets([MARKET])

    ccxt.binance.load_markets, ccxt.async_support.binance.load_markets = now, later


def write_home(home: Path, bars: pd.DataFrame, fast: int, slow: int, cash: float, quote: int, fee: float) -> Path:
    """A user directory as freqtrade wants it; returns the configuration file."""
    data = home / "data" / "binance"
    for directory in (data, home / "strategies"):
        directory.mkdir(parents=True)
    (home / "strategies" / "ema_cross.py").write_text(STRATEGY.format(fast=fast, slow=slow, quote=quote))
    get_datahandler(data, "feather").ohlcv_store(PAIR, "1m", bars, CandleType.SPOT)
    config = {
        "user_data_dir": str(home), "datadir": str(data), "strategy": "EmaCross", "strategy_path": str(home / "strategies"),
        "timeframe": "1m", "stake_currency": "USD", "stake_amount": quote, "dry_run": True, "dry_run_wallet": cash, "max_open_trades": 1,
        "fee": fee, "trading_mode": "spot", "dataformat_ohlcv": "feather", "export": "none", "backtest_cache": "none", "verbosity": 0,
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": [], "enable_ws": False},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "same", "use_order_book": False}, "exit_pricing": {"price_side": "same", "use_order_book": False},
    }  # fmt: skip
    path = home / "config.json"
    path.write_text(json.dumps(config))
    return path


def main(data: str, trades: str, fast: int, slow: int, cash: float, quote: int, fee: float) -> None:
    logging.disable(logging.CRITICAL)
    offline()
    bars = pd.read_csv(data).rename(columns={"time": "date"})
    bars["date"] = pd.to_datetime(bars["date"], unit="s", utc=True)
    first_s = int(bars["date"].iloc[0].timestamp())
    with tempfile.TemporaryDirectory() as directory:
        config_path = write_home(Path(directory), bars, fast, slow, cash, quote, fee)
        config = Configuration({"config": [str(config_path)], "user_data_dir": directory}, RunMode.BACKTEST).get_config()
        test = Backtesting(config, progress_callback=lambda task: None)
        loaded, timerange = test.load_bt_data()
        begun = time.process_time()
        test.backtest_one_strategy(test.strategylist[0], loaded, timerange)
        took = time.process_time() - begun
        found = test.all_bt_content["EmaCross"]["results"]
        Backtesting.cleanup()
    # A position left open at the end is sold by force, which nobody else does.
    closed = found[found["exit_reason"] == "exit_signal"].sort_values("open_date")
    with open(trades, "w", newline="") as text:
        writer = csv.writer(text)
        for row in closed.itertuples():
            entry, exit_ = (int(when.timestamp() - first_s) // MINUTE_S for when in (row.open_date, row.close_date))
            writer.writerow((entry, exit_, row.open_rate, row.close_rate, row.amount, row.profit_abs))
    print(json.dumps({"per_s": len(bars) / took, "trades": len(closed), "process_s": time.process_time()}))


if sys.argv[1] == "present":
    print("{}")
else:
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7]))
