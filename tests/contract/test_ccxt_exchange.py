"""The ccxt adapter with ccxt's own unmodified `binance` class on the loopback exchange server."""

import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal, getcontext
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from tradekit.adapters.ccxt import CcxtExchange, CcxtFeed, NoCredentials, VenueProfile, profile_for, session, streams
from tradekit.adapters.ccxt import exchange as exchange_module
from tradekit.adapters.ccxt.budget import Rank, VenueBusy, WeightBudget
from tradekit.adapters.ccxt.profiles import Lookup
from tradekit.adapters.ccxt.tracker import Tracked
from tradekit.adapters.system import SystemClock
from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import ConfigurationError, ExchangeUnavailable
from tradekit.domain.orders import OrderReport, OrderState, Side
from tradekit.ports.exchange import Exchange
from tradekit.ports.feed import Feed
from tradekit.testing.contracts.exchange import ExchangeContract, Move, limit_order, market_order
from tradekit.testing.exchange_server import DEFAULT_MARKETS, ExchangeServer, Fault, Limits, MarketSpec, Permissions, configure

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
D = Decimal
POST, GET, DELETE = "POST /api/v3/order", "GET /api/v3/order", "DELETE /api/v3/order"


class ServerKeys:
    """Every user has an account of that name at the server, unless they are said to have no key."""

    def __init__(self, server: ExchangeServer) -> None:
        self.server = server
        self.without: set[int] = set()
        self.version = 1
        self._keys: dict[tuple[int, int], VenueKey] = {}

    async def __call__(self, user_id: int) -> VenueKey:
        if user_id in self.without:
            raise NoCredentials(user_id=user_id, venue="binance")
        if (user_id, self.version) not in self._keys:
            key = list(self.server.account(f"user-{user_id}").keys.values())[-1]
            self._keys[user_id, self.version] = VenueKey(api_key=key.key, secret=key.secret, version=self.version)
        return self._keys[user_id, self.version]


def connect(server: ExchangeServer, **options: Any) -> AbstractAsyncContextManager[CcxtExchange]:
    defaults: dict[str, Any] = {
        "prepare": lambda ccxt: configure(ccxt, server.url),
        "visibility_window_s": 1.0,
        "request_timeout_s": 5.0,
        "wait_max_s": 0.5,
        "resync_s": 0.5,
        "linger_s": 0.2,
    }
    keys = options.pop("credentials", None) or ServerKeys(server)
    return CcxtExchange("binance", keys, SystemClock(), **defaults | options)


@pytest.fixture
async def server() -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer() as server:
        yield server


@pytest.fixture
async def exchange(server: ExchangeServer) -> AsyncIterator[CcxtExchange]:
    async with connect(server) as exchange:
        yield exchange


@pytest.fixture
def move(server: ExchangeServer) -> Move:
    async def move(price: Decimal) -> None:
        server.trade("BTCUSDT", price)

    return move


class Heard:
    """The reports of an exchange, and a way to wait for one."""

    def __init__(self, exchange: CcxtExchange) -> None:
        self.reports: list[OrderReport] = []
        self._news = anyio.Event()
        exchange.listen(self._take)

    def _take(self, report: OrderReport) -> None:
        self.reports.append(report)
        self._news.set()

    async def until(self, state: OrderState, filled: Decimal | None = None) -> OrderReport:
        with anyio.fail_after(10):
            while True:
                for report in self.reports:
                    if report.state is state and filled in {None, sum((fill.quantity for fill in report.fills), D(0))}:
                        return report
                self._news = anyio.Event()
                await self._news.wait()


async def settled(check: Any) -> None:
    """Wait until something that happens elsewhere has happened."""
    with anyio.fail_after(10):
        while not check():  # noqa: ASYNC110 - the server and ccxt have no event for it
            await anyio.sleep(0.01)


class TestBinanceOnLoopback(ExchangeContract):
    pass


