"""Recorded bars: CSV or gzipped CSV with the columns time, open, high, low, close and volume."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import attrs

from tradekit.domain.amounts import text_of
from tradekit.domain.errors import DataError
from tradekit.domain.instruments import Bar, Instrument, Symbol, instrument_for

COLUMNS = ("time", "open", "high", "low", "close", "volume")
DIGITS_MAX = 28
TIME_MAX_S = 253_402_300_799
"""The end of the year 9999."""
TIME_DIGITS_MAX = len(str(TIME_MAX_S))
TICK_DECIMALS_MAX = 8
PLAIN_EXPONENT_MAX = 18

_GZIP = b"\x1f\x8b"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_PLAIN_ROW = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:,[0-9]+(?:\.[0-9]*)?){4}", re.ASCII)
"""The five numbers of nearly every row, checked at once."""


@attrs.frozen
class Recording:
    """A file that has been read through once and found whole."""

    path: Path
    symbol: Symbol
    timeframe_ms: int
    """The shortest distance between two bars; a minute if there is only one."""
    count: int
    first: Bar
    decimals: int
    """Most decimals that a price of the file has."""

    @classmethod
    def scan(cls, path: Path, symbol: Symbol) -> "Recording":
        """Read the whole file, keeping nothing, so that a defect shows at start and not in the middle of a replay.

        :raises DataError: missing or unreadable file, missing column, something that is not a number, negative or impossible prices,
            bars out of order or twice, no bar at all; with the line and what to do.
        """
        first: Bar | None = None
        previous_ms = step_ms = count = decimals = 0
        finest = Decimal(1)
        for bar in _read(path, symbol, 0):
            if first is None:
                first = bar
            elif not step_ms or bar.open_ms - previous_ms < step_ms:
                step_ms = bar.open_ms - previous_ms
            previous_ms = bar.open_ms
            count += 1
            for price in (bar.open, bar.high, bar.low, bar.close):
                # The text is the slow way to know; a remainder of a very large price would not fit a Decimal.
                if price.adjusted() > PLAIN_EXPONENT_MAX or price % finest:
                    decimals = max(decimals, _decimals(price))
                    finest = Decimal(1).scaleb(-min(decimals, TICK_DECIMALS_MAX))
        if first is None:
            raise DataError(path=str(path), problem="has no bars", fix=f"give a file with a line of {','.join(COLUMNS)} per bar")
        return cls(path=path, symbol=symbol, timeframe_ms=step_ms or 60_000, count=count, first=first, decimals=decimals)

    @property
    def instrument(self) -> Instrument:
        """Steps and limits guessed from the prices; every recorded price of up to 8 decimals is a multiple of the tick."""
        guess = instrument_for(self.symbol, self.first.open)
        tick = min(guess.tick_size, Decimal(1).scaleb(-min(self.decimals, TICK_DECIMALS_MAX)))
        return Instrument(
            symbol=guess.symbol, base=guess.base, quote=guess.quote, tick_size=tick, step_size=guess.step_size, min_qty=guess.min_qty
        )

    def bars(self) -> Iterator[Bar]:
        """The bars in order of time, read as they are asked for; times as recorded."""
        return _read(self.path, self.symbol, self.timeframe_ms)


def _decimals(price: Decimal) -> int:
    digits = text_of(price)
    return len(digits) - digits.find(".") - 1 if "." in digits else 0


def _read(path: Path, symbol: Symbol, timeframe_ms: int) -> Iterator[Bar]:
    line = 1
    try:
        for number, row in _rows(path):
            line = number
            yield _bar(row, symbol, timeframe_ms)
    except _Defect as defect:
        raise DataError(path=str(path), problem=f"line {defect.line or line}: {defect.problem}", fix=defect.fix) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"after line {line}: is cut short, or is not gzip"
        raise DataError(path=str(path), problem=problem, fix="copy the file again, or give it plain as .csv") from error
    except OSError as error:
        raise DataError(path=str(path), problem=error.strerror or str(error), fix="give a file that can be read") from error
    except UnicodeDecodeError as error:
        problem = f"after line {line}: is not text"
        raise DataError(path=str(path), problem=problem, fix="give a CSV file in UTF-8, plain or gzipped") from error
    except csv.Error as error:
        problem = f"after line {line}: {error}"
        raise DataError(path=str(path), problem=problem, fix="write one line of six numbers per bar") from error


@attrs.define(eq=False)
class _Defect(Exception):
    problem: str
    fix: str
    line: int = 0


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and the six columns, in our order."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == _GZIP
        if path.suffix == ".gz" and not zipped and path.stat().st_size:
            raise gzip.BadGzipFile
    opener = gzip.open if zipped else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        if not header:
            raise _Defect("the file is empty", f"begin it with the line {','.join(COLUMNS)}", 1)
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise _Defect(f"no column {' and '.join(missing)}", f"name the columns {','.join(COLUMNS)} in the first line", 1)
        order = [header.index(name) for name in COLUMNS]
        previous = -1
        for row in reader:
            if not row:
                continue
            line = reader.line_num
            if len(row) != len(header):
                raise _Defect(f"{len(row)} columns instead of {len(header)}", "give every column of the first line a value", line)
            columns = [row[index].strip() for index in order]
            previous = _later(columns[0], previous, line)
            yield line, columns


def _later(text: str, previous: int, line: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > TIME_DIGITS_MAX or int(text) > TIME_MAX_S:
        raise _Defect(f"time is {_shown(text)}", "write times as whole Unix seconds, as in 1703923200", line)
    time_s = int(text)
    if time_s == previous:
        raise _Defect(f"time {time_s} is there twice", "keep one bar per time", line)
    if time_s < previous:
        raise _Defect(f"time {time_s} comes after {previous}", "sort the bars by time", line)
    return time_s


def _bar(row: list[str], symbol: Symbol, timeframe_ms: int) -> Bar:
    if _PLAIN_ROW.fullmatch(",".join(row[1:])) and len(max(row, key=len)) <= DIGITS_MAX:
        opened, high, low, close, volume = map(Decimal, row[1:])
    else:
        opened, high, low, close, volume = (_number(name, text) for name, text in zip(COLUMNS[1:], row[1:], strict=True))
    if low <= 0:
        raise _Defect("a price is zero", "remove the bar or correct its prices")
    if not (low <= opened <= high and low <= close <= high):
        raise _Defect("open and close are not between low and high", "remove the bar or correct its prices")
    return Bar(
        symbol=symbol,
        timeframe_ms=timeframe_ms,
        open_ms=int(row[0]) * 1000,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def _number(name: str, text: str) -> Decimal:
    if text.startswith("-"):
        raise _Defect(f"{name} is negative: {_shown(text)}", "prices are above zero and volumes not below")
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        number = None
    if number is None or len(number.as_tuple().digits) > DIGITS_MAX:
        raise _Defect(f"{name} is not a number: {_shown(text)}", "write plain digits with a point, as in 41947.16")
    return number


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:39] + "...")
