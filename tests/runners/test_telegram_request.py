import io
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from telegram import Bot
from telegram.error import BadRequest, Conflict, InvalidToken, NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest

from tests.runners.telegram_support import CHAT
from tradekit.domain.errors import ConfigurationError
from tradekit.testing.bot_api import BotApiServer, Fault
from tradekit_telegram.client import Client
from tradekit_telegram.errors import FloodWait, flood_wait, redacted
from tradekit_telegram.request import AiohttpRequest, HttpxRequest, default_request

pytestmark = pytest.mark.anyio
Make = Callable[[float], BaseRequest]


def aiohttp_request(read_timeout_s: float) -> BaseRequest:
    return AiohttpRequest(connections=4, read_timeout_s=read_timeout_s)


def httpx_request(read_timeout_s: float) -> BaseRequest:
    return HttpxRequest(connection_pool_size=4, read_timeout=read_timeout_s)


@pytest.fixture(params=[aiohttp_request, httpx_request], ids=["aiohttp", "httpx"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer() as server:
        server.chat(CHAT)
        yield server


@pytest.fixture
async def bot(server: BotApiServer, make: Make) -> AsyncIterator[Bot]:
    bot = Bot(server.token, base_url=f"{server.url}/bot", request=make(0.5), get_updates_request=make(0.5))
    async with bot:
        yield bot


async def test_messages_and_files_arrive(server: BotApiServer, bot: Bot) -> None:
    await bot.send_message(CHAT, "Gr\u00fc\u00dfe \U0001f680 & = %")
    await bot.send_document(CHAT, io.BytesIO(b"a,b\n1,2\n"), filename="report.csv", caption="Report")
    text, file = server.messages(CHAT)
    assert text.text == "Gr\u00fc\u00dfe \U0001f680 & = %"
    assert file.document is not None
    assert (file.document.file_name, file.document.file_size, file.caption) == ("report.csv", 8, "Report")


async def test_a_429_carries_its_wait(server: BotApiServer, bot: Bot) -> None:
    for _ in range(3):
        await bot.send_message(CHAT, "x")
    with pytest.raises(FloodWait) as caught:
        await bot.send_message(CHAT, "x")
    assert caught.value.retry_after_s >= 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(kind="error", status=500, count=1), NetworkError),
        (Fault(kind="error", status=502, count=1), NetworkError),
        (Fault(kind="drop_before", count=1), NetworkError),
        (Fault(kind="drop_after", count=1), NetworkError),
        (Fault(kind="malformed", count=1), TelegramError),
        (Fault(kind="delay", delay_s=3, count=1), TimedOut),
    ],
    ids=lambda value: value.kind + str(value.status) if isinstance(value, Fault) else "",
)
async def test_what_goes_wrong_is_told_apart(server: BotApiServer, bot: Bot, fault: Fault, error: type[TelegramError]) -> None:
    server.faults.add(fault)
    with pytest.raises(error) as caught:
        await bot.send_message(CHAT, "x")
    assert not isinstance(caught.value, BadRequest)
    assert server.token not in repr(caught.value)
    await bot.send_message(CHAT, "the next one goes through")


async def test_refusals_keep_their_kind(server: BotApiServer, bot: Bot) -> None:
    with pytest.raises(BadRequest, match="not found"):
        await bot.send_message(999, "x")
    await bot.set_webhook(f"{server.url}/nowhere")
    with pytest.raises(Conflict):
        await bot.get_updates()


async def test_nobody_listens(make: Make) -> None:
    async with BotApiServer() as server:
        url = server.url
    request = make(0.5)
    async with request:
        with pytest.raises(NetworkError) as caught:
            await request.post(f"{url}/bot123456:a-long-secret-token/getMe")
    assert "a-long-secret" not in str(caught.value)


async def test_the_token_appears_in_no_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    token = "123456:canary-canary-canary"
    async with BotApiServer(token=token) as server:
        client = Client(token, api_url=server.url, make_request=lambda connections: make(0.5))
        caplog.set_level(logging.DEBUG)
        await client.connect()
        server.faults.add(Fault(kind="drop_before", methods=("sendMessage",), count=1))
        with pytest.raises(NetworkError):
            await client.bot.send_message(CHAT, "x")
        await client.get_updates(offset=0, limit=1, timeout_s=0, allowed=())
        await client.close()
    assert "canary" not in caplog.text


async def test_a_token_the_server_does_not_know(server: BotApiServer) -> None:
    client = Client("654321:unknown", api_url=server.url, origin="tradekit.toml")
    with pytest.raises(ConfigurationError) as caught:
        await client.connect()
    await client.close()
    assert (caught.value.setting, caught.value.origin) == ("TELEGRAM_BOT_TOKEN", "tradekit.toml")
    assert "BotFather" in caught.value.fix
    assert isinstance(caught.value.__cause__, InvalidToken)


@pytest.mark.parametrize("token", ["", "abc", "123456", "123456:", "12 3:x", "123456:a/b"])
async def test_what_is_no_token_is_refused_before_any_call(token: str) -> None:
    with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
        Client(token)


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://host", "http://"])
async def test_an_unusable_server_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TRADEKIT_TELEGRAM_API_URL"):
        Client("123456:abc", api_url=url)


async def test_aiohttp_is_the_default_where_installed() -> None:
    assert isinstance(default_request(connections=1), AiohttpRequest)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"parameters": 3}', b'{"parameters": {"retry_after": "soon"}}'])
async def test_a_429_without_a_wait_waits_a_second(body: bytes) -> None:
    assert flood_wait(body).retry_after_s == 1


async def test_redaction() -> None:
    assert redacted("https://api.telegram.org/bot123456789:AAE-abcdefghij_klmn/getMe") == "https://api.telegram.org/bot***/getMe"
