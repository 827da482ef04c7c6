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
    """Bars that ``read`` gives; a bound for progress bars, not a promise."""
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

    def between(self, from_ms: int | None, to_ms: int | None) -> "Series":
        """The bars that open in [from_ms, to_ms); None leaves that end open.

        :raises BadInput: no bar is left.
        """
        if from_ms is None and to_ms is None:
            return self
        part = _Window(self.read, from_ms, to_ms)
        count = sum(1 for _ in part())
        if not count:
            raise BadInput(
                field="period",
                value=f"{day(from_ms)}..{day(to_ms)}",
                problem=f"has no bars of {self.symbol}",
                hint=f"the data holds {self.span()}",
            )
        return attrs.evolve(self, read=part, count=count)

    def span(self) -> str:
        """First and last bar, for people."""
        first = last = None
        for last in self:
            first = first or last
        return "nothing" if first is None or last is None else f"{day(first.open_ms)}..{day(last.open_ms)}"


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
    return _alone(parts[0]) if len(parts) == 1 else _together(parts)


def _alone(series: Series) -> Iterator[Moment]:
    closing: tuple[Bar, ...] = ()
    for bar in series:
        opening = (bar,)
        yield closing, opening
        closing = opening
    yield closing, ()


def _together(parts: Sequence[Series]) -> Iterator[Moment]:
    events = heapq.merge(*(_events(number, series) for number, series in enumerate(parts)), key=_when)
    for _, group in groupby(events, key=lambda event: event[0]):
        at_once = tuple(group)
        yield tuple(bar for _, begins, _, bar in at_once if not begins), tuple(bar for _, begins, _, bar in at_once if begins)


_Event = tuple[int, bool, int, Bar]


def _events(number: int, series: Series) -> Iterator[_Event]:
    for bar in series:
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
            yield Gap(symbol=series.symbol, line=series.first_line + number - 1, after_ms=previous, until_ms=bar.open_ms, bars=max(1, missing))
        previous = bar.open_ms


def refuse_gaps(series: Series) -> None:
    """Make sure that no bar is missing.

    :raises DataError: with the line of the first gap.
    """
    found = list(islice(gaps(series), 1000))
    if found:
        first, many = found[0], "at least 1000" if len(found) == 1000 else str(len(found))
        problem = f"line {first.line}: {first.bars} bars of {series.timeframe_ms // 1000} s are missing from {minute(first.after_ms)} to {minute(first.until_ms)}"
        fix = f"fill the gaps ({many} in all), choose a period without them, or allow them if the market was closed then"
        raise DataError(path=series.name, problem=problem, fix=fix)


def checked(series: Series) -> Iterator[Bar]:
    """The bars, one instrument and in order, or an error at the first that is not.

    :raises DataError: another instrument's bar, or times that do not rise by at least a bar.
    """
    previous = -1
    for number, bar in enumerate(series):
        if bar.open_ms <= previous:
            order = "there twice" if bar.open_ms == previous else "not in order of time"
            problem = f"line {series.first_line + number}: the bar of {minute(bar.open_ms)} is {order}"
            raise DataError(path=series.name, problem=problem, fix="sort the bars by time and keep one per time")
        if bar.symbol != series.symbol:
            problem = f"line {series.first_line + number}: {bar.symbol} among the bars of {series.symbol}"
            raise DataError(path=series.name, problem=problem, fix="give one series per instrument")
        previous = bar.open_ms
        yield bar


def day(time_ms: int | None) -> str:
    """ISO date, or empty text."""
    return "" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def minute(time_ms: int) -> str:
    """Date and time to the minute, UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"
