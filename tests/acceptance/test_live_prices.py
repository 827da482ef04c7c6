"""Prices of a venue, as far as a loopback venue is one: which are taken, what is said of it, and what is refused."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.acceptance.test_live_trading import until
from tradekit import Identity, Settings, Tradekit
from tradekit.adapters import ccxt
from tradekit.adapters.ccxt import CcxtExchange, CcxtFeed, WeightBudget
from tradekit.adapters.crypto import generate_key
from tradekit.bootstrap import Parts, check_venues
from tradekit.chat.render import render
from tradekit.domain.errors import ConfigurationError
from tradekit.testing.exchange_server import Candle, ExchangeServer, Fault, configure

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
D = Decimal
ADA = Identity("terminal", "ada")
NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


def parts_at(url: str, **fields: Any) -> Parts:
    """Every request to the venue goes to this address."""

    def prepare(ccxt: Any) -> Any:
        return configure(ccxt, url)

    return Parts(venue_options={"binance": {"prepare": prepare, "request_timeout_s": 2.0}}, **fields)


@asynccontextmanager
async def opened(data: Path, feed: str, url: str, **values: Any) -> AsyncIterator[Tradekit]:
    origins = {"feed": "flag --feed"}
    async with Tradekit.open(Settings(data=data, feed=feed, origins=origins, **values), parts=parts_at(url)) as tk:
        yield tk


async def refusal(data: Path, feed: str, url: str, **values: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        async with opened(data, feed, url, **values):
            pass
    return caught.value


async def says(tk: Tradekit, text: str) -> str:
    return "\n".join(render(reply).text for reply in await tk.chat.handle(ADA, text, "Ada"))


async def findings(tk: Tradekit) -> dict[str, str]:
    report = await tk.health_monitor.check()
    return {name: finding.detail for name, finding in report.checks.items()}


async def test_auto_takes_the_prices_of_a_venue_that_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with ExchangeServer() as server, opened(tmp_path, "auto", server.url) as tk, anyio.create_task_group() as tasks:
        tasks.start_soon(tk.serve)
        assert (tk.market.source, tk.market.symbols()) == ("live", ("BTC/USDT", "ETH/USDT"))
        assert "prices: live from binance" in caplog.messages

        async def moved() -> bool:
            server.trade("BTCUSDT", D(41_234))
            quote = tk.market.quote("BTC/USDT")
            return quote is not None and quote.price == 41_234

        await until(moved)
        await says(tk, "/start")
        assert "Prices: live from binance" in await says(tk, "/status")
        told = await findings(tk)
        assert told["market"].startswith("live from binance; last price ")
        assert told["network"].startswith("live from binance")
        tasks.cancel_scope.cancel()


async def test_strategies_know_the_bars_from_before_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with ExchangeServer() as server:
        minute_ms = server.venue.now_ms() // 60_000 * 60_000
        closes = [D(40_000) + back for back in range(100, 0, -1)]
        past = [Candle(minute_ms - 60_000 * (100 - at), close, close, close, close, D(1)) for at, close in enumerate(closes)]
        server.venue.candles["BTCUSDT"].load("1m", past)
        async with opened(tmp_path, "ccxt:binance:BTC/USDT", server.url) as tk, anyio.create_task_group() as tasks:
            tasks.start_soon(tk.serve)

            async def warm() -> bool:
                return len(tk.service.strategies.recent("BTC/USDT")) >= 100

            await until(warm)
            assert [bar.close for bar in tk.service.strategies.recent("BTC/USDT")][-100:] == closes
            assert await tk.service.storage.signals(10) == []
            tasks.cancel_scope.cancel()


async def test_auto_takes_simulated_prices_when_nobody_is_there_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, "auto", NOBODY) as tk:
        assert tk.market.source == "simulated"
        assert "prices: simulated, binance could not be reached" in caplog.messages
        told = await findings(tk)
        assert told["market"].startswith("simulated, binance could not be reached")
        assert told["network"] == "prices come from this machine"


async def test_auto_does_not_wait_for_a_venue_that_never_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ExchangeServer() as server:
        server.faults.add(Fault(kind="delay", delay_s=60))
        async with opened(tmp_path, "auto", server.url, feed_wait_s=0.1) as tk:
            assert tk.market.source == "simulated"
            assert "prices: simulated, binance did not answer within 0.1 s" in caplog.messages


async def test_instruments_are_those_that_were_named(tmp_path: Path) -> None:
    async with ExchangeServer() as server, opened(tmp_path, "ccxt:binance:bnb/usdt,BTC/USDT", server.url) as tk:
        assert tk.market.symbols() == ("BNB/USDT", "BTC/USDT")
        instrument = tk.market.instrument("BNB/USDT")
        assert instrument is not None
        assert instrument.step_size == D("0.001")


@pytest.mark.parametrize(
    ("feed", "problem", "fix"),
    [
        ("ccxt:binance:XYZ/USDT", "binance does not trade XYZ/USDT", "BTC/USDT"),
        ("auto:binance:XYZ/USDT", "binance does not trade XYZ/USDT", "BTC/USDT"),
        ("ccxt:binanse", "ccxt does not know a venue 'binanse'", "binance"),
        ("auto:binanse", "ccxt does not know a venue 'binanse'", "binance"),
        ("ccxt::BTC/USDT", "does not name a venue", "ccxt:binance"),
        ("ccxt:binance:BTCUSDT", "'BTCUSDT' is not an instrument", "BASE/QUOTE"),
        ("ccxt:binance:BTC/USDT,BTC/USDT", "BTC/USDT is given twice", "once"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_setting_origin_and_fix(tmp_path: Path, feed: str, problem: str, fix: str) -> None:
    async with ExchangeServer() as server:
        error = await refusal(tmp_path, feed, server.url)
    assert (error.setting, error.origin) == ("--feed", "flag --feed")
    assert problem in error.problem
    assert fix in error.fix


async def test_a_replays_speed_is_refused_for_live_prices(tmp_path: Path) -> None:
    assert (await refusal(tmp_path, "auto", NOBODY, speed=2.0)).setting == "--speed"


async def test_a_named_venue_that_is_silent_is_not_replaced(tmp_path: Path) -> None:
    error = await refusal(tmp_path, "ccxt:binance", NOBODY)
    assert "binance gives no prices" in error.problem
    assert "auto:binance" in error.fix


async def test_without_the_extra_auto_simulates_and_a_named_venue_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import importlib.util

    from tradekit.adapters.ccxt import library

    find_spec = importlib.util.find_spec

    def without_ccxt(name: str, package: str | None = None) -> Any:
        return None if name == "ccxt" else find_spec(name, package)

    def not_there(*_: object) -> Any:
        raise ModuleNotFoundError("No module named 'ccxt'", name="ccxt")

    monkeypatch.setattr(importlib.util, "find_spec", without_ccxt)
    monkeypatch.setattr(library, "venue_names", not_there)
    async with opened(tmp_path, "auto", NOBODY):
        assert "prices: simulated, ccxt is not installed: pip install 'tradekit[exchange]'" in caplog.messages
    assert (await refusal(tmp_path, "ccxt:binance", NOBODY)).fix == "pip install 'tradekit[exchange]'"


@pytest.mark.parametrize("feed", ["simulated", "auto"])
async def test_real_orders_at_made_up_prices_are_refused_at_the_start(tmp_path: Path, feed: str) -> None:
    error = await refusal(tmp_path, feed, NOBODY, mock_trading=False)
    assert (error.setting, error.origin) == ("--feed", "flag --feed")
    assert "MOCK_TRADING=false" in error.problem
    assert "ccxt:binance" in error.fix
    assert ("did not answer" in error.problem or "could not be reached" in error.problem) is (feed == "auto")


async def test_prices_and_orders_of_a_venue_share_one_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: dict[str, WeightBudget] = {}

    class Feed(CcxtFeed):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            budgets["feed"] = options["budget"]

    class Exchange(CcxtExchange):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            budgets["sandbox" if options["sandbox"] else "live"] = self.budget

    monkeypatch.setattr(ccxt, "CcxtFeed", Feed)
    monkeypatch.setattr(ccxt, "CcxtExchange", Exchange)
    settings = Settings(data=tmp_path, feed="ccxt:binance:BTC/USDT", mock_trading=False, key=generate_key(), venues="binance")
    async with ExchangeServer() as server, Tradekit.open(settings, parts=parts_at(server.url)) as tk:
        assert tk.market.source == "live"
        for account in ("binance:live", "binance:testnet"):
            assert tk.service.open_venue(account) is not None
        assert budgets["live"] is budgets["feed"]
        assert budgets["sandbox"] is not budgets["feed"]
        assert budgets["feed"].used > 0


async def test_a_venue_that_goes_away_makes_prices_stale_and_comes_back(tmp_path: Path) -> None:
    """Nothing new is opened at a price older than allowed; once the venue is there again, so are its prices."""
    async with AsyncExitStack() as stack:
        async with ExchangeServer() as server:
            tk = await stack.enter_async_context(opened(tmp_path, "ccxt:binance:BTC/USDT", server.url, stale_price_after_s=1))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(tk.serve)
            await tk.chat.handle(ADA, "/start", "Ada")

        async def stale() -> bool:
            quote = tk.market.quote("BTC/USDT")
            return quote is not None and tk.service.clock.now_ms() - quote.time_ms >= 2_000

        await until(stale)
        assert "no current price" in await says(tk, "/buy BTC/USDT 0.001")
        async with ExchangeServer(port=server.port) as back:

            async def current() -> bool:
                back.trade("BTCUSDT", D(40_700))
                quote = tk.market.quote("BTC/USDT")
                return quote is not None and quote.price == 40_700

            await until(current)
            assert "sent" in await says(tk, "/buy BTC/USDT 0.001")
            tasks.cancel_scope.cancel()


async def test_keys_are_not_taken_for_a_venue_that_nobody_knows(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "data", "simulated", NOBODY, mock_trading=False, venues="binance,krakn")
    assert error.setting == "TRADEKIT_VENUES"
    assert "'krakn'" in error.problem
    assert error.fix.startswith("write kraken")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("venue", "fix"), [("binanse", "write binance, or leave it out"), ("zzzz", "write it as ccxt does")])
def test_keys_are_taken_for_venues_that_exist(tmp_path: Path, venue: str, fix: str) -> None:
    with pytest.raises(ConfigurationError, match=f"does not know a venue '{venue}'") as caught:
        check_venues(Settings(data=tmp_path, venues=venue))
    assert fix in caught.value.fix
