"""Orders and positions."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from tradekit.api.base import Api, Who
from tradekit.domain.inbox import LaneClass
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Order
from tradekit.domain.portfolio import Position
from tradekit.domain.risk import OrderRequest
from tradekit.services import trading as trading_cases
from tradekit.services.decisions import unchanged


class TradingApi(Api):
    """Orders and positions."""

    async def place(self, who: Who, request: OrderRequest, *, idempotency_key: str = "") -> Order:
        """Check an order, store it and send it. Returns it as stored (SUBMITTED); what the venue says follows on its own.

        :raises OrderDenied: a pre-trade check refused it; ``check`` says which.
        :raises Duplicate: the idempotency key already made an order.
        """
        completed = await self._call(who, lambda state, ctx: trading_cases.place(state, request, ctx), key=idempotency_key)
        return cast("Order", completed.result)

    async def cancel(self, who: Who, order_id: str) -> tuple[Order, ...]:
        """Ask for an open order, or ``all``, to be canceled."""
        completed = await self._call(who, lambda state, ctx: trading_cases.cancel(state, order_id, ctx), lane_class=LaneClass.CONTROL)
        return cast("tuple[Order, ...]", completed.result)

    async def close(self, who: Who, symbol: Symbol, fraction: Decimal = Decimal(1)) -> Order:
        """Sell a fraction of a position at market; never blocked by quota, pause, maintenance or downgrade."""
        completed = await self._call(
            who, lambda state, ctx: trading_cases.close(state, symbol, fraction, ctx), lane_class=LaneClass.CONTROL
        )
        return cast("Order", completed.result)

    async def panic(self, who: Who) -> None:
        """Pause, cancel every order and sell every position; at a venue that is not open, as soon as it is."""
        await self._call(who, trading_cases.panic, lane_class=LaneClass.CONTROL)

    async def positions(self, who: Who) -> tuple[Position, ...]:
        """What a user holds."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state.positions))
        return cast("tuple[Position, ...]", completed.result)

    async def orders(self, who: Who) -> tuple[Order, ...]:
        """A user's open orders."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state.orders))
        return cast("tuple[Order, ...]", completed.result)
