"""A person (or a group) at the other end of a chat with the bot."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tradekit.testing.bot_api.types import (
    CallbackQuery,
    Charge,
    Chat,
    ChatMember,
    ChatMemberUpdated,
    Message,
    PreCheckoutQuery,
    SuccessfulPayment,
    Update,
    User,
    entities_of,
)


class Surroundings(Protocol):
    """What a chat needs of the bot's server."""

    me: User
    messages_kept: int
    charges: dict[str, Charge]
    pre_checkouts: dict[str, Callable[[bool, str], None]]
    invoices: OrderedDict[str, dict[str, Any]]

    def take_message_id(self) -> int: ...

    def take_callback_id(self, chat: Any) -> str: ...

    def emit(self, kind: str, chat_id: int, text: str, value: msgspec.Struct) -> Update | None: ...


class PaymentRefused(Exception):
    """The bot declined the pre-checkout query, or did not answer it in time."""


class SimulatedChat:
    """One chat. What a person does are methods; what the bot sent is in `messages`, in order."""

    _REPLIES_UNREAD_MAX = 1_000

    def __init__(self, core: Surroundings, chat: Chat, user: User) -> None:
        self._core = core
        self.chat = chat
        self.user = user
        self.id = chat.id
        self.blocked = False
        self.reply_keyboard: dict[str, Any] | None = None
        """The reply keyboard shown below the input field, if the bot sent one."""
        self.actions: deque[str] = deque(maxlen=100)
        """Chat actions such as `typing`."""
        self.pinned: set[int] = set()
        """Ids of pinned messages."""
        self._messages: OrderedDict[int, Message] = OrderedDict()
        self._unread: deque[Message] = deque(maxlen=self._REPLIES_UNREAD_MAX)
        self._waiter: asyncio.Future[None] | None = None

    @property
    def messages(self) -> list[Message]:
        """Messages of both sides as they look now, oldest first; deleted ones are gone."""
        return list(self._messages.values())

    def message(self, message_id: int) -> Message | None:
        return self._messages.get(message_id)

    # What a person does

    async def send(self, text: str, *, user: User | None = None) -> Message:
        """Type a message. In a group, `user` is who types.

        :raises QueueOverflow: the bot is too far behind.
        """
        return self.post(text, user=user)[0]

    def post(self, text: str, *, user: User | None = None) -> tuple[Message, Update | None]:
        """As `send`, without waiting, and with the update (None if the bot did not ask for messages)."""
        message = self._own_message(user or self.user, text=text, entities=entities_of(text))
        return message, self._core.emit("message", self.id, text, message)

    async def press(self, message: Message, button: str) -> str:
        """Press an inline button, named by its text or its data, and return the id of the callback query.

        :raises LookupError: the message has no such button now.
        """
        return self.click(message.message_id, button)[0]

    def click(self, message_id: int, button: str, *, user: User | None = None) -> tuple[str, Update | None]:
        """As `press`, without waiting, and with the update."""
        message = self._messages.get(message_id)
        if message is None:
            raise LookupError(f"message {message_id} is not in chat {self.id}")
        data = _callback_data(message, button)
        callback_id = self._core.take_callback_id(self)
        query = CallbackQuery(id=callback_id, from_=user or self.user, message=message, chat_instance=str(self.id * 31 + 7), data=data)
        return callback_id, self._core.emit("callback_query", self.id, data, query)

    async def wait_reply(self, timeout_s: float = 5.0) -> Message:
        """The next message or edit of the bot that no `wait_reply` returned before.

        :raises TimeoutError: none came.
        """
        async with asyncio.timeout(timeout_s):
            while not self._unread:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        return self._unread.popleft()

    def forget_replies(self) -> None:
        """Let `wait_reply` return only what comes from now on."""
        self._unread.clear()

    async def pay(self, invoice: Message, *, timeout_s: float = 10.0) -> SuccessfulPayment:
        """Pay an invoice: the bot gets a pre-checkout query and, if it agrees in time (Telegram gives it 10 s), the payment.

        :raises PaymentRefused: it did not.
        :raises LookupError: the message is no invoice.
        """
        details = self._core.invoices.get(f"{self.id}:{invoice.message_id}")
        if details is None:
            raise LookupError(f"message {invoice.message_id} in chat {self.id} is no invoice")
        return await self._pay(details, timeout_s)

    async def pay_link(self, link: str, *, timeout_s: float = 10.0) -> SuccessfulPayment:
        """As `pay`, for a link made by createInvoiceLink."""
        details = self._core.invoices.get(link)
        if details is None:
            raise LookupError("no such invoice link")
        return await self._pay(details, timeout_s)

    def block(self) -> None:
        """Block the bot: sends to this chat answer 403, and the bot hears of it in `my_chat_member`."""
        self._change_membership(blocked=True)

    def unblock(self) -> None:
        self._change_membership(blocked=False)

    # What the bot does

    def receive(self, message: Message) -> None:
        """Keep a message or an edit of the bot and wake who waits for it."""
        self.keep(message)
        self._unread.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def keep(self, message: Message) -> None:
        self._messages[message.message_id] = message
        if len(self._messages) > self._core.messages_kept:
            self._messages.popitem(last=False)

    def remove(self, message_id: int) -> None:
        self._messages.pop(message_id, None)

    def _own_message(self, user: User, **content: Any) -> Message:
        message = Message(message_id=self._core.take_message_id(), from_=user, chat=self.chat, date=int(time.time()), **content)
        self.keep(message)
        return message

    async def _pay(self, details: dict[str, Any], timeout_s: float) -> SuccessfulPayment:
        query_id = self._core.take_callback_id(self)
        decided: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()
        self._core.pre_checkouts[query_id] = lambda ok, error: decided.set_result((ok, error))
        query = PreCheckoutQuery(
            id=query_id,
            from_=self.user,
            currency=details["currency"],
            total_amount=details["total_amount"],
            invoice_payload=details["payload"],
        )
        self._core.emit("pre_checkout_query", self.id, details["payload"], query)
        try:
            async with asyncio.timeout(timeout_s):
                agreed, error = await decided
        except TimeoutError as timeout:
            raise PaymentRefused("the pre-checkout query was not answered in time") from timeout
        finally:
            self._core.pre_checkouts.pop(query_id, None)
        if not agreed:
            raise PaymentRefused(error)
        return self._paid(details)

    def _paid(self, details: dict[str, Any]) -> SuccessfulPayment:
        charge_id = f"stx{len(self._core.charges) + 1:06d}_{self.id}"
        self._core.charges[charge_id] = Charge(
            charge_id=charge_id,
            user_id=self.user.id,
            currency=details["currency"],
            total_amount=details["total_amount"],
            payload=details["payload"],
        )
        period_s = details.get("subscription_period")
        payment = SuccessfulPayment(
            currency=details["currency"],
            total_amount=details["total_amount"],
            invoice_payload=details["payload"],
            telegram_payment_charge_id=charge_id,
            provider_payment_charge_id="" if details["currency"] == "XTR" else f"provider_{charge_id}",
            subscription_expiration_date=int(time.time()) + period_s if period_s else None,
            is_recurring=True if period_s else None,
            is_first_recurring=True if period_s else None,
        )
        self._core.emit("message", self.id, details["payload"], self._own_message(self.user, successful_payment=payment))
        return payment

    def _change_membership(self, *, blocked: bool) -> None:
        if blocked == self.blocked:
            return
        self.blocked = blocked
        kicked = ChatMember(status="kicked", user=self._core.me, until_date=0)
        member = ChatMember(status="member", user=self._core.me)
        changed = ChatMemberUpdated(
            chat=self.chat,
            from_=self.user,
            date=int(time.time()),
            old_chat_member=member if blocked else kicked,
            new_chat_member=kicked if blocked else member,
        )
        self._core.emit("my_chat_member", self.id, "blocked" if blocked else "unblocked", changed)


def _callback_data(message: Message, button: str) -> str:
    for candidate in message.buttons():
        if button in (candidate["text"], candidate.get("callback_data")) and "callback_data" in candidate:
            return str(candidate["callback_data"])
    raise LookupError(f"no button {button!r} under message {message.message_id}")
