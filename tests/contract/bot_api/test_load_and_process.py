"""The log, the load generator and the server as a process of its own."""

import asyncio
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from telegram import Bot
from telegram.error import RetryAfter
from telegram.request import HTTPXRequest

from tests.contract.bot_api.kit import THREE_THEN_A_MINUTE, TOKEN, bot_of, button
from tradekit.testing.bot_api import BotApiServer
from tradekit.testing.bot_api.load import LoadPlan, LoadReport, run_load
from tradekit.testing.bot_api.types import Message

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]


async def test_the_log_tells_what_was_handed_out_answered_acknowledged_and_limited(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    async with BotApiServer(token=TOKEN, log_path=path, limits=THREE_THEN_A_MINUTE) as server, bot_of(server) as bot:
        message, update = server.chat(7).post("/start")
        assert update is not None
        await bot.get_updates(timeout=0)
        for text in ("hello", "more", "more"):
            await bot.send_message(7, text)
        with pytest.raises(RetryAfter):
            await bot.send_message(7, "too much")
        await bot.get_updates(offset=update.update_id + 1, timeout=0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["handed_out", "message", "message", "message", "limited", "acknowledged"]
    assert all(line["time_ms"] > 1_600_000_000_000 for line in lines)
    assert lines[0]["update_id"] == lines[1]["answers_update_id"] == update.update_id
    assert lines[1]["latency_ms"] >= 0
    assert "answers_update_id" not in lines[2]
    assert message.text == lines[0]["text"] == "/start"


async def _echo(bot: Bot) -> None:
    offset = 0
    while True:
        for update in await bot.get_updates(offset=offset, timeout=10):
            offset = update.update_id + 1
            if update.callback_query is not None:
                await update.callback_query.answer("noted")
            elif update.message is not None:
                await bot.send_message(update.message.chat.id, f"re {update.message.text}", reply_markup=button("again"))


async def test_a_load_measures_every_command_and_its_reply(server: BotApiServer, bot: Bot) -> None:
    plan = LoadPlan(
        chats=8, ramp_s=0.1, duration_s=0.8, command_mean_s=0.1, trade_share=0.5, click_share=0.5, provider_chat_id=5, signal_every_s=0.3
    )
    echo = asyncio.create_task(_echo(bot))
    report = await run_load(server, plan)
    echo.cancel()
    assert report.unanswered == 0
    assert report.updates == report.replies == len(report.rows)
    assert report.signals == 3
    intents = {row.intent for row in report.rows}
    assert {"setup", "start", "read", "trade", "click", "signal"} <= intents
    assert report.latency_ms is not None
    assert 0 < report.latency_ms.p50 <= report.latency_ms.p95 <= report.latency_ms.p99
    clicks = [row for row in report.rows if row.intent == "click"]
    assert {row.answered_by for row in clicks} == {"answerCallbackQuery"}
    for chat_id in range(plan.first_chat_id, plan.first_chat_id + plan.chats):
        rows = [row for row in report.rows if row.chat_id == chat_id]
        assert rows[0].text == "/start"
        for earlier, later in pairwise(rows):
            assert earlier.answered_ms is not None
            assert later.sent_ms >= earlier.answered_ms - 1


async def test_a_notification_does_not_count_as_a_reply(server: BotApiServer, bot: Bot) -> None:
    server.tracker.set_unsolicited("^Signal")
    answers: list[tuple[str, str]] = []
    server.tracker.on_answer = lambda answer: answers.append((answer.text, answer.method))
    await server.chat(7).send("/status")
    await bot.get_updates(timeout=0)
    await bot.send_message(7, "Signal: buy")
    await bot.send_message(7, "All well")
    assert answers == [("/status", "sendMessage")]
    assert server.tracker.sent(7, "Another", "sendMessage", 0) is None


class _Process:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url


async def _start(*arguments: str) -> _Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tradekit.testing.bot_api", "--token", TOKEN, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()
    assert line[0] == "ready"
    return _Process(process, line[1])


async def test_another_process_drives_the_server_through_control() -> None:
    running = await _start()
    try:
        async with httpx.AsyncClient() as http:

            async def control(action: str, **body: Any) -> Any:
                answer = await http.post(f"{running.url}/control/{action}", json=body, timeout=10)
                assert answer.status_code == 200, answer.text
                return answer.json()

            await control("chat", chat_id=7, first_name="Ada")
            sent = await control("send", chat_id=7, text="/start")
            updates = (await http.get(f"{running.url}/bot{TOKEN}/getUpdates")).json()["result"]
            assert [update["update_id"] for update in updates] == [sent["update_id"]]
            assert [pending["text"] for pending in await control("pending")] == ["/start"]
            assert await control("unanswered") == await control("pending")
            markup = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]}
            await http.post(f"{running.url}/bot{TOKEN}/sendMessage", json={"chat_id": 7, "text": "Hi", "reply_markup": markup})
            assert (await control("wait_reply", chat_id=7))["text"] == "Hi"
            assert await control("unanswered") == []
            pressed = await control("press", chat_id=7, button="Go")
            assert pressed["update_id"] == sent["update_id"] + 1
            assert [message["text"] for message in await control("messages", chat_id=7)] == ["/start", "Hi"]
            await control("block", chat_id=7)
            refused = await http.post(f"{running.url}/bot{TOKEN}/sendMessage", json={"chat_id": 7, "text": "Hi"})
            assert refused.status_code == 403
            await control("unblock", chat_id=7)
            await control("fault", kind="error", methods=["getMe"], status=503, count=1)
            assert (await http.get(f"{running.url}/bot{TOKEN}/getMe")).status_code == 503
            await control("clear_faults")
            assert (await control("stats"))["messages"] == 1
            assert (await http.post(f"{running.url}/control/send", content=b"{")).status_code == 400
            assert (await http.post(f"{running.url}/control/press", json={"chat_id": 1, "button": "x"})).status_code == 404
    finally:
        running.process.terminate()
        assert await asyncio.wait_for(running.process.wait(), 10) == 0


async def test_a_process_runs_a_load_and_writes_its_report(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"chats": 3, "ramp_s": 0.1, "duration_s": 0.4, "command_mean_s": 30}))
    report_path, log_path = tmp_path / "report.json", tmp_path / "log.jsonl"
    running = await _start("--load", str(plan), "--report", str(report_path), "--log", str(log_path), "--overall-per-s", "1000")
    async with Bot(TOKEN, base_url=f"{running.url}/bot", get_updates_request=HTTPXRequest()) as bot:
        echo = asyncio.create_task(_echo(bot))
        assert await asyncio.wait_for(running.process.wait(), 30) == 0
        echo.cancel()
        await asyncio.gather(echo, return_exceptions=True)
    report = msgspec.json.decode(report_path.read_bytes(), type=LoadReport)
    assert report.updates >= 3
    assert report.unanswered == report.limited == 0
    handed_out = {json.loads(line)["update_id"] for line in log_path.read_text().splitlines() if json.loads(line)["event"] == "handed_out"}
    assert handed_out == {row.update_id for row in report.rows}


def test_a_message_goes_out_without_what_it_does_not_have() -> None:
    fields = set(Message.__struct_encode_fields__)
    assert "from" in fields
    assert "from_" not in fields
