"""Sends replies to Telegram chats."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anyio
from telegram.error import ChatMigrated, TelegramError

from tradekit.domain.replies import OutgoingMessage, Priority, Reply
from tradekit.ports.messenger import Pace, SendOutcome, SendResult
from tradekit_telegram.client import Client
from tradekit_telegram.errors import FloodWait
from tradekit_telegram.outcome import SENT, is_not_editable, is_unchanged, result_of
from tradekit_telegram.signing import Signer
from tradekit_telegram.update import TRANSPORT
from tradekit_telegram.waits import FloodWaits

_log = logging.getLogger(__name__)
_SEND_DEADLINE_S = 25.0
_CARDS_MAX = 20_000
_ALERT_EDIT_S = 10.0


class RenderedButton(Protocol):
    """A label and the data that comes back."""

    @property
    def label(self) -> str: ...

    @property
    def data(self) -> str: ...


class Rendered(Protocol):
    """Text of at most 4,096 characters and rows of buttons."""

    @property
    def text(self) -> str: ...

    @property
    def buttons(self) -> Sequence[Sequence[RenderedButton]]: ...


Render = Callable[[Reply, str], Rendered]
"""From a reply and a language to words."""


class TelegramMessenger:
    """A ``Messenger`` for one bot. The outbox keeps the pace; this sends one message when told to."""

    def __init__(
        self,
        client: Client,
        render: Render,
        signer: Signer,
        *,
        overall_per_s: float = 30.0,
        in_flight_max: int = 64,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._render = render
        self._signer = signer
        self._pace = Pace(overall_per_s=overall_per_s, chat_per_s=1.0, chat_burst=3, in_flight_max=in_flight_max)
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._cards: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        """By address and topic: the message sent last, and when on the monotonic clock."""
        self._waits = FloodWaits(overall_per_s)

    @property
    def transport(self) -> str:
        """``telegram``."""
        return TRANSPORT

    @property
    def pace(self) -> Pace:
        """Telegram's limits, https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this."""
        return self._pace

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Send one message, or edit the one that its topic sent before. Never raises; ends within 25 s."""
        wait_s, everyone = self._waits.remaining_s(message.address, self._monotonic())
        if wait_s > 0:
            return SendResult(outcome=SendOutcome.RETRY, retry_after_s=wait_s, whole_transport=everyone, detail="flood wait")
        self._waits.sending(self._monotonic())
        try:
            with anyio.fail_after(_SEND_DEADLINE_S):
                return await self._send(message)
        except FloodWait as wait:
            everyone = self._waits.told_to_wait(message.address, wait.retry_after_s, self._monotonic())
            return SendResult(outcome=SendOutcome.RETRY, retry_after_s=wait.retry_after_s, whole_transport=everyone, detail=wait.message)
        except TelegramError as error:
            return result_of(error)
        except TimeoutError:
            return SendResult(outcome=SendOutcome.RETRY, detail="no answer in time")
        except Exception:  # noqa: BLE001 - the outbox's loop must outlive any message
            _log.exception("message %d could not be made or sent", message.outbox_id)
            return SendResult(outcome=SendOutcome.REFUSED, detail="rendering or decoding failed, see the log")

    async def _send(self, message: OutgoingMessage) -> SendResult:
        rendered = self._render(message.reply, message.language)
        content: dict[str, Any] = {"chat_id": int(message.address), "text": rendered.text}
        if rendered.buttons:
            content["reply_markup"] = self._keyboard(rendered, message.address)
        topic = message.reply.topic
        card = (message.address, topic)
        message_id = self._editable(card, message.reply) if topic else None
        if message_id is not None and await self._edit(content, message_id):
            return SENT
        sent_id = await self._post(content)
        if topic:
            self._remember(card, sent_id)
        return SENT

    def _editable(self, card: tuple[str, str], reply: Reply) -> int | None:
        """The message to edit. An edit makes no sound, so an alert may only replace what the user has just been looking at."""
        message_id, sent_s = self._cards.get(card, (None, 0.0))
        if reply.priority is Priority.ALERT and self._monotonic() - sent_s > _ALERT_EDIT_S:
            return None
        return message_id

    async def _post(self, content: dict[str, Any]) -> int:
        try:
            sent = await self._client.call("sendMessage", **content)
        except ChatMigrated as moved:
            sent = await self._client.call("sendMessage", **{**content, "chat_id": moved.new_chat_id})
        return int(sent["message_id"])

    async def _edit(self, content: dict[str, Any], message_id: int) -> bool:
        """Whether the message looks as wanted now; False if it is gone."""
        try:
            await self._client.call("editMessageText", message_id=message_id, **content)
        except TelegramError as error:
            if is_not_editable(error):
                return False
            if not is_unchanged(error):
                raise
        return True

    def _remember(self, card: tuple[str, str], message_id: int) -> None:
        self._cards[card] = (message_id, self._monotonic())
        self._cards.move_to_end(card)
        if len(self._cards) > _CARDS_MAX:
            self._cards.popitem(last=False)

    def _keyboard(self, rendered: Rendered, address: str) -> dict[str, Any]:
        now_ms = self._now_ms()
        rows = [
            [{"text": button.label, "callback_data": self._signer.sign(button.data, address, now_ms)} for button in row]
            for row in rendered.buttons
        ]
        return {"inline_keyboard": rows}
