"""The loopback Bot API server behaves as Telegram's, seen through python-telegram-bot's own client and through plain HTTP."""

import asyncio
import json
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LabeledPrice, ReplyKeyboardMarkup, ReplyParameters
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from tradekit.testing.bot_api import BotApiServer, Fault, PaymentRefused, QueueOverflow, RateLimits, SendLimiter, WebhookConfig
from tradekit.testing.bot_api.load import LoadPlan, LoadReport, run_load
from tradekit.testing.bot_api.types import Message

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]

TOKEN = "123456:test-token"
FREELY = RateLimits(chat_per_s=1000, chat_burst=1000, overall_per_s=10_000)


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(token=TOKEN, limits=FREELY, webhook=WebhookConfig(url="", retry_first_s=0.01, reconnect_s=0.01)) as running:
        yield running


@pytest.fixture
async def strict_server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(token=TOKEN) as running:
        yield running


def bot_of(server: BotApiServer, token: str = TOKEN) -> Bot:
    return Bot(
        token,
        base_url=f"{server.url}/bot",
        base_file_url=f"{server.url}/file/bot",
        request=HTTPXRequest(connection_pool_size=8),
        get_updates_request=HTTPXRequest(),
    )


@pytest.fixture
async def bot(server: BotApiServer) -> AsyncIterator[Bot]:
    async with bot_of(server) as client:
        yield client


