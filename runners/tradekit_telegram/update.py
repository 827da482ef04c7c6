"""From one update of the Bot API to one inbound message, whatever it is.

Fields: https://core.telegram.org/bots/api#update
"""

import re
from hashlib import blake2b
from typing import Any

import msgspec

from tradekit.domain.users import Identity
from tradekit_telegram.inbound import Inbound
from tradekit_telegram.signing import Forgery, Signer

TRANSPORT = "telegram"
ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member", "pre_checkout_query")
UPDATE_BYTES_MAX = 65_536
"""Larger updates are recorded cut off and skipped."""
_NAME_CHARACTERS_MAX = 64

NOT_PRIVATE = "not a private chat"
NOT_TEXT = "not a text message"
BLOCKED = "the user blocked the bot"
UNBLOCKED = "the user unblocked the bot"
PAYMENT = "a payment, kept for the operator"
UNHANDLED = "a kind of update that is not handled"

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UPDATE_ID = re.compile(rb'"update_id"\s*:\s*(\d{1,19})\b')


class _User(msgspec.Struct, gc=False):
    id: int
    first_name: str = ""
    last_name: str = ""


class _Chat(msgspec.Struct, gc=False):
    id: int
    type: str


class _Message(msgspec.Struct, rename={"sender": "from"}):
    chat: _Chat
    sender: _User | None = None
    text: str | None = None
    successful_payment: dict[str, Any] | None = None


class _ClickedMessage(msgspec.Struct, gc=False):
    chat: _Chat


class _Click(msgspec.Struct, rename={"sender": "from"}):
    id: str
    sender: _User
    data: str = ""
    message: _ClickedMessage | None = None


class _Member(msgspec.Struct, gc=False):
    status: str


class _Membership(msgspec.Struct):
    chat: _Chat
    new_chat_member: _Member


class _PreCheckout(msgspec.Struct, rename={"sender": "from"}):
    id: str
    sender: _User


class _Update(msgspec.Struct):
    update_id: int
    message: _Message | None = None
    callback_query: _Click | None = None
    my_chat_member: _Membership | None = None
    pre_checkout_query: _PreCheckout | None = None


class _OnlyId(msgspec.Struct, gc=False):
    update_id: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What Telegram waits for besides messages; sent once the update is durable, best effort."""

    callback_query_id: str = ""
    pre_checkout_query_id: str = ""
    text: str = ""


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """One update, read as far as it could be."""

    update_id: int | None
    inbound: Inbound
    answer: Answer | None = None


_update_decoder = msgspec.json.Decoder(_Update)
_id_decoder = msgspec.json.Decoder(_OnlyId)


class UpdateReader:
    """Reads the updates of one bot. Never raises for what an update holds."""

    def __init__(self, bot_id: str, signer: Signer) -> None:
        self._source = f"{TRANSPORT}:{bot_id}"
        self._signer = signer

    @property
    def source(self) -> str:
        """Who numbers the updates: ``telegram:BOT_ID``."""
        return self._source

    def read(self, raw: bytes, now_ms: int) -> Decoded:
        """The inbound message for one update; with a ``problem`` it is recorded and skipped."""
        if len(raw) > UPDATE_BYTES_MAX:
            return self.malformed(raw, f"larger than {UPDATE_BYTES_MAX} bytes")
        try:
            update = _update_decoder.decode(raw)
        except _DECODE_ERRORS as error:
            return self.malformed(raw, f"malformed update: {error}"[:200])
        if update.message is not None:
            return self._message(update.update_id, update.message, raw)
        if update.callback_query is not None:
            return self._click(update.update_id, update.callback_query, now_ms)
        if update.my_chat_member is not None:
            return self._membership(update.update_id, update.my_chat_member)
        if update.pre_checkout_query is not None:
            query = update.pre_checkout_query
            answer = Answer(pre_checkout_query_id=query.id, text="Payments are not open yet. Nothing was charged.")
            return self._record(update.update_id, identity=_identity(query.sender.id), raw=raw, problem=PAYMENT, answer=answer)
        return self._record(update.update_id, raw=raw, problem=UNHANDLED)

    def malformed(self, raw: bytes, problem: str) -> Decoded:
        """A record of what could not be read, under its update's number or else under its hash."""
        update_id = update_id_of(raw)
        message_id = str(update_id) if update_id is not None else f"unnumbered-{blake2b(raw, digest_size=12).hexdigest()}"
        inbound = Inbound(
            source=self._source, message_id=message_id, identity=None, text="", raw=bytes(raw[:UPDATE_BYTES_MAX]), problem=problem
        )
        return Decoded(update_id=update_id, inbound=inbound)

    def _message(self, update_id: int, message: _Message, raw: bytes) -> Decoded:
        if message.chat.type != "private":
            return self._record(update_id, problem=NOT_PRIVATE)
        identity = _identity(message.chat.id)
        name = _name(message.sender)
        if message.successful_payment is not None:
            return self._record(update_id, identity=identity, name=name, raw=raw, problem=PAYMENT)
        if message.text is None:
            return self._record(update_id, identity=identity, name=name, problem=NOT_TEXT)
        return self._record(update_id, identity=identity, name=name, text=_typed(message.text))

    def _click(self, update_id: int, click: _Click, now_ms: int) -> Decoded:
        if click.message is None or click.message.chat.type != "private":
            answer = Answer(callback_query_id=click.id, text="Please talk to me in private.")
            return self._record(update_id, problem=NOT_PRIVATE, answer=answer)
        identity = _identity(click.message.chat.id)
        data = self._signer.verify(click.data, str(click.sender.id), now_ms)
        if isinstance(data, Forgery):
            answer = Answer(callback_query_id=click.id, text="This button has expired.")
            return self._record(update_id, identity=identity, name=_name(click.sender), problem=data.value, answer=answer)
        return self._record(
            update_id, identity=identity, name=_name(click.sender), text=f"!{data}", answer=Answer(callback_query_id=click.id)
        )

    def _membership(self, update_id: int, change: _Membership) -> Decoded:
        if change.chat.type != "private":
            return self._record(update_id, problem=NOT_PRIVATE)
        gone = change.new_chat_member.status in ("kicked", "left")
        return self._record(update_id, identity=_identity(change.chat.id), problem=BLOCKED if gone else UNBLOCKED)

    def _record(
        self,
        update_id: int,
        *,
        identity: Identity | None = None,
        name: str = "",
        text: str = "",
        raw: bytes = b"",
        problem: str = "",
        answer: Answer | None = None,
    ) -> Decoded:
        inbound = Inbound(
            source=self._source,
            message_id=str(update_id),
            identity=identity,
            text=text,
            display_name=name,
            raw=bytes(raw),
            problem=problem,
        )
        return Decoded(update_id=update_id, inbound=inbound, answer=answer)


def update_id_of(raw: bytes) -> int | None:
    """The update's number, found even where the rest is not JSON."""
    try:
        return _id_decoder.decode(raw).update_id
    except _DECODE_ERRORS:
        found = _UPDATE_ID.search(raw)
        return int(found[1]) if found else None


def _identity(chat_id: int) -> Identity:
    return Identity(TRANSPORT, str(chat_id))


def _name(user: _User | None) -> str:
    if user is None:
        return ""
    return f"{user.first_name} {user.last_name}".replace("\0", "").strip()[:_NAME_CHARACTERS_MAX]


def _typed(text: str) -> str:
    # PostgreSQL stores no NUL. A leading "!" marks the data of a pressed button, which nobody may forge by typing it.
    text = text.replace("\0", "\ufffd")
    return "\uff01" + text.lstrip()[1:] if text.lstrip().startswith("!") else text
