"""Trade recorded bars with the service's own strategies, risk checks, order path and matching model, under simulated time.

``run(strategy, data) -> Report`` is the whole of it; :func:`sweep` tries parameters, :func:`walk_forward` tries them on unseen data and
:func:`check_lookahead` catches a strategy that knows the future.
"""

from tradekit.backtest.catalog import build
from tradekit.backtest.curve import Curve
from tradekit.backtest.ledger import RoundTrip
from tradekit.backtest.lookahead import LooksAhead, check_lookahead
from tradekit.backtest.metrics import Metrics
from tradekit.backtest.report import Report
from tradekit.backtest.run import FillAt, Options, StrategyFailed, run
from tradekit.backtest.series import Gap, Series, gaps, refuse_gaps
from tradekit.backtest.sweep import Tried, sweep
from tradekit.backtest.venue import EXACT
from tradekit.backtest.walk_forward import Fold, walk_forward

__all__ = [
    "EXACT",
    "Curve",
    "FillAt",
    "Fold",
    "Gap",
    "LooksAhead",
    "Metrics",
    "Options",
    "Report",
    "RoundTrip",
    "Series",
    "StrategyFailed",
    "Tried",
    "build",
    "check_lookahead",
    "gaps",
    "refuse_gaps",
    "run",
    "sweep",
    "walk_forward",
]
