"""Calls are read and refused as Telegram does, seen through python-telegram-bot's own client and through plain HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, ReplyKeyboardMarkup, ReplyParameters
from telegram.error import BadRequest, Forbidden, InvalidToken

from tests.contract.bot_api.kit import bot_of, button, png
from tradekit.testing.bot_api import BotApiServer

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]


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
        (lambda bot: bot.send_message(7, "x", reply_markup=button("y" * 65)), "Button_data_invalid"),
        pytest.param(lambda bot: bot.send_message(7, "x", reply_markup=button("é" * 33)), "Button_data_invalid", id="66 bytes of data"),
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


async def test_an_edit_that_changes_nothing_is_refused(server: BotApiServer, bot: Bot) -> None:
    server.chat(7)
    sent = await bot.send_message(7, "*x*", parse_mode="MarkdownV2", reply_markup=button("d"))
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_text("*x*", 7, sent.message_id, parse_mode="MarkdownV2", reply_markup=button("d"))
    await bot.edit_message_reply_markup(7, sent.message_id, reply_markup=button("e"))
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
