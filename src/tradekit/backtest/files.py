"""A report as files in a directory."""

import csv
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tradekit.backtest.picture import can_draw, draw
from tradekit.backtest.report import Report, rows, span
from tradekit.backtest.series import Series
from tradekit.backtest.skipped import skipped_rows
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import DataError

COLUMNS = ("symbol", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "fees", "pnl", "return_pct")
TRADES_SHOWN = 20


def prepare(directory: Path) -> None:
    """Make the directory, before a long run finds out that it cannot.

    :raises DataError: it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(path=str(directory), problem=f"cannot be made: {error.strerror}", fix="name another directory") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DataError(path=str(directory), problem="cannot be written to", fix="name another directory")


def write(report: Report, series: Sequence[Series], directory: Path) -> list[Path]:
    """Write ``report.json``, ``trades.csv``, ``report.md`` and, with the ``charts`` extra, ``report.png``; returns what was written.

    Each file is written aside and then put in its place, so that a reader never sees half of one.

    :raises DataError: the directory cannot be written to.
    """
    prepare(directory)
    document = msgspec.json.format(msgspec.json.encode(report.document(len(report.equity) + 2)), indent=1)
    written = [_put(directory / "report.json", document + b"\n"), _put(directory / "trades.csv", _trades(report).encode())]
    picture = directory / "report.png"
    if can_draw():
        aside = directory / ".report.png.part"
        draw(report, series, aside)
        written.append(aside.replace(picture))
    written.append(_put(directory / "report.md", page(report, picture.name if can_draw() else "").encode()))
    return written


def page(report: Report, picture: str = "") -> str:
    """The report as Markdown: measures, picture, the first trades."""
    lines = [
        f"# {report.title}",
        "",
        f"{', '.join(report.symbols)}, {report.bars} bars of {span(report.timeframe_s)}, {report.period()}. Orders fill at "
        + ("the next bar's open. " if report.fill == "next-open" else "the closing price. ")
        + f"{report.sizing}.",
        "",
    ]
    if picture:
        lines += [f"![Price, equity and drawdown]({picture})", ""]
    lines += ["| | |", "|---|---|", *(f"| {label} | {text} |" for label, text in rows(report.metrics)), ""]
    if report.skipped:
        lines += ["Signals that made no order:", "", "| why | signals |", "|---|---|"]
        lines += [f"| {why} | {count} |" for why, count in skipped_rows(report.skipped)]
    lines += ["", "## Trades", "", "| entry | price | exit | price | quantity | profit | |", "|---|---|---|---|---|---|---|"]
    for trade in report.trades[:TRADES_SHOWN]:
        lines.append(
            f"| {_time(trade.entry_ms)} | {text_of(trade.entry_price)} | {_time(trade.exit_ms)} | {text_of(trade.exit_price)} "
            f"| {text_of(trade.quantity)} {trade.symbol.partition('/')[0]} | {trade.pnl:+.2f} | {trade.return_pct:+.2f} % |"
        )
    if len(report.trades) > TRADES_SHOWN:
        lines += ["", f"The first {TRADES_SHOWN} of {len(report.trades)}; all are in `trades.csv`."]
    return "\n".join(lines) + "\n"


def _trades(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for trade in report.trades:
        amounts = (trade.entry_price, trade.exit_price, trade.fees, trade.pnl)
        entry, exit_, fees, pnl = map(text_of, amounts)
        writer.writerow(
            (
                trade.symbol,
                text_of(trade.quantity),
                _time(trade.entry_ms),
                entry,
                _time(trade.exit_ms),
                exit_,
                fees,
                pnl,
                f"{trade.return_pct:.6f}",
            )
        )
    return text.getvalue()


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _put(path: Path, content: bytes) -> Path:
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_bytes(content)
        return aside.replace(path)
    except OSError as error:
        fix = "make room, or name another directory"
        raise DataError(path=str(path), problem=f"cannot be written: {error.strerror}", fix=fix) from error
