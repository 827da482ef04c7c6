"""The loopback exchange server, through ccxt's unmodified `binance` class where it has a method, else through plain HTTP."""

import asyncio
import hmac
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.testing.exchange_server import ExchangeServer, Fault, Limits, Permissions, configure
from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.trading import cancel, place, place_oco
from tradekit.testing.exchange_server.venue import Venue

ccxt = pytest.importorskip("ccxt.pro")
pytestmark = pytest.mark.anyio
D = Decimal
PAIR = "BTC/USDT"


@pytest.fixture
async def server() -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer() as server:
        yield server


@pytest.fixture
async def binance(server: ExchangeServer) -> AsyncIterator[Any]:
    key = server.account("ada").key
    exchange = configure(ccxt.binance({"apiKey": key.key, "secret": key.secret, "number": str, "enableRateLimit": False}), server.url)
    exchange.timeout_on_exit = 0
    yield exchange
    await exchange.close()


@pytest.fixture
async def http(server: ExchangeServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def until(check: Callable[[], bool]) -> None:
    """Wait until the server has noticed something."""
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


def signed(secret: str, *, skew_ms: int = 0, **parameters: object) -> str:
    query = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000 + skew_ms})
    return f"{query}&signature={hmac.new(secret.encode(), query.encode(), sha256).hexdigest()}"


async def test_ccxt_reads_markets_balances_prices_candles_and_the_book(server: ExchangeServer, binance: Any):
    markets = await binance.load_markets()
    assert set(markets) == {"BTC/USDT", "ETH/USDT", "BNB/USDT"}
    assert markets[PAIR]["precision"]["price"] == "0.01000000"
    server.trade("BTCUSDT", D(40_100), D("0.5"))
    balance = await binance.fetch_balance()
    assert (D(balance["USDT"]["free"]), D(balance["BTC"]["total"])) == (1_000_000, 100)
    assert D((await binance.fetch_ticker(PAIR))["last"]) == 40_100
    assert set(await binance.fetch_tickers([PAIR, "ETH/USDT"])) == {PAIR, "ETH/USDT"}
    candle = (await binance.fetch_ohlcv(PAIR, "1m", limit=1))[0]
    assert (D(candle[4]), D(candle[5])) == (40_100, D("0.5"))
    book = await binance.fetch_order_book(PAIR)
    assert book["bids"][0][0] < 40_100 < book["asks"][0][0]
    assert D((await binance.fetch_trades(PAIR))[-1]["amount"]) == D("0.5")
    assert abs(await binance.fetch_time() - binance.milliseconds()) < 5_000


async def test_time_in_force_is_kept(server: ExchangeServer, binance: Any):
    server.set_book("BTCUSDT", bids=[(D(39_990), D(1))], asks=[(D(40_010), D(1)), (D(40_020), D(1))])
    resting = await binance.create_order(PAIR, "limit", "buy", "1.5", "40010", {"timeInForce": "GTC"})
    assert (resting["status"], resting["filled"], resting["info"]["status"]) == ("open", "1.00000000", "PARTIALLY_FILLED")
    now = await binance.create_order(PAIR, "limit", "buy", "3", "40020", {"timeInForce": "IOC"})
    assert (now["status"], now["filled"]) == ("expired", "1.00000000")
    server.set_book("BTCUSDT", bids=[(D(39_990), D(1))], asks=[(D(40_010), D(1))])
    whole = await binance.create_order(PAIR, "limit", "buy", "2", "40010", {"timeInForce": "FOK"})
    assert (whole["status"], whole["filled"]) == ("expired", "0.00000000")
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await binance.create_order(PAIR, "limit", "buy", "1", "40010", {"postOnly": True})
    assert (await binance.create_order(PAIR, "limit", "buy", "0.1", "39000", {"postOnly": True}))["status"] == "open"
    with pytest.raises(ccxt.InsufficientFunds):
        await binance.create_order(PAIR, "limit", "buy", "100", "39000")


