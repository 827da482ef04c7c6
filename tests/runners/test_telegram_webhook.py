from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import msgspec
import pytest
import uvicorn

from tests.runners.telegram_support import CHAT, Intake, eventually, message, runner_of, running
from tradekit.domain.errors import Busy, ConfigurationError
from tradekit.domain.health import HealthStatus
from tradekit.testing.bot_api import BotApiServer, Fault, WebhookConfig
from tradekit_telegram import TelegramRunner, Webhook
from tradekit_telegram.update import UPDATE_BYTES_MAX

pytestmark = pytest.mark.anyio
SECRET = "a-secret"


class QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(webhook=WebhookConfig(url="", retry_first_s=0.02)) as server:
        server.chat(CHAT)
        yield server


@asynccontextmanager
async def http(app: Any) -> AsyncIterator[str]:
    """Serves ``app.target`` on a free port."""
    serving = QuietServer(uvicorn.Config(app, port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving.serve)
        await eventually(lambda: serving.started)
        yield f"http://127.0.0.1:{serving.servers[0].sockets[0].getsockname()[1]}"
        serving.should_exit = True


class Mount:
    """What the server runner does: the path leads to the webhook."""

    def __init__(self) -> None:
        self.webhook: Webhook | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.webhook is not None
        assert scope["path"] == self.webhook.path
        await self.webhook(scope, receive, send)


@asynccontextmanager
async def hooked(server: BotApiServer, intake: Intake) -> AsyncIterator[TelegramRunner]:
    mount = Mount()
    async with http(mount) as address:
        runner = runner_of(server, intake, webhook_url=address, webhook_secret=SECRET)
        mount.webhook = runner.webhook
        async with running(runner):
            yield runner


async def test_updates_are_posted_and_answered_once_durable(server: BotApiServer) -> None:
    intake = Intake()
    async with hooked(server, intake) as runner:
        assert server.webhook_info()["url"].endswith("/telegram/webhook")
        for number in range(20):
            await server.chat(CHAT).send(f"/{number}")
        await intake.wait_for(20)
        assert intake.texts == [f"/{number}" for number in range(20)]
        await runner.messenger.send(message(buttons=("go",)))
        query_id = await server.chat(CHAT).press(server.messages(CHAT)[-1], "Go")
        await eventually(lambda: query_id in server.callback_answers)
        await eventually(lambda: server.stats.pending == 0)
        assert runner.health().status is HealthStatus.HEALTHY


async def test_busy_makes_telegram_post_again(server: BotApiServer) -> None:
    intake = Intake(Busy(queue="inbox", limit=1))
    await server.chat(CHAT).send("/start")
    async with hooked(server, intake):
        await intake.wait_for(1)
    assert (intake.texts, intake.calls) == (["/start"], 2)


@pytest.mark.parametrize("kind", ["malformed", "misshapen"])
async def test_a_malformed_update_is_recorded_and_the_next_comes(server: BotApiServer, kind: str) -> None:
    intake = Intake()
    server.faults.add(Fault(kind=kind, methods=("webhook",), count=1))  # type: ignore[arg-type]
    await server.chat(CHAT).send("/broken")
    await server.chat(CHAT).send("/start")
    async with hooked(server, intake):
        await intake.wait_for(2)
        await eventually(lambda: server.stats.pending == 0)
    assert (intake.texts, len(intake.problems)) == (["/start"], 1)


async def test_polling_again_takes_the_webhook_away_and_keeps_what_waits(server: BotApiServer) -> None:
    intake = Intake()
    async with running(runner_of(server, Intake(), webhook_url="http://127.0.0.1:9/x", webhook_secret=SECRET)):
        await server.chat(CHAT).send("/waiting")
    async with running(runner_of(server, intake)):
        await intake.wait_for(1)
    assert server.webhook_info()["url"] == ""


# Requests, without a network


async def request(
    webhook: Webhook, body: bytes = b"", *, secret: str | None = SECRET, method: str = "POST", chunk: int = 16_384, ends: bool = True
) -> int:
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]
    events: list[dict[str, Any]] = [{"type": "http.request", "body": part, "more_body": True} for part in chunks]
    events[-1]["more_body"] = not ends
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    headers = [(b"x-telegram-bot-api-secret-token", secret.encode())] if secret is not None else []
    await webhook({"type": "http", "method": method, "path": webhook.path, "headers": headers}, receive, send)
    return int(sent[0]["status"])


def webhook_of(intake: Intake, **options: Any) -> Webhook:
    settings = {"webhook_url": "https://bot.example/telegram/webhook", "webhook_secret": SECRET, **options}
    runner = TelegramRunner("123456:abc", accept=intake.accept, render=lambda reply, language: pytest.fail("no words"), **settings)
    assert runner.webhook is not None
    return runner.webhook


def typed(text: str) -> bytes:
    return msgspec.json.encode({"update_id": 9, "message": {"chat": {"id": CHAT, "type": "private"}, "text": text}})


@pytest.mark.parametrize("secret", [None, "", "a-secre", "a-secret2", "A-SECRET"])
async def test_only_telegram_gets_in(secret: str | None) -> None:
    intake = Intake()
    assert await request(webhook_of(intake), typed("/panic"), secret=secret) == 401
    assert not intake.calls


async def test_answers(caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake()
    webhook = webhook_of(intake)
    assert await request(webhook, typed("/start")) == 200
    assert await request(webhook, typed("/start"), method="GET") == 405
    assert await request(webhook, typed("/start"), ends=False) == 413
    intake.errors.append(Busy(queue="inbox", limit=1))
    assert await request(webhook, typed("/start")) == 503
    assert await request(webhook, b"not json") == 200
    assert intake.texts == ["/start"]
    assert len(intake.problems) == 1


async def test_an_oversized_update_is_recorded_cut_off() -> None:
    intake = Intake()
    assert await request(webhook_of(intake), typed("x" * 200_000)) == 200
    (record,) = intake.accepted.values()
    assert (record.message_id, len(record.raw)) == ("9", UPDATE_BYTES_MAX)
    assert "larger than" in record.problem


async def test_an_endless_body_is_cut_off() -> None:
    intake = Intake()
    assert await request(webhook_of(intake), b"x" * 2_000_000, ends=False) == 413
    assert not intake.calls


async def test_the_path_is_the_one_of_the_address() -> None:
    assert webhook_of(Intake(), webhook_url="https://bot.example").path == "/telegram/webhook"
    assert webhook_of(Intake(), webhook_url="https://bot.example/hooks/tg").path == "/hooks/tg"


async def test_without_a_secret_one_is_derived() -> None:
    intake = Intake()
    webhook = webhook_of(intake, webhook_secret="")
    assert await request(webhook, typed("/start"), secret="") == 401
    assert await request(webhook, typed("/start"), secret=webhook.address.secret) == 200


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"webhook_url": "bot.example"}, "TRADEKIT_TELEGRAM_WEBHOOK_URL"),
        ({"webhook_secret": "sp ace"}, "TRADEKIT_TELEGRAM_WEBHOOK_SECRET"),
        ({"webhook_secret": "x" * 257}, "TRADEKIT_TELEGRAM_WEBHOOK_SECRET"),
    ],
)
async def test_unusable_settings_are_named(options: dict[str, str], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        webhook_of(Intake(), **options)
    assert caught.value.setting == setting
