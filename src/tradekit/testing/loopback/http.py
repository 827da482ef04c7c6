"""A small HTTP/1.1 server on asyncio that also speaks websocket: one callable per request, answered now or later, and one per upgrade.

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

from tradekit.testing.loopback.websocket import WebSocket, accept_key

BODY_BYTES_MAX = 64 * 1024 * 1024
_PIPELINED_MAX = 32
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    418: "I'm a teapot",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


Headers = tuple[tuple[str, str], ...]


class Request:
    """One request and the way to answer it. Exactly one of `respond` and `drop` takes effect; later ones do nothing."""

    __slots__ = ("_connection", "body", "closed", "headers", "keep_alive", "on_closed", "path", "peer", "query", "verb")

    def __init__(self, connection: Connection, verb: str, target: bytes, headers: dict[str, str], body: bytes, keep_alive: bool) -> None:
        self._connection = connection
        path, _, query = target.decode("latin-1").partition("?")
        self.verb = verb
        self.path = unquote(path) if "%" in path else path
        self.query = query
        self.headers = headers
        """Names in lower case."""
        self.body = body
        self.keep_alive = keep_alive
        self.closed = False
        self.on_closed: Callable[[], None] | None = None
        """Called if the peer hangs up before the answer."""
        self.peer = connection.peer

    @property
    def content_type(self) -> str:
        """As the peer says, or empty."""
        return self.headers.get("content-type", "")

    def respond(self, status: int, body: bytes, headers: Headers = (), *, content_type: str = "application/json;charset=UTF-8") -> None:
        if self.closed:
            return
        self.closed = True
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            f"connection: {'keep-alive' if self.keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        self._connection.answered(self, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def drop(self) -> None:
        """Close the connection at once, without an answer."""
        if not self.closed:
            self.closed = True
            self._connection.abort()

    def peer_hung_up(self) -> None:
        """No answer can be given any more."""
        if not self.closed:
            self.closed = True
            if self.on_closed is not None:
                self.on_closed()


Handle = Callable[[Request], None]
Upgrade = Callable[[Request, WebSocket], bool]
"""Takes over the socket and sets its callbacks; False refuses the path."""


def no_websocket(request: Request, socket: WebSocket) -> bool:
    """For servers that speak HTTP only."""
    return False


class Connection(asyncio.Protocol):
    """Parses requests and hands them on one at a time, in the order in which they came, until one asks for a websocket."""

    def __init__(self, handle: Handle, upgrade: Upgrade, connections: set[Connection]) -> None:
        self._handle = handle
        self._upgrade = upgrade
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._paused = False
        self._socket: WebSocket | None = None
        self._upgrading: Request | None = None
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = str(transport.get_extra_info("peername")[0])
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._waiting.clear()
        if self._current is not None:
            self._current.peer_hung_up()
            self._current = None
        if self._socket is not None:
            self._socket.lost()

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._begin_socket(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400)

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = {}
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        self._headers[lowered.decode("latin-1")] = value.decode("latin-1")
        if lowered == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._body) <= BODY_BYTES_MAX:
            self._body += body

    def on_message_complete(self) -> None:
        request = Request(
            self,
            self._parser.get_method().decode("latin-1"),
            self._target,
            self._headers,
            bytes(self._body),
            self._parser.should_keep_alive(),
        )
        if self._headers.get("upgrade", "").lower() == "websocket":
            self._upgrading = request
            return
        if len(self._body) > BODY_BYTES_MAX:
            self._refuse(413)
            return
        self._waiting.append(request)
        if len(self._waiting) > _PIPELINED_MAX and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self._current is None:
            self._next()

    def _begin_socket(self, rest: bytes) -> None:
        request, transport = self._upgrading, self._transport
        if request is None or transport is None or "sec-websocket-key" not in request.headers:
            self._refuse(400)
            return
        socket = WebSocket(transport)
        accepted = accept_key(request.headers["sec-websocket-key"])
        answer = (
            f"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accepted}\r\n\r\n"
        )
        transport.write(answer.encode("latin-1"))
        self._socket = socket
        if not self._upgrade(request, socket):
            self.abort()
            return
        if rest:
            socket.feed(rest)

    def _refuse(self, status: int) -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self._transport.write(head.encode("latin-1"))
            self._transport.close()

    def _next(self) -> None:
        while self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            self._handle(self._current)
        if self._paused and not self._waiting and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def answered(self, request: Request, payload: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(payload)
        if not request.keep_alive:
            self._transport.close()
            return
        if request is self._current:
            self._current = None
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._next)

    def abort(self) -> None:
        if self._transport is not None:
            self._current = None
            self._transport.abort()


class HttpServer:
    """Listens on one address."""

    def __init__(self, handle: Handle, host: str, port: int, *, upgrade: Upgrade = no_websocket) -> None:
        self._handle, self._upgrade = handle, upgrade
        self._host, self._port = host, port
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen and return the port, which is a free one if 0 was asked for.

        :raises OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._upgrade, self._connections), self._host, self._port, backlog=1024
        )
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
