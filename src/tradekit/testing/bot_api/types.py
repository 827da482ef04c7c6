"""The part of the Bot API's types that the server hands out, as values."""

from __future__ import annotations

from typing import Any

import msgspec

_FROM = {"from_": "from"}


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: int
    is_bot: bool
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None


class Chat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: int
    type: str
    """`private`, `group`, `supergroup` or `channel`."""
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None


class MessageEntity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    offset: int
    """In UTF-16 code units, as everywhere in the Bot API."""
    length: int
    url: str | None = None
    language: str | None = None
    custom_emoji_id: str | None = None


class PhotoSize(msgspec.Struct, frozen=True, kw_only=True):
    file_id: str
    file_unique_id: str
    width: int
    height: int
    file_size: int


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    file_id: str
    file_unique_id: str
    file_name: str | None = None
    mime_type: str | None = None
    file_size: int = 0


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    description: str
    start_parameter: str
    currency: str
    total_amount: int
    """In the currency's smallest unit; for XTR a number of Stars."""


class SuccessfulPayment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    currency: str
    total_amount: int
    invoice_payload: str
    telegram_payment_charge_id: str
    provider_payment_charge_id: str
    subscription_expiration_date: int | None = None
    """Unix seconds."""
    is_recurring: bool | None = None
    is_first_recurring: bool | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=_FROM):
    message_id: int
    from_: User
    chat: Chat
    date: int
    """Unix seconds."""
    edit_date: int | None = None
    reply_to_message: Message | None = None
    text: str | None = None
    entities: tuple[MessageEntity, ...] | None = None
    caption: str | None = None
    caption_entities: tuple[MessageEntity, ...] | None = None
    photo: tuple[PhotoSize, ...] | None = None
    document: Document | None = None
    invoice: Invoice | None = None
    successful_payment: SuccessfulPayment | None = None
    reply_markup: dict[str, Any] | None = None
    """An inline keyboard. Reply keyboards are not part of a message; see `SimulatedChat.reply_keyboard`."""

    @property
    def content(self) -> str:
        """Text or caption, empty if the message has neither."""
        return self.text or self.caption or ""

    def buttons(self) -> list[dict[str, Any]]:
        """The inline buttons, row by row."""
        if self.reply_markup is None:
            return []
        return [button for row in self.reply_markup["inline_keyboard"] for button in row]


class CallbackQuery(msgspec.Struct, frozen=True, kw_only=True, rename=_FROM):
    id: str
    from_: User
    message: Message
    chat_instance: str
    data: str


class PreCheckoutQuery(msgspec.Struct, frozen=True, kw_only=True, rename=_FROM):
    id: str
    from_: User
    currency: str
    total_amount: int
    invoice_payload: str


class ChatMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: str
    user: User
    until_date: int | None = None


class ChatMemberUpdated(msgspec.Struct, frozen=True, kw_only=True, rename=_FROM):
    chat: Chat
    from_: User
    date: int
    old_chat_member: ChatMember
    new_chat_member: ChatMember


class Update(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    update_id: int
    message: Message | None = None
    edited_message: Message | None = None
    callback_query: CallbackQuery | None = None
    pre_checkout_query: PreCheckoutQuery | None = None
    my_chat_member: ChatMemberUpdated | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it was answered."""

    method: str
    parameters: dict[str, Any]
    status: int
    """The HTTP status; 0 if the connection was dropped before handling."""
    time_ms: int


class CallbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    show_alert: bool


class Charge(msgspec.Struct, kw_only=True):
    """A payment that went through."""

    charge_id: str
    user_id: int
    currency: str
    total_amount: int
    payload: str
    refunded: bool = False
    subscription_canceled: bool = False


def entities_of(text: str) -> tuple[MessageEntity, ...] | None:
    """The `bot_command` entity that Telegram adds to what a person types."""
    if not text.startswith("/") or len(text) < 2:
        return None
    length = len(text.split(maxsplit=1)[0])
    return (MessageEntity(type="bot_command", offset=0, length=length),)
