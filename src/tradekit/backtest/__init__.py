"""Trade recorded bars with the service's own strategies, risk checks, order path and matching model, under simulated time.

``run(strategy, data) -> Report``.
"""

from tradekit.backtest.curve import Curve
from tradekit.backtest.ledger import RoundTrip
from tradekit.backtest.metrics import Metrics
from tradekit.backtest.report import Report
from tradekit.backtest.run import FillAt, Options, StrategyFailed, run
from tradekit.backtest.series import Gap, Series, gaps
from tradekit.backtest.venue import EXACT

__all__ = ["EXACT", "Curve", "FillAt", "Gap", "Metrics", "Options", "Report", "RoundTrip", "Series", "StrategyFailed", "gaps", "run"]
