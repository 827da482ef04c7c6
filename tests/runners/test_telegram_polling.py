from collections.abc import AsyncIterator, Iterator
from random import Random

import anyio
import msgspec
import pytest

from tests.runners.telegram_support import CHAT, Intake, eventually, message, runner_of, running
from tradekit.domain.errors import Busy, StorageFailed
from tradekit.domain.health import HealthStatus
from tradekit.testing.bot_api import BotApiServer, Fault
from tradekit_telegram.answers import Answers
from tradekit_telegram.client import Client
from tradekit_telegram.polling import Poller
from tradekit_telegram.signing import Signer
from tradekit_telegram.status import Status
from tradekit_telegram.update import BLOCKED, UpdateReader

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer() as server:
        server.chat(CHAT)
        yield server


def offsets(server: BotApiServer) -> list[int]:
    return [int(call.parameters.get("offset", 0)) for call in server.calls if call.method == "getUpdates"]


async def test_commands_come_in_once_and_in_order(server: BotApiServer) -> None:
    intake = Intake()
    async with running(runner_of(server, intake)):
        for number in range(250):
            await server.chat(CHAT).send(f"/buy {number}")
        await intake.wait_for(250)
        assert intake.texts == [f"/buy {number}" for number in range(250)]
        await eventually(lambda: server.stats.pending == 0)


async def test_a_click_comes_in_and_is_answered(server: BotApiServer) -> None:
    intake = Intake()
    runner = runner_of(server, intake)
    async with running(runner):
        await runner.messenger.send(message(buttons=("confirm:7",)))
        (received,) = server.messages(CHAT)
        query_id = await server.chat(CHAT).press(received, "Confirm:7")
        await intake.wait_for(1)
        assert intake.texts == ["!confirm:7"]
        await eventually(lambda: query_id in server.callback_answers)
        assert server.callback_answers[query_id].text == ""


async def test_a_forged_click_is_recorded_and_told_so(server: BotApiServer) -> None:
    intake = Intake()
    runner = runner_of(server, intake)
    async with running(runner):
        await runner._client.bot.send_message(
            CHAT,
            "x",
            reply_markup={"inline_keyboard": [[{"text": "Go", "callback_data": "panic"}]]},  # type: ignore[arg-type]
        )
        query_id = await server.chat(CHAT).press(server.messages(CHAT)[0], "Go")
        await eventually(lambda: query_id in server.callback_answers)
        assert "expired" in server.callback_answers[query_id].text
        assert (intake.texts, len(intake.problems)) == ([], 1)


async def test_a_block_is_recorded(server: BotApiServer) -> None:
    intake = Intake()
    async with running(runner_of(server, intake)):
        server.chat(CHAT).block()
        await intake.wait_for(1)
        assert intake.problems == [BLOCKED]


async def test_a_payment_that_nobody_handles_is_declined_and_kept(server: BotApiServer) -> None:
    intake = Intake()
    runner = runner_of(server, intake)
    async with running(runner):
        await runner._client.bot.send_invoice(CHAT, "Pro", "30 days", "pro", "XTR", prices=[{"label": "Pro", "amount": 1}])  # type: ignore[list-item]
        with pytest.raises(Exception, match="not open yet"):
            await server.chat(CHAT).pay(server.messages(CHAT)[0])
        await intake.wait_for(1)
        assert b"pre_checkout_query" in next(iter(intake.accepted.values())).raw


@pytest.mark.parametrize("error", [Busy(queue="inbox", limit=10), StorageFailed(reason="disk full")])
async def test_the_offset_stays_until_the_updates_are_durable(server: BotApiServer, error: Busy | StorageFailed) -> None:
    intake = Intake(*[error] * 1000)
    runner = runner_of(server, intake)
    await server.chat(CHAT).send("/start")
    async with running(runner):
        await eventually(lambda: intake.calls >= 2)
        assert runner.health().status is HealthStatus.DEGRADED
        assert "wait at Telegram" in runner.health().detail
        assert len(offsets(server)) == 1
        intake.errors.clear()
        await intake.wait_for(1)
        await eventually(lambda: server.stats.pending == 0)
        assert runner.health().status is HealthStatus.HEALTHY
    assert intake.texts == ["/start"]


async def test_a_crash_before_acceptance_loses_nothing(server: BotApiServer) -> None:
    crashed = anyio.Event()
    first, second = Intake(), Intake()

    def crash() -> bool:
        crashed.set()
        return True

    first.crash_before = crash
    for number in range(5):
        await server.chat(CHAT).send(f"/{number}")
    async with running(runner_of(server, first)):
        await crashed.wait()
    assert (first.texts, server.stats.pending) == ([], 5)
    async with running(runner_of(server, second)):
        await second.wait_for(5)
    assert second.texts == [f"/{number}" for number in range(5)]


