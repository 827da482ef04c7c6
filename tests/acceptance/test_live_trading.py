"""Real orders, as far as a loopback venue is real: key, mode, reconciliation, orders, a lost answer, a restart, a withdrawal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tradekit import Identity, Settings, Tradekit
from tradekit.adapters.ccxt.permissions import CcxtKeyCheck
from tradekit.adapters.crypto import generate_key
from tradekit.adapters.system import SystemClock
from tradekit.bootstrap import Parts
from tradekit.chat.render import render
from tradekit.domain.credentials import VenueKey
from tradekit.domain.discrepancies import DiscrepancyKind
from tradekit.domain.orders import OrderState
from tradekit.domain.portfolio import LedgerKind
from tradekit.testing.exchange_server import ExchangeServer, Fault, configure

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
ADA = Identity("telegram", "4711")
LIVE = "binance:live"
POST = "POST /api/v3/order"
KEK = generate_key()


class Ada:
    """A person with an account at the venue."""

    def __init__(self, tk: Tradekit, server: ExchangeServer) -> None:
        self.tk, self.server = tk, server

    async def says(self, text: str) -> str:
        replies = await self.tk.chat.handle(ADA, text, "Ada")
        self.buttons = [button for reply in replies for row in render(reply).buttons for button in row]
        return "\n".join(render(reply).text for reply in replies)

    async def confirms(self, text: str) -> str:
        await self.says(text)
        return await self.says("!" + next(button.data for button in self.buttons if "Confirm" in button.label))

    async def goes_live(self) -> None:
        await self.says("/start")
        key = self.server.account("ada").key
        await self.tk.keys.add(ADA, "binance", VenueKey(api_key=key.key, secret=key.secret))
        await self.confirms("/mode binance live")
        await until(self.settled)

    async def settled(self) -> bool:
        user_id = self.tk.service.directory.find(ADA)
        return user_id is not None and self.tk.service.reconciler.settled(user_id, LIVE)

    async def reached(self) -> bool:
        return self.tk.service.venues.instrument(LIVE, "BTC/USDT") is not None

    async def thawed(self) -> bool:
        return not (await self.state()).session.guard.frozen

    async def state(self) -> Any:
        return await self.tk.users.state(ADA)

    async def orders(self) -> list[Any]:
        return await self.tk.service.storage.orders((await self.state()).user_id)

    async def rests(self, count: int) -> bool:
        return [order.state for order in await self.orders()] == [OrderState.ACCEPTED] * count

    async def until_over(self, count: int) -> list[Any]:
        async def over() -> bool:
            orders = await self.orders()
            return len(orders) == count and not any(order.is_open for order in orders)

        await until(over)
        return await self.orders()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that happens elsewhere has happened."""
    with anyio.fail_after(15):
        while not await check():  # noqa: ASYNC110 - several tasks are at work, and no event covers them all
            await anyio.sleep(0.02)


@asynccontextmanager
async def at_work(data: Path, server: ExchangeServer, **values: Any) -> AsyncIterator[Ada]:
    settings = Settings(data=data, mock_trading=False, key=KEK, venues="binance", feed="simulated", **values)

    def prepare(ccxt: Any) -> Any:
        return configure(ccxt, server.url)

    parts = Parts(
        rehearsal=True,
        key_check=CcxtKeyCheck(SystemClock(), prepare=prepare, request_timeout_s=5.0),
        venue_options={"binance": {"prepare": prepare, "visibility_window_s": 1.0, "request_timeout_s": 2.0, "wait_max_s": 1.0}},
    )
    async with Tradekit.open(settings, parts=parts) as tk:
        yield Ada(tk, server)


def venue_total(server: ExchangeServer, asset: str) -> Decimal:
    account = server.account("ada")
    return account.free.get(asset, Decimal(0)) + account.locked.get(asset, Decimal(0))


