"""Bars to test on, and the order in which several instruments' bars happened."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, islice

import attrs

from tradekit.domain.errors import BadInput, DataError
from tradekit.domain.instruments import Bar, Instrument, Symbol, instrument_for

FINEST_TICK = Decimal("0.00000001")


@attrs.frozen(kw_only=True)
class Series:
    """The bars of one instrument, oldest first, readable again and again.

    To be sent to other processes (:func:`tradekit.backtest.sweep`), ``read`` must be picklable.
    """

    instrument: Instrument
    timeframe_ms: int
    count: int
    """Bars that ``read`` gives."""
    read: Callable[[], Iterable[Bar]]
    name: str = "bars"
    """What errors call the data: a file's path."""
    first_line: int = 1
    """The line of the first bar in it."""

    @classmethod
    def of(cls, bars: Sequence[Bar], instrument: Instrument | None = None) -> "Series":
        """Bars in memory. Without an instrument its steps are guessed from the first price, with a tick of eight decimals.

        :raises BadInput: no bar.
        """
        if not bars:
            raise BadInput(field="data", value="[]", problem="has no bars", hint="give at least one bar")
        first = bars[0]
        if instrument is None:
            guess = instrument_for(first.symbol, first.open)
            instrument = _with_tick(guess, min(guess.tick_size, FINEST_TICK))
        return cls(instrument=instrument, timeframe_ms=first.timeframe_ms, count=len(bars), read=_InMemory(bars))

    @property
    def symbol(self) -> Symbol:
        """What is traded."""
        return self.instrument.symbol

    def __iter__(self) -> Iterator[Bar]:
        return iter(self.read())

    def loaded(self) -> "Series":
        """The same with all bars in memory: about 0.6 kB each.

        :raises BadInput: no bar.
        """
        if isinstance(self.read, _InMemory):
            return self
        bars = tuple(self)
        return attrs.evolve(Series.of(bars, self.instrument), timeframe_ms=self.timeframe_ms, name=self.name, first_line=self.first_line)

    def between(self, from_ms: int | None, to_ms: int | None) -> "Series":
        """The bars that open in [from_ms, to_ms); None leaves that end open.

        :raises BadInput: no bar is left.
        """
        if from_ms is None and to_ms is None:
            return self
        part = _Window(self.read, from_ms, to_ms)
        count = sum(1 for _ in part())
        if not count:
            first_ms, end_ms = self.span_ms()
            hint = f"the data goes from {minute(first_ms)} to {minute(end_ms)}"
            raise BadInput(field="period", value=f"{day(from_ms)}..{day(to_ms)}", problem=f"has no bars of {self.symbol}", hint=hint)
        return attrs.evolve(self, read=part, count=count)

    def span_ms(self) -> tuple[int, int]:
        """Open of the first bar and close of the last.

        :raises BadInput: no bar.
        """
        first = last = None
        for bar in self:
            first, last = first or bar, bar
        if first is None or last is None:
            raise BadInput(field="data", value=self.name, problem="has no bars", hint="give at least one bar")
        return first.open_ms, last.close_ms


@attrs.frozen
class _InMemory:
    bars: Sequence[Bar]

    def __call__(self) -> Sequence[Bar]:
        return self.bars


@attrs.frozen
class _Window:
    read: Callable[[], Iterable[Bar]]
    from_ms: int | None
    to_ms: int | None

    def __call__(self) -> Iterator[Bar]:
        start = -1 if self.from_ms is None else self.from_ms
        for bar in self.read():
            if self.to_ms is not None and bar.open_ms >= self.to_ms:
                return
            if bar.open_ms >= start:
                yield bar


def _with_tick(instrument: Instrument, tick: Decimal) -> Instrument:
    return Instrument(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        tick_size=tick,
        step_size=instrument.step_size,
        min_qty=instrument.min_qty,
        max_qty=instrument.max_qty,
    )


Data = Series | Sequence[Series] | Sequence[Bar]
"""What can be tested on: one instrument, several, or plain bars of one."""


