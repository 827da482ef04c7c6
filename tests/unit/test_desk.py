from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from tradekit.domain.orders import Order, Side
from tradekit.engine.desk import BATCH_ORDERS, REQUESTS_IN_FLIGHT_MAX, REQUESTS_PER_USER_MAX, Desk
from tradekit.ports.exchange import Capabilities, Exchange
from tradekit.testing.factories import an_order

pytestmark = pytest.mark.anyio


class Venue:
    """Notes what is sent, and answers when told to."""

    def __init__(self, batch_max: int) -> None:
        self.capabilities = Capabilities(venue="test", visibility_window_s=1, answer_timeout_s=1, batch_max=batch_max)
        self.sent: list[list[str]] = []
        self.canceled: list[str] = []
        self.hanging: set[int] = set()
        self._go = anyio.Event()

    async def send(self, orders: list[Order]) -> None:
        self.sent.append([order.cause for order in orders])
        if orders[0].user_id in self.hanging:
            await self._go.wait()

    async def cancel(self, order: Order) -> None:
        self.canceled.append(order.cause)

    def answer(self) -> None:
        self._go.set()


@asynccontextmanager
async def open_desk(batch_max: int = 1) -> AsyncIterator[tuple[Venue, Desk]]:
    venue = Venue(batch_max)
    desk = Desk(cast("Exchange", venue), send=venue.send, cancel=venue.cancel)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.run)
        yield venue, desk
        tasks.cancel_scope.cancel()


def order(cause: str, **values: Any) -> Order:
    return an_order(cause, **values)


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


async def test_cancels_go_first_then_exits_then_entries() -> None:
    async with open_desk(BATCH_ORDERS) as (venue, desk):
        desk.submit(order("entry"))
        desk.submit(order("exit", side=Side.SELL))
        desk.cancel(order("cancel"))
        await settle()
        assert venue.canceled == ["cancel"]
        assert venue.sent == [["exit", "entry"]]
        assert desk.at_work == 0


async def test_a_batch_has_a_bound() -> None:
    async with open_desk(1000) as (venue, desk):
        for number in range(BATCH_ORDERS + 1):
            desk.submit(order(str(number)))
        await settle()
        assert list(map(len, venue.sent)) == [BATCH_ORDERS, 1]


async def test_a_user_whose_calls_hang_has_few_of_them_and_the_others_all_of_theirs() -> None:
    async with open_desk() as (venue, desk):
        venue.hanging = {1}
        for number in range(20):
            desk.submit(order(f"hangs {number}", user_id=1))
        for user_id in range(2, 300):
            desk.submit(order(f"user {user_id}", user_id=user_id))
        await settle()
        sent = [causes[0] for causes in venue.sent]
        assert len([cause for cause in sent if cause.startswith("hangs")]) == REQUESTS_PER_USER_MAX
        assert len([cause for cause in sent if cause.startswith("user")]) == 298
        assert desk.waiting == 20 - REQUESTS_PER_USER_MAX
        venue.answer()
        await settle()
        assert desk.at_work == 0
        assert [causes[0] for causes in venue.sent if causes[0].startswith("hangs")] == [f"hangs {number}" for number in range(20)]


async def test_a_cancel_of_a_user_whose_calls_hang_waits_with_them_and_is_not_lost() -> None:
    async with open_desk() as (venue, desk):
        venue.hanging = {1}
        for number in range(REQUESTS_PER_USER_MAX):
            desk.submit(order(str(number), user_id=1))
        await settle()
        desk.cancel(order("cancel", user_id=1))
        await settle()
        assert (venue.canceled, desk.at_work) == ([], REQUESTS_PER_USER_MAX + 1)
        venue.answer()
        await settle()
        assert (venue.canceled, desk.at_work) == (["cancel"], 0)


async def test_of_what_waits_for_one_user_cancels_go_first_then_exits() -> None:
    async with open_desk() as (venue, desk):
        venue.hanging = {1}
        for number in range(REQUESTS_PER_USER_MAX):
            desk.submit(order(f"hangs {number}", user_id=1))
        await settle()
        for cause, side in (("entry", Side.BUY), ("exit", Side.SELL), ("later entry", Side.BUY), ("later exit", Side.SELL)):
            desk.submit(order(cause, user_id=1, side=side))
            await settle()
        asked: list[str] = []
        send = venue.send

        async def note(orders: list[Order]) -> None:
            asked.append(orders[0].cause)
            await send(orders)

        desk._send = note
        desk.cancel(order("cancel", user_id=1))
        await settle()
        assert (venue.canceled, asked) == ([], [])
        venue.answer()
        await settle()
        assert venue.canceled == ["cancel"]
        assert asked[:2] == ["exit", "later exit"]
        assert asked[2:] == ["entry", "later entry"]
        assert desk.at_work == 0


async def test_many_users_who_hang_leave_no_place_for_others_only_until_their_calls_end() -> None:
    """Places are bounded: with more hanging users than places the rest waits, in order, and nothing is lost."""
    async with open_desk() as (venue, desk):
        hanging = REQUESTS_IN_FLIGHT_MAX
        venue.hanging = set(range(hanging))
        for user_id in range(hanging + 5):
            desk.submit(order(f"user {user_id}", user_id=user_id))
        await settle()
        assert (len(venue.sent), desk.in_flight, desk.waiting) == (hanging, hanging, 5)
        venue.answer()
        await settle()
        assert (len(venue.sent), desk.at_work) == (hanging + 5, 0)
