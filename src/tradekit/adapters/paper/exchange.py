"""The paper exchange: matching, the durable book, and the promises of the exchange port."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import structlog

from tradekit.adapters.paper.book_file import BookFile
from tradekit.adapters.paper.entries import Entry, entry_of
from tradekit.adapters.paper.resting import RestingOrders
from tradekit.adapters.paper.writer import Group, Writer
from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Quote, Symbol
from tradekit.domain.matching import MatchingModel, execute, fill_resting
from tradekit.domain.orders import Order, OrderReport, OrderState
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Capabilities, ReportHandler, Snapshot
from tradekit.ports.market import MarketView

log = structlog.get_logger(__name__)

CAPABILITIES = Capabilities(venue="paper", visibility_window_s=1.0, answer_timeout_s=5.0, batch_max=50, balances=False)
OPEN_ORDERS_MAX = 100_000
QUEUE_MAX = 50_000
"""Submissions waiting for the disk."""
CHUNK = 250
"""Orders matched before others get a turn."""


class PaperExchange:
    """Fills orders at the service's prices. An answer is given only once it is on disk; ``find`` knows it after a kill.

    Use as an async context manager, entered and left by the same task. The book is its own: keyed by client_order_id, apart from the
    service's orders. A repeated id is REJECTED (``DUPLICATE_CLIENT_ORDER_ID``) while an order under it rests, and is a new order
    once that one is over, as on real venues: :meth:`submissions` counts.

    ``inline=True`` writes on the caller's thread, for simulations; ``path=":memory:"`` keeps the book in memory.

    :raises DataError: on entering, when the file is damaged or cannot be opened.
    :raises SchemaMismatch: on entering, when a newer release wrote the file.
    """

    def __init__(
        self, path: Path | str, market: MarketView, clock: Clock, model: MatchingModel | None = None, *, inline: bool = False
    ) -> None:
        self._path = str(path)
        self._market = market
        self._clock = clock
        self._model = model or MatchingModel()
        self._inline = inline
        self._resting = RestingOrders()
        self._handlers: list[ReportHandler] = []
        self._seq = 0
        self._stale = False
        self._writer: Writer | None = None
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        file = BookFile(self._path)
        async with AsyncExitStack() as stack:
            stack.callback(file.close)
            self._adopt(*file.first())
            self._writer = Writer(file, self._committed, inline=self._inline)
            if not self._inline:
                tasks = await stack.enter_async_context(anyio.create_task_group())
                tasks.start_soon(self._writer.serve)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if isinstance(error, Exception):
            # The body's own error leaves as it is, not in a group of the task group's making.
            kind = error = trace = None
        return await self._exit.__aexit__(kind, error, trace)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    @property
    def open_orders(self) -> int:
        """Orders resting in the book."""
        return len(self._resting)

    def listen(self, handler: ReportHandler) -> None:
        self._handlers.append(handler)

    async def submit(self, order: Order) -> OrderReport:
        outcome = (await self.submit_many((order,)))[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        await self._arrive()
        parts: list[tuple[Group | ExchangeUnavailable, list[OrderReport | BaseException]]] = []
        for start in range(0, len(orders), CHUNK):
            part = orders[start : start + CHUNK]
            if start:
                await anyio.lowlevel.checkpoint()
            try:
                writer = await self._ready()
            except ExchangeUnavailable as error:
                parts.append((error, [error] * len(part)))
                continue
            reports: list[OrderReport | BaseException] = [self._accept(order, writer.group) for order in part]
            parts.append((writer.flush(), reports))
        return [outcome for group, reports in parts for outcome in await _outcomes(group, reports)]

    async def cancel(self, order: Order) -> OrderReport:
        """An id the book does not know raises ExchangeUnavailable (``ORDER_NOT_FOUND``): the order may be on its way; ask :meth:`find`."""
        await self._arrive()
        writer = await self._ready()
        entry = self._resting.get(order.client_order_id)
        if entry is None:
            report = await self.find(order)
            if report is None:
                raise ExchangeUnavailable(venue="paper", reason="ORDER_NOT_FOUND")
            return report
        entry = entry.canceled(self._clock.now_ms())
        self._record(entry, writer.group)
        await _written(writer.flush())
        return entry.report()

    async def find(self, order: Order) -> OrderReport | None:
        entries = await self._entries(order.client_order_id)
        return entries[-1].report() if entries else None

    async def snapshot(self, user_id: int, *, with_orders: bool, urgent: bool = False) -> Snapshot:
        """The user's resting orders; the book keeps no balances."""
        await self._ready()
        orders = tuple(entry.venue_order() for entry in self._resting.of_user(user_id)) if with_orders else None
        return Snapshot(orders=orders, time_ms=self._clock.now_ms())

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._market.instrument(symbol)

    async def submissions(self, client_order_id: str) -> int:
        """How many orders were taken or rejected under this id; more than one means that somebody sent it twice."""
        return len(await self._entries(client_order_id))

    def on_quote(self, quote: Quote) -> None:
        """Match resting orders with a new price; listeners hear of it once it is on disk. Call it for every price, on the event loop."""
        instrument = self._market.instrument(quote.symbol)
        if self._writer is None or instrument is None:
            return
        if self._stale:
            self._reload(self._writer)
            return
        writer, now_ms = self._writer, self._clock.now_ms()
        for entry in self._resting.reached(quote.symbol, quote.price):
            fill = fill_resting(entry.order(), quote.price, instrument, self._model, now_ms, len(entry.executions))
            if fill is not None:
                filled = entry.filled(fill, now_ms)
                self._record(filled, writer.group)
                writer.group.changed.append(filled)
        if writer.group.changed:
            writer.flush()

    async def _arrive(self) -> None:
        if self._model.latency_ms:
            await anyio.sleep(self._model.latency_ms / 1000)

    async def _ready(self) -> Writer:
        """The writer, with the book as the file holds it: after a failed write it is loaded again before anything is decided on it."""
        writer = self._open()
        while self._stale:
            await _written(self._reload(writer))
        return writer

    def _reload(self, writer: Writer) -> Group:
        writer.group.reload = True
        return writer.flush()

    def _open(self) -> Writer:
        if self._writer is None:
            raise ExchangeUnavailable(venue="paper", reason="not open")
        return self._writer

    def _accept(self, order: Order, group: Group) -> OrderReport:
        now_ms = self._clock.now_ms()
        if order.client_order_id in self._resting:
            return self._refusal(order, "DUPLICATE_CLIENT_ORDER_ID", now_ms)
        if len(self._resting) >= OPEN_ORDERS_MAX or len(group.entries) >= QUEUE_MAX:
            return self._refusal(order, "VENUE_BUSY", now_ms)
        symbol = order.symbol
        report = execute(order, self._market.quote(symbol), self._market.instrument(symbol), self._model, now_ms)
        self._seq += 1
        entry = entry_of(self._seq, order, report)
        self._record(entry, group)
        return entry.report()

    def _refusal(self, order: Order, reason: str, now_ms: int) -> OrderReport:
        """Rejected without a trace in the book, which holds one order per id and time."""
        return OrderReport(
            client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.REJECTED, reason=reason, time_ms=now_ms
        )

    def _record(self, entry: Entry, group: Group) -> None:
        self._resting.put(entry)
        group.entries[entry.seq] = entry

    async def _entries(self, client_order_id: str) -> list[Entry]:
        """Asked in the writer's order: what was submitted before is seen."""
        writer = self._open()
        writer.group.questions.append(client_order_id)
        group = writer.flush()
        await _written(group)
        return group.answers[client_order_id]

    def _committed(self, group: Group) -> None:
        if group.error is not None:
            log.error("paper_book_not_written", path=self._path, error=str(group.error), orders=len(group.entries))
            self._stale = True
            return
        if group.loaded is not None and self._stale:
            self._adopt(*group.loaded)
        for entry in group.changed:
            self._tell(entry.report())

    def _tell(self, report: OrderReport) -> None:
        for handler in self._handlers:
            try:
                handler(report)
            except Exception:
                # A listener's fault must not stop the venue; `find` still tells what happened.
                log.exception("paper_listener_failed", client_order_id=report.client_order_id)

    def _adopt(self, seq: int, entries: list[Entry]) -> None:
        self._seq, self._stale = seq, False
        self._resting.clear()
        for entry in entries:
            self._resting.put(entry)


async def _outcomes(group: Group | ExchangeUnavailable, reports: list[OrderReport | BaseException]) -> list[OrderReport | BaseException]:
    if isinstance(group, Group):
        try:
            await _written(group)
        except ExchangeUnavailable as error:
            return [error] * len(reports)
    return reports


async def _written(group: Group) -> None:
    await group.done.wait()
    if group.error is not None:
        raise ExchangeUnavailable(venue="paper", reason=str(group.error))
