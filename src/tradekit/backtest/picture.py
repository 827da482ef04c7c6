"""The report as a picture: price with entries and exits, equity, drawdown. Needs the ``charts`` extra."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradekit.backtest.curve import Curve
from tradekit.backtest.ledger import RoundTrip
from tradekit.backtest.report import Report, number, percent
from tradekit.backtest.series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS_MAX = 4000
FEW = 150
"""Trades that can be told apart in the picture."""
INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
LINES = ("#2563a8", "#b7791f", "#6b46c1", "#2c7a7b", "#97266d", "#4a5568")
UP, DOWN = "#1a7f4b", "#c0392b"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(report: Report, series: Sequence[Series], path: Path) -> None:
    """Write a PNG. The bars are read again for the price.

    matplotlib is loaded here and draws without its global state, so that a service may call this in a thread or process of its own.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.5), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    price, equity, fall = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.2))
    figure.suptitle(f"{report.title} on {', '.join(report.symbols)}", x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
    _prices(price, report, series)
    _equity(equity, report, series[0].instrument.quote)
    _falls(fall, report)
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    fall.xaxis.set_major_locator(locator)
    fall.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    fall.set_xlim(_when(report.from_ms), _when(report.to_ms))
    for axes in (price, equity, fall):
        _plain(axes)
    figure.align_ylabels()
    figure.savefig(path, format="png", metadata={"Software": None})


def _prices(axes: "Axes", report: Report, series: Sequence[Series]) -> None:
    """One instrument in its currency; several as percent of their first price."""
    alone = len(series) == 1
    for index, part in enumerate(series):
        curve = _closes(part, report)
        base = 1.0 if alone else curve.values[0] / 100
        points = curve.thinned(POINTS_MAX)
        axes.plot(_times(points), [value / base for _, value in points], color=LINES[index % len(LINES)], linewidth=0.8, label=part.symbol)
        _marks(axes, [trade for trade in report.trades if trade.symbol == part.symbol], base, labelled=not index)
    axes.set_ylabel(f"Price, {series[0].instrument.quote}" if alone else "Price, first = 100")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.legend(
        loc="lower left", ncols=8, frameon=False, fontsize=8, labelcolor=INK, bbox_to_anchor=(0, 1), borderaxespad=0.2, markerscale=1.5
    )


def _marks(axes: "Axes", trades: Sequence[RoundTrip], base: float, *, labelled: bool) -> None:
    """Entries and exits at their prices, joined when there are few; many are drawn beside the price, so that it stays visible."""
    few = len(trades) <= FEW
    if few:
        for trade in trades:
            ends = [(trade.entry_ms, float(trade.entry_price)), (trade.exit_ms, float(trade.exit_price))]
            color = UP if trade.pnl > 0 else DOWN
            axes.plot(_times(ends), [value / base for _, value in ends], color=color, linewidth=1.6, alpha=0.55, zorder=2)
    bottom, top = axes.get_ylim()
    aside = 0 if few else (top - bottom) * 0.02
    size = 42 if few else max(5.0, 9000 / len(trades))
    for label, marker, color, points in (
        ("entry", "^", UP, [(trade.entry_ms, float(trade.entry_price) / base - aside) for trade in trades]),
        ("exit", "v", DOWN, [(trade.exit_ms, float(trade.exit_price) / base + aside) for trade in trades]),
    ):
        axes.scatter(
            _times(points),
            [value for _, value in points],
            s=size,
            marker=marker,
            color=color,
            linewidths=0.5 if few else 0,
            edgecolors="white",
            zorder=3,
            alpha=0.95 if few else 0.7,
            label=label if labelled else None,
        )


def _equity(axes: "Axes", report: Report, quote: str) -> None:
    points, start = report.equity.thinned(POINTS_MAX), float(report.metrics.initial_equity)
    values = [value for _, value in points]
    axes.plot(_times(points), values, color=INK, linewidth=1)
    axes.axhline(start, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.fill_between(_times(points), values, start, where=[value >= start for value in values], color=UP, alpha=0.12, linewidth=0)
    axes.fill_between(_times(points), values, start, where=[value < start for value in values], color=DOWN, alpha=0.12, linewidth=0)
    axes.set_ylabel(f"Equity, {quote}")
    axes.yaxis.set_major_formatter("{x:,g}")
    m = report.metrics
    told = f"return {percent(m.return_pct)}    buy and hold {percent(m.buy_and_hold_pct)}    Sharpe {number(m.sharpe)}    trades {m.trades}"
    axes.set_title(told, loc="left", fontsize=9, color=INK, pad=4)


def _falls(axes: "Axes", report: Report) -> None:
    falls = Curve(report.equity.times_ms)
    falls.values.extend(report.equity.drawdowns())
    points = falls.thinned(POINTS_MAX)
    axes.fill_between(_times(points), [value for _, value in points], 0, color=DOWN, alpha=0.35, linewidth=0)
    axes.set_ylabel("Drawdown, %")
    axes.set_title(f"deepest {percent(-report.metrics.max_drawdown_pct or 0.0)}", loc="left", fontsize=9, color=INK, pad=4)


def _closes(series: Series, report: Report) -> Curve:
    curve = Curve()
    for bar in series:
        if report.from_ms <= bar.open_ms:
            curve.times_ms.append(bar.close_ms)
            curve.values.append(float(bar.close))
    return curve


def _plain(axes: "Axes") -> None:
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    axes.yaxis.label.set(color=INK, fontsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _when(time_ms: int) -> Any:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _times(points: Iterable[tuple[int, float]]) -> list[Any]:
    return [_when(time_ms) for time_ms, _ in points]
