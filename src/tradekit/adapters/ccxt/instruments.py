"""ccxt's markets as instruments."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tradekit.domain.instruments import Instrument

_DEFAULTS = Instrument(symbol="", base="", quote="")
_TICK_SIZE_MODE = 4
"""ccxt's TICK_SIZE: precision is a step; otherwise it is a number of decimals."""


def decimal_or_none(value: Any) -> Decimal | None:
    """A number of ccxt's (text, float or nothing) as a finite decimal."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number.normalize() if number.is_finite() else None


def instrument_of(market: Mapping[str, Any], precision_mode: int) -> Instrument | None:
    """The instrument of a spot market; None for anything else, or a market without steps.

    Limits that the venue does not tell are left wide open: it checks them itself.
    """
    if not market.get("spot") or not market.get("base") or not market.get("quote"):
        return None
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    tick, step = _step(precision.get("price"), precision_mode), _step(precision.get("amount"), precision_mode)
    if tick is None or step is None:
        return None
    amount, cost = limits.get("amount") or {}, limits.get("cost") or {}
    taker, maker = decimal_or_none(market.get("taker")), decimal_or_none(market.get("maker"))
    return Instrument(
        symbol=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        tick_size=tick,
        step_size=step,
        min_qty=decimal_or_none(amount.get("min")) or step,
        max_qty=decimal_or_none(amount.get("max")) or Decimal(10) ** 12,
        min_notional=decimal_or_none(cost.get("min")) or Decimal(0),
        max_notional=decimal_or_none(cost.get("max")) or Decimal(10) ** 12,
        maker_fee=_DEFAULTS.maker_fee if maker is None else maker,
        taker_fee=_DEFAULTS.taker_fee if taker is None else taker,
        tradable=market.get("active") is not False,
    )


def _step(value: Any, precision_mode: int) -> Decimal | None:
    number = decimal_or_none(value)
    if number is None:
        return None
    if precision_mode == _TICK_SIZE_MODE:
        return number if number > 0 else None
    return Decimal(1).scaleb(-int(number))
