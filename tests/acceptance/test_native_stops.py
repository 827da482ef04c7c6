"""Stops that a venue watches itself, as far as a loopback venue is one: placed, triggered, amended, refused, in the way."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_live_trading import ADA, POST, Ada, at_work, until, venue_total
from tradekit.domain.orders import Order, OrderState, OrderType
from tradekit.testing.exchange_server import ExchangeServer, Fault

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
D = Decimal
S = OrderState
DELETE = "DELETE /api/v3/order"
NO_ROOM = Fault(kind="error", requests=(POST,), status=400, error_code=-1013, message="Filter failure: MAX_NUM_ALGO_ORDERS", count=1)


async def holding(ada: Ada, quantity: str = "0.01") -> None:
    """Live, and in possession of a coin."""
    await ada.goes_live()
    await ada.confirms(f"/buy BTC/USDT {quantity}")
    await ada.until_over(1)


async def open_orders(ada: Ada) -> list[Order]:
    return list((await ada.state()).orders)


async def resting(ada: Ada) -> Order:
    """The one open order, once the venue has it."""

    async def accepted() -> bool:
        return [order.state for order in await open_orders(ada)] == [S.ACCEPTED]

    await until(accepted)
    (order,) = await open_orders(ada)
    return order


async def flat(ada: Ada) -> None:
    """Wait until nothing is held and nothing open, and the books are the venue's."""

    async def over() -> bool:
        state = await ada.state()
        return not state.positions and not state.orders

    await until(over)
    assert (await ada.state()).session.cash == venue_total(ada.server, "USDT")


def at_venue(server: ExchangeServer) -> list[Any]:
    return [order for order in server.orders("ada") if order.is_open]


@pytest.mark.parametrize(
    ("command", "kind", "reached"),
    [
        ("/stop BTC/USDT all 39000", "STOP_LOSS", 38_990),
        ("/stop BTC/USDT all 39000 38500", "STOP_LOSS_LIMIT", 38_990),
        ("/target BTC/USDT all 70000", "TAKE_PROFIT", 70_010),
    ],
)
async def test_it_waits_at_the_venue_and_fills_there(tmp_path: Path, command: str, kind: str, reached: int) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        base = venue_total(server, "BTC")
        assert "sent, the venue watches it" in await ada.confirms(command)
        order = await resting(ada)
        (there,) = at_venue(server)
        assert (there.type, there.client_order_id, there.status) == (kind, order.client_order_id, "NEW")
        assert order.terms.native
        assert order.terms.trigger_price == there.stop_price
        (comparison,) = await ada.tk.accounts.reconcile_user(ADA)
        assert comparison.result is not None
        assert comparison.result.agrees
        assert not comparison.result.foreign
        server.trade("BTCUSDT", D(reached))
        await flat(ada)
        assert base - venue_total(server, "BTC") == order.quantity


