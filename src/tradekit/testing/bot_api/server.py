"""The loopback Bot API server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tradekit.testing.bot_api import methods_files, methods_messages, methods_payments
from tradekit.testing.bot_api.chat import SimulatedChat
from tradekit.testing.bot_api.control import Control
from tradekit.testing.bot_api.core import BotCore, Stats
from tradekit.testing.bot_api.delivery import Delivery
from tradekit.testing.bot_api.errors import ApiError, method_not_found, unauthorized
from tradekit.testing.bot_api.event_log import EventLog
from tradekit.testing.bot_api.faults import Fault, FaultPlan, cut_short
from tradekit.testing.bot_api.limits import RateLimits
from tradekit.testing.bot_api.methods import METHODS
from tradekit.testing.bot_api.parameters import Parameters, parse_parameters
from tradekit.testing.bot_api.tracker import ReplyTracker
from tradekit.testing.bot_api.types import Call, CallbackAnswer, Charge, Message
from tradekit.testing.bot_api.webhook import WebhookConfig
from tradekit.testing.loopback.http import HttpServer, Request

__all__ = ["BotApiServer"]

# Importing them fills METHODS.
_HANDLERS_FROM = (methods_files, methods_messages, methods_payments)
_encoder = msgspec.json.Encoder()


class BotApiServer:
    """Telegram's Bot API for one bot, over real HTTP on 127.0.0.1, with simulated people.

    ```python
    async with BotApiServer(token="123:abc") as server:
        chat = server.chat(4711, first_name="Ada")
        await chat.send("/start")
        reply = await chat.wait_reply(timeout_s=5)
        await chat.press(reply, "Confirm")
    ```

    Rate limits are always on (see `RateLimits`). Needs an asyncio loop.
    """

    def __init__(
        self,
        *,
        token: str = "123456:loopback",
        port: int = 0,
        username: str = "loopback_bot",
        overall_per_s: float = 30.0,
        limits: RateLimits | None = None,
        webhook: WebhookConfig | None = None,
        log_path: Path | None = None,
        seed: int = 0,
        calls_kept: int = 10_000,
        messages_kept: int = 500,
        pending_max: int = 100_000,
    ) -> None:
        """
        :param port: 0 takes a free one.
        :param overall_per_s: short for `limits=RateLimits(overall_per_s=...)`.
        :param webhook: retry times for webhooks; its URL is not used.
        :param log_path: file for JSON lines, see `LogLine`.
        :param seed: of the faults that have a probability.
        :param calls_kept: how many of the last calls `calls` holds.
        :param messages_kept: per chat.
        :param pending_max: updates that may wait for the bot before `QueueOverflow`.
        """
        self._log = EventLog(log_path)
        self.core = BotCore(
            token=token,
            username=username,
            limits=limits or RateLimits(overall_per_s=overall_per_s),
            log=self._log,
            seed=seed,
            calls_kept=calls_kept,
            messages_kept=messages_kept,
            pending_max=pending_max,
        )
        self._delivery = Delivery(
            self.core, webhook_defaults=webhook or WebhookConfig(url=""), respond=self._respond, reply_call=self._webhook_reply
        )
        self._control = Control(self.core, self._delivery.webhook_info)
        self._http = HttpServer(self._handle, "127.0.0.1", port)
        self._prefix = f"/bot{token}/"
        self._file_prefix = f"/file/bot{token}/"
        self.port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """
        :raises OSError: the port is taken.
        """
        self.port = await self._http.start()

    async def stop(self) -> None:
        await self._control.close()
        await self._delivery.close()
        await self._http.stop()
        self._log.close()

    @property
    def token(self) -> str:
        return self.core.token

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`. python-telegram-bot wants `base_url=server.url + "/bot"`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """The last calls, oldest first."""
        return list(self.core.calls)

    @property
    def stats(self) -> Stats:
        return self.core.stats()

    @property
    def faults(self) -> FaultPlan:
        return self.core.faults

    @property
    def tracker(self) -> ReplyTracker:
        return self.core.tracker

    @property
    def charges(self) -> list[Charge]:
        return list(self.core.charges.values())

    @property
    def callback_answers(self) -> dict[str, CallbackAnswer]:
        """What the bot answered to clicks, by id of the callback query."""
        return dict(self.core.callback_answers)

    def chat(
        self,
        chat_id: int,
        *,
        first_name: str = "Person",
        kind: str = "private",
        title: str | None = None,
        username: str | None = None,
        language_code: str = "en",
    ) -> SimulatedChat:
        """The chat with this id; made on first use. A private chat's id is its person's id.

        :param kind: `private`, `group`, `supergroup` or `channel`.
        """
        return self.core.open_chat(chat_id, first_name=first_name, kind=kind, title=title, username=username, language_code=language_code)

    @property
    def bot_listens(self) -> asyncio.Event:
        """Set once the bot has polled for updates or set a webhook."""
        return self._delivery.listening

    def webhook_info(self) -> dict[str, Any]:
        """As getWebhookInfo answers."""
        return self._delivery.webhook_info()

    def messages(self, chat_id: int) -> list[Message]:
        """The messages of a chat as they look now, oldest first; none for a chat nobody opened."""
        chat = self.core.chats.get(chat_id)
        return chat.messages if chat is not None else []

    # Requests

    def _handle(self, request: Request) -> None:
        try:
            if request.path.startswith(self._prefix):
                self._call(request, request.path[len(self._prefix) :])
            elif request.path.startswith("/control/"):
                self._control.handle(request)
            elif request.path.startswith(self._file_prefix):
                self._download(request, request.path[len(self._file_prefix) :])
            elif request.path.startswith(("/bot", "/file/bot")):
                raise unauthorized()
            else:
                raise ApiError(404, "Not Found")
        except ApiError as error:
            request.respond(error.code, _encoder.encode(error.body()))
        except Exception as error:  # noqa: BLE001  a bug here must not leave the client waiting
            request.respond(500, b'{"ok":false,"error_code":500,"description":"Internal Server Error"}')
            asyncio.get_running_loop().call_exception_handler({"message": f"request {request.path} failed", "exception": error})

    def _call(self, request: Request, name: str) -> None:
        name = name.strip("/")
        lowered = name.lower()
        parameters = parse_parameters(request.query, request.content_type, request.body)
        fault = self.core.faults.draw(lowered, parameters.as_integer("chat_id"))
        if fault is not None and fault.kind == "drop_before":
            self._record(name, parameters, 0)
            request.drop()
            return
        if fault is not None and fault.kind == "error":
            self._record(name, parameters, fault.status)
            error = ApiError(fault.status, {500: "Internal Server Error", 502: "Bad Gateway"}.get(fault.status, "Service Unavailable"))
            request.respond(fault.status, _encoder.encode(error.body()))
            return
        if lowered == "getupdates":
            self._record(name, parameters, 200)
            self._get_updates(parameters, request, fault)
            return
        status, body = self._answer(lowered, parameters)
        self._record(name, parameters, status)
        self._respond(request, status, body, fault)

    def _get_updates(self, parameters: Parameters, request: Request, fault: Fault | None) -> None:
        try:
            self._delivery.get_updates(parameters, request, fault)
        except ApiError as error:
            self._respond(request, error.code, _encoder.encode(error.body()), fault)

    def _answer(self, name: str, parameters: Parameters) -> tuple[int, bytes]:
        try:
            description = b""
            if name == "setwebhook":
                result, note = self._delivery.set_webhook(parameters)
                description = b',"description":' + _encoder.encode(note)
            elif name == "deletewebhook":
                result, note = self._delivery.delete_webhook(parameters)
                description = b',"description":' + _encoder.encode(note)
            else:
                result = self._result(name, parameters)
            return 200, b'{"ok":true,"result":' + _encoder.encode(result) + description + b"}"
        except ApiError as error:
            return error.code, _encoder.encode(error.body())

    def _result(self, name: str, parameters: Parameters) -> Any:
        if name == "getwebhookinfo":
            return self._delivery.webhook_info()
        handler = METHODS.get(name)
        if handler is None:
            raise method_not_found()
        return handler(self.core, parameters)

    def _respond(self, request: Request, status: int, body: bytes, fault: Fault | None) -> None:
        if fault is None or fault.kind == "misshapen":
            request.respond(status, body)
        elif fault.kind == "drop_after":
            request.drop()
        elif fault.kind == "delay":
            asyncio.get_running_loop().call_later(fault.delay_s, request.respond, status, body)
        elif fault.kind == "malformed":
            request.respond(status, cut_short(body))

    def _record(self, name: str, parameters: Parameters, status: int) -> None:
        core = self.core
        core.counts["calls"] += 1
        core.method_counts[name] += 1
        core.status_counts[status] += 1
        core.calls.append(Call(method=name, parameters=parameters.values, status=status, time_ms=time.time_ns() // 1_000_000))

    def _webhook_reply(self, call: dict[str, Any]) -> None:
        name = str(call.pop("method", ""))
        if name.lower().startswith("get") or name.lower() in ("setwebhook", "deletewebhook"):
            return
        parameters = Parameters(call)
        status, _ = self._answer(name.lower(), parameters)
        self._record(name, parameters, status)

    def _download(self, request: Request, path: str) -> None:
        for stored in self.core.files.values():
            if stored.path == path:
                request.respond(200, stored.upload.data, content_type="application/octet-stream")
                return
        raise ApiError(404, "Not Found")