@pytest.mark.parametrize(
    ("params", "kind", "price", "calm", "trigger"),
    [
        ({"stopLossPrice": "38000"}, "market", None, 38_500, 37_900),
        ({"stopLossPrice": "38000"}, "limit", "37500", 38_500, 37_900),
        ({"takeProfitPrice": "42000"}, "market", None, 41_000, 42_000),
        ({"trailingPercent": "2", "stopLossOrTakeProfit": "stopLoss"}, "market", None, 41_000, 40_100),
    ],
)
async def test_stop_order_waits_for_its_price(
    server: ExchangeServer, binance: Any, params: dict[str, str], kind: str, price: str | None, calm: int, trigger: int
):
    order = await binance.create_order(PAIR, kind, "sell", "0.1", price, params)
    server.trade("BTCUSDT", D(calm))
    assert (await binance.fetch_order(order["id"], PAIR))["status"] == "open"
    server.trade("BTCUSDT", D(trigger))
    done = await binance.fetch_order(order["id"], PAIR)
    assert (done["status"], done["filled"]) == ("closed", "0.10000000")
    assert server.account("ada").locked["BTC"] == 0


async def test_oco_ends_one_leg_with_the_other_and_frees_the_money(server: ExchangeServer, binance: Any):
    await binance.load_markets()
    request = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.1",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "42000",
        "belowType": "STOP_LOSS_LIMIT",
        "belowStopPrice": "38000",
        "belowPrice": "37900",
        "belowTimeInForce": "GTC",
    }
    answer = await binance.private_post_orderlist_oco(request)
    account = server.account("ada")
    assert (answer["listOrderStatus"], account.locked["BTC"]) == ("EXECUTING", D("0.1"))
    server.trade("BTCUSDT", D(42_000))
    assert [order.status for order in server.orders("ada")] == ["FILLED", "EXPIRED"]
    assert account.locked["BTC"] == 0
    second = await binance.private_post_orderlist_oco(request | {"abovePrice": "45000"})
    await binance.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": second["orderListId"]})
    assert [order.status for order in server.orders("ada")[2:]] == ["CANCELED", "CANCELED"]
    assert (account.locked["BTC"], account.free["BTC"]) == (0, D("99.9"))


async def test_cancel_replace_gives_a_new_order_for_the_old(server: ExchangeServer, binance: Any):
    old = await binance.create_order(PAIR, "limit", "buy", "0.1", "39000", {"clientOrderId": "old"})
    new = await binance.edit_order(old["id"], PAIR, "limit", "buy", "0.1", "39500", {"clientOrderId": "new"})
    assert (new["status"], D(new["price"])) == ("open", 39_500)
    assert [(order.client_order_id, order.status) for order in server.orders("ada")] == [("old", "CANCELED"), ("new", "NEW")]
    with pytest.raises(ccxt.BaseError):
        await binance.edit_order(old["id"], PAIR, "limit", "buy", "0.1", "39500")
    assert len(server.orders("ada")) == 2


async def test_client_order_id_is_unique_among_open_orders_only(server: ExchangeServer, binance: Any):
    await binance.create_order(PAIR, "limit", "buy", "0.1", "39000", {"clientOrderId": "once"})
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await binance.create_order(PAIR, "limit", "buy", "0.1", "39000", {"clientOrderId": "once"})
    await binance.cancel_order("", PAIR, {"clientOrderId": "once"})
    again = await binance.create_order(PAIR, "market", "buy", "0.1", None, {"clientOrderId": "once"})
    assert (await binance.fetch_order("", PAIR, {"clientOrderId": "once"}))["id"] == again["id"]
    assert len(server.orders("ada", "once")) == 2


async def test_users_trade_with_each_other_by_price_then_time(server: ExchangeServer):
    venue = server.venue
    server.set_book("BTCUSDT", bids=[], asks=[])
    sellers = [venue.account(name) for name in ("dear", "first", "second")]
    for seller, price in zip(sellers, ("41000", "40500", "40500"), strict=True):
        place(venue, seller, limit("SELL", "1", price))
    buyer = venue.account("buyer")
    answer = place(venue, buyer, limit("BUY", "1.5", "41000"))
    assert [(fill["price"], fill["qty"]) for fill in answer["fills"]] == [
        ("40500.00000000", "1.00000000"),
        ("40500.00000000", "0.50000000"),
    ]
    assert [server.orders(name)[0].status for name in ("dear", "first", "second")] == ["NEW", "FILLED", "PARTIALLY_FILLED"]
    assert server.orders("first")[0].trades[0].maker


