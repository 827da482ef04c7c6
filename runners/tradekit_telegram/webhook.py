"""The address that Telegram posts updates to: an ASGI application of one path.

setWebhook: https://core.telegram.org/bots/api#setwebhook
"""

import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio

from tradekit.domain.errors import ConfigurationError, Temporary
from tradekit_telegram.answers import Answers
from tradekit_telegram.inbound import Accept
from tradekit_telegram.status import Status
from tradekit_telegram.update import UPDATE_BYTES_MAX, UpdateReader

DEFAULT_PATH = "/telegram/webhook"
_log = logging.getLogger(__name__)
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SECRET_HEADER = b"x-telegram-bot-api-secret-token"
_BODY_DEADLINE_S = 10.0
_DISCARDED_BYTES_MAX = 1_048_576

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class WebhookAddress:
    """Where Telegram posts to, checked.

    :raises ConfigurationError: the address or the secret cannot be used.
    """

    def __init__(self, url: str, secret: str, origin: str = "environment") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                setting="TRADEKIT_TELEGRAM_WEBHOOK_URL",
                origin=origin,
                problem=f"{url!r} is not an http or https address",
                fix="use the public https address that leads to this service, or remove the setting to poll",
            )
        if not _SECRET.fullmatch(secret):
            raise ConfigurationError(
                setting="TRADEKIT_TELEGRAM_WEBHOOK_SECRET",
                origin=origin,
                problem="it has characters or a length that Telegram does not take",
                fix="use 1 to 256 of A-Z, a-z, 0-9, _ and -, or remove the setting to have one derived from the token",
            )
        self.path = parts.path if parts.path not in ("", "/") else DEFAULT_PATH
        self.url = parts._replace(path=self.path).geturl()
        self.secret = secret


class Webhook:
    """Answers 200 once the update is durable, 503 while it cannot be; Telegram then posts it again."""

    def __init__(
        self,
        address: WebhookAddress,
        reader: UpdateReader,
        accept: Accept,
        answers: Answers,
        status: Status,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.address = address
        self._secret = address.secret.encode()
        self._reader = reader
        self._accept = accept
        self._answers = answers
        self._status = status
        self._now_ms = now_ms

    @property
    def path(self) -> str:
        """Where to mount it."""
        return self.address.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            raise ValueError(f"the webhook serves http, not {scope['type']}")
        if scope["method"] != "POST":
            await _answer(send, 405, (b"allow", b"POST"))
        elif not self._is_from_telegram(scope):
            await _answer(send, 401)
        else:
            await self._take(receive, send)

    def _is_from_telegram(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == _SECRET_HEADER), b"")
        return hmac.compare_digest(given, self._secret)

    async def _take(self, receive: Receive, send: Send) -> None:
        try:
            with anyio.fail_after(_BODY_DEADLINE_S):
                body = await _read(receive)
        except TimeoutError:
            await _answer(send, 408)
            return
        if body is None:
            await _answer(send, 413)
            return
        decoded = self._reader.read(body, self._now_ms())
        try:
            await self._accept([decoded.inbound])
        except Temporary as error:
            self._status.degraded("inbox", f"updates wait at Telegram: {error}")
            _log.warning("an update is not accepted yet: %s", error)
            await _answer(send, 503, (b"retry-after", b"1"))
            return
        self._status.well("inbox")
        self._answers.offer(decoded.answer)
        await _answer(send, 200)


async def _read(receive: Receive) -> bytes | None:
    """The body; cut off after what shows that it is too long; None if it does not end or its sender is gone.

    An update over the limit must still be recorded and answered with 200: Telegram would post it for ever, and nothing behind it.
    """
    kept = bytearray()
    seen = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        chunk = event.get("body", b"")
        seen += len(chunk)
        if seen > _DISCARDED_BYTES_MAX:
            return None
        kept += chunk[: max(0, UPDATE_BYTES_MAX + 1 - len(kept))]
        if not event.get("more_body", False):
            return bytes(kept)


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *headers]})
    await send({"type": "http.response.body", "body": b""})
