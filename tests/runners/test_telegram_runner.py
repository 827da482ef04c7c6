import logging

import anyio
import pytest

from tests.runners.telegram_support import CHAT, Intake, eventually, message, render, runner_of, running
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.health import HealthStatus
from tradekit.ports.messenger import SendOutcome
from tradekit.testing.bot_api import BotApiServer, Fault
from tradekit_telegram import TelegramRunner
from tradekit_telegram.backoff import Backoff
from tradekit_telegram.commands import bot_commands

pytestmark = pytest.mark.anyio


async def test_commands_in_replies_out() -> None:
    async with BotApiServer() as server:
        intake = Intake()
        runner = runner_of(server, intake)
        assert runner.health().status is HealthStatus.DEGRADED
        async with running(runner):
            chat = server.chat(CHAT, first_name="Ada")
            await chat.send("/start")
            await intake.wait_for(1)
            (inbound,) = intake.accepted.values()
            assert (inbound.source, inbound.display_name) == (runner.source, "Ada")
            assert inbound.identity is not None
            result = await runner.messenger.send(message("welcome", chat=int(inbound.identity.external_id)))
            assert result.outcome is SendOutcome.SENT
            assert (await chat.wait_reply()).text == "welcome"
            assert runner.health().status is HealthStatus.HEALTHY
            assert "loopback_bot" in runner.health().detail


async def test_the_menu_is_published() -> None:
    async with BotApiServer() as server:
        server.faults.add(Fault(kind="error", methods=("setMyCommands",), count=1))
        async with running(runner_of(server, Intake(), commands=[("/buy", "Buy at the market"), ("help", "What I can do")])):
            calls = lambda: [call.status for call in server.calls if call.method == "setMyCommands"]  # noqa: E731
            await eventually(lambda: calls() == [502, 200])
            (sent,) = [call.parameters["commands"] for call in server.calls if call.method == "setMyCommands" and call.status == 200]
            assert [command["command"] for command in sent] == ["buy", "help"]


async def test_a_refused_token_stops_the_start() -> None:
    async with BotApiServer() as server:
        runner = TelegramRunner("654321:unknown", api_url=server.url, accept=Intake().accept, render=render, origin=".env")
        with pytest.raises(ConfigurationError) as caught:
            await runner.run()
    assert (caught.value.setting, caught.value.origin) == ("TELEGRAM_BOT_TOKEN", ".env")


async def test_a_refused_webhook_stops_the_start() -> None:
    async with BotApiServer() as server:
        server.faults.add(Fault(kind="error", status=400, methods=("setWebhook",)))
        with pytest.raises(ConfigurationError, match="TRADEKIT_TELEGRAM_WEBHOOK_URL"):
            await runner_of(server, Intake(), webhook_url="https://bot.example").run()


async def test_without_a_network_it_starts_degraded_and_connects_later() -> None:
    async with BotApiServer() as server:
        port = server.port
        intake = Intake()
        runner = runner_of(server, intake)
    async with running(runner):
        assert runner.health().status is HealthStatus.DEGRADED
        assert (await runner.messenger.send(message())).outcome is SendOutcome.RETRY
        async with BotApiServer(port=port) as server:
            await server.chat(CHAT).send("/start")
            await intake.wait_for(1)
            assert runner.health().status is HealthStatus.HEALTHY


async def test_a_token_refused_later_shows_as_unhealthy_and_the_service_stays() -> None:
    async with BotApiServer() as server:
        server.faults.add(Fault(kind="error", status=502, methods=("getMe",), count=1))
        server.faults.add(Fault(kind="error", status=401, methods=("getMe",), count=1))
        intake = Intake()
        runner = runner_of(server, intake, retry_first_s=0.1)
        async with running(runner):
            await eventually(lambda: runner.health().status is HealthStatus.UNHEALTHY)
            assert "TELEGRAM_BOT_TOKEN" in runner.health().detail
            await server.chat(CHAT).send("/start")
            await intake.wait_for(1)
            assert runner.health().status is HealthStatus.HEALTHY


async def test_it_stops_while_a_poll_and_an_acceptance_hang() -> None:
    async with BotApiServer() as server:
        for text in ("", "/start"):
            intake = Intake()
            hangs = anyio.Event()
            intake.crash_before = lambda hangs=hangs: hangs.set() is None  # type: ignore[misc]
            runner = runner_of(server, intake)
            with anyio.fail_after(10):
                async with running(runner):
                    if text:
                        await server.chat(CHAT).send(text)
                        await hangs.wait()
                    else:
                        await eventually(lambda: server.bot_listens)
            assert (await runner.messenger.send(message())).outcome is SendOutcome.RETRY


async def test_no_log_line_holds_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with BotApiServer(token="123456:canary-canary-canary") as server:
        server.faults.add(Fault(kind="drop_before", count=3))
        server.faults.add(Fault(kind="drop_before", methods=("getUpdates",), count=2))
        intake = Intake()
        runner = runner_of(server, intake)
        async with running(runner):
            await server.chat(CHAT).send("/start")
            await intake.wait_for(1)
            await runner.messenger.send(message())
    assert "again in" in caplog.text
    assert "canary" not in caplog.text


def test_waits_grow_and_start_over() -> None:
    backoff = Backoff(1, 8)
    waits = [backoff.next_s() for _ in range(6)]
    for wait, ceiling in zip(waits, (1, 2, 4, 8, 8, 8), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    backoff.reset()
    assert backoff.next_s() <= 1


@pytest.mark.parametrize("command", [("Buy", "x"), ("buy now", "x"), ("x" * 33, "x"), ("buy", " ")])
def test_commands_that_telegram_would_refuse_are_named(command: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=command[0]):
        bot_commands([command])
