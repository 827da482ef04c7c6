"""Candles made of the trades that happened, or given by the test."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Any

import attrs

from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.markets import format_amount

INTERVALS_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
}
KEPT_MAX = 5_000
"""Candles of one market and interval; older ones go."""


@attrs.define(eq=False)
class Candle:
    """Prices in quote, volume in base."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int = 0

    def describe(self, interval_ms: int) -> list[Any]:
        text = format_amount
        quote = text(self.volume * self.close)
        return [
            self.open_ms,
            text(self.open),
            text(self.high),
            text(self.low),
            text(self.close),
            text(self.volume),
            self.open_ms + interval_ms - 1,
            quote,
            self.trades,
            text(self.volume / 2),
            quote,
            "0",
        ]

    def event(self, symbol: str, interval: str, now_ms: int) -> dict[str, Any]:
        """As the kline stream has it."""
        text, end_ms = format_amount, self.open_ms + INTERVALS_MS[interval]
        return {
            "e": "kline",
            "E": now_ms,
            "s": symbol,
            "k": {
                "t": self.open_ms,
                "T": end_ms - 1,
                "s": symbol,
                "i": interval,
                "f": 0,
                "L": 0,
                "o": text(self.open),
                "c": text(self.close),
                "h": text(self.high),
                "l": text(self.low),
                "v": text(self.volume),
                "n": self.trades,
                "x": now_ms >= end_ms,
                "q": text(self.volume * self.close),
                "V": "0",
                "Q": "0",
                "B": "0",
            },
        }


class Candles:
    """Of one market, for every interval that somebody asked for or that was given. An interval without trades repeats the last close."""

    def __init__(self) -> None:
        self._candles: dict[str, list[Candle]] = {interval: [] for interval in INTERVALS_MS}

    def load(self, interval: str, candles: list[Candle]) -> None:
        """Put recorded candles in place of what there is, oldest first."""
        self._candles[interval] = list(candles)

    def add(self, price: Decimal, quantity: Decimal, now_ms: int) -> None:
        """A trade happened."""
        for interval, length_ms in INTERVALS_MS.items():
            candle = self._current(self._candles[interval], length_ms, price, now_ms)
            candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
            candle.volume += quantity
            candle.trades += 1

    def last(self, interval: str, price: Decimal, now_ms: int) -> Candle:
        """The candle under way."""
        return self._current(self._candles[interval], INTERVALS_MS[interval], price, now_ms)

    def query(self, interval: str, price: Decimal, now_ms: int, *, start_ms: int | None, end_ms: int | None, limit: int) -> list[list[Any]]:
        """
        :raises VenueError: an interval that does not exist.
        """
        if interval not in INTERVALS_MS:
            raise VenueError(-1120, "Invalid interval.")
        candles = self._candles[interval]
        self._current(candles, INTERVALS_MS[interval], price, now_ms)
        if start_ms is not None:
            candles = candles[bisect_left(candles, start_ms, key=lambda candle: candle.open_ms) :]
        if end_ms is not None:
            candles = [candle for candle in candles if candle.open_ms <= end_ms]
        chosen = candles[:limit] if start_ms is not None else candles[-limit:]
        return [candle.describe(INTERVALS_MS[interval]) for candle in chosen]

    def _current(self, candles: list[Candle], length_ms: int, price: Decimal, now_ms: int) -> Candle:
        open_ms = now_ms // length_ms * length_ms
        if not candles:
            candles.append(Candle(open_ms, price, price, price, price, Decimal(0)))
        gap = (open_ms - candles[-1].open_ms) // length_ms
        for number in range(max(1, gap - KEPT_MAX), gap + 1):
            close = candles[-1].close
            candles.append(Candle(open_ms - (gap - number) * length_ms, close, close, close, close, Decimal(0)))
        if len(candles) > 2 * KEPT_MAX:
            del candles[:-KEPT_MAX]
        return candles[-1]