class TestVenueThatMustBeScanned(ExchangeContract):
    """The same server through the careful way of venues that cannot be asked by our id."""

    @pytest.fixture
    async def exchange(self, server: ExchangeServer) -> AsyncIterator[CcxtExchange]:
        binance = profile_for("binance")
        profile = VenueProfile(
            venue="binance", lookup=Lookup.SCAN, native=binance.native, weights=binance.weights, weight_max=6_000, options=binance.options
        )
        async with connect(server, profile=profile) as exchange:
            yield exchange


async def test_lost_answer_says_nothing_and_find_returns_the_order_the_venue_took(server: ExchangeServer, exchange: CcxtExchange):
    server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
    order = market_order("lost answer")
    with pytest.raises(ExchangeUnavailable):
        await exchange.submit(order)
    report = await exchange.find(order)
    assert report is not None
    assert (report.state, report.fills[0].quantity) == (OrderState.FILLED, D("0.01"))
    assert len(server.orders("user-1", order.client_order_id)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop_before", requests=(POST,)),
        Fault(kind="error", requests=(POST,), status=502),
        Fault(kind="error", requests=(POST,), status=504, error_code=-1007, act=True),
        Fault(kind="error", requests=(POST,), status=500, error_code=-1006, message="Execution status unknown.", act=True),
        Fault(kind="delay", requests=(POST,), delay_s=3),
        Fault(kind="maintenance", requests=(POST,)),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_what_does_not_tell_the_orders_fate_is_no_answer(server: ExchangeServer, fault: Fault):
    server.faults.add(fault)
    async with connect(server, request_timeout_s=0.5) as exchange:
        order = limit_order("silence", 39_000)
        with pytest.raises(ExchangeUnavailable):
            await exchange.submit(order)
        taken = len(server.orders("user-1", order.client_order_id))
        found = await exchange.find(order)
        assert (found is not None) == (taken == 1)
        assert server.counts[POST] == 1


async def test_with_a_third_of_the_answers_lost_every_order_is_found_once_or_never_arrived(server: ExchangeServer, exchange: CcxtExchange):
    server.faults.add(Fault(kind="drop_after", requests=(POST,), probability=0.2))
    server.faults.add(Fault(kind="drop_before", requests=(POST,), probability=0.1))
    orders = [market_order(f"campaign-{number}", user_id=number % 20 + 1) for number in range(200)]
    outcomes = await exchange.submit_many(orders)
    lost = [order for order, outcome in zip(orders, outcomes, strict=True) if isinstance(outcome, ExchangeUnavailable)]
    assert len(lost) == server.faults.injected["drop_after"] + server.faults.injected["drop_before"] > 30
    found = [report for order in lost if (report := await exchange.find(order)) is not None]
    assert len(found) == server.faults.injected["drop_after"]
    assert {report.state for report in found} == {OrderState.FILLED}
    taken = [len(server.orders(f"user-{order.user_id}", order.client_order_id)) for order in orders]
    assert max(taken) == 1
    assert sum(taken) == len(orders) - server.faults.injected["drop_before"]


async def test_order_is_not_found_before_it_shows_and_found_after(server: ExchangeServer, exchange: CcxtExchange):
    server.faults.add(Fault(kind="invisible", delay_s=0.5, count=1))
    order = market_order("invisible")
    assert (await exchange.submit(order)).state is OrderState.FILLED
    assert await exchange.find(order) is None
    with anyio.fail_after(5):
        while (report := await exchange.find(order)) is None:  # noqa: ASYNC110 - asking again is what is tested
            await anyio.sleep(0.05)
    assert report.state is OrderState.FILLED


async def test_fill_after_a_cancel_is_reported(server: ExchangeServer, exchange: CcxtExchange):
    heard = Heard(exchange)
    server.faults.add(Fault(kind="late_fill", delay_s=0.1, fraction=D("0.4"), count=1))
    order = limit_order("late", 39_000)
    # A second order that stays open keeps the user followed.
    await exchange.submit(limit_order("other", 38_000))
    await exchange.submit(order)
    await settled(lambda: server.users.listeners(server.account("user-1")))
    assert (await exchange.cancel(order)).state is OrderState.CANCELED
    report = await heard.until(OrderState.CANCELED, D("0.004"))
    assert report.client_order_id == order.client_order_id
    found = await exchange.find(order)
    assert found is not None
    assert [fill.quantity for fill in found.fills] == [D("0.004")]


async def test_partial_fills_are_told_one_by_one_and_add_up(server: ExchangeServer, exchange: CcxtExchange):
    heard = Heard(exchange)
    order = limit_order("parts", 39_000)
    await exchange.submit(order)
    await settled(lambda: server.users.listeners(server.account("user-1")))
    for quantity in (D("0.003"), D("0.003"), D("0.004")):
        server.trade("BTCUSDT", D(39_000), quantity)
        await anyio.lowlevel.checkpoint()
    report = await heard.until(OrderState.FILLED)
    assert [fill.quantity for fill in report.fills] == [D("0.003"), D("0.003"), D("0.004")]
    assert len({fill.trade_id for fill in report.fills}) == 3


@pytest.mark.parametrize("kind", ["duplicate", "reorder", "lose", "disconnect"])
async def test_events_repeated_reordered_or_lost_end_in_the_same_truth(server: ExchangeServer, kind: Any):
    # Only what is lost for good needs the venue to be asked from time to time.
    async with connect(server, resync_s=0.5 if kind == "lose" else 600) as exchange:
        await follow_through(server, exchange, kind)


async def follow_through(server: ExchangeServer, exchange: CcxtExchange, kind: Any) -> None:
    heard = Heard(exchange)
    order = limit_order("events", 39_000)
    await exchange.submit(order)
    await settled(lambda: server.users.listeners(server.account("user-1")))
    server.faults.add(Fault(kind=kind, requests=("executionReport",), count=3))
    for quantity in (D("0.002"), D("0.003"), D("0.005")):
        server.trade("BTCUSDT", D(39_000), quantity)
    report = await heard.until(OrderState.FILLED)
    assert sum(fill.quantity for fill in report.fills) == order.quantity
    assert len({fill.trade_id for fill in report.fills}) == len(report.fills) == 3
    assert server.faults.injected[kind] > 0
    states = [report.state for report in heard.reports]
    assert OrderState.ACCEPTED not in states[states.index(OrderState.FILLED) :]


async def test_user_without_open_orders_is_not_followed(server: ExchangeServer, exchange: CcxtExchange):
    order = limit_order("followed", 39_000)
    await exchange.submit(order)
    await settled(lambda: server.users.listeners(server.account("user-1")))
    await exchange.cancel(order)
    await settled(lambda: not exchange.streams.followed and not server.users.listeners(server.account("user-1")))


async def test_ban_is_honoured_by_everybody_and_nothing_is_sent_meanwhile(server: ExchangeServer, exchange: CcxtExchange):
    server.faults.add(Fault(kind="ban", requests=(POST,), delay_s=2, count=1))
    first = await exchange.submit(market_order("banned"))
    assert (first.state, first.reason) == (OrderState.REJECTED, "VENUE_BUSY")
    sent = sum(server.counts.values())
    second = await exchange.submit(market_order("still banned", user_id=2))
    assert (second.state, second.reason) == (OrderState.REJECTED, "VENUE_BANNED")
    with pytest.raises(ExchangeUnavailable, match="VENUE_BANNED"):
        await exchange.find(market_order("banned"))
    assert sum(server.counts.values()) == sent
    await settled(lambda: not exchange.budget.banned_for_s)
    assert (await exchange.submit(market_order("after", user_id=3))).state is OrderState.FILLED


async def test_budget_keeps_room_for_exits_and_the_server_never_refuses():
    async with ExchangeServer(limits=Limits(weight_max=100)) as server:
        profile = VenueProfile(
            venue="binance",
            lookup=Lookup.CLIENT_ID,
            weight_max=100,
            weights=profile_for("binance").weights,
            weight_header="x-mbx-used-weight-1m",
            options=profile_for("binance").options,
        )
        async with connect(server, profile=profile, wait_max_s=0.05) as exchange:
            entries = await exchange.submit_many([market_order("entry", user_id=user_id) for user_id in range(100)])
            refused = [outcome for outcome in entries if isinstance(outcome, OrderReport) and outcome.reason == "VENUE_BUSY"]
            assert 30 < len(refused) < 60
            assert (await exchange.submit(market_order("exit", side=Side.SELL))).state is OrderState.FILLED
        assert server.venue.weights.refused == 0


async def test_clock_that_is_wrong_is_measured_and_the_next_order_passes(server: ExchangeServer, exchange: CcxtExchange):
    server.venue.clock_skew_ms = 20_000
    report = await exchange.submit(market_order("skewed"))
    assert (report.state, report.reason) == (OrderState.REJECTED, "CLOCK_SKEW")
    assert abs(exchange.clock_offset_ms - 20_000) < 1_000
    assert (await exchange.submit(market_order("exit", side=Side.SELL))).state is OrderState.FILLED
    entry = await exchange.submit(market_order("entry"))
    assert (entry.state, entry.reason) == (OrderState.REJECTED, "CLOCK_SKEW")
    server.venue.clock_skew_ms = 1_500
    await exchange.refresh()
    assert (await exchange.submit(market_order("again"))).state is OrderState.FILLED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": D("0.010001")}, "QTY_PRECISION"),
        ({"quantity": D("0.0001")}, "NOTIONAL_MIN"),
        ({"quantity": D(1_000)}, "INSUFFICIENT_BALANCE"),
        ({"symbol": "NO/SUCH"}, "INSTRUMENT_UNKNOWN"),
    ],
)
async def test_refusals_have_a_code(server: ExchangeServer, exchange: CcxtExchange, fields: dict[str, Any], reason: str):
    report = await exchange.submit(market_order("refused", **fields))
    assert (report.state, report.reason) == (OrderState.REJECTED, reason)
    assert server.orders("user-1") == [] if "user-1" in server.venue.accounts else True


