import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.paper.book_file import BookFile
from tradekit.adapters.paper.resting import RestingOrders
from tradekit.domain.errors import DataError, ExchangeUnavailable, SchemaMismatch
from tradekit.domain.matching import MatchingModel
from tradekit.domain.orders import OrderReport, OrderState, Side
from tradekit.testing.contracts.exchange import PRICE, ExchangeContract, Move, StillMarket, limit_order, market_order

pytestmark = pytest.mark.anyio
D = Decimal


class StillClock:
    def now_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic(self) -> float:
        return 0.0


def paper(
    path: Path | str, market: StillMarket | None = None, model: MatchingModel | None = None, *, inline: bool = False
) -> PaperExchange:
    return PaperExchange(path, market or StillMarket(), StillClock(), model, inline=inline)


class PaperContract(ExchangeContract):
    @pytest.fixture
    def market(self) -> StillMarket:
        return StillMarket()

    @pytest.fixture
    def move(self, exchange: PaperExchange, market: StillMarket) -> Move:
        async def move(price: Decimal) -> None:
            exchange.on_quote(market.move(price))

        return move


class TestPaperOnDisk(PaperContract):
    @pytest.fixture
    async def exchange(self, market: StillMarket, tmp_path: Path) -> AsyncIterator[PaperExchange]:
        async with paper(tmp_path / "paper_exchange.db", market) as exchange:
            yield exchange


class TestPaperInline(PaperContract):
    @pytest.fixture
    async def exchange(self, market: StillMarket) -> AsyncIterator[PaperExchange]:
        async with paper(":memory:", market, inline=True) as exchange:
            yield exchange


class TestPaperWithLatency(PaperContract):
    @pytest.fixture
    async def exchange(self, market: StillMarket, tmp_path: Path) -> AsyncIterator[PaperExchange]:
        async with paper(tmp_path / "paper_exchange.db", market, MatchingModel(latency_ms=2)) as exchange:
            yield exchange


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper_exchange.db"


async def test_orders_are_found_and_rest_again_after_a_restart(path: Path):
    market = StillMarket()
    orders = [market_order("filled"), limit_order("resting", 39_000), limit_order("canceled", 39_000)]
    async with paper(path, market) as exchange:
        before = [await exchange.submit(order) for order in orders[:2]]
        await exchange.submit(orders[2])
        before.append(await exchange.cancel(orders[2]))
    async with paper(path, market) as exchange:
        assert [await exchange.find(order) for order in orders] == before
        assert exchange.open_orders == 1
        assert (await exchange.submit(market_order("next"))).venue_order_id == "paper-4"
        exchange.on_quote(market.move(D(39_000)))
        report = await exchange.find(orders[1])
        assert report is not None
        assert report.state is OrderState.FILLED


async def test_repeated_id_is_refused_while_its_order_rests_and_counted_once_it_is_over(path: Path):
    async with paper(path) as exchange:
        resting = limit_order("twice", 39_000)
        await exchange.submit(resting)
        again = await exchange.submit(resting)
        assert (again.state, again.reason) == (OrderState.REJECTED, "DUPLICATE_CLIENT_ORDER_ID")
        found = await exchange.find(resting)
        assert found is not None
        assert found.state is OrderState.ACCEPTED
        assert await exchange.submissions(resting.client_order_id) == 1
        filled = market_order("bought twice")
        first, second = await exchange.submit(filled), await exchange.submit(filled)
        assert await exchange.submissions(filled.client_order_id) == 2
        assert first.fills[0].trade_id != second.fills[0].trade_id
        assert await exchange.submissions("nobody") == 0


async def test_partly_filled_order_keeps_its_fills_over_a_restart(path: Path):
    market = StillMarket()
    model = MatchingModel(depth_quote=D(39_000))
    order = limit_order("large", 39_000, quantity=D("2.5"))
    async with paper(path, market, model) as exchange:
        heard: list[OrderReport] = []
        exchange.listen(heard.append)
        await exchange.submit(order)
        exchange.on_quote(market.move(D(38_000)))
        await exchange.find(order)
        assert [(report.state, len(report.fills)) for report in heard] == [(OrderState.PARTIALLY_FILLED, 1)]
    async with paper(path, market, model) as exchange:
        for _ in range(2):
            exchange.on_quote(market.move(D(38_000)))
        report = await exchange.find(order)
        assert report is not None
        assert report.state is OrderState.FILLED
        assert [fill.quantity for fill in report.fills] == [D(1), D(1), D("0.5")]
        assert len({fill.trade_id for fill in report.fills}) == 3


async def test_submissions_that_come_together_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    write = BookFile.write

    def counting(self: BookFile, entries: object) -> None:
        rows = list(entries)  # type: ignore[call-overload]
        sizes.append(len(rows))
        write(self, rows)

    monkeypatch.setattr(BookFile, "write", counting)
    async with paper(path) as exchange, anyio.create_task_group() as tasks:
        for user_id in range(200):
            tasks.start_soon(exchange.submit, market_order("together", user_id=user_id))
    assert sum(sizes) == 200
    assert len(sizes) < 20


