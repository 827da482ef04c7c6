"""Messages: send, edit, delete, answer clicks."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from tradekit.testing.bot_api.chat import SimulatedChat
from tradekit.testing.bot_api.core import BotCore
from tradekit.testing.bot_api.errors import ApiError, bad_request, blocked_by_user
from tradekit.testing.bot_api.formatting import Entities, parse_text
from tradekit.testing.bot_api.keyboards import read_markup
from tradekit.testing.bot_api.methods import method
from tradekit.testing.bot_api.parameters import Parameters
from tradekit.testing.bot_api.types import CallbackAnswer, Message, MessageEntity

TEXT_LENGTH_MAX = 4096
CAPTION_LENGTH_MAX = 1024
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup "
    "of the message"
)
_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


def read_text(parameters: Parameters) -> tuple[str, Entities | None]:
    """The text of a call without its markup.

    :raises ApiError: it is empty, too long or not parseable.
    """
    raw = parameters.text("text")
    if not raw:
        raise bad_request("message text is empty")
    text, entities = _formatted(parameters, raw, "entities")
    if not text:
        raise bad_request("text must be non-empty")
    if len(text) > TEXT_LENGTH_MAX:
        raise bad_request("message is too long")
    return text, entities


def read_caption(parameters: Parameters) -> tuple[str | None, Entities | None]:
    caption, entities = _formatted(parameters, parameters.text("caption"), "caption_entities")
    if len(caption) > CAPTION_LENGTH_MAX:
        raise bad_request("message caption is too long")
    return caption or None, entities


def _formatted(parameters: Parameters, raw: str, field: str) -> tuple[str, Entities | None]:
    parse_mode = parameters.text("parse_mode")
    if parse_mode:
        text, entities = parse_text(raw, parse_mode)
    else:
        text, entities = raw, _given_entities(parameters, field)
    # Telegram trims; entities that start after the trimmed head would shift, so the head stays when there are any.
    return (text.rstrip() if entities else text.strip()), entities


def _given_entities(parameters: Parameters, field: str) -> Entities | None:
    given = parameters.json(field, "entities")
    if not given:
        return None
    try:
        return msgspec.convert(given, tuple[MessageEntity, ...])
    except msgspec.ValidationError as error:
        raise bad_request("can't parse MessageEntity: expected an Object") from error


def send(core: BotCore, parameters: Parameters, method_name: str, chat: SimulatedChat, **content: Any) -> Message:
    """Put a message of the bot into a chat, if its limits and its owner let it."""
    inline, reply_keyboard = read_markup(parameters)
    replied = _replied_message(parameters, chat)
    core.admit(chat, method_name, content.get("text") or content.get("caption") or "")
    message = Message(
        message_id=core.take_message_id(),
        from_=core.me,
        chat=chat.chat,
        date=int(time.time()),
        reply_markup=inline,
        reply_to_message=replied,
        **content,
    )
    if reply_keyboard is not None:
        chat.reply_keyboard = None if "remove_keyboard" in reply_keyboard else reply_keyboard
    core.deliver(chat, message, method_name)
    return message


def _replied_message(parameters: Parameters, chat: SimulatedChat) -> Message | None:
    reply = parameters.json("reply_parameters", "reply parameters") or {}
    if not isinstance(reply, dict):
        raise bad_request("object expected as reply parameters")
    message_id = reply.get("message_id") or parameters.as_integer("reply_to_message_id")
    if message_id is None:
        return None
    replied = chat.message(int(message_id))
    if replied is None:
        if reply.get("allow_sending_without_reply") or parameters.flag("allow_sending_without_reply"):
            return None
        raise bad_request("message to be replied not found")
    # A reply carries the message it answers, but not that one's own reply.
    return msgspec.structs.replace(replied, reply_to_message=None) if replied.reply_to_message is not None else replied


@method("sendMessage")
def send_message(core: BotCore, parameters: Parameters) -> Message:
    text, entities = read_text(parameters)
    return send(core, parameters, "sendMessage", core.chat_of(parameters), text=text, entities=entities)


@method("editMessageText")
def edit_message_text(core: BotCore, parameters: Parameters) -> Message:
    text, entities = read_text(parameters)
    chat, message = editable(core, parameters)
    if message.text is None:
        raise bad_request("there is no text in the message to edit")
    return edit(core, parameters, "editMessageText", chat, message, text=text, entities=entities)


@method("editMessageCaption")
def edit_message_caption(core: BotCore, parameters: Parameters) -> Message:
    caption, entities = read_caption(parameters)
    chat, message = editable(core, parameters)
    if message.photo is None and message.document is None:
        raise bad_request("there is no caption in the message to edit")
    return edit(core, parameters, "editMessageCaption", chat, message, caption=caption, caption_entities=entities)


@method("editMessageReplyMarkup")
def edit_message_reply_markup(core: BotCore, parameters: Parameters) -> Message:
    chat, message = editable(core, parameters)
    return edit(core, parameters, "editMessageReplyMarkup", chat, message)


def editable(core: BotCore, parameters: Parameters) -> tuple[SimulatedChat, Message]:
    """
    :raises ApiError: no such message, or not the bot's.
    """
    chat = core.chat_of(parameters)
    message_id = parameters.as_integer("message_id")
    if message_id is None:
        raise bad_request("message identifier is not specified")
    message = chat.message(message_id)
    if message is None:
        raise bad_request("message to edit not found")
    if message.from_.id != core.me.id:
        raise bad_request("message can't be edited")
    return chat, message


def edit(core: BotCore, parameters: Parameters, method_name: str, chat: SimulatedChat, message: Message, **content: Any) -> Message:
    """Replace content and keyboard; a keyboard that the call does not name goes away, as at Telegram."""
    inline, reply_keyboard = read_markup(parameters)
    if reply_keyboard is not None:
        raise bad_request("inline keyboard expected")
    edited = msgspec.structs.replace(message, reply_markup=inline, **content)
    if edited == message:
        core.unchanged(chat, message, method_name)
        raise bad_request(_NOT_MODIFIED)
    if chat.blocked:
        raise blocked_by_user()
    if core.limits.count_edits:
        core.admit(chat, method_name, edited.content)
    edited = msgspec.structs.replace(edited, edit_date=int(time.time()))
    core.deliver(chat, edited, method_name)
    return edited


@method("deleteMessage")
def delete_message(core: BotCore, parameters: Parameters) -> bool:
    chat = core.chat_of(parameters)
    message_id = parameters.as_integer("message_id")
    if message_id is None:
        raise bad_request("message identifier is not specified")
    if chat.message(message_id) is None:
        raise bad_request("message to delete not found")
    chat.remove(message_id)
    return True


@method("deleteMessages")
def delete_messages(core: BotCore, parameters: Parameters) -> bool:
    chat = core.chat_of(parameters)
    message_ids = parameters.json("message_ids", "message_ids")
    if not isinstance(message_ids, list) or not message_ids:
        raise bad_request("message identifiers are not specified")
    for message_id in message_ids:
        chat.remove(int(message_id))
    return True


@method("answerCallbackQuery")
def answer_callback_query(core: BotCore, parameters: Parameters) -> bool:
    query_id = parameters.text("callback_query_id")
    text = parameters.text("text")
    if len(text) > 200:
        raise ApiError(400, "Bad Request: MESSAGE_TOO_LONG")
    if core.callbacks.pop(query_id, None) is None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    answer = CallbackAnswer(text=text, show_alert=parameters.flag("show_alert"))
    core.callback_answered(query_id, answer)
    return True


@method("sendChatAction")
def send_chat_action(core: BotCore, parameters: Parameters) -> bool:
    chat = core.chat_of(parameters)
    action = parameters.text("action").lower()
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    if chat.blocked:
        raise blocked_by_user()
    chat.actions.append(action)
    return True


@method("pinChatMessage")
def pin_chat_message(core: BotCore, parameters: Parameters) -> bool:
    chat = core.chat_of(parameters)
    if chat.message(parameters.integer("message_id", 0)) is None:
        raise bad_request("message to pin not found")
    chat.pinned.add(parameters.integer("message_id", 0))
    return True


@method("unpinChatMessage")
def unpin_chat_message(core: BotCore, parameters: Parameters) -> bool:
    chat = core.chat_of(parameters)
    message_id = parameters.as_integer("message_id") or max(chat.pinned, default=0)
    if message_id not in chat.pinned:
        raise bad_request("message to unpin not found")
    chat.pinned.discard(message_id)
    return True
