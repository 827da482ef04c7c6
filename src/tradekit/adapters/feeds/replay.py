"""Recorded bars as if they happened now."""

import heapq
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal

import msgspec

from tradekit.adapters.feeds.bars import Recording
from tradekit.adapters.feeds.pace import Pace
from tradekit.domain.instruments import Bar, Instrument, Quote
from tradekit.domain.matching import price_path
from tradekit.ports.clock import Clock


class _Tick(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A moment of the recording: a price, and the bar if this closes it."""

    time_ms: int
    begins: bool
    """Of one moment, what ends comes before what begins."""
    file: int
    price: Decimal
    bar: Bar
    closes: bool
    final: bool


class ReplayFeed:
    """Replays files side by side, in order of recorded time.

    A bar is four prices, at its open, a quarter, half and end: open, the extremes, close. The closing price comes just before the bar.
    Prices carry the time of now. Bars keep their recorded distances and begin with the first bar of the replay opening now: the same
    recording replayed later has bars of its own, whose signals are new. When played faster than recorded, bars therefore run ahead of
    the clock: judge age by the time of quotes and signals, not by a bar's.

    Without ``speed``, one bar of the shortest timeframe takes a second, and stretches without any bar (nights, weekends) are skipped.
    With it, recorded time runs ``speed`` times as fast, gaps included. When an instrument's file has ended its last price carries
    ``final``; the events end with the last file.
    """

    source = "replay"

    def __init__(self, recordings: Sequence[Recording], clock: Clock, speed: float | None = None) -> None:
        self._recordings = tuple(recordings)
        self._clock = clock
        self._speed = speed
        self._base_ms = min(recording.first.open_ms for recording in recordings)
        self._unit_ms = min(recording.timeframe_ms for recording in recordings)

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(recording.instrument for recording in self._recordings)

    def opening(self) -> tuple[Quote, ...]:
        """The first recorded price of every file, even of those that begin later than the others."""
        now_ms = self._clock.now_ms()
        return tuple(Quote(symbol=recording.symbol, price=recording.first.open, time_ms=now_ms) for recording in self._recordings)

    async def past(self) -> tuple[Bar, ...]:
        """None: a replay begins with its first bar."""
        return ()

    async def events(self) -> AsyncIterator[Quote | Bar]:
        """Each call replays from the first bar.

        :raises DataError: a file was changed since it was scanned.
        """
        shift_ms = self._clock.now_ms() - self._base_ms
        pace = Pace(self._clock)
        speed = self._speed or self._unit_ms / 1000
        skipped_ms = busy_until_ms = 0
        for tick in heapq.merge(*(_ticks(index, recording) for index, recording in enumerate(self._recordings))):
            if self._speed is None and busy_until_ms and tick.time_ms > busy_until_ms:
                skipped_ms += tick.time_ms - busy_until_ms
            busy_until_ms = max(busy_until_ms, tick.bar.close_ms)
            await pace.until((tick.time_ms - self._base_ms - skipped_ms) / 1000 / speed)
            yield Quote(symbol=tick.bar.symbol, price=tick.price, time_ms=self._clock.now_ms(), final=tick.final)
            if tick.closes:
                yield msgspec.structs.replace(tick.bar, open_ms=tick.bar.open_ms + shift_ms)


def _ticks(file: int, recording: Recording) -> Iterator[_Tick]:
    bars = recording.bars()
    bar = next(bars)
    following: Bar | None = bar
    while following is not None:
        bar, following = following, next(bars, None)
        opened, first, second, close = price_path(bar)
        start, length = bar.open_ms, bar.timeframe_ms
        yield _Tick(start, True, file, opened, bar, False, False)
        yield _Tick(start + length // 4, False, file, first, bar, False, False)
        yield _Tick(start + length // 2, False, file, second, bar, False, False)
        yield _Tick(bar.close_ms, False, file, close, bar, True, following is None)
