"""`/control/...`: the server driven from another process. POST JSON, get JSON.

| path | body | answer |
|---|---|---|
| `chat` | `chat_id, first_name?, kind?, title?, username?` | the chat |
| `send` | `chat_id, text` | `message_id, update_id` |
| `press` | `chat_id, message_id?, button` (the last message with this button if no id) | `callback_query_id, update_id` |
| `pay` | `chat_id, message_id` | the payment; 409 if refused |
| `wait_reply` | `chat_id, timeout_s?` | the message; 408 if none came |
| `messages` | `chat_id, after?` (a message id) | list of messages |
| `block`, `unblock` | `chat_id` | `true` |
| `fault` | a `Fault` | `true` |
| `clear_faults` | - | `true` |
| `calls` | `method?, last?` | list of calls |
| `stats`, `webhook` | - (GET as well) | counts; getWebhookInfo |
| `pending`, `unanswered` | - (GET as well) | updates not acknowledged; updates handed out that no message answered |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from tradekit.testing.bot_api.chat import PaymentRefused, SimulatedChat
from tradekit.testing.bot_api.core import BotCore
from tradekit.testing.bot_api.errors import ApiError
from tradekit.testing.bot_api.faults import Fault
from tradekit.testing.bot_api.updates import PendingUpdate
from tradekit.testing.loopback.http import Request

_encoder = msgspec.json.Encoder()


class Control:
    """Answers control requests. Those that wait run as tasks of their own."""

    def __init__(self, core: BotCore, webhook_info: Callable[[], Any]) -> None:
        self._core = core
        self._tasks: set[asyncio.Task[None]] = set()
        self._actions: dict[str, Callable[[dict[str, Any]], Any]] = {
            "chat": self._chat_action,
            "send": self._send,
            "press": self._press,
            "messages": self._messages,
            "block": self._block,
            "unblock": self._unblock,
            "fault": self._fault,
            "clear_faults": self._clear_faults,
            "calls": self._calls,
            "stats": lambda _: self._core.stats(),
            "pending": lambda _: [_summary(pending) for pending in self._core.updates],
            "unanswered": lambda _: [_summary(pending) for pending in self._core.tracker.unanswered()],
            "webhook": lambda _: webhook_info(),
        }

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def handle(self, request: Request) -> None:
        """
        :raises ApiError: unknown action or unusable body.
        """
        action = request.path.removeprefix("/control/")
        try:
            body = msgspec.json.decode(request.body) if request.body else {}
        except msgspec.DecodeError as error:
            raise ApiError(400, f"not JSON: {error}") from error
        if not isinstance(body, dict):
            raise ApiError(400, "a JSON object is expected")
        if action in ("pay", "wait_reply"):
            task = asyncio.get_running_loop().create_task(self._wait(action, body, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        perform = self._actions.get(action)
        if perform is None:
            raise ApiError(404, f"no control action {action!r}")
        try:
            request.respond(200, _encoder.encode(perform(body)))
        except LookupError as error:
            raise ApiError(404, f"not found: {error}") from error
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise ApiError(400, str(error)) from error

    async def _wait(self, action: str, body: dict[str, Any], request: Request) -> None:
        try:
            chat = self._chat(body)
            if action == "wait_reply":
                result: Any = await chat.wait_reply(float(body.get("timeout_s", 5.0)))
            else:
                invoice = chat.message(int(body["message_id"]))
                if invoice is None:
                    raise LookupError(body["message_id"])
                result = await chat.pay(invoice, timeout_s=float(body.get("timeout_s", 10.0)))
            request.respond(200, _encoder.encode(result))
        except TimeoutError:
            request.respond(408, _encoder.encode(ApiError(408, "no reply came").body()))
        except PaymentRefused as error:
            request.respond(409, _encoder.encode(ApiError(409, str(error)).body()))
        except (LookupError, TypeError, ValueError) as error:
            request.respond(404, _encoder.encode(ApiError(404, f"not found: {error}").body()))

    def _chat(self, body: dict[str, Any]) -> SimulatedChat:
        return self._core.chats[int(body["chat_id"])]

    def _chat_action(self, body: dict[str, Any]) -> Any:
        options = {name: body[name] for name in ("first_name", "kind", "title", "username", "language_code") if name in body}
        return self._core.open_chat(int(body["chat_id"]), **options).chat

    def _send(self, body: dict[str, Any]) -> Any:
        chat = self._core.open_chat(int(body["chat_id"]))
        message, update = chat.post(str(body["text"]))
        return {"message_id": message.message_id, "update_id": update.update_id if update is not None else None}

    def _press(self, body: dict[str, Any]) -> Any:
        chat = self._chat(body)
        button = str(body["button"])
        message_id = body.get("message_id") or _last_with_button(chat, button)
        callback_id, update = chat.click(int(message_id), button)
        return {"callback_query_id": callback_id, "update_id": update.update_id if update is not None else None}

    def _messages(self, body: dict[str, Any]) -> Any:
        after = int(body.get("after", 0))
        chat = self._core.chats.get(int(body["chat_id"]))
        return [message for message in chat.messages if message.message_id > after] if chat is not None else []

    def _block(self, body: dict[str, Any]) -> bool:
        self._chat(body).block()
        return True

    def _unblock(self, body: dict[str, Any]) -> bool:
        self._chat(body).unblock()
        return True

    def _fault(self, body: dict[str, Any]) -> bool:
        self._core.faults.add(msgspec.convert(body, Fault))
        return True

    def _clear_faults(self, _: dict[str, Any]) -> bool:
        self._core.faults.clear()
        return True

    def _calls(self, body: dict[str, Any]) -> Any:
        method = body.get("method")
        calls = [call for call in self._core.calls if method is None or call.method == method]
        return calls[-int(body.get("last", len(calls) or 1)) :]


def _summary(pending: PendingUpdate) -> dict[str, Any]:
    return {"update_id": pending.update_id, "chat_id": pending.chat_id, "text": pending.text, "attempts": pending.attempts}


def _last_with_button(chat: SimulatedChat, button: str) -> int:
    for message in reversed(chat.messages):
        if any(button in (candidate["text"], candidate.get("callback_data")) for candidate in message.buttons()):
            return message.message_id
    raise LookupError(f"no button {button!r} in chat {chat.id}")
