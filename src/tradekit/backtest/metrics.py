"""The measures of a backtest."""

import math
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tradekit.backtest.curve import YEAR_MS, Curve
from tradekit.backtest.ledger import Book, RoundTrip
from tradekit.domain.amounts import ZERO


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Percentages are in percent; None where a measure has no value, such as a ratio without any loss."""

    initial_equity: Decimal
    final_equity: Decimal
    """Cash, and positions at the last closing price."""
    return_pct: float
    buy_and_hold_pct: float
    """Of the instruments' first opening to their last closing price, equal parts, no fees."""
    cagr_pct: float | None
    """Compound annual growth rate over calendar time; None below a day of data."""
    sharpe: float | None
    """Mean over sample standard deviation of daily returns (of bars longer than a day: per bar), annualised by the square root of the
    returns per year; risk-free rate 0. After Sharpe, The Sharpe Ratio (1994)."""
    sortino: float | None
    """The same over the downside deviation with target 0 (Sortino and Price, 1994)."""
    max_drawdown_pct: float
    """Deepest fall from a peak of equity, at closing prices."""
    max_drawdown_s: int
    """Longest time below an earlier peak."""
    trades: int
    """Round trips."""
    wins: int
    win_rate_pct: float | None
    profit_factor: float | None
    """Gross profit over gross loss."""
    expectancy: Decimal | None
    """Average profit of a round trip, quote currency."""
    best_trade_pct: float | None
    worst_trade_pct: float | None
    average_trade_s: int | None
    exposure_pct: float
    """Bars' closings with an open position."""
    pnl: Decimal
    """Of the round trips, fees deducted."""
    open_pnl: Decimal
    """Of what is still held, at the last closing price."""
    fees: Decimal
    orders: int
    fills: int
    skipped: int
    """Signals that led to no order."""


def measure(
    *,
    book: Book,
    trades: Sequence[RoundTrip],
    curve: Curve,
    initial: Decimal,
    final: Decimal,
    exposed: int,
    start_ms: int,
    end_ms: int,
    buy_and_hold: Sequence[float],
) -> Metrics:
    """Compute every measure; ``buy_and_hold`` is last over first price per instrument."""
    years = (end_ms - start_ms) / YEAR_MS
    returns = curve.returns(float(initial))
    per_year = len(returns) / years if years > 0 else 0.0
    deepest, longest_ms = curve.deepest()
    pnl = sum((trade.pnl for trade in trades), ZERO)
    wins = sum(trade.pnl > 0 for trade in trades)
    shares = [trade.return_pct for trade in trades]
    return Metrics(
        initial_equity=initial,
        final_equity=final,
        return_pct=_finite(float(final / initial - 1) * 100),
        buy_and_hold_pct=_finite((sum(buy_and_hold) / len(buy_and_hold) - 1) * 100) if buy_and_hold else 0.0,
        cagr_pct=_growth(float(final / initial), years),
        sharpe=_ratio(returns, _deviation(returns), per_year),
        sortino=_ratio(returns, _downside(returns), per_year),
        max_drawdown_pct=deepest,
        max_drawdown_s=longest_ms // 1000,
        trades=len(trades),
        wins=wins,
        win_rate_pct=100 * wins / len(trades) if trades else None,
        profit_factor=_profit_factor(trades),
        expectancy=(pnl / len(trades)).quantize(Decimal("0.00000001")) if trades else None,
        best_trade_pct=max(shares, default=None),
        worst_trade_pct=min(shares, default=None),
        average_trade_s=sum(trade.exit_ms - trade.entry_ms for trade in trades) // len(trades) // 1000 if trades else None,
        exposure_pct=100 * exposed / len(curve) if len(curve) else 0.0,
        pnl=pnl,
        open_pnl=final - initial - pnl,
        fees=book.fees,
        orders=book.orders,
        fills=len(book.fills),
        skipped=sum(book.skipped.values()),
    )


def _growth(factor: float, years: float) -> float | None:
    if years * 365.25 < 1:
        return None
    if factor <= 0:
        return -100.0
    exponent = math.log(factor) / years
    return (math.exp(exponent) - 1) * 100 if exponent < 700 else None


def _ratio(returns: Sequence[float], risk: float, per_year: float) -> float | None:
    if len(returns) < 2 or risk <= 1e-15:
        return None
    return math.fsum(returns) / len(returns) / risk * math.sqrt(per_year)


def _deviation(returns: Sequence[float]) -> float:
    if len(returns) < 2:
        return 0.0
    mean = math.fsum(returns) / len(returns)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1))


def _downside(returns: Sequence[float]) -> float:
    return math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns)) if returns else 0.0


def _profit_factor(trades: Sequence[RoundTrip]) -> float | None:
    lost = -sum((trade.pnl for trade in trades if trade.pnl < 0), ZERO)
    return float(sum((trade.pnl for trade in trades if trade.pnl > 0), ZERO) / lost) if lost else None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