async def test_it_fills_while_the_service_is_down(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        async with at_work(tmp_path, server) as ada:
            await holding(ada)
            await ada.confirms("/stop BTC/USDT all 39000")
            order = await resting(ada)
        async with at_work(tmp_path, server) as ada:
            await until(ada.settled)
            assert await resting(ada) == order
            assert len(at_venue(server)) == 1
        server.trade("BTCUSDT", D(38_900))
        async with at_work(tmp_path, server) as ada:
            await flat(ada)
            assert len(server.orders("ada", order.client_order_id)) == 1


async def test_a_lost_answer_leaves_one_stop(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
        await ada.confirms("/stop BTC/USDT all 39000")
        order = await resting(ada)
        assert [there.client_order_id for there in at_venue(server)] == [order.client_order_id]


async def test_amending_it_is_cancel_and_replace_at_the_venue(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        await ada.confirms("/stop BTC/USDT all 39000")
        old = await resting(ada)
        await ada.confirms(f"/amend {old.client_order_id[:8]} trigger=38000")

        async def replaced() -> bool:
            return [(order.terms.replaces, order.state) for order in await open_orders(ada)] == [(old.client_order_id, S.ACCEPTED)]

        await until(replaced)
        (new,) = await open_orders(ada)
        (there,) = at_venue(server)
        assert (there.client_order_id, there.stop_price, there.type) == (new.client_order_id, 38_000, "STOP_LOSS")
        server.trade("BTCUSDT", D(38_500))
        assert len(at_venue(server)) == 1
        server.trade("BTCUSDT", D(37_900))
        await flat(ada)


async def test_a_sale_takes_it_back_first_and_what_is_left_is_guarded_here(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada, "0.02")
        await ada.confirms("/stop BTC/USDT all 39000")
        stop = await resting(ada)
        await ada.confirms("/close BTC/USDT 50")

        async def sold() -> bool:
            state = await ada.state()
            return bool(state.positions) and state.positions[0].quantity < D("0.011") and len(state.orders) == 1

        await until(sold)
        (guard,) = await open_orders(ada)
        assert (guard.held, guard.type, guard.terms.trigger_price) == (True, OrderType.STOP, stop.terms.trigger_price)
        assert guard.quantity <= (await ada.state()).positions[0].quantity
        assert at_venue(server) == []
        await ada.confirms("/close BTC/USDT")
        assert await only_dust(ada)


async def only_dust(ada: Ada) -> bool:
    async def over() -> bool:
        state = await ada.state()
        return not state.orders and all(position.quantity < D("0.00001") for position in state.positions)

    await until(over)
    return True


async def test_a_stop_that_is_faster_than_the_sale_is_not_sold_twice(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        base = venue_total(server, "BTC")
        await ada.confirms("/stop BTC/USDT all 39000")
        stop = await resting(ada)
        server.faults.add(Fault(kind="drop_before", requests=(DELETE,), count=1))
        await ada.says("/close BTC/USDT")
        confirm = next(button.data for button in ada.buttons if "Confirm" in button.label)
        await ada.says("!" + confirm)
        server.trade("BTCUSDT", D(38_900))
        assert await only_dust(ada)
        assert base - venue_total(server, "BTC") == stop.quantity


async def test_a_stop_that_was_faster_leaves_no_guard_over_the_rest(tmp_path: Path) -> None:
    """What the venue's stop has sold comes off the one that was to take its place."""
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada, "0.02")
        await ada.confirms("/stop BTC/USDT 0.01 39000")
        await resting(ada)
        server.faults.add(Fault(kind="drop_before", requests=(DELETE,), count=1))
        await ada.says("/sell BTC/USDT 0.015 60000")
        confirm = next(button.data for button in ada.buttons if "Confirm" in button.label)
        await ada.says("!" + confirm)
        server.trade("BTCUSDT", D(38_900))
        limit = await resting(ada)
        (position,) = (await ada.state()).positions
        assert (limit.type, limit.price) == (OrderType.LIMIT, 60_000)
        assert limit.quantity == position.quantity < D("0.01")


async def test_exits_of_a_bracket_wait_here(tmp_path: Path) -> None:
    """Ccxt has no common way to let two orders of a venue cancel each other."""
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        await ada.confirms("/buy BTC/USDT 0.01 sl=5% tp=90%")

        async def armed() -> bool:
            return len(await open_orders(ada)) == 2

        await until(armed)
        assert all(order.held and not order.terms.native for order in await open_orders(ada))
        assert at_venue(server) == []
        (stop,) = [order for order in await open_orders(ada) if order.type is OrderType.STOP]
        await ada.confirms(f"/amend {stop.client_order_id[:8]} trigger=30000")
        assert all(order.held for order in await open_orders(ada))
        assert at_venue(server) == []


async def test_a_stop_that_the_venue_refuses_is_watched_here(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        server.faults.add(NO_ROOM)
        await ada.confirms("/stop BTC/USDT all 39000")

        async def here() -> bool:
            return [order.held for order in await open_orders(ada)] == [True]

        await until(here)
        (order,) = await open_orders(ada)
        assert (order.type, order.terms.native, order.terms.trigger_price) == (OrderType.STOP, False, 39_000)
        first = next(each for each in await ada.orders() if each.type is OrderType.STOP and each.state is S.REJECTED)
        assert first.reason == "STOPS_MAX"
        assert at_venue(server) == []


async def test_an_entry_that_the_venue_cannot_keep_keeps_its_place_and_one_it_refuses_gives_it_back(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        server.faults.add(NO_ROOM)
        await ada.confirms("/stop buy BTC/USDT 0.01 70000")

        async def here() -> bool:
            return [order.held for order in await open_orders(ada)] == [True]

        await until(here)
        state = await ada.state()
        assert state.today.reserved == 1
        assert state.reserved > 700
        await ada.says(f"/cancel {state.orders[0].client_order_id[:8]}")
        state = await ada.state()
        assert (state.today.reserved, state.reserved, state.orders) == (0, 0, ())
        refusal = Fault(kind="error", requests=(POST,), status=400, error_code=-2010, message="Stop price would trigger immediately.")
        server.faults.add(refusal)
        await ada.confirms("/stop buy BTC/USDT 0.01 70000")

        async def over() -> bool:
            return not await open_orders(ada)

        await until(over)
        state = await ada.state()
        assert (state.today.reserved, state.reserved) == (0, 0)
        assert (await ada.orders())[0].reason == "WOULD_TRIGGER_AT_ONCE"


async def test_a_stop_that_somebody_cancels_at_the_venue_is_told_of(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        await ada.confirms("/stop BTC/USDT all 39000")
        await resting(ada)
        (there,) = at_venue(server)
        server.venue.engine.cancel(there)

        async def gone() -> bool:
            return not await open_orders(ada)

        await until(gone)
        ended = next(order for order in await ada.orders() if order.type is OrderType.STOP)
        assert (ended.state, ended.reason) == (S.CANCELED, "CANCELED")
        assert (await ada.state()).positions


async def test_panic_sells_what_a_stop_holds(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await holding(ada)
        await ada.confirms("/stop BTC/USDT all 39000")
        await resting(ada)
        await ada.confirms("/panic")
        assert await only_dust(ada)
        assert at_venue(server) == []
