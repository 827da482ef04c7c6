"""What every venue adapter must do."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Quote, Symbol
from tradekit.domain.orders import TERMINAL, Order, OrderReport, OrderState, OrderType, Side, Terms, TimeInForce, client_order_id
from tradekit.domain.portfolio import book
from tradekit.ports.exchange import Exchange

INSTRUMENT = Instrument(symbol="BTC/USDT", base="BTC", quote="USDT")
"""What the venue under test trades."""
PRICE = Decimal(40_000)
"""Its last price when a test begins."""
ANSWER_TIMEOUT_S = 10

Move = Callable[[Decimal], Awaitable[None]]


class StillMarket:
    """A market view of one instrument whose price stands until it is moved."""

    source = origin = "simulated"

    def __init__(self, instrument: Instrument = INSTRUMENT, price: Decimal = PRICE) -> None:
        self._instrument = instrument
        self.last = Quote(symbol=instrument.symbol, price=price, time_ms=0)

    def move(self, price: Decimal) -> Quote:
        self.last = Quote(symbol=self.last.symbol, price=price, time_ms=self.last.time_ms + 1)
        return self.last

    def quote(self, symbol: Symbol) -> Quote | None:
        return self.last if symbol == self.last.symbol else None

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._instrument if symbol == self._instrument.symbol else None

    def symbols(self) -> tuple[Symbol, ...]:
        return (self._instrument.symbol,)


def market_order(cause: str, **fields: Any) -> Order:
    """A market buy of 0.01 BTC by user 1; every field can be given."""
    values: dict[str, Any] = {
        "user_id": 1,
        "partition": 0,
        "cause": cause,
        "symbol": INSTRUMENT.symbol,
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "quantity": Decimal("0.01"),
        "created_ms": 1_700_000_000_000,
        "updated_ms": 1_700_000_000_000,
    } | fields
    values.setdefault("client_order_id", client_order_id(values["user_id"], cause))
    return Order(**values)


def limit_order(cause: str, price: Decimal | int, **fields: Any) -> Order:
    """A limit buy of 0.01 BTC by user 1."""
    return market_order(cause, type=OrderType.LIMIT, price=Decimal(price), **fields)


STOPS = [(OrderType.STOP, 39_000, None), (OrderType.STOP_LIMIT, 39_000, 38_800), (OrderType.TAKE_PROFIT, 41_000, None)]
"""Type, trigger and limit price of a sell that waits for the price to move by 1,000."""


def stop_order(exchange: Exchange, kind: OrderType, trigger: int, price: int | None) -> Order:
    """A stop or target over 0.01 BTC of user 1; skips the test where it is not the venue that watches such an order."""
    if kind not in exchange.capabilities.native:
        pytest.skip(f"{exchange.capabilities.venue} watches no {kind}; the service does")
    limit = None if price is None else Decimal(price)
    return market_order("stop", side=Side.SELL, type=kind, price=limit, terms=Terms(trigger_price=Decimal(trigger), native=True))


class ExchangeContract:
    """Give two fixtures: ``exchange``, open, trading :data:`INSTRUMENT` at :data:`PRICE` with less than 1 % of spread and slippage for
    small orders, and ``move``, an async function that makes a trade happen at a price."""

    pytestmark = pytest.mark.anyio

    async def test_market_order_fills_near_the_price_and_costs_a_fee(self, exchange: Exchange) -> None:
        for side in Side:
            order = market_order(f"market-{side}", side=side)
            report = await exchange.submit(order)
            assert report.state is OrderState.FILLED
            assert (report.client_order_id, report.user_id) == (order.client_order_id, order.user_id)
            assert sum(fill.quantity for fill in report.fills) == order.quantity
            assert len({fill.trade_id for fill in report.fills}) == len(report.fills)
            for fill in report.fills:
                assert (fill.side, fill.symbol, fill.client_order_id) == (side, order.symbol, order.client_order_id)
                assert abs(fill.price - PRICE) < PRICE / 100
                assert fill.price % INSTRUMENT.tick_size == 0
                assert fill.fee > 0

    async def test_find_tells_what_submit_told(self, exchange: Exchange) -> None:
        orders = [market_order("found"), limit_order("resting", PRICE / 2)]
        for order in orders:
            answer = await exchange.submit(order)
            assert _facts(await exchange.find(order)) == _facts(answer)

    async def test_find_knows_nothing_of_an_order_that_never_arrived(self, exchange: Exchange) -> None:
        assert await exchange.find(market_order("never-sent")) is None

    async def test_resting_order_fills_as_maker_when_the_price_reaches_it(self, exchange: Exchange, move: Move) -> None:
        heard = _Heard(exchange)
        buy, sell = limit_order("buy", 39_000), limit_order("sell", 41_000, side=Side.SELL)
        for order in (buy, sell):
            report = await exchange.submit(order)
            assert (report.state, report.fills) == (OrderState.ACCEPTED, ())
        await move(Decimal(39_500))
        await move(Decimal(38_900))
        report = await heard.of(buy, OrderState.FILLED)
        assert [fill.price for fill in report.fills] == [Decimal(39_000)]
        assert _facts(await exchange.find(buy)) == _facts(report)
        still = await exchange.find(sell)
        assert still is not None
        assert still.state is OrderState.ACCEPTED
        await move(Decimal(41_000))
        await heard.of(sell, OrderState.FILLED)

    async def test_canceled_order_fills_no_more(self, exchange: Exchange, move: Move) -> None:
        order = limit_order("canceled", 39_000)
        await exchange.submit(order)
        assert (await exchange.cancel(order)).state is OrderState.CANCELED
        await move(Decimal(38_000))
        found = await exchange.find(order)
        assert found is not None
        assert (found.state, found.fills) == (OrderState.CANCELED, ())

    async def test_cancel_of_a_filled_order_tells_of_the_fill(self, exchange: Exchange) -> None:
        order = market_order("too-late")
        answer = await exchange.submit(order)
        assert _facts(await exchange.cancel(order)) == _facts(answer)

    async def test_cancel_of_an_order_the_venue_does_not_know_settles_nothing(self, exchange: Exchange) -> None:
        with pytest.raises(ExchangeUnavailable):
            await exchange.cancel(market_order("never-sent"))

    async def test_marketable_limit_takes_at_its_price_or_better(self, exchange: Exchange) -> None:
        for side, price in ((Side.BUY, 41_000), (Side.SELL, 39_000)):
            report = await exchange.submit(limit_order(f"marketable-{side}", price, side=side))
            assert report.state is OrderState.FILLED
            assert all(abs(fill.price - PRICE) < PRICE / 100 for fill in report.fills)

    @pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
    async def test_order_that_must_not_rest_ends_at_once(self, exchange: Exchange, move: Move, time_in_force: TimeInForce) -> None:
        order = limit_order("now", 39_000, time_in_force=time_in_force)
        report = await exchange.submit(order)
        assert report.state in {OrderState.CANCELED, OrderState.EXPIRED}
        await move(Decimal(38_000))
        assert _facts(await exchange.find(order)) == _facts(report)
        assert report.fills == ()

    async def test_post_only_order_never_takes(self, exchange: Exchange) -> None:
        report = await exchange.submit(limit_order("post-only", 41_000, post_only=True))
        assert report.state in {OrderState.REJECTED, OrderState.CANCELED, OrderState.EXPIRED}
        assert report.fills == ()

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"quantity": Decimal("0.000000001")}, id="quantity-precision"),
            pytest.param({"quantity": INSTRUMENT.min_qty}, id="notional"),
            pytest.param({"type": OrderType.LIMIT, "price": Decimal("39000.001")}, id="price-precision"),
            pytest.param({"symbol": "NO/SUCH"}, id="instrument"),
        ],
    )
    async def test_refused_order_says_why_and_never_fills(self, exchange: Exchange, fields: dict[str, Any]) -> None:
        report = await exchange.submit(market_order("refused", **fields))
        assert report.state is OrderState.REJECTED
        assert report.reason
        assert report.fills == ()

    async def test_many_orders_get_an_outcome_each_in_order(self, exchange: Exchange) -> None:
        orders = [market_order("many", user_id=user_id) for user_id in range(1, 8)]
        orders.insert(3, market_order("refused", user_id=99, quantity=INSTRUMENT.min_qty))
        outcomes = await exchange.submit_many(orders)
        reports = [outcome for outcome in outcomes if isinstance(outcome, OrderReport)]
        assert [(report.client_order_id, report.user_id) for report in reports] == [(o.client_order_id, o.user_id) for o in orders]
        assert [report.state for report in reports] == [OrderState.FILLED] * 3 + [OrderState.REJECTED] + [OrderState.FILLED] * 4

    async def test_orders_sent_at_once_are_all_found(self, exchange: Exchange) -> None:
        orders = [market_order("at-once", user_id=user_id) for user_id in range(1, 21)]
        answers: dict[str, OrderReport] = {}

        async def send(order: Order) -> None:
            answers[order.client_order_id] = await exchange.submit(order)

        async with anyio.create_task_group() as tasks:
            for order in orders:
                tasks.start_soon(send, order)
        for order in orders:
            assert _facts(await exchange.find(order)) == _facts(answers[order.client_order_id])
        trade_ids = [fill.trade_id for report in answers.values() for fill in report.fills]
        assert len(set(trade_ids)) == len(trade_ids)

    async def test_snapshot_lists_what_rests_of_the_user_and_of_nobody_else(self, exchange: Exchange) -> None:
        mine, other = limit_order("mine", 39_000), limit_order("other's", 39_000, user_id=2)
        for order in (mine, other, market_order("over")):
            await exchange.submit(order)
        snapshot = await exchange.snapshot(1, with_orders=True)
        assert snapshot.orders is not None
        (listed,) = snapshot.orders
        found = await exchange.find(mine)
        assert found is not None
        assert mine.client_order_id.startswith(listed.client_order_id)
        assert (listed.venue_order_id, listed.symbol, listed.side) == (found.venue_order_id, mine.symbol, mine.side)
        assert (listed.type, listed.quantity, listed.price, listed.cum_qty) == (OrderType.LIMIT, mine.quantity, mine.price, Decimal(0))
        assert (await exchange.snapshot(1, with_orders=False)).orders is None

    @pytest.mark.parametrize(("kind", "trigger", "price"), STOPS)
    async def test_stop_that_the_venue_watches_waits_and_then_sells(
        self, exchange: Exchange, move: Move, kind: OrderType, trigger: int, price: int | None
    ) -> None:
        heard, order = _Heard(exchange), stop_order(exchange, kind, trigger, price)
        report = await exchange.submit(order)
        assert (report.state, report.fills) == (OrderState.ACCEPTED, ())
        assert _facts(await exchange.find(order)) == _facts(report)
        (listed,) = (await exchange.snapshot(1, with_orders=True)).orders or ()
        assert order.client_order_id.startswith(listed.client_order_id)
        assert (listed.type, listed.side, listed.quantity) == (kind, Side.SELL, order.quantity)
        assert (listed.trigger_price, listed.price) == (order.terms.trigger_price, order.price)
        await move(PRICE - 10 if trigger < PRICE else PRICE + 10)
        still = await exchange.find(order)
        assert still is not None
        assert still.state is OrderState.ACCEPTED
        await move(Decimal(trigger))
        filled = await heard.of(order, OrderState.FILLED)
        assert sum(fill.quantity for fill in filled.fills) == order.quantity
        assert all(abs(fill.price - trigger) < PRICE / 100 for fill in filled.fills)

    @pytest.mark.parametrize(("kind", "trigger", "price"), STOPS)
    async def test_stop_that_was_canceled_sells_no_more(
        self, exchange: Exchange, move: Move, kind: OrderType, trigger: int, price: int | None
    ) -> None:
        order = stop_order(exchange, kind, trigger, price)
        await exchange.submit(order)
        assert (await exchange.cancel(order)).state is OrderState.CANCELED
        await move(Decimal(trigger))
        found = await exchange.find(order)
        assert found is not None
        assert (found.state, found.fills) == (OrderState.CANCELED, ())

    @pytest.mark.parametrize(("kind", "trigger", "price"), STOPS)
    async def test_stop_on_the_wrong_side_of_the_market_is_refused(
        self, exchange: Exchange, kind: OrderType, trigger: int, price: int | None
    ) -> None:
        wrong = int(2 * PRICE) - trigger
        report = await exchange.submit(stop_order(exchange, kind, wrong, None if price is None else wrong))
        assert (report.state, report.reason, report.fills) == (OrderState.REJECTED, "WOULD_TRIGGER_AT_ONCE", ())

    async def test_balances_move_by_exactly_what_the_fills_say(self, exchange: Exchange, move: Move) -> None:
        if not exchange.capabilities.balances:
            assert (await exchange.snapshot(1, with_orders=False)).balances == ()
            return
        quote, base = INSTRUMENT.quote, INSTRUMENT.base
        before = await exchange.snapshot(1, with_orders=False)
        cash, position = before.balance(quote).total, None
        resting = limit_order("resting", 39_000)
        reports = [
            await exchange.submit(order)
            for order in (market_order("in"), resting, market_order("out", side=Side.SELL, quantity=Decimal("0.009")))
        ]
        await move(Decimal(39_000))
        last = await _Heard(exchange).asked(resting)
        for fill in (fill for report in (reports[0], reports[2], last) for fill in report.fills):
            booked = book(fill, cash, position)
            cash, position = booked.cash, booked.position
        after = await exchange.snapshot(1, with_orders=False)
        assert position is not None
        assert after.balance(quote).total == cash
        assert after.balance(base).total - before.balance(base).total == position.quantity

    async def test_an_instrument_that_is_traded_is_known(self, exchange: Exchange) -> None:
        known = exchange.instrument(INSTRUMENT.symbol)
        assert known is not None
        assert (known.step_size, known.tick_size) == (INSTRUMENT.step_size, INSTRUMENT.tick_size)
        assert exchange.instrument("NO/SUCH") is None


class _Heard:
    """Listens, and waits for what must come."""

    def __init__(self, exchange: Exchange) -> None:
        self._reports: list[OrderReport] = []
        self._news = anyio.Event()
        self._exchange = exchange
        exchange.listen(self._take)

    def _take(self, report: OrderReport) -> None:
        self._reports.append(report)
        self._news.set()

    async def asked(self, order: Order) -> OrderReport:
        """The order once it is over, found by asking."""
        with anyio.fail_after(ANSWER_TIMEOUT_S):
            while True:
                report = await self._exchange.find(order)
                if report is not None and report.state in TERMINAL:
                    return report
                await anyio.sleep(0.01)

    async def of(self, order: Order, state: OrderState) -> OrderReport:
        with anyio.fail_after(ANSWER_TIMEOUT_S):
            while True:
                for report in self._reports:
                    if report.client_order_id == order.client_order_id and report.state is state:
                        return report
                self._news = anyio.Event()
                await self._news.wait()


def _facts(report: OrderReport | None) -> tuple[OrderState, str, tuple[Any, ...]] | None:
    if report is None:
        return None
    return report.state, report.venue_order_id, tuple((fill.trade_id, fill.quantity, fill.price, fill.fee) for fill in report.fills)
