"""Posts updates to the bot's webhook, as Telegram does.

Up to `max_connections` posts are under way at once. Updates of one queue (see `PendingUpdate.queue`) go out in order; a post that is not
answered with 2xx is repeated after 1 s, then 2, 4, ... up to a minute, or after the answer's Retry-After, and holds up its queue only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools
import msgspec

from tradekit.testing.bot_api.updates import PendingUpdate


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    secret_token: str = ""
    max_connections: int = 40
    outstanding_per_queue: int = 1
    """Posts of one queue under way at once; Telegram's is 1."""
    retry_first_s: float = 1.0
    retry_max_s: float = 60.0
    reconnect_s: float = 0.25
    """How long to wait after a connection was refused."""
    response_timeout_s: float = 60.0
    certificate: str | None = None
    """PEM of the bot's self-signed certificate."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    retry_after_s: float
    body: bytes


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._retry_after_s = 0.0
        self._body = bytearray()
        self.reusable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.reusable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError("Webhook connection closed"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_begin(self) -> None:
        self._retry_after_s = 0.0
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            with contextlib.suppress(ValueError):
                self._retry_after_s = min(3600.0, max(0.0, float(value)))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Response(status=status, retry_after_s=self._retry_after_s, body=bytes(self._body)))

    def post(self, head_and_body: bytes) -> asyncio.Future[Response]:
        self._waiter = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._transport.write(head_and_body)
        return self._waiter

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.close()


class _Queue:
    __slots__ = ("in_flight", "resume_at_s", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[PendingUpdate] = deque()
        self.in_flight = 0
        self.resume_at_s = 0.0


class WebhookSender:
    """Delivers what is offered to one webhook until it is closed."""

    def __init__(
        self,
        config: WebhookConfig,
        *,
        before_post: Callable[[PendingUpdate], bytes],
        on_delivered: Callable[[PendingUpdate, bytes], None],
        on_error: Callable[[str], None],
    ) -> None:
        """
        :param before_post: called right before a post; returns the body to send.
        :param on_delivered: the update was answered with 2xx and this body.
        """
        self._config = config
        self._before_post = before_post
        self._on_delivered = on_delivered
        self._on_error = on_error
        self._queues: dict[tuple[bool, int], _Queue] = {}
        self._ready: deque[tuple[bool, int]] = deque()
        self._idle: list[_Connection] = []
        self._posts: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = False
        parts = urlsplit(config.url)
        self._host = parts.hostname or ""
        self._tls = self._tls_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls is not None else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        secret = f"X-Telegram-Bot-Api-Secret-Token: {config.secret_token}\r\n" if config.secret_token else ""
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n{secret}Content-Type: application/json\r\n"
            "Connection: keep-alive\r\nContent-Length: "
        ).encode()

    def offer(self, pending: PendingUpdate) -> None:
        """Post the update when its turn comes."""
        queue = self._queues.get(pending.queue)
        if queue is None:
            queue = self._queues[pending.queue] = _Queue()
        queue.waiting.append(pending)
        self._ready.append(pending.queue)
        self._pump()

    async def close(self) -> None:
        """Stop; what is under way is cut off and stays unacknowledged."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        posts = list(self._posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        for connection in self._idle:
            connection.close()

    def _pump(self) -> None:
        while self._ready and len(self._posts) < self._config.max_connections and not self._closed:
            key = self._ready.popleft()
            queue = self._queues.get(key)
            if queue is None or not queue.waiting or queue.in_flight >= self._config.outstanding_per_queue:
                continue
            if queue.resume_at_s > asyncio.get_running_loop().time():
                continue
            queue.in_flight += 1
            post = asyncio.get_running_loop().create_task(self._deliver(key, queue, queue.waiting.popleft()))
            self._posts.add(post)
            post.add_done_callback(self._posted)

    def _posted(self, post: asyncio.Task[None]) -> None:
        self._posts.discard(post)
        if not post.cancelled() and post.exception() is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "webhook post failed", "exception": post.exception()})
        self._pump()

    async def _deliver(self, key: tuple[bool, int], queue: _Queue, pending: PendingUpdate) -> None:
        try:
            connection = self._idle_connection() or await self._connect()
        except OSError as error:
            self._on_error(f"Connection failed: {error.strerror or error}")
            self._again(key, queue, pending, self._config.reconnect_s)
            return
        response = await self._post(connection, pending)
        if response is not None and 200 <= response.status <= 299:
            queue.in_flight -= 1
            if queue.waiting:
                self._ready.append(key)
            elif not queue.in_flight:
                self._queues.pop(key, None)
            self._on_delivered(pending, response.body)
            return
        pending.fails += 1
        backoff_s = min(self._config.retry_max_s, self._config.retry_first_s * 2 ** (pending.fails - 1))
        self._again(key, queue, pending, (response.retry_after_s if response is not None else 0.0) or backoff_s)

    async def _post(self, connection: _Connection, pending: PendingUpdate) -> Response | None:
        body = self._before_post(pending)
        try:
            async with asyncio.timeout(self._config.response_timeout_s):
                response = await connection.post(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        except (OSError, TimeoutError) as error:
            connection.close()
            self._on_error("Read timeout expired" if isinstance(error, TimeoutError) else str(error))
            return None
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        if not 200 <= response.status <= 299:
            self._on_error(f"Wrong response from the webhook: {response.status}")
        return response

    def _again(self, key: tuple[bool, int], queue: _Queue, pending: PendingUpdate, delay_s: float) -> None:
        queue.in_flight -= 1
        # Back in its place: with several outstanding, a later one may have failed before it.
        place = next((index for index, other in enumerate(queue.waiting) if other.update_id > pending.update_id), len(queue.waiting))
        queue.waiting.insert(place, pending)
        loop = asyncio.get_running_loop()
        queue.resume_at_s = loop.time() + delay_s
        self._timers = {timer for timer in self._timers if not timer.cancelled() and timer.when() > loop.time()}
        self._timers.add(loop.call_later(delay_s, self._resume, key))

    def _resume(self, key: tuple[bool, int]) -> None:
        queue = self._queues.get(key)
        if queue is not None:
            queue.resume_at_s = 0.0
            self._ready.extend([key] * max(1, min(len(queue.waiting), self._config.outstanding_per_queue)))
        self._pump()

    def _idle_connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(self._config.response_timeout_s):
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port, ssl=self._tls)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._config.certificate)
