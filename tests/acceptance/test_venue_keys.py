"""From /connect in a chat to a key in custody: the real service, the real form, and ccxt's `binance` on the loopback exchange server."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tradekit import Identity, Settings, Tradekit
from tradekit.adapters.ccxt import CcxtExchange
from tradekit.adapters.ccxt.permissions import CcxtKeyCheck
from tradekit.adapters.crypto import generate_key
from tradekit.adapters.system import SystemClock
from tradekit.bootstrap import Parts, venue_credentials
from tradekit.chat.render import render
from tradekit.domain.orders import OrderState, TradingMode
from tradekit.testing.contracts.exchange import market_order
from tradekit.testing.exchange_server import ExchangeServer, Permissions, configure
from tradekit_cli.view import ServiceView
from tradekit_server import create_app

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
ADA = Identity("telegram", "4711")


class Ada:
    """A person with a chat and a browser."""

    def __init__(self, tk: Tradekit, browser: httpx.AsyncClient) -> None:
        self.tk, self.browser, self.seen = tk, browser, ""

    async def says(self, text: str) -> str:
        replies = await self.tk.chat.handle(ADA, text, "Ada")
        self.buttons = [button for reply in replies for row in render(reply).buttons for button in row]
        answer = "\n".join(render(reply).text for reply in replies)
        self.seen += answer
        return answer

    async def presses(self, label: str) -> str:
        return await self.says("!" + next(button.data for button in self.buttons if label in button.label))

    async def enters(self, url: str, key: str, secret: str) -> httpx.Response:
        answer = await self.browser.post(url, data={"api_key": key, "secret": secret, "password": ""})
        self.seen += answer.text + repr(answer.headers)
        return answer


@asynccontextmanager
async def at_work(data: Path, server: ExchangeServer, key: str) -> AsyncIterator[Ada]:
    settings = Settings(data=data, mock_trading=False, key=key, venues="binance,kraken", public_url="https://trade.example.org")
    check = CcxtKeyCheck(SystemClock(), prepare=lambda ccxt: configure(ccxt, server.url), request_timeout_s=5.0)
    async with Tradekit.open(settings, parts=Parts(key_check=check, rehearsal=True)) as tk:
        app = create_app(ServiceView(tk), keys=tk.keys)
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as browser:
            yield Ada(tk, browser)


async def test_a_key_comes_in_by_a_link_is_checked_at_the_venue_and_seen_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    data, kek = tmp_path / "data", generate_key()
    async with ExchangeServer() as server:
        greedy = server.account("greedy", permissions=Permissions(withdrawals=True)).key
        good = server.account("ada").key
        async with at_work(data, server, kek) as ada:
            await ada.says("/start")
            told = await ada.says("/connect binance")
            (url,) = re.findall(r"https://trade\.example\.org/connect/\S+", told)
            assert "Your key for binance" in (await ada.browser.get(url)).text
            for key, secret, words in (
                (greedy.key, greedy.secret, "may withdraw money"),
                (good.key, greedy.secret, "does not accept this key"),
                (greedy.secret, good.secret, "does not accept this key"),
            ):
                refused = await ada.enters(url, key, secret)
                assert (refused.status_code, words in refused.text) == (409, True), refused.text
            assert "KEY_MISSING" not in await ada.says("/accounts")
            assert (await ada.tk.users.state(ADA)).custody.credentials == ()
            assert "has confirmed it" in (await ada.enters(url, good.key, good.secret)).text
            assert (await ada.enters(url, good.key, good.secret)).status_code == 410
            assert "key confirmed" in await ada.says("/accounts")
            user = (await ada.tk.users.get(ADA)).user
            assert (await ada.tk.service.custodian.key(user.user_id, "binance")).secret == good.secret
            assert "Real money" in await ada.says("/mode binance live")
            assert "LIVE" in await ada.presses("Confirm")
            assert (await ada.tk.users.state(ADA)).custody.mode("binance") is TradingMode.LIVE
            signed = venue_credentials(ada.tk.service.custodian, "binance", TradingMode.LIVE)
            async with CcxtExchange("binance", signed, SystemClock(), prepare=lambda ccxt: configure(ccxt, server.url)) as exchange:
                report = await exchange.submit(market_order("a", user_id=user.user_id))
                assert report.state is OrderState.FILLED
                await ada.says("/mode binance paper")
                refused_order = await exchange.submit(market_order("b", user_id=user.user_id))
                assert refused_order.state is OrderState.REJECTED
            assert len(server.orders("ada")) == 1
            assert "looked like a key" in await ada.says(f"/connect binance {good.key} {good.secret}")
            assert (await ada.tk.keys.recheck(0)).verified == 1
            open_files = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file()}
            seen = ada.seen + repr(await ada.tk.users.state(ADA))
        async with at_work(data, server, f"{generate_key()}\n{kek}") as ada:
            assert (await ada.tk.keys.rotate()).rewrapped == 1
            assert (await ada.tk.service.custodian.key(user.user_id, "binance")).secret == good.secret
    captured = capfd.readouterr()
    seen += captured.out + captured.err + caplog.text + repr([vars(record) for record in caplog.records])
    files = open_files | {f"{path.name} closed": path.read_bytes() for path in data.rglob("*") if path.is_file()}
    for canary in (good.key, good.secret, greedy.key, greedy.secret, kek):
        assert canary not in seen
        assert not [name for name, content in files.items() if canary.encode() in content]
