"""What became of an order: asked by our id, by the venue's, or by reading what there is."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anyio

from tradekit.adapters.ccxt.budget import Rank
from tradekit.adapters.ccxt.fees import Fees
from tradekit.adapters.ccxt.profiles import Lookup
from tradekit.adapters.ccxt.reports import Raw, fill_of, filled_of, report_of, state_of, tells_filled
from tradekit.adapters.ccxt.session import Client, Failed, VenueSession
from tradekit.adapters.ccxt.verdicts import Kind, Verdict
from tradekit.domain.amounts import ZERO
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import Fill, Order, OrderReport, OrderState

FILLS_TRIES_MAX = 4
FILLS_EVERY_S = 0.15
"""Fills may show a moment after the order that they fill."""
SCAN_LIMIT = 500


class Inquiry:
    """Reads orders and their fills."""

    def __init__(self, session: VenueSession, fees: Fees) -> None:
        self._session, self._fees = session, fees
        self._profile = session.profile

    async def order(self, client: Client, order: Order, rank: Rank, *, asked: bool = False) -> OrderReport | None:
        """The order with every fill; None if the venue knows nothing of it.

        :param asked: whether a cancel was asked for, which explains its end.
        :raises Failed: no answer, or fills that do not show.
        :raises VenueBusy: nothing could be sent in time.
        """
        raw = await self.raw(client, order, rank)
        return None if raw is None else await self.report(client, order, raw, rank, asked=asked)

    async def raw(self, client: Client, order: Order, rank: Rank) -> Raw | None:
        """The order in ccxt's form."""
        client_id = self._profile.id_of(order)
        try:
            if self._profile.lookup is Lookup.CLIENT_ID and not order.terms.foreign:
                answer = await self._fetch(client, order, "", {"clientOrderId": client_id}, rank)
            elif order.venue_order_id:
                answer = await self._fetch(client, order, order.venue_order_id, {}, rank)
            else:
                return await self._scan(client, order, client_id, rank)
        except Failed as failed:
            if failed.verdict.kind is Kind.NOT_FOUND:
                return None
            raise
        if not _is(answer, order, client_id):
            # It tells nothing of ours, not even that it is not there.
            raise Failed(Verdict(kind=Kind.SILENT, reason="the venue answered with another order"))
        return answer

    async def report(self, client: Client, order: Order, raw: Raw, rank: Rank, *, asked: bool = False) -> OrderReport:
        """An order of ccxt's as a report, with its fills fetched if it does not bring them."""
        instrument = self._session.instruments.get(order.symbol)
        if instrument is None:
            raise Failed(Verdict(kind=Kind.SILENT, reason=f"{order.symbol} is gone from the venue's markets"))
        filled, told = filled_of(raw), tells_filled(raw)
        expected = filled if told else order.quantity
        fills = await self._fills(order, instrument, [trade for trade in raw.get("trades") or () if trade.get("id")])
        for number in range(FILLS_TRIES_MAX):
            if _sum(fills) >= expected:
                break
            if number:
                await anyio.sleep(FILLS_EVERY_S * number)
            fills = await self._fills(order, instrument, await self._trades(client, order, str(raw["id"]), rank))
        if _sum(fills) < filled:
            # A state without its fills would book half the truth.
            raise Failed(Verdict(kind=Kind.SILENT, reason=f"{filled - _sum(fills)} of the order's fills do not show yet"))
        if not told and not fills and raw.get("status") == "closed":
            raise Failed(Verdict(kind=Kind.SILENT, reason="the order is closed, and nothing says how much of it was filled"))
        state = state_of(raw, order, max(filled, _sum(fills))) or OrderState.ACCEPTED
        return report_of(order, state, raw, fills, self._session.clock.now_ms(), asked=asked)

    async def fill(self, order: Order, instrument: Instrument, trade: Raw) -> Fill:
        """A trade of ccxt's as a fill."""
        fee = await self._fees.of(trade, instrument)
        return fill_of(order, trade, fee, self._profile.venue, self._session.clock.now_ms())

    async def _fills(self, order: Order, instrument: Instrument, trades: Sequence[Raw]) -> list[Fill]:
        return [await self.fill(order, instrument, trade) for trade in trades]

    async def _fetch(self, client: Client, order: Order, venue_id: str, params: dict[str, Any], rank: Rank) -> Raw:
        answer: Raw = await self._session.call(
            client, lambda ccxt: ccxt.fetch_order(venue_id, order.symbol, params), self._profile.weights.order, rank
        )
        return answer

    async def _scan(self, client: Client, order: Order, client_id: str, rank: Rank) -> Raw | None:
        weights, symbol = self._profile.weights, order.symbol
        found: list[Raw] = await self._session.call(client, lambda ccxt: ccxt.fetch_open_orders(symbol), weights.open_orders, rank)
        match = next((raw for raw in found if _is(raw, order, client_id)), None)
        if match is not None:
            return match
        since_ms = order.created_ms + self._session.offset.offset_ms - 60_000
        ability = next(
            (name for name in ("fetchOrders", "fetchCanceledAndClosedOrders", "fetchClosedOrders") if self._session.has(name)), None
        )
        if ability is None:
            raise Failed(Verdict(kind=Kind.SILENT, reason="the venue does not list orders that are over"))
        method = {"fetchOrders": "fetch_orders", "fetchClosedOrders": "fetch_closed_orders"}.get(
            ability, "fetch_canceled_and_closed_orders"
        )
        found = await self._session.call(
            client, lambda ccxt: getattr(ccxt, method)(symbol, since_ms, SCAN_LIMIT), weights.closed_orders, rank
        )
        return next((raw for raw in found if _is(raw, order, client_id)), None)

    async def _trades(self, client: Client, order: Order, venue_id: str, rank: Rank) -> list[Raw]:
        symbol, weight = order.symbol, self._profile.weights.trades
        if self._session.has("fetchOrderTrades"):
            found = await self._session.call(client, lambda ccxt: ccxt.fetch_order_trades(venue_id, symbol), weight, rank)
        else:
            since_ms = order.created_ms + self._session.offset.offset_ms - 60_000
            found = await self._session.call(client, lambda ccxt: ccxt.fetch_my_trades(symbol, since_ms), weight, rank)
        return [trade for trade in found if str(trade.get("order")) == venue_id]


def _is(raw: Raw, order: Order, client_id: str) -> bool:
    """Whether it is the order meant; a venue that answers with another one must not be believed."""
    told, venue_id = raw.get("clientOrderId"), order.venue_order_id
    by_number = not told or order.terms.foreign
    return told == client_id or (by_number and bool(venue_id) and str(raw.get("id")) == venue_id)


def _sum(fills: Sequence[Fill]) -> Decimal:
    return sum((fill.quantity for fill in fills), ZERO)