async def test_amounts_go_out_and_come_back_to_the_last_digit(server: ExchangeServer, exchange: CcxtExchange):
    order = limit_order("digits", D("40123.45"), quantity=D("0.12345"))
    report = await exchange.submit(order)
    sent = next(call for call in server.calls if call.request == POST).parameters
    assert (sent["quantity"], sent["price"]) == ("0.12345", "40123.45")
    assert sum(fill.quantity for fill in report.fills) == D("0.12345")
    assert all(fill.price == D("40004") for fill in report.fills)
    # The commission of a buy is base currency: 0.00012345 BTC at 40,004.
    assert report.fills[0].fee == D("0.00012345") * D(40_004)
    instrument = exchange.instrument("BTC/USDT")
    assert instrument is not None
    assert (instrument.tick_size, instrument.step_size, instrument.min_notional) == (D("0.01"), D("0.00001"), D(10))


async def test_amounts_of_more_digits_than_a_float_holds_are_exact():
    market = MarketSpec(base="PEPE", quote="USDT", price=D("0.1"), tick_size=D("0.0001"), step_size=D("0.00000001"), max_qty=D(10**12))
    market = msgspec.structs.replace(market, max_notional=D(10**12))
    async with ExchangeServer(markets=(market,)) as server, connect(server) as exchange:
        server.account("user-1", {"USDT": D(10**12)})
        order = limit_order("long", D("0.2"), symbol="PEPE/USDT", quantity=D("1234567890.12345678"))
        report = await exchange.submit(order)
        assert report.state is OrderState.FILLED
        found = await exchange.find(order)
        assert found is not None
        assert [fill.quantity for fill in found.fills] == [order.quantity] == [fill.quantity for fill in report.fills]


