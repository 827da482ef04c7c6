"""Built-in strategies. Each is a file to copy and change."""

from tradekit.ports.strategy import Strategy
from tradekit.strategies.dca import Dca
from tradekit.strategies.donchian_breakout import DonchianBreakout
from tradekit.strategies.ema_cross import EmaCross
from tradekit.strategies.grid import Grid
from tradekit.strategies.rsi_reversion import RsiReversion

__all__ = ["Dca", "DonchianBreakout", "EmaCross", "Grid", "RsiReversion", "built_in"]


def built_in() -> tuple[Strategy, ...]:
    """Every built-in strategy with its usual parameters."""
    return EmaCross(), RsiReversion(), DonchianBreakout(), Dca(), Grid()
