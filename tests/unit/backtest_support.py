"""Bars, strategies that follow a script, and a small reference to compare with."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal

import attrs

from tradekit.domain.instruments import Bar, Instrument
from tradekit.domain.orders import Side

START_MS = 1_700_006_400_000
MINUTE_MS = 60_000


def a_bar(number: int, opened: str, high: str, low: str, close: str, symbol: str = "BTC/USDT") -> Bar:
    prices = dict(zip(("open", "high", "low", "close"), map(Decimal, (opened, high, low, close)), strict=True))
    return Bar(symbol=symbol, timeframe_ms=MINUTE_MS, open_ms=START_MS + number * MINUTE_MS, volume=Decimal(1), **prices)


def flat_bars(*closes: str, symbol: str = "BTC/USDT") -> list[Bar]:
    """Bars that open at the last close; the first opens where it closes."""
    opens = (closes[0], *closes[:-1])
    return [
        a_bar(number, opened, max(opened, close, key=Decimal), min(opened, close, key=Decimal), close, symbol)
        for number, (opened, close) in enumerate(zip(opens, closes, strict=True))
    ]


def an_instrument(symbol: str = "BTC/USDT", **values: str) -> Instrument:
    base, _, quote = symbol.partition("/")
    steps = {
        "tick_size": "0.01",
        "step_size": "0.001",
        "min_qty": "0.001",
        "min_notional": "1",
        "taker_fee": "0.001",
        "maker_fee": "0.0005",
    }
    return Instrument(symbol=symbol, base=base, quote=quote, **{name: Decimal(value) for name, value in {**steps, **values}.items()})


@attrs.frozen(kw_only=True)
class Scripted:
    """Says what its script says, by number of the bar."""

    script: Mapping[int, Side]
    name: str = "scripted"
    title: str = "Scripted"
    advanced: bool = False

    def evaluator(self, symbol: str) -> "_Reader":
        return _Reader(self.script)


@attrs.define
class _Reader:
    script: Mapping[int, Side]
    number: int = -1

    def on_bar(self, bar: Bar) -> Side | None:
        self.number += 1
        return self.script.get(self.number)


def reference_ema_cross(
    bars: Sequence[Bar], fast: int, slow: int, size: float, step: Decimal, fee: float
) -> list[tuple[int, int, float, float]]:
    """EMA cross written for itself alone, in floats: (entry bar, exit bar, quantity, profit) of every round trip.

    Decides on the close, fills at the next open, buys ``size`` of quote currency rounded down to ``step``.
    """
    closes = [float(bar.close) for bar in bars]
    opens = [float(bar.open) for bar in bars]
    quick, calm = _ema(closes, fast), _ema(closes, slow)
    trades: list[tuple[int, int, float, float]] = []
    entered: tuple[int, float] | None = None
    above: bool | None = None
    for index in range(slow - 1, len(bars) - 1):
        if quick[index] == calm[index]:
            continue
        before, above = above, quick[index] > calm[index]
        if before is None or before == above:
            continue
        if above and entered is None:
            quantity = (Decimal(size) / bars[index].close / step).to_integral_value(ROUND_DOWN) * step
            entered = index + 1, float(quantity)
        elif not above and entered is not None:
            at, amount = entered
            paid, got = amount * opens[at], amount * opens[index + 1]
            trades.append((at, index + 1, amount, got - paid - fee * (paid + got)))
            entered = None
    return trades


def _ema(values: Sequence[float], period: int) -> list[float]:
    averages = [sum(values[:period]) / period]
    for value in values[period:]:
        averages.append(averages[-1] + 2 / (period + 1) * (value - averages[-1]))
    return [float("nan")] * (period - 1) + averages