async def test_order_whose_fills_do_not_show_yet_is_not_half_told(server: ExchangeServer, exchange: CcxtExchange):
    order = market_order("no fills yet")
    await exchange.submit(order)
    server.faults.add(Fault(kind="no_trades"))
    with pytest.raises(ExchangeUnavailable, match="do not show yet"):
        await exchange.find(order)
    server.faults.clear()
    server.faults.add(Fault(kind="no_trades", count=2))
    report = await exchange.find(order)
    assert report is not None
    assert (report.state, len(report.fills)) == (OrderState.FILLED, 1)


async def test_stream_alone_tells_of_an_order_whose_answer_was_lost(server: ExchangeServer):
    async with connect(server, resync_s=600) as exchange:
        heard = Heard(exchange)
        await exchange.submit(limit_order("keeps the stream up", 30_000))
        await settled(lambda: server.counts[GET] == 1)
        # Its first event comes after its trade, and its trade before anybody knows its number.
        server.faults.add(Fault(kind="reorder", requests=("executionReport",), count=1))
        server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
        with pytest.raises(ExchangeUnavailable):
            await exchange.submit(market_order("lost"))
        report = await heard.until(OrderState.FILLED)
        assert sum(fill.quantity for fill in report.fills) == D("0.01")
        assert server.counts[GET] == 1