@pytest.fixture
async def http(server: BotApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/bot{TOKEN}/") as client:
        yield client


class Hook:
    """A webhook that answers what the test says and remembers what came."""

    def __init__(self, answer: Callable[[dict[str, Any]], Awaitable[bytes]]) -> None:
        self.posts: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.secrets: list[str | None] = []
        self._answer = answer
        self._arrived = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Hook":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: len(self.bodies) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.split("\r\n")[1:]}
                body = await reader.readexactly(int(headers["content-length"]))
                self.secrets.append(headers.get("x-telegram-bot-api-secret-token"))
                self.bodies.append(body)
                try:
                    self.posts.append(json.loads(body))
                except ValueError:
                    self.posts.append({})
                async with self._arrived:
                    self._arrived.notify_all()
                writer.write(await self._answer(self.posts[-1]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def http_answer(status: int, body: bytes = b"", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


async def accept(_: dict[str, Any]) -> bytes:
    return http_answer(200)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + b"\r\n\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# Who may call what


async def test_the_real_client_learns_who_it_is(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username) == (123456, True, "loopback_bot")


async def test_another_token_is_unauthorized(server: BotApiServer) -> None:
    stranger = bot_of(server, "123456:other")
    with pytest.raises(InvalidToken):
        await stranger.get_me()
    await stranger.request.shutdown()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}/bot1:x/getMe")
    assert answer.status_code == 401
    assert answer.json() == {"ok": False, "error_code": 401, "description": "Unauthorized"}


async def test_an_unknown_method_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.post("launchRocket")
    assert answer.status_code == 404
    assert answer.json() == {"ok": False, "error_code": 404, "description": "Not Found: method not found"}


@pytest.mark.parametrize(
    "request_of",
    [
        lambda http: http.get("sendMessage", params={"chat_id": 7, "text": "hé & co"}),
        lambda http: http.post("sendMessage", data={"chat_id": 7, "text": "hé & co"}),
        lambda http: http.post("SENDMESSAGE", json={"chat_id": 7, "text": "hé & co"}),
        lambda http: http.post("sendMessage", files={"chat_id": (None, "7"), "text": (None, "hé & co")}),
        lambda http: http.post("sendMessage", params={"chat_id": 7}, json={"text": "hé & co"}),
    ],
    ids=["query", "form", "json", "multipart", "query and json"],
)
async def test_parameters_come_in_every_encoding(
    server: BotApiServer, http: httpx.AsyncClient, request_of: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
) -> None:
    server.chat(7)
    answer = await request_of(http)
    assert answer.status_code == 200, answer.text
    assert server.messages(7)[-1].text == "hé & co"


async def test_a_body_that_is_not_json_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("sendMessage", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400


# getUpdates


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


# Webhook


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


# Messages


async def test_a_person_talks_with_the_bot(server: BotApiServer, bot: Bot) -> None:
    ada = server.chat(4711, first_name="Ada")
    question = await ada.send("/start ref_1")
    (update,) = await bot.get_updates(timeout=0)
    assert update.message is not None
    assert update.message.entities[0].type == "bot_command"
    assert update.effective_user is not None
    assert update.effective_user.first_name == "Ada"
    keyboard = InlineKeyboardMarkup(
        [[InlineKeyboardButton("Confirm", callback_data="ok:1"), InlineKeyboardButton("No", callback_data="no:1")]]
    )
    await bot.send_message(
        4711, "<b>Buy</b> 1 &lt; 2?", parse_mode="HTML", reply_markup=keyboard, reply_parameters=ReplyParameters(question.message_id)
    )
    reply = await ada.wait_reply()
    assert reply.text == "Buy 1 < 2?"
    assert reply.entities is not None
    assert (reply.entities[0].type, reply.entities[0].length) == ("bold", 3)
    assert reply.reply_to_message == question
    click = await ada.press(reply, "Confirm")
    (_, pressed) = await bot.get_updates(timeout=0)
    assert pressed.callback_query is not None
    assert pressed.callback_query.data == "ok:1"
    await pressed.callback_query.answer("Done")
    assert server.callback_answers[click].text == "Done"
    with pytest.raises(BadRequest, match="Query is too old"):
        await pressed.callback_query.answer()
    await pressed.callback_query.edit_message_text("Bought")
    edited = await ada.wait_reply()
    assert (edited.message_id, edited.text, edited.buttons()) == (reply.message_id, "Bought", [])
    with pytest.raises(LookupError):
        await ada.press(edited, "Confirm")


async def test_a_reply_keyboard_stays_with_the_chat(server: BotApiServer, bot: Bot) -> None:
    chat = server.chat(7)
    await bot.send_message(7, "Choose", reply_markup=ReplyKeyboardMarkup([["/status", "/help"]]))
    assert chat.reply_keyboard is not None
    assert [button["text"] for button in chat.reply_keyboard["keyboard"][0]] == ["/status", "/help"]


@pytest.mark.parametrize(
    ("call", "description"),
    [
        (lambda bot: bot.send_message(999, "hi"), "Chat not found"),
        (lambda bot: bot.send_message(7, ""), "Message text is empty"),
        (lambda bot: bot.send_message(7, "x" * 4097), "Message is too long"),
        (lambda bot: bot.send_message(7, "x", reply_markup=_button("y" * 65)), "Button_data_invalid"),
        pytest.param(lambda bot: bot.send_message(7, "x", reply_markup=_button("é" * 33)), "Button_data_invalid", id="66 bytes of data"),
        (lambda bot: bot.send_message(7, "<b>x", parse_mode="HTML"), "Can't parse entities: can't find end tag"),
        (lambda bot: bot.send_message(7, "<x>x</x>", parse_mode="HTML"), 'Can\'t parse entities: unsupported start tag "x"'),
        (lambda bot: bot.send_message(7, "1.5", parse_mode="MarkdownV2"), "Can't parse entities: character '.' is reserved"),
        (lambda bot: bot.send_message(7, "x", reply_parameters=ReplyParameters(12345)), "Message to be replied not found"),
        (lambda bot: bot.edit_message_text("x", 7, 12345), "Message to edit not found"),
        (lambda bot: bot.delete_message(7, 12345), "Message to delete not found"),
        (lambda bot: bot.get_file("nothing"), "Invalid file_id"),
        (lambda bot: bot.send_photo(7, "nothing"), "Wrong file identifier/http url specified"),
        (lambda bot: bot.send_photo(7, b"not an image"), "Image_process_failed"),
        (lambda bot: bot.send_chat_action(7, "dancing"), "Wrong parameter action in request"),
        (lambda bot: bot.set_my_commands([("Bad-Name", "text")]), "Bot_command_invalid"),
    ],
)
async def test_bad_requests_are_refused_in_telegrams_words(
    server: BotApiServer, bot: Bot, call: Callable[[Bot], Awaitable[Any]], description: str
) -> None:
    server.chat(7)
    with pytest.raises(BadRequest) as refusal:
        await call(bot)
    assert str(refusal.value).lower().startswith(description.lower())


def _button(data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("b", callback_data=data)]])


async def test_an_edit_that_changes_nothing_is_refused(server: BotApiServer, bot: Bot) -> None:
    server.chat(7)
    sent = await bot.send_message(7, "*x*", parse_mode="MarkdownV2", reply_markup=_button("d"))
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_text("*x*", 7, sent.message_id, parse_mode="MarkdownV2", reply_markup=_button("d"))
    await bot.edit_message_reply_markup(7, sent.message_id, reply_markup=_button("e"))
    await bot.edit_message_reply_markup(7, sent.message_id)
    assert server.messages(7)[-1].buttons() == []
    await bot.delete_message(7, sent.message_id)
    assert server.messages(7) == []


async def test_the_bot_cannot_edit_what_a_person_wrote(server: BotApiServer, bot: Bot) -> None:
    message = await server.chat(7).send("mine")
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("x", 7, message.message_id)


async def test_a_person_who_blocked_the_bot_cannot_be_reached(server: BotApiServer, bot: Bot) -> None:
    chat = server.chat(7)
    chat.block()
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(7, "hi")
    (update,) = await bot.get_updates(timeout=0)
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "kicked"
    chat.unblock()
    await bot.send_message(7, "hi")


async def test_photos_are_uploaded_once_and_reused(server: BotApiServer, bot: Bot) -> None:
    server.chat(7)
    image = png(3, 2)
    sent = await bot.send_photo(7, image, caption="<i>chart</i>", parse_mode="HTML")
    assert (sent.caption, sent.photo[-1].width, sent.photo[-1].height) == ("chart", 3, 2)
    again = await bot.send_photo(7, sent.photo[-1].file_id)
    assert again.photo[-1].file_unique_id == sent.photo[-1].file_unique_id
    stored = await bot.get_file(sent.photo[-1].file_id)
    assert bytes(await stored.download_as_bytearray()) == image


async def test_documents_keep_their_bytes_and_name(server: BotApiServer, bot: Bot) -> None:
    server.chat(7)
    data = b"a,b\r\n--x\r\n\r\n\x00\xff"
    sent = await bot.send_document(7, data, filename="export.csv")
    assert sent.document is not None
    assert sent.document.file_name == "export.csv"
    assert bytes(await (await sent.document.get_file()).download_as_bytearray()) == data


async def test_what_a_bot_says_about_itself_can_be_read_back(bot: Bot) -> None:
    await bot.set_my_commands([("start", "Begin"), ("help", "Help")], language_code="de")
    assert [command.command for command in await bot.get_my_commands(language_code="de")] == ["start", "help"]
    assert await bot.get_my_commands() == ()
    await bot.set_my_description("Trades on paper")
    assert (await bot.get_my_description()).description == "Trades on paper"
    await bot.set_my_short_description("Paper")
    assert (await bot.get_my_short_description()).short_description == "Paper"


# Payments


async def test_stars_are_paid_after_the_bot_agreed(server: BotApiServer, bot: Bot) -> None:
    ada = server.chat(7)
    await bot.send_invoice(7, "Plus", "A month", "plan:plus:7", "XTR", [LabeledPrice("Plus", 250)], provider_token="")
    paying = asyncio.create_task(ada.pay(await ada.wait_reply()))
    (update,) = await bot.get_updates(timeout=5)
    assert update.pre_checkout_query is not None
    assert update.pre_checkout_query.invoice_payload == "plan:plus:7"
    await update.pre_checkout_query.answer(ok=True)
    payment = await paying
    (paid,) = await bot.get_updates(offset=update.update_id + 1, timeout=0)
    assert paid.message is not None
    assert paid.message.successful_payment is not None
    assert paid.message.successful_payment.telegram_payment_charge_id == payment.telegram_payment_charge_id
    assert paid.message.successful_payment.total_amount == 250
    await bot.refund_star_payment(7, payment.telegram_payment_charge_id)
    with pytest.raises(BadRequest, match=r"(?i)charge_already_refunded"):
        await bot.refund_star_payment(7, payment.telegram_payment_charge_id)


async def test_a_declined_payment_is_not_taken(server: BotApiServer, bot: Bot) -> None:
    ada = server.chat(7)
    link = await bot.create_invoice_link(
        "Plus", "A month", "p", "XTR", [LabeledPrice("Plus", 250)], provider_token="", subscription_period=2_592_000
    )
    paying = asyncio.create_task(ada.pay_link(link))
    (update,) = await bot.get_updates(timeout=5)
    assert update.pre_checkout_query is not None
    await update.pre_checkout_query.answer(ok=False, error_message="sold out")
    with pytest.raises(PaymentRefused, match="sold out"):
        await paying
    assert server.charges == []


# Limits


async def test_the_fourth_message_at_once_to_a_chat_must_wait(strict_server: BotApiServer) -> None:
    strict_server.chat(7)
    strict_server.chat(8)
    async with httpx.AsyncClient(base_url=f"{strict_server.url}/bot{TOKEN}/") as http:
        answers = [await http.post("sendMessage", json={"chat_id": 7, "text": str(number)}) for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].json() == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 1",
            "parameters": {"retry_after": 1},
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


# Faults


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


# Log, load, process


async def test_the_log_tells_what_was_handed_out_answered_acknowledged_and_limited(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    async with BotApiServer(token=TOKEN, log_path=path) as server, bot_of(server) as bot:
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
                await bot.send_message(update.message.chat.id, f"re {update.message.text}", reply_markup=_button("again"))


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
            markup = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]}
            await http.post(f"{running.url}/bot{TOKEN}/sendMessage", json={"chat_id": 7, "text": "Hi", "reply_markup": markup})
            assert (await control("wait_reply", chat_id=7))["text"] == "Hi"
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
