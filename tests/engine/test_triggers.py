"""Held orders in the running engine: prices fire them, a crash does not lose them, a gap sells at market."""

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tests.engine.engine_support import Running, Wrapped, running, until
from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.instruments import Quote
from tradekit.domain.orders import Order, OrderReport, OrderState, OrderType
from tradekit.domain.sessions import SessionState

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTC/USDT"


async def prices(run: Running, *factors: str, base: Decimal) -> None:
    """Let the market trade at these shares of a price, one after the other."""
    for factor in factors:
        clock = run.service.clock
        run.service.market.take(Quote(symbol=BTC, price=(base * D(factor)).quantize(D("0.01")), time_ms=clock.now_ms()))
        await run.quiet()


def price(run: Running) -> Decimal:
    quote = run.service.market.quote(BTC)
    assert quote is not None
    return quote.price


async def state(run: Running, name: str = "ada") -> SessionState:
    user_id = run.user_id(name)
    return (await run.storage.sessions([user_id]))[user_id]


async def test_a_stop_sells_when_the_price_falls_to_it_and_its_siblings_go(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 sl=2% tp=3%:50,6%")
        base = price(run)
        assert len(run.service.triggers) == 3
        await prices(run, "0.99", "1.02", base=base)
        assert (await state(run)).positions
        await prices(run, "0.979", base=base)
        await until(lambda: not run.service.triggers)
        after = await state(run)
        assert (after.positions, after.orders) == ((), ())
        orders = await run.storage.orders(run.user_id("ada"))
        assert sorted((order.type, order.state) for order in orders) == [
            (OrderType.MARKET, OrderState.FILLED),
            (OrderType.STOP, OrderState.FILLED),
            (OrderType.TAKE_PROFIT, OrderState.CANCELED),
            (OrderType.TAKE_PROFIT, OrderState.CANCELED),
        ]
        assert "order.triggered" in run.messenger.keys("ada")


async def test_a_ladder_sells_rung_by_rung(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 sl=2% tp=3%:50,6%:50")
        base = price(run)
        await prices(run, "1.04", base=base)
        (position,) = (await state(run)).positions
        assert position.quantity == D("0.005")
        await prices(run, "1.08", base=base)
        assert (await state(run)).positions == ()
        assert not run.service.triggers


async def test_a_gap_while_the_service_was_down_sells_at_the_first_price(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 sl=2%")
        base = price(run)
    async with running(tmp_path) as run:
        assert len(run.service.triggers) == 1
        await prices(run, "0.9", base=base)
        assert (await state(run)).positions == ()


async def test_a_trailing_stop_follows_and_goes_on_from_where_it_was_after_a_crash(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 trail=2%")
        base = price(run)
        await prices(run, "1.05", "1.10", base=base)
        (leg,) = (await state(run)).orders
        assert leg.terms.trigger_price is not None
        assert leg.terms.trigger_price > base * D("1.07")
    async with running(tmp_path) as run:
        await prices(run, "1.09", base=base)
        assert (await state(run)).positions
        await prices(run, "1.07", base=base)
        assert (await state(run)).positions == ()


async def test_a_stop_whose_answer_was_lost_before_it_arrived_is_armed_again_and_sells(tmp_path: Path) -> None:
    class NeverArrives(Wrapped):
        """The first stop that is sent gets lost on its way."""

        lost = 0

        async def submit_many(self, orders: list[Order]) -> list[OrderReport | BaseException]:
            if self.lost == 0 and any(order.reduce_only for order in orders):
                self.lost += 1
                return [ExchangeUnavailable(venue="paper", reason="planted")] * len(orders)
            inner: list[OrderReport | BaseException] = await self._inner.submit_many(orders)  # type: ignore[attr-defined]
            return inner

    async with running(tmp_path, wrap_exchange=lambda paper: NeverArrives(paper)) as run:  # type: ignore[arg-type, return-value]
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 sl=2%")
        base = price(run)
        await prices(run, "0.97", base=base)
        ada = run.user_id("ada")

        with anyio.fail_after(10):
            while (await state(run)).positions:
                run.service.market.take(Quote(symbol=BTC, price=base * D("0.97"), time_ms=run.service.clock.now_ms()))
                await anyio.sleep(0.02)
        assert (await state(run)).positions == ()
        stops = [order for order in await run.storage.orders(ada) if order.type is OrderType.STOP]
        assert sorted(order.state for order in stops) == [OrderState.FILLED, OrderState.REJECTED]


async def test_a_time_exit_sells_when_its_time_has_come(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start", "/buy BTC/USDT 0.01 exit=1s")
        await until(lambda: not run.service.triggers)
        await run.quiet()
        assert (await state(run)).positions == ()


async def test_amending_a_resting_order_survives_a_crash_between_cancel_and_replacement(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start")
        limit = (price(run) * D("0.9")).quantize(D("1"))
        await run.say("ada", f"/buy BTC/USDT 0.01 {limit}")
        (order,) = (await state(run)).orders
        await run.say("ada", f"/amend {order.client_order_id[:8]} qty=0.02")
        (new,) = (await state(run)).orders
        assert (new.quantity, new.terms.replaces) == (D("0.02"), order.client_order_id)
        old = await run.storage.order(order.client_order_id)
        assert old is not None
        assert old.terms.amendment is not None
        assert (old.state, old.terms.amendment.client_order_id) == (OrderState.CANCELED, new.client_order_id)