async def test_history_is_told_by_order_and_by_time(server: ExchangeServer, binance: Any):
    ids = [(await binance.create_order(PAIR, "market", "buy", "0.1"))["id"] for _ in range(3)]
    resting = await binance.create_order(PAIR, "limit", "buy", "0.1", "30000")
    assert [order["id"] for order in await binance.fetch_orders(PAIR)] == [*ids, resting["id"]]
    assert [order["id"] for order in await binance.fetch_open_orders(PAIR)] == [resting["id"]]
    assert [trade["order"] for trade in await binance.fetch_my_trades(PAIR)] == ids
    assert [trade["order"] for trade in await binance.fetch_order_trades(ids[1], PAIR)] == [ids[1]]
    later = binance.milliseconds() + 60_000
    assert await binance.fetch_my_trades(PAIR, later) == []
    server.halt("BTCUSDT")
    with pytest.raises(ccxt.BaseError, match="Market is closed"):
        await binance.create_order(PAIR, "market", "buy", "0.1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"secret": "wrong"}, -1022),
        ({"key": "unknown"}, -2015),
        ({"key": ""}, -2014),
        ({"skew_ms": -20_000}, -1021),
        ({"skew_ms": 5_000}, -1021),
        ({"recvWindow": 70_000}, -1131),
    ],
)
async def test_signed_requests_are_checked(server: ExchangeServer, http: httpx.AsyncClient, change: dict[str, Any], code: int):
    key = server.account("ada").key
    options = {"secret": key.secret, "key": key.key} | change
    headers = {"X-MBX-APIKEY": options.pop("key")}
    assert (await http.get("/api/v3/account?" + signed(key.secret), headers={"X-MBX-APIKEY": key.key})).status_code == 200
    answer = await http.get("/api/v3/account?" + signed(options.pop("secret"), **options), headers=headers)
    assert (answer.status_code >= 400, answer.json()["code"]) == (True, code)


