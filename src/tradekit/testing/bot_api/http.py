"""A small HTTP/1.1 server on asyncio: one callable per request, answered now or later.

It costs a few tens of microseconds per request, so that it does not distort what is measured beside it, and lets a fault close the
connection at an exact point.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

import httptools

_BODY_BYTES_MAX = 64 * 1024 * 1024
_PIPELINED_MAX = 32
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Exchange:
    """One request and the way to answer it. Exactly one of `respond` and `drop` takes effect; later ones do nothing."""

    __slots__ = ("_connection", "body", "closed", "content_type", "keep_alive", "on_closed", "path", "query", "verb")

    def __init__(self, connection: Connection, verb: str, target: bytes, content_type: str, body: bytes, keep_alive: bool) -> None:
        self._connection = connection
        path, _, query = target.decode("latin-1").partition("?")
        self.verb = verb
        self.path = unquote(path) if "%" in path else path
        self.query = query
        self.content_type = content_type
        self.body = body
        self.keep_alive = keep_alive
        self.closed = False
        self.on_closed: Callable[[], None] | None = None
        """Called if the peer hangs up before the answer."""

    def respond(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        if self.closed:
            return
        self.closed = True
        connection = "keep-alive" if self.keep_alive else "close"
        head = (
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\ncontent-type: {content_type}\r\n"
            f"content-length: {len(body)}\r\nconnection: {connection}\r\n\r\n"
        )
        self._connection.answered(self, head.encode("latin-1") + body)

    def drop(self) -> None:
        """Close the connection at once, without an answer."""
        if not self.closed:
            self.closed = True
            self._connection.abort()

    def peer_hung_up(self) -> None:
        if not self.closed:
            self.closed = True
            if self.on_closed is not None:
                self.on_closed()


class Connection(asyncio.Protocol):
    """Parses requests and hands them on one at a time, in the order in which they came."""

    def __init__(self, handle: Callable[[Exchange], None], connections: set[Connection]) -> None:
        self._handle = handle
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._target = b""
        self._content_type = ""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._waiting.clear()
        if self._current is not None:
            self._current.peer_hung_up()
            self._current = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.abort()
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self._transport.close()

    def on_message_begin(self) -> None:
        self._target = b""
        self._content_type = ""
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"content-type":
            self._content_type = value.decode("latin-1")
        elif lowered == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= _BODY_BYTES_MAX:
            self._body.append(body)

    def on_message_complete(self) -> None:
        exchange = Exchange(
            self,
            self._parser.get_method().decode("latin-1"),
            self._target,
            self._content_type,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        if self._body_bytes > _BODY_BYTES_MAX:
            exchange.keep_alive = False
            self._current = exchange
            exchange.respond(413, b'{"ok":false,"error_code":413,"description":"Request Entity Too Large"}')
            return
        self._waiting.append(exchange)
        if len(self._waiting) > _PIPELINED_MAX and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self._current is None:
            self._next()

    def _next(self) -> None:
        while self._current is None and self._waiting:
            exchange = self._waiting.popleft()
            self._current = exchange
            self._handle(exchange)
        if self._paused and not self._waiting and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange, payload: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(payload)
        if not exchange.keep_alive:
            self._transport.close()
            return
        if exchange is self._current:
            self._current = None
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._next)

    def abort(self) -> None:
        if self._transport is not None:
            self._current = None
            self._transport.abort()


class HttpServer:
    """Listens on one address and calls `handle` for each request."""

    def __init__(self, handle: Callable[[Exchange], None], host: str, port: int) -> None:
        self._handle = handle
        self._host = host
        self._port = port
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen and return the port, which is a free one if 0 was asked for.

        :raises OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self._handle, self._connections), self._host, self._port, backlog=1024)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self._port

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)
        await self._server.wait_closed()
        self._server = None