async def test_answer_lost_with_the_disk_says_so_and_the_book_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch):
    market = StillMarket()
    async with paper(path, market) as exchange:
        resting = limit_order("resting", 39_000)
        await exchange.submit(resting)
        write = BookFile.write

        def full(self: BookFile, entries: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(BookFile, "write", full)
        with pytest.raises(ExchangeUnavailable, match="disk is full"):
            await exchange.submit(limit_order("lost", 39_000))
        with pytest.raises(ExchangeUnavailable):
            await exchange.cancel(resting)
        outcomes = await exchange.submit_many([market_order("lost too", user_id=user_id) for user_id in range(600)])
        assert len(outcomes) == 600
        assert all(isinstance(outcome, ExchangeUnavailable) for outcome in outcomes)
        exchange.on_quote(market.move(D(38_000)))
        monkeypatch.setattr(BookFile, "write", write)
        found = await exchange.find(resting)
        assert found is not None
        assert found.state is OrderState.ACCEPTED
        assert await exchange.find(limit_order("lost", 39_000)) is None
        assert (await exchange.submit(market_order("after"))).venue_order_id == "paper-2"
        assert exchange.open_orders == 1
        exchange.on_quote(market.move(D(38_000)))
        found = await exchange.find(resting)
        assert found is not None
        assert found.state is OrderState.FILLED


async def test_listener_that_fails_stops_neither_the_venue_nor_the_others(path: Path):
    market = StillMarket()
    heard: list[OrderReport] = []

    def broken(report: OrderReport) -> None:
        raise LookupError(report.client_order_id)

    async with paper(path, market) as exchange:
        exchange.listen(broken)
        exchange.listen(heard.append)
        order = limit_order("heard", 39_000)
        await exchange.submit(order)
        exchange.on_quote(market.move(D(39_000)))
        await exchange.find(order)
        assert [report.client_order_id for report in heard] == [order.client_order_id]


async def test_many_orders_match_in_turns_and_all_are_kept(path: Path):
    orders = [market_order("fan-out", user_id=user_id) for user_id in range(1_000)]
    async with paper(path) as exchange:
        outcomes = await exchange.submit_many(orders)
    async with paper(path) as exchange:
        assert [await exchange.find(order) for order in orders[::97]] == outcomes[::97]


async def test_error_of_the_body_leaves_as_it_is(path: Path):
    async def fail() -> None:
        async with paper(path) as exchange:
            await exchange.submit(market_order("before"))
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    async with paper(path) as exchange:
        assert await exchange.find(market_order("before")) is not None


async def test_cancelled_host_leaves_the_file_closed_and_whole(path: Path):
    with anyio.move_on_after(30) as scope:
        async with paper(path) as exchange:
            await exchange.submit(market_order("before"))
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with paper(path) as exchange:
        assert await exchange.find(market_order("before")) is not None


async def test_closed_exchange_gives_no_answer(path: Path):
    exchange = paper(path)
    with pytest.raises(ExchangeUnavailable, match="not open"):
        await exchange.submit(market_order("early"))


async def test_damaged_or_newer_file_is_refused_and_left_alone(path: Path):
    path.write_bytes(b"This is not a database, it only stands where one should be." * 20)
    content = path.read_bytes()
    with pytest.raises(DataError, match="move it away"):
        await paper(path).__aenter__()
    assert path.read_bytes() == content
    path.unlink()
    async with paper(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SchemaMismatch, match="99"):
        await paper(path).__aenter__()
    with pytest.raises(DataError, match="create its folder"):
        await paper(path.parent / "no" / "such.db").__aenter__()


SUBMITTER = """
import sys
import anyio
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.system import SystemClock
from tradekit.testing.contracts.exchange import StillMarket, limit_order, market_order

async def user(exchange, user_id):
    for number in range(1_000_000):
        make = market_order if number % 3 else lambda cause, **fields: limit_order(cause, 39_000, **fields)
        order = make(f"crash-{number}", user_id=user_id)
        report = await exchange.submit(order)
        print(user_id, number, report.state, len(report.fills), flush=True)

async def main():
    async with PaperExchange(sys.argv[1], StillMarket(), SystemClock()) as exchange, anyio.create_task_group() as tasks:
        for user_id in range(8):
            tasks.start_soon(user, exchange, user_id)

anyio.run(main)
"""


@pytest.mark.parametrize("answers", [1, 40, 333])
async def test_every_acknowledged_order_is_found_after_a_kill(path: Path, answers: int):
    process = subprocess.Popen([sys.executable, "-c", SUBMITTER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = [process.stdout.readline() for _ in range(answers)]
    finally:
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
    told += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert len(told) >= answers
    async with paper(path) as exchange:
        for line in told:
            user_id, number, state, fills = line.split()
            order = market_order(f"crash-{number}", user_id=int(user_id))
            report = await exchange.find(order)
            assert report is not None, line
            assert (report.state, len(report.fills)) == (state, int(fills))
            assert await exchange.submissions(order.client_order_id) == 1


async def test_best_price_fills_first_and_equal_prices_in_order_of_arrival():
    async with paper(":memory:", market := StillMarket(), inline=True) as exchange:
        heard: list[str] = []
        exchange.listen(lambda report: heard.append(report.client_order_id))
        buys = [limit_order(f"{index}", price) for index, price in enumerate((39_000, 39_200, 39_100, 39_200))]
        sell = limit_order("sell", 41_000, side=Side.SELL)
        for order in [*buys, sell]:
            await exchange.submit(order)
        exchange.on_quote(market.move(D(39_100)))
        assert heard == [buys[index].client_order_id for index in (1, 3, 2)]
        assert exchange.open_orders == 2
        exchange.on_quote(market.move(PRICE))
        assert exchange.open_orders == 2


def test_resting_orders_start_empty():
    resting = RestingOrders()
    assert (len(resting), resting.get("nobody"), "nobody" in resting) == (0, None, False)
    assert resting.reached("BTC/USDT", PRICE) == []
