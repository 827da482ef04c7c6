"""Updates reach the bot exactly as Telegram delivers them, by polling and by webhook."""

import asyncio
import json
from typing import Any

import pytest
from telegram import Bot
from telegram.error import BadRequest, Conflict

from tests.contract.bot_api.kit import TOKEN, Hook, accept, bot_of, button, http_answer
from tradekit.testing.bot_api import BotApiServer, QueueOverflow, WebhookConfig

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]


async def test_updates_come_again_until_the_offset_moves(server: BotApiServer, bot: Bot) -> None:
    chat = server.chat(7)
    for text in ("/one", "/two", "/three"):
        await chat.send(text)
    first = await bot.get_updates(timeout=0)
    assert [update.message.text for update in first if update.message] == ["/one", "/two", "/three"]
    assert await bot.get_updates(timeout=0) == first
    rest = await bot.get_updates(offset=first[0].update_id + 1, timeout=0)
    assert rest == first[1:]
    assert await bot.get_updates(timeout=0) == first[1:]
    assert server.stats.acknowledged == 1
    assert await bot.get_updates(offset=first[-1].update_id + 1, timeout=0) == ()
    assert server.stats.pending == 0


async def test_limit_bounds_the_batch_and_a_negative_offset_keeps_the_tail(server: BotApiServer, bot: Bot) -> None:
    for number in range(5):
        await server.chat(7).send(f"/{number}")
    assert len(await bot.get_updates(limit=2, timeout=0)) == 2
    tail = await bot.get_updates(offset=-2, timeout=0)
    assert [update.message.text for update in tail if update.message] == ["/3", "/4"]
    assert server.stats.pending == 2


async def test_an_offset_far_in_the_future_acknowledges_nothing(server: BotApiServer, bot: Bot) -> None:
    await server.chat(7).send("/start")
    assert len(await bot.get_updates(offset=2_000_000_000, timeout=0)) == 1
    assert server.stats.pending == 1


