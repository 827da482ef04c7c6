"""What one user did on one day, computed from fills."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.orders import PAPER


class DayPerformance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row of ``user_performance``; amounts in quote currency."""

    user_id: int
    partition: int
    day: str
    """ISO date in the user's time zone."""
    account: str = PAPER
    fills: int
    trades: int
    """Round trips closed on that day."""
    wins: int
    volume: Decimal
    fees: Decimal = ZERO
    pnl: Decimal
    """Of the round trips closed on that day, fees included."""