async def test_order_whose_answer_was_lost_is_followed_while_it_rests(server: ExchangeServer, exchange: CcxtExchange):
    heard = Heard(exchange)
    server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
    order = limit_order("lost and resting", 39_000)
    with pytest.raises(ExchangeUnavailable):
        await exchange.submit(order)
    await settled(lambda: server.users.listeners(server.account("user-1")))
    server.trade("BTCUSDT", D(38_900))
    assert (await heard.until(OrderState.FILLED)).client_order_id == order.client_order_id


async def test_commission_in_the_venues_own_coin_is_converted(server: ExchangeServer, exchange: CcxtExchange):
    server.account("user-1").fee_asset = "BNB"
    report = await exchange.submit(market_order("bnb"))
    assert abs(report.fills[0].fee - D("0.40004")) < D("0.00001")


async def test_ccxt_does_not_change_how_the_service_divides_money(exchange: CcxtExchange):
    before = (getcontext().rounding, dict(getcontext().traps))
    await exchange.submit(limit_order("rounding", 39_000))
    assert (getcontext().rounding, dict(getcontext().traps)) == before


async def test_users_sign_with_their_own_keys_and_a_bad_one_is_refused(server: ExchangeServer):
    keys = ServerKeys(server)
    keys.without.add(3)
    server.account("user-4", permissions=Permissions(spot_trading=False))
    async with connect(server, credentials=keys) as exchange:
        orders = [market_order("own", user_id=user_id) for user_id in (1, 2, 3, 4)]
        outcomes = await exchange.submit_many(orders)
        reports = [outcome for outcome in outcomes if isinstance(outcome, OrderReport)]
        assert [report.state for report in reports[:2]] == [OrderState.FILLED] * 2
        assert [report.reason for report in reports[2:]] == ["ACCOUNT_INVALID"] * 2
        assert [len(server.orders(f"user-{user_id}")) for user_id in (1, 2)] == [1, 1]
        server.venue.revoke_key(server.account("user-1").key.key)
        revoked = await exchange.submit(market_order("revoked"))
        assert (revoked.state, revoked.reason) == (OrderState.REJECTED, "ACCOUNT_INVALID")
        server.venue.register_key(server.account("user-1"))
        keys.version = 2
        assert (await exchange.submit(market_order("new key"))).state is OrderState.FILLED


async def test_no_error_shows_a_key_or_a_signature(server: ExchangeServer, exchange: CcxtExchange, capsys: pytest.CaptureFixture[str]):
    key = server.account("user-1").key
    for kind in ("drop_before", "error"):
        server.faults.clear()
        server.faults.add(Fault(kind=kind, requests=(POST, GET)))
        for call in (exchange.submit, exchange.find):
            with pytest.raises(ExchangeUnavailable) as caught:
                await call(market_order(f"secret {kind}"))
            shown = "".join([*traceback.format_exception(caught.value), str(caught.value.facts), *capsys.readouterr()])
            assert key.secret not in shown
            assert key.key not in shown
            assert "signature=" not in shown


async def test_orders_open_before_a_restart_are_followed_once_they_are_asked_for(server: ExchangeServer):
    order = limit_order("restart", 39_000)
    async with connect(server) as exchange:
        await exchange.submit(order)
    async with connect(server) as exchange:
        heard = Heard(exchange)
        found = await exchange.find(order)
        assert found is not None
        assert found.state is OrderState.ACCEPTED
        await settled(lambda: server.users.listeners(server.account("user-1")))
        server.trade("BTCUSDT", D(38_900))
        await heard.until(OrderState.FILLED)


