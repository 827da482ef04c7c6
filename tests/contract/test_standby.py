"""A venue that is not there yet, goes, and comes back: the service starts, nothing is sent twice, and nobody's error ends the rest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

import anyio
import pytest
from structlog.testing import capture_logs

from tests.contract.test_ccxt_exchange import ServerKeys
from tests.engine.engine_support import until
from tradekit.adapters.ccxt import CcxtExchange, StandbyExchange, standby
from tradekit.adapters.system import SystemClock
from tradekit.domain.errors import ExchangeUnavailable, TradekitError
from tradekit.domain.orders import OrderReport, OrderState
from tradekit.engine.venues import Venues
from tradekit.ports.exchange import Capabilities, ReportHandler
from tradekit.testing.contracts.exchange import market_order
from tradekit.testing.exchange_server import ExchangeServer, configure
from tradekit.testing.factories import FixedClock, an_order

pytestmark = pytest.mark.anyio
DOWN = ExchangeUnavailable(venue="test", reason="connection refused")


@pytest.fixture(autouse=True)
def soon_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(standby, "RETRY_S", 0.01)
    monkeypatch.setattr(standby, "RETRY_MAX_S", 0.02)
    # Drawing a traceback with its locals, as structlog does for a terminal, takes longer than the tests.
    with capture_logs():
        yield


class Adapter:
    """An adapter that opens, or does not, or breaks later."""

    capabilities = Capabilities(venue="test", visibility_window_s=1, answer_timeout_s=1)

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self._stack = AsyncExitStack()
        self._break = anyio.Event()
        self.handlers: list[ReportHandler] = []
        self.submitted: list[str] = []

    async def __aenter__(self) -> Self:
        if self._error is not None:
            raise self._error
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(self._work)
        self._stack.callback(tasks.cancel_scope.cancel)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _work(self) -> None:
        await self._break.wait()
        raise RuntimeError("a bug in a stream")

    def breaks(self) -> None:
        self._break.set()

    def listen(self, handler: ReportHandler) -> None:
        self.handlers.append(handler)

    def instrument(self, symbol: str) -> None:
        return None

    async def submit(self, order: Any) -> OrderReport:
        self.submitted.append(order.client_order_id)
        return OrderReport(client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.ACCEPTED, time_ms=0)


class Shelf:
    """Makes adapters: those that fail first, then good ones."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.made: list[Adapter] = []

    def __call__(self) -> CcxtExchange:
        self.made.append(Adapter(self._errors.pop(0) if self._errors else None))
        return cast("CcxtExchange", self.made[-1])


@asynccontextmanager
async def serving(shelf: Shelf) -> AsyncIterator[StandbyExchange]:
    exchange = StandbyExchange(shelf, FixedClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.serve)
        yield exchange
        tasks.cancel_scope.cancel()


async def test_until_it_opens_orders_are_rejected_as_not_sent_and_questions_have_no_answer() -> None:
    exchange, order = StandbyExchange(Shelf(), FixedClock()), an_order()
    assert exchange.problem == "connecting"
    assert exchange.capabilities.venue == "test"
    assert exchange.instrument("BTC/USDT") is None
    for report in (await exchange.submit(order), *await exchange.submit_many([order])):
        assert isinstance(report, OrderReport)
        assert (report.state, report.reason, report.client_order_id) == (OrderState.REJECTED, "VENUE_UNAVAILABLE", order.client_order_id)
    for ask in (exchange.cancel(order), exchange.find(order), exchange.snapshot(1, with_orders=False)):
        with pytest.raises(ExchangeUnavailable, match="connecting"):
            await ask


@pytest.mark.parametrize("error", [DOWN, RuntimeError("a bug"), ExceptionGroup("several", [OSError("reset"), ValueError()])])
async def test_it_is_tried_again_whatever_went_wrong(error: Exception) -> None:
    shelf = Shelf(error, error)
    async with serving(shelf) as exchange:
        await until(lambda: len(shelf.made) == 2)
        assert exchange.problem
        await until(lambda: not exchange.problem)
        assert len(shelf.made) == 3
        assert (await exchange.submit(an_order())).state is OrderState.ACCEPTED
        assert shelf.made[-1].submitted == [an_order().client_order_id]


