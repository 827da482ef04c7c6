"""The paper venue at the end of a bad line: answers get lost, orders arrive late or never, reports repeat and overtake each other."""

import asyncio
from collections.abc import Callable, Sequence

import anyio

from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import Order, OrderReport
from tradekit.ports.exchange import Capabilities, Exchange, ReportHandler, Snapshot
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.observer import Observer

LATE_S = 0.9
"""An order on its way arrives within the venue's visibility window of one second."""


class FaultyExchange:
    """Implements :class:`tradekit.ports.exchange.Exchange`. ``send_late`` delivers an order that is still on its way, whoever asked."""

    def __init__(self, inner: Exchange, *, faults: Faults, observer: Observer, send_late: Callable[[float, Order], None]) -> None:
        self._inner, self._faults, self._observer, self._send_late = inner, faults, observer, send_late
        self.dead = False

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def submit(self, order: Order) -> OrderReport:
        outcome = (await self.submit_many((order,)))[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        for order in orders:
            self._observer.sent_order(order)
        await self._dawdle()
        outcomes: dict[str, OrderReport | BaseException] = {}
        arriving = [order for order in orders if not self._is_held_up(order, outcomes)]
        if arriving:
            answers = await self._inner.submit_many(arriving)
            for order, answer in zip(arriving, answers, strict=True):
                self._observer.venue_said("submit", order.client_order_id, answer)
                outcomes[order.client_order_id] = self._unheard() if self._faults.hit("lost_answer") else answer
        await self._dawdle()
        return [outcomes[order.client_order_id] for order in orders]

    def _is_held_up(self, order: Order, outcomes: dict[str, OrderReport | BaseException]) -> bool:
        if self._faults.hit("lost_request"):
            outcomes[order.client_order_id] = self._unheard()
            return True
        if self._faults.hit("late_request"):
            outcomes[order.client_order_id] = self._unheard()
            self._send_late(self._faults.between(0.05, LATE_S), order)
            return True
        return False

    async def _dawdle(self) -> None:
        if self._faults.hit("delay"):
            # Sometimes longer than the service waits.
            await anyio.sleep(self._faults.between(0.01, 7))

    @staticmethod
    def _unheard() -> ExchangeUnavailable:
        return ExchangeUnavailable(venue="paper", reason="simulated: no answer")

    async def cancel(self, order: Order) -> OrderReport:
        lost_before = self._faults.hit("lost_request")
        await self._dawdle()
        if lost_before:
            raise self._unheard()
        report = await self._inner.cancel(order)
        self._observer.venue_said("cancel", order.client_order_id, report)
        if self._faults.hit("lost_answer"):
            raise self._unheard()
        return report

    async def find(self, order: Order) -> OrderReport | None:
        if self._faults.hit("lost_request"):
            raise self._unheard()
        report = await self._inner.find(order)
        self._observer.venue_said("find", order.client_order_id, report)
        await self._dawdle()
        return report

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        if self._faults.hit("lost_request"):
            raise self._unheard()
        return await self._inner.snapshot(user_id, with_orders=with_orders, urgent=urgent)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._inner.instrument(symbol)

    def listen(self, handler: ReportHandler) -> None:
        loop = asyncio.get_running_loop()

        def tell(report: OrderReport) -> None:
            if not self.dead:
                handler(report)

        def heard(report: OrderReport) -> None:
            self._observer.venue_said("report", report.client_order_id, report)
            if self._faults.hit("event_twice"):
                loop.call_later(self._faults.between(0.001, 30), tell, report)
            if self._faults.hit("event_swapped"):
                loop.call_later(self._faults.between(0.001, 5), tell, report)
            else:
                tell(report)

        self._inner.listen(heard)