async def test_repeated_id_of_a_resting_order_is_not_taken_for_a_refusal(server: ExchangeServer, exchange: CcxtExchange):
    order = limit_order("twice", 39_000)
    await exchange.submit(order)
    with pytest.raises(ExchangeUnavailable, match="DUPLICATE"):
        await exchange.submit(order)
    assert len(server.orders("user-1", order.client_order_id)) == 1


async def test_venue_that_does_not_exist_is_a_coded_refusal():
    with pytest.raises(ConfigurationError, match="does not know a venue 'binanze'") as caught:
        await CcxtExchange("binanze", ServerKeys(ExchangeServer()), SystemClock()).__aenter__()
    assert "binance" in caught.value.fix


async def test_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("tradekit.adapters.ccxt.slim.importlib.import_module", absent)
    with pytest.raises(ConfigurationError, match="pip install 'tradekit\\[exchange\\]'"):
        await CcxtExchange("binance", ServerKeys(ExchangeServer()), SystemClock()).__aenter__()


async def test_venue_that_does_not_answer_at_the_start_says_so():
    server = ExchangeServer()
    server.port = 9
    with pytest.raises(ExchangeUnavailable):
        await connect(server, request_timeout_s=0.5).__aenter__()


async def test_users_beyond_the_sockets_are_asked_for(server: ExchangeServer, exchange: CcxtExchange, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "SOCKETS_MAX", 0)
    heard = Heard(exchange)
    await exchange.submit(limit_order("asked for", 39_000))
    server.trade("BTCUSDT", D(38_900))
    await heard.until(OrderState.FILLED)
    assert server.users.listeners(server.account("user-1")) == 0


async def test_listener_that_fails_stops_neither_the_stream_nor_the_others(server: ExchangeServer, exchange: CcxtExchange):
    def broken(report: OrderReport) -> None:
        raise LookupError(report.client_order_id)

    exchange.listen(broken)
    heard = Heard(exchange)
    await exchange.submit(limit_order("heard", 39_000))
    server.trade("BTCUSDT", D(38_900))
    await heard.until(OrderState.FILLED)


async def test_fault_of_the_credentials_port_takes_no_other_order_with_it(server: ExchangeServer):
    class Broken(ServerKeys):
        async def __call__(self, user_id: int) -> VenueKey:
            if user_id == 2:
                raise RuntimeError("vault")
            return await super().__call__(user_id)

    async with connect(server, credentials=Broken(server)) as exchange:
        outcomes = await exchange.submit_many([market_order("batch", user_id=user_id) for user_id in (1, 2, 3)])
    assert [type(outcome) for outcome in outcomes] == [OrderReport, ExchangeUnavailable, OrderReport]


async def test_commission_in_a_coin_without_a_price_is_estimated():
    markets = [msgspec.structs.replace(market, base="SHARD" if market.base == "BNB" else market.base) for market in DEFAULT_MARKETS]
    async with ExchangeServer(markets=markets) as server, connect(server) as exchange:
        account = server.account("user-1", {"USDT": D(10_000), "SHARD": D(100)})
        account.fee_asset = "SHARD"
        priced = await exchange.submit(market_order("priced"))
        server.halt("SHARDUSDT")
        exchange._session.instruments.pop("SHARD/USDT")
        exchange._inquiry._fees._rates.clear()
        estimated = await exchange.submit(market_order("estimated"))
    assert abs(priced.fills[0].fee - D("0.40004")) < D("0.00001")
    assert estimated.fills[0].fee == D("0.40004")


async def test_instances_of_users_are_let_go_when_there_are_too_many(
    server: ExchangeServer, exchange: CcxtExchange, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session, "CLIENTS_MAX", 3)
    for user_id in [*range(1, 8), 1]:
        assert (await exchange.submit(market_order(f"many {user_id}", user_id=user_id))).state is OrderState.FILLED
        assert len(exchange._session._clients) <= 3


