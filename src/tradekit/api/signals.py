"""Signals and the strategies that make them."""

from __future__ import annotations

from typing import cast

from tradekit.api.base import Api, Who
from tradekit.api.users import UsersApi
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Side
from tradekit.domain.signals import Delivery, Signal
from tradekit.ports.strategy import Strategy
from tradekit.services import signals as signal_cases


class SignalsApi(Api):
    """Following sources and publishing signals."""

    async def subscribe(self, who: Who, source: str, symbols: tuple[Symbol, ...] = ()) -> None:
        """Follow a source, for all instruments or some."""
        await self._call(who, lambda state, ctx: signal_cases.subscribe(state, source, symbols, ctx))

    async def unsubscribe(self, who: Who, source: str) -> None:
        """Stop following a source, or ``all``."""
        await self._call(who, lambda state, ctx: signal_cases.unsubscribe(state, source, ctx))

    async def publish(self, who: Who, symbol: Symbol, side: str, *, note: str = "", idempotency_key: str = "") -> Signal:
        """A provider's signal at the market's price; it goes out to every follower.

        :raises NotPermitted: the user is not a provider.
        """
        completed = await self._call(
            who, lambda state, ctx: signal_cases.publish(state, symbol, Side(side), ctx, note), key=idempotency_key
        )
        return cast("Signal", completed.result)

    async def why(self, who: Who, signal_id: str) -> Delivery | None:
        """What became of a signal for a user, with the coded reason; None when it never reached them."""
        state = await UsersApi(self._service).state(who)
        return await self._service.storage.delivery(signal_id, state.user_id)


class StrategiesApi(Api):
    """Strategies whose signals users can follow."""

    def add(self, strategy: Strategy) -> None:
        """Run a strategy from the next bar on.

        :raises Duplicate: another strategy has this name.
        """
        self._service.strategies.add(strategy)
        self._service.sources_changed()
