"""A venue that need not answer for the service to start: opened in the background, and again whenever that fails."""

from collections.abc import Callable, Sequence

import anyio
import structlog

from tradekit.adapters.ccxt.exchange import CcxtExchange
from tradekit.domain.errors import ExchangeUnavailable, TradekitError
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import Order, OrderReport, OrderState
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Capabilities, ReportHandler, Snapshot

log = structlog.get_logger(__name__)

RETRY_S = 1.0
RETRY_MAX_S = 60.0


class StandbyExchange:
    """Implements :class:`tradekit.ports.exchange.Exchange`; run :meth:`serve` beside it.

    Until the venue has answered once, orders are REJECTED (``VENUE_UNAVAILABLE``: nothing was sent). Questions wait for the end of the
    first try, so that a start soon knows what became of its orders, and then raise ExchangeUnavailable. Reports reach handlers that
    began to listen before.
    """

    def __init__(self, make: Callable[[], CcxtExchange], clock: Clock) -> None:
        """:param make: a fresh adapter, not yet entered; its capabilities are the venue's."""
        self._make, self._clock = make, clock
        self._next = make()
        self._open: CcxtExchange | None = None
        self._first_try: anyio.Event | None = None
        self._handlers: list[ReportHandler] = []
        self.problem = "connecting"
        """Why the venue cannot be used, or empty."""

    async def serve(self) -> None:
        """Open the venue, trying until it answers, and keep it open until cancelled."""
        delay_s, self._first_try = RETRY_S, anyio.Event()
        while True:
            try:
                async with self._next as exchange:
                    for handler in self._handlers:
                        exchange.listen(handler)
                    self._open, self.problem, delay_s = exchange, "", RETRY_S
                    self._first_try.set()
                    log.info("venue_open", venue=self.capabilities.venue)
                    await anyio.sleep_forever()
            except Exception as error:  # supervisor: one venue's trouble must not end the service
                self.problem = str(error) if isinstance(error, TradekitError) else type(error).__name__
                unforeseen = not isinstance(error, TradekitError)
                log.warning("venue_does_not_open", venue=self.capabilities.venue, error=str(error), retry_s=delay_s, exc_info=unforeseen)
            finally:
                self._open = None
                self._first_try.set()
            self._next = self._make()
            await anyio.sleep(delay_s)
            delay_s = min(RETRY_MAX_S, 2 * delay_s)

    @property
    def capabilities(self) -> Capabilities:
        return self._next.capabilities

    def listen(self, handler: ReportHandler) -> None:
        self._handlers.append(handler)
        if self._open is not None:
            self._open.listen(handler)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._open.instrument(symbol) if self._open is not None else None

    async def submit(self, order: Order) -> OrderReport:
        return self._not_sent(order) if self._open is None else await self._open.submit(order)

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        if self._open is None:
            return [self._not_sent(order) for order in orders]
        return await self._open.submit_many(orders)

    async def cancel(self, order: Order) -> OrderReport:
        return await (await self._opened()).cancel(order)

    async def find(self, order: Order) -> OrderReport | None:
        return await (await self._opened()).find(order)

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        return await (await self._opened()).snapshot(user_id, with_orders=with_orders, urgent=urgent)

    async def _opened(self) -> CcxtExchange:
        if self._first_try is not None:
            await self._first_try.wait()
        if self._open is None:
            raise ExchangeUnavailable(venue=self.capabilities.venue, reason=self.problem)
        return self._open

    def _not_sent(self, order: Order) -> OrderReport:
        return OrderReport(
            client_order_id=order.client_order_id,
            user_id=order.user_id,
            state=OrderState.REJECTED,
            reason="VENUE_UNAVAILABLE",
            time_ms=self._clock.now_ms(),
        )
