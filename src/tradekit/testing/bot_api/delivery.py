"""How updates reach the bot: long polling or the webhook, never both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tradekit.testing.bot_api.core import BotCore
from tradekit.testing.bot_api.errors import ApiError, bad_request
from tradekit.testing.bot_api.faults import WEBHOOK, Fault, cut_short, misshape
from tradekit.testing.bot_api.parameters import Parameters
from tradekit.testing.bot_api.updates import PendingUpdate
from tradekit.testing.bot_api.webhook import WebhookConfig, WebhookSender
from tradekit.testing.loopback.http import Request

_LIMIT_MAX = 100
_TIMEOUT_MAX_S = 50
_SECRET_MAX = 256
_WEBHOOK_ACTIVE = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
_OTHER_POLL = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_WEBHOOK_SET = "Conflict: terminated by setWebhook request"


class _Poll(msgspec.Struct):
    offset: int
    limit: int
    request: Request
    fault: Fault | None
    timer: asyncio.TimerHandle


class Delivery:
    """Hands pending updates out to whoever asks, or posts them."""

    def __init__(
        self,
        core: BotCore,
        *,
        webhook_defaults: WebhookConfig,
        respond: Callable[[Request, int, bytes, Fault | None], None],
        reply_call: Callable[[dict[str, Any]], None],
    ) -> None:
        """
        :param webhook_defaults: retry times and the like; the call's own values replace URL, secret and number of connections.
        :param reply_call: handles a method call that the bot put into its answer to a post.
        """
        self._core = core
        self._defaults = webhook_defaults
        self._respond = respond
        self._reply_call = reply_call
        self._poll: _Poll | None = None
        self._wake: asyncio.Handle | None = None
        self._sender: WebhookSender | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.config: WebhookConfig | None = None
        self.listening = asyncio.Event()
        """Set once the bot has polled or set a webhook."""
        self._last_error: tuple[int, str] | None = None
        core.on_pending = self._on_pending

    async def close(self) -> None:
        if self._poll is not None:
            self._poll.timer.cancel()
            self._poll = None
        if self._sender is not None:
            await self._sender.close()
            self._sender = None
        await asyncio.gather(*self._closing, return_exceptions=True)

    # Polling

    def get_updates(self, parameters: Parameters, request: Request, fault: Fault | None) -> None:
        """Answer at once if updates wait, else when one comes or the time is up.

        :raises ApiError: a webhook is set.
        """
        if self.config is not None:
            raise ApiError(409, _WEBHOOK_ACTIVE)
        self.listening.set()
        offset = parameters.integer("offset", 0)
        limit = parameters.integer("limit", _LIMIT_MAX, 1, _LIMIT_MAX)
        timeout_s = parameters.integer("timeout", 0, 0, _TIMEOUT_MAX_S)
        self._core.updates.set_allowed(parameters.json("allowed_updates", "allowed_updates"))
        self._end_poll(_OTHER_POLL)
        batch = self._core.updates.read(offset, limit)
        if batch or timeout_s == 0:
            self._hand_out(request, batch, fault)
            return
        timer = asyncio.get_running_loop().call_later(timeout_s, self._answer_poll)
        self._poll = _Poll(max(offset, 0), limit, request, fault, timer)
        request.on_closed = self._forget_poll

    def _on_pending(self, pending: PendingUpdate) -> None:
        if self._sender is not None:
            self._sender.offer(pending)
        elif self._poll is not None and self._wake is None:
            # In the next round of the loop: what comes in this one goes out in the same answer.
            self._wake = asyncio.get_running_loop().call_soon(self._answer_poll)

    def _answer_poll(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.timer.cancel()
            self._hand_out(poll.request, self._core.updates.read(poll.offset, poll.limit), poll.fault)

    def _end_poll(self, reason: str) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.timer.cancel()
            self._respond(poll.request, 409, msgspec.json.encode(ApiError(409, reason).body()), None)

    def _forget_poll(self) -> None:
        if self._poll is not None:
            self._poll.timer.cancel()
            self._poll = None

    def _hand_out(self, request: Request, batch: list[PendingUpdate], fault: Fault | None) -> None:
        for pending in batch:
            self._core.hand_out(pending, "getUpdates")
        bodies = [pending.body for pending in batch]
        if fault is not None and fault.kind == "misshapen" and bodies:
            bodies[0] = misshape(bodies[0])
        self._respond(request, 200, b'{"ok":true,"result":[' + b",".join(bodies) + b"]}", fault)

    # Webhook

    def set_webhook(self, parameters: Parameters) -> tuple[bool, str]:
        """The result and the description that goes with it.

        :raises ApiError: the URL or the secret is not acceptable.
        """
        url = parameters.text("url")
        if not url:
            return self.delete_webhook(parameters)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise bad_request("invalid webhook URL specified")
        secret = parameters.text("secret_token")
        if len(secret) > _SECRET_MAX:
            raise bad_request("secret token is too long")
        if not all(character.isascii() and (character.isalnum() or character in "-_") for character in secret):
            raise bad_request("secret token contains unallowed characters")
        self._core.updates.set_allowed(parameters.json("allowed_updates", "allowed_updates"))
        if parameters.flag("drop_pending_updates"):
            self._core.updates.clear()
        certificate = parameters.files.get("certificate")
        config = msgspec.structs.replace(
            self._defaults,
            url=url,
            secret_token=secret,
            max_connections=parameters.integer("max_connections", 40, 1, 100),
            certificate=certificate.data.decode("ascii", "replace") if certificate is not None else None,
        )
        if config == self.config and not parameters.flag("drop_pending_updates"):
            return True, "Webhook is already set"
        self._end_poll(_WEBHOOK_SET)
        self._start_sender(config)
        return True, "Webhook was set"

    def delete_webhook(self, parameters: Parameters) -> tuple[bool, str]:
        if parameters.flag("drop_pending_updates"):
            self._core.updates.clear()
        if self.config is None:
            return True, "Webhook is already deleted"
        self._stop_sender()
        self.config = None
        return True, "Webhook was deleted"

    def webhook_info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "url": self.config.url if self.config is not None else "",
            "has_custom_certificate": self.config is not None and self.config.certificate is not None,
            "pending_update_count": len(self._core.updates),
        }
        if self.config is not None:
            info["max_connections"] = self.config.max_connections
            info["ip_address"] = "127.0.0.1"
        if self._last_error is not None:
            info["last_error_date"], info["last_error_message"] = self._last_error
        if self._core.updates.allowed_updates is not None:
            info["allowed_updates"] = self._core.updates.allowed_updates
        return info

    def _start_sender(self, config: WebhookConfig) -> None:
        self._stop_sender()
        self.listening.set()
        self.config = config
        self._last_error = None
        self._sender = WebhookSender(config, before_post=self._before_post, on_delivered=self._on_delivered, on_error=self._on_error)
        for pending in self._core.updates:
            self._sender.offer(pending)

    def _stop_sender(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            closing = asyncio.get_running_loop().create_task(sender.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _before_post(self, pending: PendingUpdate) -> bytes:
        self._core.hand_out(pending, WEBHOOK)
        fault = self._core.faults.draw(WEBHOOK, pending.chat_id)
        if fault is not None and fault.kind == "malformed":
            return cut_short(pending.body)
        if fault is not None and fault.kind == "misshapen":
            return misshape(pending.body)
        return pending.body

    def _on_delivered(self, pending: PendingUpdate, body: bytes) -> None:
        self._core.updates.acknowledge(pending.update_id)
        if body.startswith(b"{") and b'"method"' in body:
            try:
                call = msgspec.json.decode(body)
            except msgspec.DecodeError:
                return
            self._reply_call(call)

    def _on_error(self, message: str) -> None:
        self._last_error = (int(time.time()), message)
