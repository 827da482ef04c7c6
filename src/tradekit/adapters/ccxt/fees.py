"""Commissions: what they are worth in quote currency, and what was taken.

* quote currency: as it is;
* base currency (the usual thing for a buy): worth times the fill's price; the position grows by the quantity less the commission;
* a third currency (a venue's own coin): worth times its last price, asked at most once a minute; cash and position stay;
* several at once, not told, or no price to be had: counted as quote currency, the latter two at the instrument's rate times the notional
  and with a line in the log. Reconciliation takes up the difference.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
import structlog

from tradekit.adapters.ccxt.budget import Rank, VenueBusy
from tradekit.adapters.ccxt.instruments import decimal_or_none
from tradekit.adapters.ccxt.session import Failed, VenueSession
from tradekit.domain.amounts import ZERO, money
from tradekit.domain.instruments import Instrument

log = structlog.get_logger(__name__)

RATE_AGE_MAX_S = 60.0


@attrs.frozen
class Commission:
    """Of one trade."""

    worth: Decimal
    """Quote currency."""
    currency: str = ""
    """What was taken; empty: the quote currency."""
    paid: Decimal = ZERO
    """In ``currency``, when that is not the quote currency."""


class Fees:
    """Converts commissions, with a memory of third currencies' prices."""

    def __init__(self, session: VenueSession) -> None:
        self._session = session
        self._rates: dict[str, tuple[float, Decimal]] = {}

    async def of(self, trade: Mapping[str, Any], instrument: Instrument) -> Commission:
        """The trade's commission."""
        price, quantity = decimal_or_none(trade.get("price")) or ZERO, decimal_or_none(trade.get("amount")) or ZERO
        told = [fee for fee in (trade.get("fees") or [trade.get("fee")]) if fee and fee.get("cost") is not None]
        total = ZERO
        for fee in told:
            cost, currency = decimal_or_none(fee["cost"]) or ZERO, fee.get("currency")
            rate = await self._rate(currency, instrument, price) if cost else ZERO
            if rate is None:
                told = []
                break
            total += cost * rate
        if not told:
            maker = trade.get("takerOrMaker") == "maker"
            total = price * quantity * (instrument.maker_fee if maker else instrument.taker_fee)
            log.warning("fee_estimated", symbol=instrument.symbol, trade=str(trade.get("id")))
        if len(told) == 1 and (currency := told[0].get("currency")) not in {instrument.quote, None}:
            return Commission(money(total), currency, decimal_or_none(told[0]["cost"]) or ZERO)
        return Commission(money(total))

    async def _rate(self, currency: str | None, instrument: Instrument, price: Decimal) -> Decimal | None:
        if currency in {instrument.quote, None}:
            return Decimal(1)
        if currency == instrument.base:
            return price
        symbol = f"{currency}/{instrument.quote}"
        now = self._session.clock.monotonic()
        known = self._rates.get(symbol)
        if known is not None and now - known[0] < RATE_AGE_MAX_S:
            return known[1]
        if symbol not in self._session.instruments:
            return None
        try:
            ticker = await self._session.call(
                self._session.public, lambda ccxt: ccxt.fetch_ticker(symbol), self._session.profile.weights.ticker, Rank.QUESTION
            )
        except (Failed, VenueBusy):
            return known[1] if known is not None else None
        last = decimal_or_none(ticker.get("last"))
        if last is not None:
            self._rates[symbol] = (now, last)
        return last
