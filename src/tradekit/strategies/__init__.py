"""Built-in strategies. Each is a file to copy and change."""

from tradekit.strategies.ema_cross import EmaCross
from tradekit.strategies.rsi_reversion import RsiReversion

__all__ = ["EmaCross", "RsiReversion"]