async def test_a_long_poll_ends_when_an_update_comes(server: BotApiServer, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.wait_for(server.bot_listens.wait(), 5)
    await server.chat(7).send("/start")
    await server.chat(8).send("/start")
    updates = await asyncio.wait_for(poll, 5)
    assert [update.message.chat.id for update in updates if update.message] == [7, 8]


async def test_a_second_poll_ends_the_first(server: BotApiServer, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.wait_for(server.bot_listens.wait(), 5)
    async with bot_of(server) as other:
        await other.get_updates(timeout=0)
    with pytest.raises(Conflict):
        await first


async def test_a_poll_whose_client_went_away_gets_no_update(server: BotApiServer, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.wait_for(server.bot_listens.wait(), 5)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    await bot.get_me()
    await server.chat(7).send("/start")
    assert server.stats.handed_out == 0
    assert len(await bot.get_updates(timeout=0)) == 1


async def test_allowed_updates_last_until_the_next_call_that_names_them(server: BotApiServer, bot: Bot) -> None:
    await bot.get_updates(timeout=0, allowed_updates=["callback_query"])
    await server.chat(7).send("/unseen")
    await bot.get_updates(timeout=0)
    await server.chat(7).send("/unseen")
    await bot.get_updates(timeout=0, allowed_updates=[])
    await server.chat(7).send("/seen")
    assert [update.message.text for update in await bot.get_updates(timeout=0) if update.message] == ["/seen"]


async def test_the_queue_of_updates_is_bounded() -> None:
    async with BotApiServer(token=TOKEN, pending_max=2) as server:
        chat = server.chat(7)
        await chat.send("1")
        await chat.send("2")
        with pytest.raises(QueueOverflow):
            await chat.send("3")


async def test_a_webhook_gets_updates_with_its_secret(server: BotApiServer, bot: Bot) -> None:
    await server.chat(7).send("/before")
    async with Hook(accept) as hook:
        await bot.set_webhook(hook.url, secret_token="s3cret", max_connections=5)
        await server.chat(7).send("/after")
        await hook.wait_for(2)
        assert [post["message"]["text"] for post in hook.posts] == ["/before", "/after"]
        assert hook.secrets == ["s3cret", "s3cret"]
        info = await bot.get_webhook_info()
        assert (info.url, info.max_connections) == (hook.url, 5)
        with pytest.raises(Conflict):
            await bot.get_updates(timeout=0)
        await bot.delete_webhook()
        assert await bot.get_updates(timeout=0) == ()


async def test_a_refused_post_is_repeated_in_order_and_holds_up_its_chat_only(server: BotApiServer, bot: Bot) -> None:
    refusals = {7: 2}

    async def answer(post: dict[str, Any]) -> bytes:
        chat_id = post["message"]["chat"]["id"]
        if refusals.get(chat_id, 0) > 0:
            refusals[chat_id] -= 1
            return http_answer(503)
        return http_answer(200)

    async with Hook(answer) as hook:
        await bot.set_webhook(hook.url)
        await server.chat(7).send("a")
        await server.chat(7).send("b")
        await server.chat(8).send("c")
        await hook.wait_for(5)
        texts = [post["message"]["text"] for post in hook.posts]
        assert [text for text in texts if text != "c"] == ["a", "a", "a", "b"]
        assert texts.index("c") < 3
        info = await bot.get_webhook_info()
        assert info.last_error_message == "Wrong response from the webhook: 503"
        assert server.stats.redelivered == 2


async def test_posts_under_way_never_exceed_max_connections(server: BotApiServer, bot: Bot) -> None:
    under_way = peak = 0
    both = asyncio.Event()

    async def answer(_: dict[str, Any]) -> bytes:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        if under_way == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 5)
        under_way -= 1
        return http_answer(200)

    async with Hook(answer) as hook:
        await bot.set_webhook(hook.url, max_connections=2)
        for chat_id in range(10, 16):
            await server.chat(chat_id).send("x")
        await hook.wait_for(6)
        assert peak == 2


async def test_a_webhook_that_is_down_gets_everything_when_it_is_up_again(server: BotApiServer, bot: Bot) -> None:
    async with Hook(accept) as hook:
        url = hook.url
    await bot.set_webhook(url)
    await server.chat(7).send("a")
    async with asyncio.timeout(5):
        while (await bot.get_webhook_info()).last_error_message is None:
            pass
    assert server.stats.pending == 1
    async with Hook(accept) as hook:
        await bot.set_webhook(hook.url)
        await hook.wait_for(1)
        assert hook.posts[0]["message"]["text"] == "a"


async def test_a_method_call_in_the_answer_to_a_post_is_carried_out(server: BotApiServer, bot: Bot) -> None:
    async def answer(post: dict[str, Any]) -> bytes:
        body = json.dumps({"method": "sendMessage", "chat_id": post["message"]["chat"]["id"], "text": "pong"}).encode()
        return http_answer(200, body, "Content-Type: application/json\r\n")

    chat = server.chat(7)
    async with Hook(answer) as hook:
        await bot.set_webhook(hook.url)
        await chat.send("ping")
        assert (await chat.wait_reply()).text == "pong"


async def test_a_bad_secret_token_is_refused(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="Secret token contains unallowed characters"):
        await bot.set_webhook("http://127.0.0.1:1/x", secret_token="not allowed!")


async def test_several_posts_of_one_chat_may_be_under_way_if_asked_for() -> None:
    both = asyncio.Barrier(2)

    async def answer(_: dict[str, Any]) -> bytes:
        async with asyncio.timeout(5):
            await both.wait()
        return http_answer(200)

    webhook = WebhookConfig(url="", outstanding_per_queue=2)
    async with BotApiServer(token=TOKEN, webhook=webhook) as server, bot_of(server) as bot, Hook(answer) as hook:
        await bot.set_webhook(hook.url)
        await server.chat(7).send("a")
        await server.chat(7).send("b")
        await hook.wait_for(2)


async def test_clicks_do_not_wait_behind_messages_of_their_chat(server: BotApiServer, bot: Bot) -> None:
    clicked = asyncio.Event()

    async def answer(post: dict[str, Any]) -> bytes:
        if "callback_query" in post:
            clicked.set()
        async with asyncio.timeout(5):
            await clicked.wait()
        return http_answer(200)

    chat = server.chat(7)
    async with Hook(answer) as hook:
        await bot.send_message(7, "x", reply_markup=button("d"))
        await bot.set_webhook(hook.url)
        await chat.send("/slow")
        await chat.press(await chat.wait_reply(), "b")
        await hook.wait_for(2)
