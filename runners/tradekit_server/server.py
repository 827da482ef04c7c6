"""Listening: uvicorn inside a host that keeps its own loop and its own signal handlers."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from tradekit.domain.errors import ConfigurationError, Unavailable

STOP_WITHIN_S = 2.0
_REQUESTS_END_WITHIN_S = 1
_BACKLOG = 2048
_PORT_MAX = 65_535


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The host decides what SIGTERM means."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        try:
            await super().startup(sockets)
        except SystemExit:
            # uvicorn exits the process when the application's lifespan fails; its log has the traceback.
            raise Unavailable(what="server", reason="the application did not start, see the log") from None
        self._on_started()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on the first address of the host.

    :raises ConfigurationError: the address is in use, not allowed, or not of this machine.
    """
    if not 0 <= port <= _PORT_MAX:  # getaddrinfo takes the rest modulo 65536
        raise _explained(host, port, ValueError("there is no such port"))
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            setting="--host",
            origin="command line",
            problem=f"{host!r} is not an address: {error}",
            fix="use 127.0.0.1, or 0.0.0.0 for every interface",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _explained(host, port, error) from error
    return listener


def _explained(host: str, port: int, error: Exception) -> ConfigurationError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        problem, fix = (
            f"{host}:{port} is in use by another program",
            f"stop it, or choose another port: --port {port + 1}, or --port 0 for any free one",
        )
    elif number == errno.EACCES:
        problem, fix = f"port {port} may be opened by the administrator only", "choose a port from 1024 on: --port 8080"
    elif number == errno.EADDRNOTAVAIL:
        return ConfigurationError(
            setting="--host",
            origin="command line",
            problem=f"{host} is not an address of this machine",
            fix="use 127.0.0.1, or 0.0.0.0 for every interface",
        )
    else:
        problem, fix = f"cannot listen on {host}:{port}: {error}", "choose a port from 1024 to 65535: --port 8080"
    return ConfigurationError(setting="--port", origin="command line", problem=problem, fix=fix)


async def serve(app: ASGIApp, host: str, port: int, on_ready: Callable[[int], None]) -> None:
    """Serve until cancelled; then finish open requests and return within two seconds.

    ``on_ready`` gets the real port once requests are answered; 0 asks for any free one.

    :raises ConfigurationError: the address cannot be listened on.
    :raises Unavailable: the application did not start.
    """
    listener = listen(host, port)
    real_port: int = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        backlog=_BACKLOG,
        limit_concurrency=1000,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_REQUESTS_END_WITHIN_S,
    )
    server = _Server(config, lambda: on_ready(real_port))
    run_scope = anyio.CancelScope(shield=True)
    failures: list[Exception] = []

    async def run() -> None:
        try:
            with run_scope:
                await server.serve(sockets=[listener])
        except Unavailable as error:
            failures.append(error)
        tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            try:
                await anyio.sleep_forever()
            finally:
                server.should_exit = True
                run_scope.deadline = anyio.current_time() + STOP_WITHIN_S
    finally:
        listener.close()
    if failures:
        raise failures[0]