async def test_a_venue_that_breaks_is_opened_anew_and_its_reports_reach_who_listened_before() -> None:
    shelf = Shelf()
    async with serving(shelf) as exchange:
        early: list[OrderReport] = []
        exchange.listen(early.append)
        await until(lambda: not exchange.problem)
        late: list[OrderReport] = []
        exchange.listen(late.append)
        shelf.made[0].breaks()
        await until(lambda: len(shelf.made) == 2 and not exchange.problem and bool(shelf.made[1].handlers))
        report = OrderReport(client_order_id="x", user_id=1, state=OrderState.ACCEPTED, time_ms=0)
        for handler in shelf.made[1].handlers:
            handler(report)
        assert (early, late) == ([report], [report])


async def test_the_pause_between_tries_grows_to_a_bound_and_begins_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real = anyio.sleep

    async def sleep(delay: float) -> None:
        slept.append(delay)
        await real(0)

    shelf = Shelf(DOWN, DOWN, DOWN)
    monkeypatch.setattr(standby.anyio, "sleep", sleep)
    async with serving(shelf) as exchange:
        with anyio.fail_after(5):
            while exchange.problem:
                await real(0)
        assert slept == [0.01, 0.02, 0.02]
        shelf.made[-1].breaks()
        with anyio.fail_after(5):
            while len(slept) < 4:
                await real(0)
        assert slept[3] == 0.01


async def test_its_trouble_is_seen_by_whoever_asks_for_the_venues_problems() -> None:
    shelf = Shelf(DOWN, DOWN, DOWN, DOWN, DOWN, DOWN)
    venues = Venues(cast("Any", object()), cast("Any", object()))
    async with serving(shelf) as exchange:
        venues.add("test:live", exchange)
        await until(lambda: "connection refused" in venues.problem("test:live"))
        assert venues.problems().keys() == {"test:live"}
        await until(lambda: not exchange.problem)
        assert venues.problems() == {}
        assert (venues.problem("paper"), venues.problem("other:live")) == ("", "NOT_CONNECTED")


async def test_a_server_that_starts_late_stops_and_comes_back() -> None:
    pytest.importorskip("ccxt")
    server = ExchangeServer()
    await server.start()
    port, keys = server.port, ServerKeys(server)
    await server.stop()

    def make() -> CcxtExchange:
        return CcxtExchange(
            "binance",
            keys,
            SystemClock(),
            prepare=lambda ccxt: configure(ccxt, f"http://127.0.0.1:{port}"),
            request_timeout_s=2.0,
            wait_max_s=0.5,
            visibility_window_s=1.0,
        )

    # ccxt leaves a future behind for each socket that could not connect; what the adapter makes of it is in its own tests.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    exchange = StandbyExchange(make, SystemClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.serve)
        await until(lambda: exchange.problem not in {"", "connecting"})
        assert (await exchange.submit(market_order("early"))).reason == "VENUE_UNAVAILABLE"
        async with ExchangeServer(port=port) as server:
            keys.server = server
            await until(lambda: exchange.instrument("BTC/USDT") is not None)
            assert (await exchange.submit(market_order("there"))).state is OrderState.FILLED
            assert server.orders("user-1", market_order("early").client_order_id) == []
        with pytest.raises(TradekitError):
            await exchange.submit(market_order("nobody"))
        with pytest.raises(ExchangeUnavailable):
            await exchange.find(market_order("there"))
        async with ExchangeServer(port=port) as server:
            keys.server, keys.version = server, keys.version + 1

            async def answers() -> bool:
                try:
                    return await exchange.find(market_order("there")) is None
                except ExchangeUnavailable:
                    return False

            with anyio.fail_after(15):
                while not await answers():  # noqa: ASYNC110 - the client connects when it is asked
                    await anyio.sleep(0.02)
            assert (await exchange.submit(market_order("back"))).state is OrderState.FILLED
            assert server.orders("user-1", market_order("nobody").client_order_id) == []
        tasks.cancel_scope.cancel()
