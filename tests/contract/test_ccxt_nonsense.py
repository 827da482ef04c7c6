"""What must not be concluded from answers of a venue that are late, incomplete or about something else."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import msgspec
import pytest

from tests.contract.test_ccxt_exchange import GET, D, connect
from tradekit.adapters.ccxt import CcxtExchange, profile_for
from tradekit.adapters.ccxt.budget import Rank, VenueBusy
from tradekit.adapters.ccxt.fees import Commission
from tradekit.adapters.ccxt.reports import Raw, fill_of
from tradekit.adapters.ccxt.session import Failed
from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.orders import OrderState, Terms
from tradekit.testing.contracts.exchange import limit_order, market_order
from tradekit.testing.exchange_server import ExchangeServer, Fault

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
BINANCE = profile_for("binance")
ONLY_ACKNOWLEDGES = attrs.evolve(BINANCE, options=dict(BINANCE.options) | {"newOrderRespType": {"market": "ACK", "limit": "ACK"}})


@pytest.fixture
async def server() -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer() as server:
        yield server


@pytest.fixture
async def exchange(server: ExchangeServer) -> AsyncIterator[CcxtExchange]:
    async with connect(server) as exchange:
        yield exchange


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="rate_limit", requests=(GET,)),
        Fault(kind="clock", requests=(GET,)),
        Fault(kind="error", requests=(GET,), status=400, error_code=-1100, message="Illegal characters found in a parameter."),
    ],
    ids=lambda fault: fault.kind,
)
async def test_order_that_was_taken_is_not_refused_because_the_question_after_it_was(server: ExchangeServer, fault: Fault):
    async with connect(server, profile=ONLY_ACKNOWLEDGES) as exchange:
        order = market_order("acknowledged")
        server.faults.add(fault)
        (outcome,) = await exchange.submit_many([order])
        assert isinstance(outcome, ExchangeUnavailable)
        assert len(server.orders("user-1", order.client_order_id)) == 1


async def test_order_that_was_taken_is_not_refused_for_lack_of_room(server: ExchangeServer, monkeypatch: pytest.MonkeyPatch):
    async def busy(*_: Any, **__: Any) -> None:
        raise VenueBusy(venue="binance", reason="VENUE_BUSY", retry_s=1.0)

    async with connect(server, profile=ONLY_ACKNOWLEDGES) as exchange:
        monkeypatch.setattr(exchange._inquiry, "_fetch", busy)
        order = market_order("no room")
        (outcome,) = await exchange.submit_many([order])
        assert isinstance(outcome, ExchangeUnavailable)
        assert len(server.orders("user-1", order.client_order_id)) == 1


@pytest.mark.parametrize("status", ["closed", "canceled", "expired"])
async def test_end_that_does_not_say_how_much_was_filled_is_looked_up(server: ExchangeServer, exchange: CcxtExchange, status: str):
    order = market_order("how much")
    sent = await exchange.submit(order)
    raw: Raw = {"id": sent.venue_order_id, "clientOrderId": order.client_order_id, "status": status, "filled": None, "trades": []}
    async with exchange._session.client(1) as client:
        report = await exchange._inquiry.report(client, order, raw, Rank.QUESTION)
    assert (report.state, [fill.quantity for fill in report.fills]) == (OrderState.FILLED, [order.quantity])


async def test_closed_without_a_number_or_a_trade_is_no_answer(server: ExchangeServer, exchange: CcxtExchange):
    order = market_order("nothing")
    sent = await exchange.submit(order)
    server.faults.add(Fault(kind="no_trades"))
    raw: Raw = {"id": sent.venue_order_id, "clientOrderId": order.client_order_id, "status": "closed", "filled": None}
    async with exchange._session.client(1) as client:
        with pytest.raises(Failed):
            await exchange._inquiry.report(client, order, raw, Rank.QUESTION)


async def test_answer_about_another_order_is_not_the_absence_of_ours(exchange: CcxtExchange, monkeypatch: pytest.MonkeyPatch):
    async def another(*_: Any, **__: Any) -> Raw:
        return {"id": "4711", "clientOrderId": "somebody-elses", "status": "closed", "filled": "0"}

    order = limit_order("ours", 39_000)
    await exchange.submit(order)
    monkeypatch.setattr(exchange._inquiry, "_fetch", another)
    with pytest.raises(ExchangeUnavailable, match="another order"):
        await exchange.find(order)


@pytest.mark.parametrize(
    "numbers", [{"amount": "0"}, {"amount": None}, {"price": None}, {"price": "0"}, {"price": "-1"}, {"amount": "NaN"}]
)
def test_trade_without_a_price_or_a_quantity_is_not_booked_as_free(numbers: dict[str, Any]):
    trade = {"id": "1", "amount": "0.01", "price": "40000", "timestamp": 1} | numbers
    with pytest.raises(Failed):
        fill_of(market_order("free"), trade, Commission(D(0)), "binance", 1)


async def test_adopted_order_is_followed_under_the_id_that_its_owner_gave_it(server: ExchangeServer, exchange: CcxtExchange):
    theirs = "web_" + "0123456789abcdef" * 2
    async with exchange._session.client(1) as client:
        raw = await client.ccxt.create_order("BTC/USDT", "limit", "buy", "0.01", "39000", {"clientOrderId": theirs})
    adopted = msgspec.structs.replace(
        limit_order("theirs", 39_000), client_order_id=theirs, venue_order_id=str(raw["id"]), terms=Terms(foreign=True)
    )
    found = await exchange.find(adopted)
    assert found is not None
    assert (found.state, found.client_order_id) == (OrderState.ACCEPTED, theirs)
    canceled = await exchange.cancel(adopted)
    assert canceled.state is OrderState.CANCELED


@pytest.mark.parametrize("nonsense", [{"side": None}, {"symbol": None}, {"id": None}, {"side": "sideways"}])
async def test_order_that_cannot_be_read_does_not_hide_the_account(
    exchange: CcxtExchange, monkeypatch: pytest.MonkeyPatch, nonsense: dict[str, Any]
):
    await exchange.submit(limit_order("ours", 39_000))
    async with exchange._session.client(1) as client:
        listed = await client.ccxt.fetch_open_orders()

        async def told() -> list[Raw]:
            return [dict(listed[0]) | nonsense, *listed]

        monkeypatch.setattr(client.ccxt, "fetch_open_orders", told)
        snapshot = await exchange.snapshot(1, with_orders=True)
    assert snapshot.orders is not None
    assert len(snapshot.orders) == 1