async def test_a_crash_after_acceptance_brings_the_updates_again_under_the_same_keys(server: BotApiServer) -> None:
    intake = Intake()
    await server.chat(CHAT).send("/buy")
    client = Client(server.token, api_url=server.url)
    await client.connect()
    reader = UpdateReader(client.bot_id, Signer(server.token))
    body = await client.get_updates(offset=0, limit=10, timeout_s=0, allowed=())
    await intake.accept([reader.read(msgspec.json.encode(item), 0).inbound for item in msgspec.json.decode(body)["result"]])
    await client.close()
    async with running(runner_of(server, intake)):
        await eventually(lambda: intake.calls == 2)
        await eventually(lambda: server.stats.pending == 0)
    assert intake.texts == ["/buy"]


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_and_lost_answers_lose_nothing_and_repeat_nothing(seed: int) -> None:
    random = Random(seed)
    intake = Intake()
    async with BotApiServer(seed=seed) as server:
        for kind in ("drop_before", "drop_after", "malformed"):
            server.faults.add(Fault(kind=kind, methods=("getUpdates",), probability=0.15))  # type: ignore[arg-type]
        chats = [server.chat(CHAT + number) for number in range(5)]
        for life in range(8):
            dies = anyio.Event()
            for number in range(10):
                await chats[number % 5].send(f"/buy {life}.{number}")
            steps = iter([False] * random.randrange(3) + [True])

            def crash(steps: Iterator[bool] = steps, dies: anyio.Event = dies) -> bool:
                if next(steps, True):
                    dies.set()
                return dies.is_set()

            intake.crash_before = crash if random.random() < 0.5 else None
            intake.crash_after = None if intake.crash_before else crash
            async with running(runner_of(server, intake, retry_first_s=0.005)):
                await eventually(lambda dies=dies: dies.is_set() or server.stats.pending == 0)  # type: ignore[misc]
        intake.crash_before = intake.crash_after = None
        async with running(runner_of(server, intake, retry_first_s=0.005)):
            await intake.wait_for(80)
            await eventually(lambda: server.stats.pending == 0)
    assert sorted(intake.texts) == sorted(f"/buy {life}.{number}" for life in range(8) for number in range(10))
    assert not intake.problems


async def test_an_error_in_the_engine_is_survived(server: BotApiServer, caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake(ZeroDivisionError())  # type: ignore[arg-type]
    await server.chat(CHAT).send("/start")
    async with running(runner_of(server, intake)):
        await intake.wait_for(1)
    assert "ZeroDivisionError" in caplog.text


async def test_a_misshapen_update_does_not_stop_those_behind_it(server: BotApiServer) -> None:
    intake = Intake()
    for text in ("/broken", "/start", "/buy"):
        await server.chat(CHAT).send(text)
    server.faults.add(Fault(kind="misshapen", methods=("getUpdates",), count=1))
    async with running(runner_of(server, intake)):
        await intake.wait_for(3)
        await eventually(lambda: server.stats.pending == 0)
    assert intake.texts == ["/start", "/buy"]
    assert "malformed update" in intake.problems[0]


async def test_an_answer_cut_short_is_asked_for_again(server: BotApiServer) -> None:
    intake = Intake()
    for text in ("/1", "/2", "/3"):
        await server.chat(CHAT).send(text)
    server.faults.add(Fault(kind="malformed", methods=("getUpdates",), count=2))
    async with running(runner_of(server, intake)):
        await intake.wait_for(3)
    assert (intake.texts, intake.problems) == (["/1", "/2", "/3"], [])


async def test_an_update_that_is_never_readable_is_recorded_and_passed(server: BotApiServer) -> None:
    intake = Intake()
    for text in ("/1", "/2"):
        await server.chat(CHAT).send(text)
    server.faults.add(Fault(kind="malformed", methods=("getUpdates",), count=5))
    async with running(runner_of(server, intake)):
        await intake.wait_for(2)
    assert (intake.texts, len(intake.problems)) == (["/2"], 1)
    # One at a time, so that only the unreadable one is given up.
    assert [call.parameters["limit"] for call in server.calls if call.method == "getUpdates"][1:5] == ["1"] * 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop_before", methods=("getUpdates",), count=2),
        Fault(kind="drop_after", methods=("getUpdates",), count=2),
        Fault(kind="error", status=502, methods=("getUpdates",), count=2),
    ],
    ids=lambda fault: fault.kind,
)
async def test_lost_answers_lose_no_update(server: BotApiServer, fault: Fault) -> None:
    intake = Intake()
    server.faults.add(fault)
    await server.chat(CHAT).send("/start")
    async with running(runner_of(server, intake)):
        await intake.wait_for(1)
    assert intake.texts == ["/start"]


async def test_another_poller_is_named_and_waited_for(server: BotApiServer, caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake()
    other = Client(server.token, api_url=server.url)
    await other.connect()
    async with running(runner_of(server, intake)):
        await eventually(lambda: len(offsets(server)) == 1)
        await other.get_updates(offset=0, limit=1, timeout_s=0, allowed=())
        await eventually(lambda: "another process polls" in caplog.text)
        await server.chat(CHAT).send("/start")
        await intake.wait_for(1)
    await other.close()


async def test_a_webhook_left_over_is_removed_and_its_updates_kept(server: BotApiServer) -> None:
    intake = Intake()
    client = Client(server.token, api_url=server.url)
    await client.connect()
    await client.bot.set_webhook("http://127.0.0.1:9/nobody")
    await server.chat(CHAT).send("/waiting")
    poller = Poller(client, UpdateReader(client.bot_id, Signer("1:x")), intake.accept, Answers(client), Status(), backoff_first_s=0.02)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poller.run)
        await intake.wait_for(1)
        tasks.cancel_scope.cancel()
    await client.close()
    assert intake.texts == ["/waiting"]


async def test_a_token_that_was_revoked_shows_as_unhealthy(server: BotApiServer) -> None:
    server.faults.add(Fault(kind="error", status=401, methods=("getUpdates",)))
    runner = runner_of(server, Intake())
    async with running(runner):
        await eventually(lambda: runner.health().status is HealthStatus.UNHEALTHY)
        assert "token" in runner.health().detail
