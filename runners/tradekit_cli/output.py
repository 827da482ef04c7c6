"""Results go to stdout, everything else to stderr."""

import sys
import unicodedata
from collections.abc import Sequence

import msgspec


def result(text: str) -> None:
    """Print a result for people."""
    print(text, flush=True)


def result_json(value: object) -> None:
    """Print a result for programs: one JSON document."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), flush=True)


def note(text: str) -> None:
    """Tell something that is not a result."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(_padded(line, widths) for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