async def test_key_may_do_what_it_is_permitted_and_says_so(server: ExchangeServer, http: httpx.AsyncClient):
    key = server.account("reader", permissions=Permissions(spot_trading=False, withdrawals=True)).key
    headers = {"X-MBX-APIKEY": key.key}
    told = (await http.get("/sapi/v1/account/apiRestrictions?" + signed(key.secret), headers=headers)).json()
    assert (told["enableReading"], told["enableSpotAndMarginTrading"], told["enableWithdrawals"]) == (True, False, True)
    order = signed(key.secret, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
    assert (await http.post("/api/v3/order", content=order, headers=headers)).json()["code"] == -2015
    assert server.orders("reader") == []


async def test_weights_are_counted_then_refused_then_banned():
    limits = Limits(weight_max=50, window_s=60, refusals_before_ban=2, ban_s=30)
    async with ExchangeServer(limits=limits) as server, httpx.AsyncClient(base_url=server.url) as http:
        used = [(await http.get("/api/v3/exchangeInfo")).headers["x-mbx-used-weight-1m"] for _ in range(2)]
        assert used == ["20", "40"]
        answers = [await http.get("/api/v3/exchangeInfo") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [429, 429, 418, 418]
        assert 0 < int(answers[0].headers["retry-after"]) <= 60
        assert int(answers[3].headers["retry-after"]) <= 30
        assert "banned until" in answers[3].json()["msg"]
        server.venue.weights.pardon()
        assert (await http.get("/api/v3/ping")).status_code == 200


async def test_orders_of_an_account_are_limited():
    async with ExchangeServer(limits=Limits(orders_per_10_s=3)) as server, httpx.AsyncClient(base_url=server.url) as http:
        key = server.account("ada").key
        codes = []
        for _ in range(4):
            order = signed(key.secret, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
            codes.append((await http.post("/api/v3/order", content=order, headers={"X-MBX-APIKEY": key.key})).status_code)
        assert codes == [200, 200, 200, 429]
        assert len(server.orders("ada")) == 3


async def test_listen_key_gives_the_same_events_as_the_subscription(server: ExchangeServer, binance: Any, http: httpx.AsyncClient):
    account = server.account("ada")
    headers = {"X-MBX-APIKEY": account.key.key}
    key = (await http.post("/api/v3/userDataStream", headers=headers)).json()["listenKey"]
    assert (await http.put(f"/api/v3/userDataStream?listenKey={key}", headers=headers)).status_code == 200
    events: list[dict[str, Any]] = []
    watching = asyncio.create_task(binance.watch_orders())
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws/{key}") as socket:
        await until(lambda: server.users.listeners(account) == 2)
        await binance.create_order(PAIR, "limit", "buy", "0.1", "39000", {"clientOrderId": "seen"})
        events.append(json.loads((await socket.receive()).data))
        events.append(json.loads((await socket.receive()).data))
    assert [event["e"] for event in events] == ["executionReport", "outboundAccountPosition"]
    assert (events[0]["c"], events[0]["x"], events[0]["X"]) == ("seen", "NEW", "NEW")
    assert [order["clientOrderId"] for order in await watching] == ["seen"]
    await http.delete(f"/api/v3/userDataStream?listenKey={key}", headers=headers)
    assert (await http.put(f"/api/v3/userDataStream?listenKey={key}", headers=headers)).json()["code"] == -1125


async def test_websocket_api_places_and_cancels(server: ExchangeServer, binance: Any):
    order = await binance.create_order_ws(PAIR, "limit", "buy", "0.1", "39000", {"clientOrderId": "ws"})
    assert order["status"] == "open"
    assert (await binance.fetch_order_ws(order["id"], PAIR))["clientOrderId"] == "ws"
    await binance.cancel_order_ws(order["id"], PAIR)
    assert [each.status for each in server.orders("ada")] == ["CANCELED"]


async def test_market_streams_tell_trades_candles_and_tickers(server: ExchangeServer, binance: Any):
    watching = [
        asyncio.create_task(binance.watch_trades(PAIR)),
        asyncio.create_task(binance.watch_ohlcv(PAIR, "1m")),
        asyncio.create_task(binance.watch_bids_asks([PAIR])),
    ]
    wanted = {"btcusdt@trade", "btcusdt@kline_1m", "btcusdt@bookTicker"}
    await until(lambda: wanted <= server.market_streams.listening)
    server.trade("BTCUSDT", D(40_500), D("0.25"))
    trades, candles, tickers = await asyncio.gather(*watching)
    assert (D(trades[0]["price"]), D(trades[0]["amount"])) == (40_500, D("0.25"))
    assert D(candles[-1][4]) in {D(40_000), D(40_500)}
    assert D(tickers[PAIR]["bid"]) < D(tickers[PAIR]["ask"])


async def test_faults_hit_whom_they_are_meant_for_and_are_spent(server: ExchangeServer, binance: Any):
    server.faults.add(Fault(kind="partial", fraction=D("0.3"), count=1))
    server.faults.add(Fault(kind="rate_limit", requests=("GET /api/v3/order",), account="bob", delay_s=3))
    part = await binance.create_order(PAIR, "market", "buy", "0.1")
    assert (part["status"], part["filled"]) == ("expired", "0.03000000")
    assert (await binance.create_order(PAIR, "market", "buy", "0.1"))["status"] == "closed"
    assert (await binance.fetch_order(part["id"], PAIR))["status"] == "expired"
    server.faults.add(Fault(kind="clock", requests=("GET /api/v3/order",), count=1))
    with pytest.raises(ccxt.InvalidNonce):
        await binance.fetch_order(part["id"], PAIR)
    server.venue.maintenance = True
    with pytest.raises(ccxt.OnMaintenance):
        await binance.fetch_order(part["id"], PAIR)
    assert (await binance.fetch_status())["status"] == "maintenance"
    assert server.faults.injected == {"partial": 1, "clock": 1}


def limit(side: str, quantity: str, price: str, **more: str) -> Parameters:
    values = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price}
    return Parameters(values | more)


ACTIONS = st.tuples(
    st.sampled_from(["limit", "market", "stop", "oco", "cancel", "trade", "fill"]),
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 300),
    st.integers(3_800, 4_200),
)


def act(venue: Venue, account: Account, kind: str, side: str, lots: int, dime: int) -> None:
    quantity, price = str(D(lots) / 100), str(dime * 10)
    common = {"symbol": "BTCUSDT", "side": side, "quantity": quantity}
    if kind == "limit":
        place(venue, account, limit(side, quantity, price))
    elif kind == "market":
        place(venue, account, Parameters(common | {"type": "MARKET"}))
    elif kind == "stop":
        place(venue, account, Parameters(common | {"type": "STOP_LOSS", "stopPrice": price}))
    elif kind == "oco":
        above = {"aboveType": "LIMIT_MAKER", "abovePrice": price, "belowType": "STOP_LOSS", "belowStopPrice": "38500"}
        place_oco(venue, account, Parameters(common | above))
    elif kind == "cancel":
        for order in venue.engine.open_orders(account)[:1]:
            cancel(venue, account, Parameters({"symbol": "BTCUSDT", "orderId": str(order.order_id)}))
    elif kind == "trade":
        venue.trade("BTCUSDT", D(price), D(lots) / 100 if side == "BUY" else None)
    else:
        for order in venue.engine.open_orders(account)[:1]:
            venue.engine.fill(order, D(lots) / 100)


@given(st.lists(ACTIONS, max_size=40))
def test_money_is_neither_made_nor_lost_and_locks_are_those_of_open_orders(actions: list[tuple[str, str, str, int, int]]):
    venue = ExchangeServer().venue
    start = {"USDT": D(200_000), "BTC": D(5)}
    accounts = {name: venue.account(name, start) for name in ("ada", "bob")}
    refusals: set[int] = set()
    for kind, name, side, lots, dime in actions:
        try:
            act(venue, accounts[name], kind, side, lots, dime)
        except VenueError as error:
            refusals.add(error.code)
    assert refusals <= {-1013, -2010, -2011}
    for account in accounts.values():
        orders = venue.orders_of(account, all_of_them=True)
        for asset in start:
            expected = start[asset]
            for order in orders:
                sign = 1 if order.buying else -1
                expected += sign * order.executed if asset == "BTC" else -sign * order.cum_quote
                expected -= sum((trade.commission for trade in order.trades if trade.commission_asset == asset), D(0))
                assert order.executed == sum((trade.quantity for trade in order.trades), D(0)) <= order.quantity
            assert account.free.get(asset, D(0)) + account.locked.get(asset, D(0)) == expected
            locks = {id(order.lock): order.lock for order in venue.engine.open_orders(account) if order.lock is not None}
            assert account.locked.get(asset, D(0)) == sum((lock.amount for lock in locks.values() if lock.asset == asset), D(0))


def test_it_runs_as_a_process_driven_over_control():
    command = [sys.executable, "-m", "tradekit.testing.exchange_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, url = process.stdout.readline().split()
            assert word == "ready"
            with httpx.Client(base_url=f"{url}/control/") as control:
                drive(url, control)
        finally:
            process.terminate()
        assert process.wait(10) == 0


def drive(url: str, control: httpx.Client) -> None:
    key = control.post("account", json={"name": "ada", "balances": {"USDT": "1000", "BTC": "1"}}).json()
    control.post("fault", json={"kind": "drop_after", "requests": ["POST /api/v3/order"], "count": 1})
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "41000"}
    body = signed(key["secret"], **order, newClientOrderId="x")
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{url}/api/v3/order", content=body, headers={"X-MBX-APIKEY": key["key"]})
    assert control.post("trade", json={"symbol": "BTCUSDT", "price": "41000", "quantity": "0.2"}).json() is True
    orders = control.post("orders", json={"name": "ada"}).json()
    assert [(order["clientOrderId"], order["status"], order["executedQty"]) for order in orders] == [
        ("x", "PARTIALLY_FILLED", "0.20000000")
    ]
    balance = control.post("balances", json={"name": "ada"}).json()["BTC"]
    assert (D(balance["free"]), D(balance["locked"])) == (D("0.5"), D("0.3"))
    assert control.post("duplicates", json={}).json() == []
    stats = control.post("stats", json={}).json()
    assert (stats["submissions"], stats["injected"]) == (1, {"drop_after": 1})
    assert control.post("nonsense", json={}).status_code == 404
    assert control.post("trade", json={"symbol": "BTCUSDT"}).status_code == 404
    assert control.post("trade", content=b"[").status_code == 400
