"""What every request passes: a bound on its body, and headers that keep a browser from being used against the page."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradekit_server.errors import problem
from tradekit_server.headers import NO_STORE, SECURITY_HEADERS

_ALWAYS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_NO_STORE = (b"cache-control", NO_STORE.encode())


class SecurityHeaders:
    """Adds the headers to every response that does not set them itself; answers that set no caching of their own are not stored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                headers = [*message["headers"], *(header for header in _ALWAYS if header[0] not in own)]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _TooLarge(Exception):
    pass


class BodyLimit:
    """Answers 413 to a body over the bound, whether it is announced or streamed."""

    def __init__(self, app: ASGIApp, *, bytes_max: int, bytes_max_by_path: Mapping[str, int]) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._by_path = dict(bytes_max_by_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        bytes_max = self._by_path.get(scope["path"], self._bytes_max)
        if announced_length(scope) > bytes_max:
            await self._refuse(bytes_max)(scope, receive, send)
            return
        received, started = 0, False

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > bytes_max:
                raise _TooLarge
            return message

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive_counted, send_noted)
        except _TooLarge:
            if started:
                raise
            await self._refuse(bytes_max)(scope, receive, send)

    @staticmethod
    def _refuse(bytes_max: int) -> Response:
        response = problem(413, "BODY_TOO_LARGE", f"The body of a request may have {bytes_max} bytes at most.")
        response.headers["connection"] = "close"
        return response


def announced_length(scope: Scope) -> int:
    """The request's Content-Length; 0 when there is none or it is no number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0