async def test_clock_and_markets_are_read_again_and_again(server: ExchangeServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange_module, "HOUSEKEEPING_S", 0.02)
    monkeypatch.setattr(exchange_module, "MARKETS_AGE_MAX_S", 0.0)
    async with connect(server) as exchange:
        server.venue.clock_skew_ms = 3_000
        server.halt("BTCUSDT")
        await settled(lambda: exchange.clock_offset_ms > 2_500)
        await settled(lambda: not (exchange.instrument("BTC/USDT") or pytest.fail("gone")).tradable)
        server.faults.add(Fault(kind="maintenance", requests=("GET /api/v3/time",)))
        await settled(lambda: server.faults.injected["maintenance"] > 2)
        assert {instrument.symbol for instrument in exchange.instruments()} == {"BTC/USDT", "ETH/USDT", "BNB/USDT"}


async def test_test_site_that_does_not_exist_is_a_coded_refusal(server: ExchangeServer):
    with pytest.raises(ConfigurationError, match="has no test site"):
        await CcxtExchange("kraken", ServerKeys(server), SystemClock(), sandbox=True).__aenter__()


def test_older_word_of_an_order_changes_nothing():
    tracked = Tracked(limit_order("tracked", 39_000), since=0.0)
    tracked.hear(OrderState.PARTIALLY_FILLED, D("0.004"), "7")
    tracked.hear(OrderState.ACCEPTED, D(0), "7")
    assert (tracked.state, tracked.said_filled, tracked.complete) == (OrderState.PARTIALLY_FILLED, D("0.004"), False)
    tracked.hear(OrderState.CANCELED, D("0.004"), "7")
    tracked.hear(OrderState.PARTIALLY_FILLED, D("0.004"), "7")
    assert tracked.state is OrderState.CANCELED


async def test_user_whose_calls_hang_takes_nobody_elses_place(server: ExchangeServer):
    server.faults.add(Fault(kind="delay", requests=(POST,), account="user-1", delay_s=30))
    async with connect(server, request_timeout_s=1.0, wait_max_s=0.3) as exchange:
        hanging = [market_order(f"hangs-{number}") for number in range(40)]
        others = [market_order("goes", user_id=user_id) for user_id in range(2, 22)]
        outcomes = await exchange.submit_many([*hanging, *others])
        assert all(isinstance(outcome, OrderReport) and outcome.state is OrderState.FILLED for outcome in outcomes[40:])
        silent = [outcome for outcome in outcomes[:40] if isinstance(outcome, ExchangeUnavailable)]
        refused = [outcome for outcome in outcomes[:40] if isinstance(outcome, OrderReport)]
        assert (len(silent), len(refused)) == (8, 32)
        assert {report.reason for report in refused} == {"VENUE_BUSY"}
        assert len(server.orders("user-1")) == 8


async def test_exits_pass_those_who_wait_for_room():
    budget = WeightBudget("binance", 100, 0.3, SystemClock())
    await budget.acquire(100, Rank.EXIT, 1)
    order: list[Rank] = []

    async def wait(rank: Rank) -> None:
        await budget.acquire(40, rank, 5)
        order.append(rank)

    async with anyio.create_task_group() as tasks:
        for rank in (Rank.DATA, Rank.ENTRY, Rank.QUESTION, Rank.EXIT):
            tasks.start_soon(wait, rank)
    assert order == [Rank.EXIT, Rank.QUESTION, Rank.ENTRY, Rank.DATA]
    budget.ban(10)
    with pytest.raises(VenueBusy, match="VENUE_BANNED"):
        await budget.acquire(1, Rank.EXIT, 0.1)


def test_package_does_not_import_ccxt_before_it_is_used():
    code = "import sys, tradekit.adapters.ccxt; print([name for name in sys.modules if name.split('.')[0] in ('ccxt', 'aiohttp')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_adapters_satisfy_their_ports(server_keys: ServerKeys):
    exchange: Exchange = CcxtExchange("binance", server_keys, SystemClock())
    feed: Feed = CcxtFeed("binance", ("BTC/USDT",), SystemClock())
    assert (exchange.capabilities.venue, feed.source) == ("binance", "live")
    assert exchange.capabilities.visibility_window_s == 900


@pytest.fixture
def server_keys() -> ServerKeys:
    return ServerKeys(ExchangeServer())