async def test_an_account_is_taken_over_traded_and_equals_the_venues(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        base_before = venue_total(server, "BTC")
        state = await ada.state()
        assert (state.account, state.session.cash) == (LIVE, venue_total(server, "USDT"))
        assert "LIVE binance" in await ada.says("/portfolio")
        asked = await ada.says("/buy BTC/USDT 0.01")
        assert "LIVE binance" in asked
        await ada.confirms("/buy BTC/USDT 0.01")
        (order,) = await ada.until_over(1)
        assert (order.state, order.account) == (OrderState.FILLED, LIVE)
        state = await ada.state()
        (position,) = state.positions
        assert state.session.cash == venue_total(server, "USDT")
        assert position.quantity == venue_total(server, "BTC") - base_before
        assert position.quantity < Decimal("0.01")
        ledger = await ada.tk.service.storage.ledger(state.user_id)
        mine = [entry for entry in ledger if entry.account == LIVE]
        assert sum(entry.amount for entry in mine) == state.session.cash
        assert {entry.kind for entry in mine} == {LedgerKind.DEPOSIT, LedgerKind.BUY}
        (comparison,) = await ada.tk.accounts.reconcile_user(ADA)
        assert comparison.result is not None
        assert comparison.result.agrees
        assert comparison.result.adjusted == 0
        await ada.says("/account paper")
        assert (await ada.state()).session.cash == 10_000
        assert server.account("ada").locked.get("USDT", 0) == 0


async def test_a_lost_answer_is_settled_by_asking_also_over_a_restart(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        async with at_work(tmp_path, server) as ada:
            await ada.goes_live()
            server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
            await ada.confirms("/buy BTC/USDT 0.01")
            (first,) = await ada.until_over(1)
            assert first.state is OrderState.FILLED
            assert len(server.orders("ada", first.client_order_id)) == 1
            server.faults.add(Fault(kind="drop_after", requests=(POST,), count=1))
            await ada.confirms("/buy BTC/USDT 0.02")
        async with at_work(tmp_path, server) as ada:
            second, first = await ada.until_over(2)
            assert second.state is OrderState.FILLED
            assert len(server.orders("ada", second.client_order_id)) == 1
            await until(ada.settled)
            state = await ada.state()
            assert state.session.cash == venue_total(server, "USDT")


async def test_a_fill_after_the_cancel_while_nobody_listened_is_booked_at_the_next_comparison(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        async with at_work(tmp_path, server) as ada:
            await ada.goes_live()
            bought = venue_total(server, "BTC")
            server.trade("BTCUSDT", Decimal(65_000))
            await ada.confirms("/buy BTC/USDT 0.01 62000")
            await until(lambda: ada.rests(1))
            await ada.says("/cancel all")
            (order,) = await ada.until_over(1)
            assert order.state is OrderState.CANCELED
        server.fill(server.orders("ada", order.client_order_id)[0], Decimal("0.004"), Decimal(62_000))
        async with at_work(tmp_path, server) as ada:
            await until(ada.settled)
            (order,) = await ada.orders()
            assert (order.state, order.cum_qty) == (OrderState.CANCELED, Decimal("0.004"))
            state = await ada.state()
            assert state.session.cash == venue_total(server, "USDT")
            assert [position.quantity for position in state.positions] == [venue_total(server, "BTC") - bought]
            assert {each.kind for each in await ada.tk.accounts.discrepancies(ADA)} == {DiscrepancyKind.LATE_FILL}


async def test_entries_wait_until_the_account_was_compared_and_exits_do_not(tmp_path: Path) -> None:
    async with ExchangeServer() as server:
        async with at_work(tmp_path, server) as ada:
            await ada.goes_live()
            await ada.confirms("/buy BTC/USDT 0.01")
            await ada.until_over(1)
        hang = Fault(kind="delay", requests=("GET /api/v3/account",), delay_s=1.5)
        server.faults.add(hang)
        async with at_work(tmp_path, server) as ada:
            assert not await ada.settled()
            await until(ada.reached)
            assert "nothing new is opened" in await ada.says("/buy BTC/USDT 0.01")
            await ada.confirms("/close BTC/USDT")
            await ada.until_over(2)
            assert not (await ada.state()).positions


async def test_coins_that_went_freeze_their_instrument_and_money_that_came_is_no_profit(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        account = server.account("ada")
        account.free["BTC"] = Decimal(0)
        await ada.confirms("/buy BTC/USDT 0.01")
        await ada.until_over(1)
        account.free["BTC"] -= Decimal("0.005")
        account.free["USDT"] += 1000
        before = await ada.state()
        (comparison,) = await ada.tk.accounts.reconcile_user(ADA)
        assert comparison.result is not None
        assert (comparison.result.frozen, comparison.result.adjusted) == (("BTC/USDT",), 1000)
        after = await ada.state()
        assert after.session.cash == before.session.cash + 1000
        assert after.session.day_start_equity == before.session.day_start_equity + 1000
        kinds = {each.kind for each in await ada.tk.accounts.discrepancies(ADA)}
        assert kinds == {DiscrepancyKind.POSITION_SHORT, DiscrepancyKind.CASH}
        assert "does not hold what my books say" in await ada.says("/buy BTC/USDT 0.001")
        account.free["BTC"] += Decimal("0.005")
        assert "asking the venue" in await ada.says("/reconcile")
        await until(ada.thawed)
        assert all(each.resolved_ms for each in await ada.tk.accounts.discrepancies(ADA))


@pytest.mark.parametrize("setting", ["ignore", "adopt"])
async def test_an_order_placed_at_the_venue_is_noted_and_adopted_only_if_the_operator_wants_it(tmp_path: Path, setting: str) -> None:
    from tradekit.config.settings import ForeignOrders

    async with ExchangeServer() as server, at_work(tmp_path, server, foreign_orders=ForeignOrders(setting)) as ada:
        await ada.goes_live()
        await by_hand(server, "BUY", "0.01", "20000")
        (comparison,) = await ada.tk.accounts.reconcile_user(ADA)
        assert comparison.result is not None
        assert len(comparison.result.foreign) == 1
        (found,) = await ada.tk.accounts.discrepancies(ADA)
        assert found.kind is DiscrepancyKind.FOREIGN_ORDER
        state = await ada.state()
        assert len(state.orders) == (1 if setting == "adopt" else 0)
        if setting == "adopt":
            assert state.reserved > 200
            server.trade("BTCUSDT", Decimal(19_000))
            await ada.tk.accounts.reconcile_user(ADA)
            await ada.until_over(1)
            state = await ada.state()
            assert state.session.cash == venue_total(server, "USDT")
            assert state.position("BTC/USDT") is not None


async def by_hand(server: ExchangeServer, side: str, quantity: str, price: str) -> None:
    """What a user does on the venue's own page: the same venue, ccxt, and their key."""
    import ccxt.async_support as ccxt_async

    key = server.account("ada").key
    venue = ccxt_async.binance(
        {"apiKey": key.key, "secret": key.secret, "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}}
    )
    configure(venue, server.url)
    try:
        await venue.create_order("BTC/USDT", "limit", side.lower(), float(quantity), float(price))
    finally:
        await venue.close()
