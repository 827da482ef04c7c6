"""Rates are limited strictly, and faults come on demand."""

import asyncio
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Bot
from telegram.error import NetworkError, RetryAfter, TelegramError

from tests.contract.bot_api.kit import FREELY, TOKEN, Hook, accept, bot_of
from tradekit.testing.bot_api import BotApiServer, Fault, RateLimits, SendLimiter

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]


async def test_the_fourth_message_at_once_to_a_chat_must_wait(strict_server: BotApiServer) -> None:
    strict_server.chat(7)
    strict_server.chat(8)
    async with httpx.AsyncClient(base_url=f"{strict_server.url}/bot{TOKEN}/") as http:
        answers = [await http.post("sendMessage", json={"chat_id": 7, "text": str(number)}) for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].json() == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 60",
            "parameters": {"retry_after": 60},
        }
        assert (await http.post("sendMessage", json={"chat_id": 8, "text": "x"})).status_code == 200
    assert strict_server.stats.limited == {"chat": 1, "group": 0, "overall": 0}
    async with bot_of(strict_server) as bot:
        with pytest.raises(RetryAfter):
            await bot.send_message(7, "x")


def test_a_chat_gets_three_at_once_then_one_per_second() -> None:
    limiter = SendLimiter(RateLimits(leeway_s=0))
    assert [limiter.admit(7, is_group=False, now_s=0.0) for _ in range(4)] == [None, None, None, 1]
    assert limiter.admit(7, is_group=False, now_s=0.999) == 1
    assert limiter.admit(7, is_group=False, now_s=1.0) is None
    assert limiter.admit(7, is_group=False, now_s=1.5) == 1
    assert [limiter.admit(7, is_group=False, now_s=100.0) for _ in range(4)] == [None, None, None, 1]


def test_a_group_gets_twenty_in_a_minute() -> None:
    limiter = SendLimiter(RateLimits(leeway_s=0, chat_per_s=1000))
    admitted = [limiter.admit(-7, is_group=True, now_s=number * 0.1) for number in range(21)]
    assert admitted[:20] == [None] * 20
    assert admitted[20] == 1
    assert limiter.limited["group"] == 1


def test_all_chats_together_get_the_overall_rate() -> None:
    limiter = SendLimiter(RateLimits(leeway_s=0, overall_per_s=30))
    admitted = [limiter.admit(chat_id, is_group=False, now_s=0.0) for chat_id in range(31)]
    assert admitted == [None] * 30 + [1]
    assert limiter.admit(99, is_group=False, now_s=1 / 30 + 1e-9) is None


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_whatever_the_gaps_a_chat_never_gets_more_than_burst_and_rate_allow(gaps_s: list[float]) -> None:
    limiter = SendLimiter(RateLimits(leeway_s=0, overall_per_s=1000))
    now_s, admitted_s = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        wait_s = limiter.admit(7, is_group=False, now_s=now_s)
        if wait_s is None:
            admitted_s.append(now_s)
        else:
            assert limiter.admit(7, is_group=False, now_s=now_s + wait_s) is None
            now_s += wait_s
            admitted_s.append(now_s)
    for first in range(len(admitted_s)):
        for last in range(first, len(admitted_s)):
            assert last - first + 1 <= 3 + (admitted_s[last] - admitted_s[first]) + 1e-6


async def test_a_dropped_call_had_no_effect_and_a_lost_answer_did(server: BotApiServer, bot: Bot) -> None:
    server.chat(7)
    server.faults.add(Fault(kind="drop_before", methods=("sendMessage",), count=1))
    server.faults.add(Fault(kind="drop_after", methods=("sendMessage",), count=1))
    with pytest.raises(NetworkError):
        await bot.send_message(7, "never arrived")
    with pytest.raises(NetworkError):
        await bot.send_message(7, "arrived")
    await bot.send_message(7, "fine")
    assert [message.text for message in server.messages(7)] == ["arrived", "fine"]


async def test_errors_and_broken_json_on_demand(server: BotApiServer, bot: Bot, http: httpx.AsyncClient) -> None:
    await server.chat(7).send("/start")
    server.faults.add(Fault(kind="error", methods=("getMe",), status=500, count=1))
    with pytest.raises(NetworkError):
        await bot.get_me()
    server.faults.add(Fault(kind="malformed", methods=("getUpdates",), count=1))
    with pytest.raises(TelegramError):
        await bot.get_updates(timeout=0)
    server.faults.add(Fault(kind="misshapen", methods=("getUpdates",), count=1))
    (broken,) = (await http.post("getUpdates")).json()["result"]
    assert broken["message"] == ["not", "an", "object"]
    (whole,) = await bot.get_updates(timeout=0)
    assert whole.update_id == broken["update_id"]
    assert server.stats.faults == {"error": 1, "malformed": 1, "misshapen": 1}


async def test_a_delayed_answer_comes_late(server: BotApiServer, bot: Bot) -> None:
    server.faults.add(Fault(kind="delay", methods=("getMe",), delay_s=0.05, count=1))
    started_s = asyncio.get_running_loop().time()
    await bot.get_me()
    assert asyncio.get_running_loop().time() - started_s >= 0.05


async def test_a_malformed_post_to_the_webhook_is_not_json(server: BotApiServer, bot: Bot) -> None:
    server.faults.add(Fault(kind="malformed", methods=("webhook",), count=1))
    async with Hook(accept) as hook:
        await bot.set_webhook(hook.url)
        await server.chat(7).send("/start")
        await hook.wait_for(1)
    with pytest.raises(ValueError, match=r".+"):
        json.loads(hook.bodies[0])


async def test_a_seed_replays_the_same_faults() -> None:
    async def outcome(seed: int) -> list[int]:
        async with BotApiServer(token=TOKEN, limits=FREELY, seed=seed) as server:
            server.chat(7)
            server.faults.add(Fault(kind="error", probability=0.5))
            async with httpx.AsyncClient(base_url=f"{server.url}/bot{TOKEN}/") as http:
                return [(await http.post("sendMessage", json={"chat_id": 7, "text": "x"})).status_code for _ in range(20)]

    first = await outcome(1)
    assert first == await outcome(1)
    assert {200, 502} == set(first)
