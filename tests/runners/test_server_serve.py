"""Listening, and stopping."""

import signal
import socket
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.runners.server_service import FakeService
from tradekit.domain.errors import ConfigurationError, Unavailable
from tradekit_server import create_app, serve
from tradekit_server.server import STOP_WITHIN_S, listen

pytestmark = pytest.mark.anyio


async def started(tasks: TaskGroup, app: Starlette) -> int:
    send, receive = anyio.create_memory_object_stream[int](1)
    tasks.start_soon(serve, app, "127.0.0.1", 0, send.send_nowait)
    with anyio.fail_after(10), send, receive:
        return await receive.receive()


async def test_port_0_tells_the_real_port_and_it_answers() -> None:
    async with anyio.create_task_group() as tasks:
        port = await started(tasks, create_app(FakeService()))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.get("/health")
            assert (answer.status_code, answer.json()["overall_status"]) == (200, "healthy")
            assert "server" not in answer.headers
        tasks.cancel_scope.cancel()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_signal_handlers_stay_the_hosts() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with anyio.create_task_group() as tasks:
        await started(tasks, create_app(FakeService()))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        tasks.cancel_scope.cancel()


async def test_port_in_use_names_the_option_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            await serve(create_app(FakeService()), "127.0.0.1", port, lambda _port: None)
    assert caught.value.setting == "--port"
    assert f"127.0.0.1:{port} is in use" in caught.value.problem
    assert "--port 0" in caught.value.fix


@pytest.mark.parametrize(
    ("host", "port", "setting"), [("203.0.113.7", 0, "--host"), ("x" * 64, 0, "--host"), ("127.0.0.1", 70_000, "--port")]
)
def test_address_that_cannot_be_is_a_configuration_error(host: str, port: int, setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen(host, port)
    assert caught.value.setting == setting


async def test_application_that_does_not_start_is_an_error_and_not_an_exit() -> None:
    service = FakeService()
    service.market = None  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await serve(create_app(service), "127.0.0.1", 0, lambda _port: None)


async def test_open_request_is_finished_before_stopping() -> None:
    asked, answer_now = anyio.Event(), anyio.Event()

    async def slow(_request: Request) -> Response:
        asked.set()
        await answer_now.wait()
        return Response("done")

    texts: list[str] = []

    async def ask(port: int) -> None:
        async with httpx.AsyncClient() as client:
            texts.append((await client.get(f"http://127.0.0.1:{port}/")).text)

    async with anyio.create_task_group() as asking, anyio.create_task_group() as serving:
        port = await started(serving, Starlette(routes=[Route("/", slow)]))
        asking.start_soon(ask, port)
        await asked.wait()
        serving.cancel_scope.cancel()
        answer_now.set()
    assert texts == ["done"]


async def test_request_that_never_ends_does_not_keep_the_server() -> None:
    asked = anyio.Event()

    async def endless(_request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            asked.set()
            while True:
                yield b"x"
                await anyio.sleep(0.05)

        return StreamingResponse(body())

    async def ask(port: int) -> None:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://127.0.0.1:{port}/")

    async with anyio.create_task_group() as asking:
        # The deadline is what the promise allows on an idle machine, three times over.
        with anyio.fail_after(3 * STOP_WITHIN_S + 5):
            async with anyio.create_task_group() as serving:
                port = await started(serving, Starlette(routes=[Route("/", endless)]))
                asking.start_soon(ask, port)
                await asked.wait()
                serving.cancel_scope.cancel()
