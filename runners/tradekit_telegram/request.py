"""HTTP for python-telegram-bot: through aiohttp when it is installed, which costs a quarter of httpx's CPU time."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
from telegram.error import NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest, HTTPXRequest, RequestData
from telegram.request._requestparameter import RequestParameter

from tradekit_telegram.errors import flood_wait, redacted

if TYPE_CHECKING:
    import aiohttp

_TOO_MANY_REQUESTS = 429
_KEEPALIVE_S = 30.0
_MEDIA_WRITE_TIMEOUT_S = 20.0


def parse_answer(payload: bytes) -> dict[str, Any]:
    """An answer of the Bot API.

    :raises TelegramError: it is no JSON object with a result or a description.
    """
    try:
        answer = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TelegramError("the server's answer is not a JSON object") from error
    if "result" not in answer and "description" not in answer:
        raise TelegramError("the server's answer holds no result")
    return answer


def json_values(values: Mapping[str, Any]) -> RequestData:
    """Parameters of a call that are JSON values already. PTB's way there through ``Bot``, and back into objects, costs as much again as
    the request itself.
    """
    return RequestData([RequestParameter(name, value, None) for name, value in values.items()])


class AiohttpRequest(BaseRequest):
    """A ``BaseRequest`` over one aiohttp session, which keeps its connections open.

    Seconds for time-outs; None waits for ever. Raises ``FloodWait`` for a 429 and ``NetworkError`` or ``TimedOut`` where no answer came.
    """

    __slots__ = ("_connect_timeout", "_connections", "_pool_timeout", "_proxies", "_proxy", "_read_timeout", "_session", "_write_timeout")

    def __init__(
        self,
        *,
        connections: int = 256,
        read_timeout_s: float | None = 10.0,
        write_timeout_s: float | None = 5.0,
        connect_timeout_s: float | None = 5.0,
        pool_timeout_s: float | None = 5.0,
        proxy: str | None = None,
    ) -> None:
        """
        :param connections: open at once at most.
        :param proxy: by default the environment's, as for other clients.
        :raises ImportError: aiohttp is not installed.
        """
        importlib.import_module("aiohttp")
        self._connections = connections
        self._read_timeout = read_timeout_s
        self._write_timeout = write_timeout_s
        self._connect_timeout = connect_timeout_s
        self._pool_timeout = pool_timeout_s
        self._proxy = proxy
        self._proxies: dict[tuple[str, str], str | None] = {}
        self._session: aiohttp.ClientSession | None = None

    parse_json_payload = staticmethod(parse_answer)

    @property
    def read_timeout(self) -> float | None:
        """Seconds to wait for an answer unless a call says otherwise."""
        return self._read_timeout

    async def initialize(self) -> None:
        """Open the session; without effect if it is open."""
        import aiohttp

        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=300)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": self.USER_AGENT}
            )

    async def shutdown(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """One request: the status and the body of the answer."""
        import aiohttp

        if self._session is None or self._session.closed:
            raise RuntimeError("the request is not initialized")
        files = request_data.multipart_data if request_data is not None and request_data.contains_files else None
        write_default = self._write_timeout if files is None else _MEDIA_WRITE_TIMEOUT_S
        timeout = _timeout(
            read=_given(read_timeout, self._read_timeout),
            write=_given(write_timeout, write_default),
            connect=_given(connect_timeout, self._connect_timeout),
            pool=_given(pool_timeout, self._pool_timeout),
        )
        data, headers = _body(request_data, files)
        proxy = self._proxy or self._environment_proxy(url)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=timeout, proxy=proxy, allow_redirects=False
            ) as response:
                status, payload = response.status, await response.read()
        except TimeoutError as error:
            raise TimedOut(f"no answer in time ({type(error).__name__})") from None
        except (aiohttp.ClientError, OSError) as error:
            # The cause may name the address, and with it the token.
            raise NetworkError(f"{type(error).__name__}: {redacted(error)}") from None
        if status == _TOO_MANY_REQUESTS:
            raise flood_wait(payload)
        return status, payload

    def _environment_proxy(self, url: str) -> str | None:
        # Reading the environment costs as much as the rest of a request, so each host is looked up once.
        scheme, _, rest = url.partition("://")
        place = (scheme, rest.partition("/")[0])
        if place not in self._proxies:
            self._proxies[place] = _environment_proxy(url)
        return self._proxies[place]


class HttpxRequest(HTTPXRequest):
    """PTB's own client, with ``FloodWait`` for a 429."""

    parse_json_payload = staticmethod(parse_answer)

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """One request: the status and the body of the answer."""
        status, payload = await super().do_request(*args, **kwargs)
        if status == _TOO_MANY_REQUESTS:
            raise flood_wait(payload)
        return status, payload


def default_request(*, connections: int, read_timeout_s: float = 10.0) -> BaseRequest:
    """Aiohttp's if it is installed (extra ``fast``), else httpx's."""
    if importlib.util.find_spec("aiohttp") is not None:
        return AiohttpRequest(connections=connections, read_timeout_s=read_timeout_s)
    return HttpxRequest(connection_pool_size=connections, read_timeout=read_timeout_s, pool_timeout=5.0)


def _given(value: Any, default: float | None) -> float | None:
    return default if value is BaseRequest.DEFAULT_NONE else value


def _timeout(*, read: float | None, write: float | None, connect: float | None, pool: float | None) -> "aiohttp.ClientTimeout":
    import aiohttp

    parts = (read, write, connect, pool)
    total = sum(part for part in parts if part is not None) if None not in parts else None
    to_connected = connect + pool if connect is not None and pool is not None else None
    return aiohttp.ClientTimeout(total=total, connect=to_connected, sock_connect=connect, sock_read=read)


def _body(data: RequestData | None, files: Mapping[str, Any] | None) -> tuple[Any, dict[str, str] | None]:
    if data is None:
        return None, None
    if files is None:
        return msgspec.json.encode(data.parameters), {"Content-Type": "application/json"}
    import aiohttp

    form = aiohttp.FormData()
    for name, value in data.json_parameters.items():
        form.add_field(name, value)
    for name, (filename, content, content_type) in files.items():
        form.add_field(name, content, filename=filename, content_type=content_type)
    return form, None


def _environment_proxy(url: str) -> str | None:
    proxies = getproxies()
    parts = urlsplit(url)
    if not proxies or parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
