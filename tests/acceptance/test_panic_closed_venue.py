"""/panic while the venue does not open: sold once as soon as it does, also over a restart, and not at all after /resume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.acceptance.test_live_trading import Ada, at_work, until, venue_total
from tradekit.domain.orders import OrderState, Side
from tradekit.testing.exchange_server import ExchangeServer, Fault

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
SHUT = Fault(kind="error", requests=("GET /api/v3/exchangeInfo",), status=503, error_code=-1000, message="closed")
PROMISE = "The venue cannot be reached now: 1 position will be sold at market as soon as it can"


@pytest.fixture(autouse=True)
def tried_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from tradekit.adapters.ccxt import standby

    monkeypatch.setattr(standby, "RETRY_S", 0.05)
    monkeypatch.setattr(standby, "RETRY_MAX_S", 0.05)
    with capture_logs():
        yield


async def holds_coins(data: Path, server: ExchangeServer) -> Any:
    """A live position, bought in a run of its own; what the venue holds of the coin then."""
    async with at_work(data, server) as ada:
        await ada.goes_live()
        before = venue_total(server, "BTC")
        await ada.confirms("/buy BTC/USDT 0.01")
        await ada.until_over(1)
    return before


def sales(server: ExchangeServer) -> list[Any]:
    return [order for order in server.orders("ada") if order.side.lower() == "sell"]


async def flat(ada: Ada) -> bool:
    """Whether nothing is left open, and nothing held that could be sold."""
    state = await ada.state()
    return not state.orders and all(position.quantity < 1e-5 for position in state.positions) and not state.session.flattening


async def panics(ada: Ada) -> None:
    """Press it while the venue is shut; the sale waits here."""
    assert ada.tk.service.venues.problem("binance:live")
    assert PROMISE in await ada.confirms("/panic")
    state = await ada.state()
    assert [(order.state, order.side) for order in state.orders] == [(OrderState.INITIALIZED, Side.SELL)]
    assert state.session.flattening


async def test_it_is_sold_once_as_soon_as_the_venue_opens(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        before = await holds_coins(tmp_path, server)
        server.faults.add(SHUT)
        async with at_work(tmp_path, server) as ada:
            await panics(ada)
            assert PROMISE in await ada.confirms("/panic"), "pressed again, it waits all the same"

            async def tried() -> bool:
                return ada.tk.service.telemetry.counts["triggers.fired"] > 1

            await until(tried)
            assert sales(server) == []
            server.faults.clear()
            await until(lambda: flat(ada))
            (sale,) = sales(server)
            assert sale.client_order_id in {order.client_order_id for order in await ada.orders()}
            assert abs(venue_total(server, "BTC") - before) < 1e-5
            assert (await ada.state()).session.cash == venue_total(server, "USDT")


async def test_a_restart_before_and_one_after_it_opens_sell_it_once(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        await holds_coins(tmp_path, server)
        server.faults.add(SHUT)
        async with at_work(tmp_path, server) as ada:
            await panics(ada)
            (waiting,) = (await ada.state()).orders
        async with at_work(tmp_path, server) as ada:
            state = await ada.state()
            assert ([order.client_order_id for order in state.orders], state.session.flattening) == ([waiting.client_order_id], True)
            assert sales(server) == []
            # It opens, and the answer to the sale is lost: only asking tells what became of it.
            server.faults.clear()
            server.faults.add(Fault(kind="drop_after", requests=("POST /api/v3/order",), count=1))

            async def sent() -> bool:
                return bool(sales(server))

            await until(sent)
        async with at_work(tmp_path, server) as ada:
            await until(lambda: flat(ada))
            assert [sale.client_order_id for sale in sales(server)] == [waiting.client_order_id]


async def test_resume_before_it_opens_sells_nothing(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        before = await holds_coins(tmp_path, server)
        held = venue_total(server, "BTC")
        assert held > before
        server.faults.add(SHUT)
        async with at_work(tmp_path, server) as ada:
            await panics(ada)
            assert len(ada.tk.service.triggers) == 1
            await ada.says("/resume")
            assert len(ada.tk.service.triggers) == 0, "nothing waits to be sent"
            server.faults.clear()
            await until(ada.settled)
            state = await ada.state()
            assert (state.orders, state.session.flattening, len(state.positions)) == ((), False, 1)
        assert (sales(server), venue_total(server, "BTC")) == ([], held)
