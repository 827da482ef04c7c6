"""What a backtest answers."""

from decimal import Decimal
from typing import Any

import msgspec

from tradekit.backtest.curve import Curve
from tradekit.backtest.ledger import RoundTrip
from tradekit.backtest.metrics import Metrics
from tradekit.backtest.series import minute
from tradekit.domain.amounts import text_of
from tradekit.domain.orders import Fill
from tradekit.domain.portfolio import Position
from tradekit.domain.users import Sizing, UserSettings

EQUITY_POINTS_MAX = 5000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A finished backtest."""

    strategy: str
    title: str
    symbols: tuple[str, ...]
    timeframe_s: int
    """Of the instrument with the shortest bars."""
    from_ms: int
    """Open of the first bar."""
    to_ms: int
    """Close of the last bar."""
    bars: int
    fill: str
    """``next-open`` or ``close``."""
    settings: dict[str, str]
    sizing: str
    """For people: what an entry spends or risks."""
    metrics: Metrics
    trades: tuple[RoundTrip, ...]
    fills: tuple[Fill, ...]
    open_positions: tuple[Position, ...]
    skipped: dict[str, int]
    """Signals that led to no order, by the code of the reason."""
    equity: Curve
    """At the close of every bar."""

    def document(self, points_max: int = EQUITY_POINTS_MAX) -> dict[str, Any]:
        """What ``--json`` prints; amounts are decimal text, ``equity`` is [time in ms, value] with at most ``points_max`` points."""
        return {
            "strategy": self.strategy,
            "title": self.title,
            "symbols": self.symbols,
            "timeframe_s": self.timeframe_s,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "bars": self.bars,
            "fill": self.fill,
            "settings": self.settings,
            "sizing": self.sizing,
            "metrics": self.metrics,
            "trades": self.trades,
            "open_positions": [
                {"symbol": held.symbol, "quantity": held.quantity, "cost": held.cost, "opened_ms": held.opened_ms}
                for held in self.open_positions
            ],
            "skipped": self.skipped,
            "equity": [(time_ms, round(value, 8)) for time_ms, value in self.equity.thinned(points_max)],
        }

    def period(self) -> str:
        """From and to, for people."""
        return f"{minute(self.from_ms)} to {minute(self.to_ms)} UTC"


def sizing_words(settings: UserSettings, quote: str) -> str:
    """``Each entry spends 100 USDT`` and the like."""
    size = text_of(settings.size)
    match settings.sizing:
        case Sizing.QUOTE_AMOUNT:
            return f"Each entry spends {size} {quote}"
        case Sizing.PERCENT_OF_EQUITY:
            return f"Each entry spends {size} % of the equity"
        case Sizing.RISK_PERCENT:
            return f"Each entry risks {size} % of the equity"


def rows(metrics: Metrics) -> list[tuple[str, str]]:
    """The measures as label and text, for a table."""
    m = metrics
    return [
        ("Final equity", f"{shown(m.final_equity)} (from {shown(m.initial_equity)})"),
        ("Return", f"{percent(m.return_pct)} (buy and hold {percent(m.buy_and_hold_pct)})"),
        ("CAGR", percent(m.cagr_pct)),
        ("Sharpe", number(m.sharpe)),
        ("Sortino", number(m.sortino)),
        ("Max drawdown", f"{percent(-m.max_drawdown_pct if m.max_drawdown_pct else 0.0)} (longest {span(m.max_drawdown_s)})"),
        ("Trades", f"{m.trades} ({m.wins} won)"),
        ("Win rate", percent(m.win_rate_pct, sign=False)),
        ("Profit factor", number(m.profit_factor)),
        ("Expectancy", "-" if m.expectancy is None else f"{shown(m.expectancy)} per trade"),
        ("Best and worst trade", f"{percent(m.best_trade_pct)} and {percent(m.worst_trade_pct)}"),
        ("Average trade", "-" if m.average_trade_s is None else span(m.average_trade_s)),
        ("Exposure", percent(m.exposure_pct, sign=False)),
        ("Fees", shown(m.fees)),
        ("Profit of trades", shown(m.pnl)),
        ("Open profit", shown(m.open_pnl)),
    ]


def shown(amount: Decimal) -> str:
    """An amount with two decimals, more if it is small."""
    return f"{amount:,.2f}" if abs(amount) >= 1 or not amount else f"{amount:.6f}"


def percent(value: float | None, *, sign: bool = True) -> str:
    """Percent with two decimals, or a dash."""
    return "-" if value is None else f"{value:+.2f} %" if sign else f"{value:.2f} %"


def number(value: float | None) -> str:
    """A ratio with two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def span(seconds: int) -> str:
    """A duration in its two largest units, those that are zero left out."""
    days, rest = divmod(seconds, 86_400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    if seconds < 60:
        return f"{seconds} s"
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes and not days else ""]
    return " ".join(part for part in parts if part)