def series_of(data: Data) -> tuple[Series, ...]:
    """The data as series.

    :raises BadInput: no data, or an instrument given twice.
    """
    if isinstance(data, Series):
        return (data,)
    parts = tuple(item for item in data if isinstance(item, Series))
    found = parts if parts or not data else (Series.of(tuple(bar for bar in data if isinstance(bar, Bar))),)
    symbols = [series.symbol for series in found]
    if not found or len(set(symbols)) < len(symbols):
        problem = "has an instrument twice" if found else "is empty"
        raise BadInput(field="data", value=", ".join(symbols), problem=problem, hint="give one series per instrument")
    return found


Moment = tuple[tuple[Bar, ...], tuple[Bar, ...]]
"""Bars that close, and then bars that open, at one time."""


def moments(parts: Sequence[Series]) -> Iterator[Moment]:
    """The bars of all series in order of time: whatever ends at a time comes before what begins."""
    events = heapq.merge(*(_events(number, series) for number, series in enumerate(parts)), key=_when)
    for _, group in groupby(events, key=lambda event: event[0]):
        at_once = tuple(group)
        yield tuple(bar for _, begins, _, bar in at_once if not begins), tuple(bar for _, begins, _, bar in at_once if begins)


_Event = tuple[int, bool, int, Bar]


def _events(number: int, series: Series) -> Iterator[_Event]:
    for bar in in_order(series):
        yield bar.open_ms, True, number, bar
        yield bar.close_ms, False, number, bar


def _when(event: _Event) -> tuple[int, bool, int]:
    return event[:3]


@attrs.frozen(kw_only=True)
class Gap:
    """Bars that are missing between two that are there."""

    symbol: Symbol
    line: int
    """Of the bar after which they are missing."""
    after_ms: int
    until_ms: int
    bars: int


def gaps(series: Series) -> Iterator[Gap]:
    """Every place where bars are missing, judged by the timeframe."""
    step, previous = series.timeframe_ms, None
    for number, bar in enumerate(series):
        if previous is not None and bar.open_ms - previous > step:
            missing = (bar.open_ms - previous) // step - 1
            line = series.first_line + number - 1
            yield Gap(symbol=series.symbol, line=line, after_ms=previous, until_ms=bar.open_ms, bars=max(1, missing))
        previous = bar.open_ms


def refuse_gaps(series: Series) -> None:
    """Make sure that no bar is missing.

    :raises DataError: with the line of the first gap.
    """
    found = list(islice(gaps(series), 1000))
    if found:
        first, many = found[0], "at least 1000" if len(found) == 1000 else str(len(found))
        missing = f"{first.bars} bars of {series.timeframe_ms // 1000} s are missing"
        problem = f"line {first.line}: after it {missing}, between the bars of {minute(first.after_ms)} and {minute(first.until_ms)}"
        fix = f"fill the gaps ({many} in all), choose a period without them, or allow them (--allow-gaps) if the market was closed then"
        raise DataError(path=series.name, problem=problem, fix=fix)


def in_order(series: Series) -> Iterator[Bar]:
    """The bars, up to the first that is not as it should be.

    :raises DataError: bars out of order, twice, or of another instrument.
    """
    previous_ms, symbol = -1, series.symbol
    for bar in series.read():
        open_ms = bar.open_ms
        if open_ms <= previous_ms or bar.symbol != symbol:
            raise _defect(series)
        previous_ms = open_ms
        yield bar


def _defect(series: Series) -> DataError:
    """What is wrong with the first bar that follows no rule; only now are lines counted."""
    previous_ms = -1
    for number, bar in enumerate(series, series.first_line):
        if bar.symbol != series.symbol:
            problem = f"line {number}: {bar.symbol} among the bars of {series.symbol}"
            return DataError(path=series.name, problem=problem, fix="give one series per instrument")
        if bar.open_ms <= previous_ms:
            order = "there twice" if bar.open_ms == previous_ms else "not in order of time"
            problem = f"line {number}: the bar of {minute(bar.open_ms)} is {order}"
            return DataError(path=series.name, problem=problem, fix="sort the bars by time and keep one per time")
        previous_ms = bar.open_ms
    return DataError(path=series.name, problem="changed while it was read", fix="leave the data alone while it is used")


def day(time_ms: int | None) -> str:
    """ISO date, or empty text."""
    return "" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def minute(time_ms: int) -> str:
    """Date and time to the minute, UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"
