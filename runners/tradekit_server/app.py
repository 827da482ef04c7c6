"""The ASGI application."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tradekit.domain.errors import BadInput, TradekitError
from tradekit_server.documents import alerts_document, encode, overview_document, since_yesterday, stats_document
from tradekit_server.errors import ErrorHandlers
from tradekit_server.keys import KeyEntry, KeyForm
from tradekit_server.middleware import BodyLimit, SecurityHeaders
from tradekit_server.probes import HealthProbe, LiveProbe, ReadyProbe
from tradekit_server.prometheus import CONTENT_TYPE, Exposition
from tradekit_server.recorder import ANSWER_WITHIN_S, Recorder, number
from tradekit_server.service import Service
from tradekit_server.site import Site, static_files, templates

BODY_BYTES_MAX = 65_536
MOUNT_BODY_BYTES_MAX = 1_048_576
"""A Telegram update that quotes another message, both with escaped text and a hundred entities, is larger than 64 KiB."""
LIMIT_MAX = 200


class Endpoints:
    """The JSON endpoints: parse, call, render."""

    def __init__(self, service: Service, recorder: Recorder) -> None:
        self._service = service
        self._recorder = recorder
        self._exposition = Exposition(service, recorder)

    async def stats(self, _request: Request) -> Response:
        return json_response(stats_document(self._service))

    async def overview(self, _request: Request) -> Response:
        now_ms = self._service.now_ms()
        with anyio.fail_after(ANSWER_WITHIN_S):
            counts = await self._service.overview(since_yesterday(now_ms))
        active = number(self._service.stats(), "users", "active")
        return json_response(overview_document(counts, now_ms, None if active is None else int(active)))

    async def alerts(self, request: Request) -> Response:
        limit, open_only = limit_of(request), flag_of(request, "open")
        with anyio.fail_after(ANSWER_WITHIN_S):
            alerts = await self._service.alerts(limit, open_only)
        return json_response(alerts_document(alerts, self._recorder.open_alerts, self._service.now_ms()))

    async def metrics(self, _request: Request) -> Response:
        return Response(self._exposition.text(), headers={"content-type": CONTENT_TYPE})


def create_app(service: Service, *, mounts: Sequence[tuple[str, ASGIApp]] = (), keys: KeyEntry | None = None) -> Starlette:
    """An ASGI application showing the service.

    ``mounts`` are further ASGI applications, each with the exact path it answers, such as a webhook's. With ``keys`` there is a form for
    the one-time links of ``/connect``. The recorder of prices and
    alerts runs in the application's lifespan; a host that mounts this application into its own enters
    ``app.router.lifespan_context(app)``.
    """
    recorder = Recorder(service)
    environment = templates()
    endpoints, site, errors = Endpoints(service, recorder), Site(service, recorder, environment), ErrorHandlers(environment)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await recorder.start()
            tasks.start_soon(recorder.run)
            yield
            tasks.cancel_scope.cancel()

    routes: list[BaseRoute] = [
        Route("/health", HealthProbe(service, recorder), methods=["GET", "HEAD"]),
        Route("/health/live", LiveProbe(), methods=["GET", "HEAD"]),
        Route("/health/ready", ReadyProbe(service), methods=["GET", "HEAD"]),
        *(Route(path, _Plain(app)) for path, app in mounts),
        Route("/stats", endpoints.stats),
        Route("/users/overview", endpoints.overview),
        Route("/alerts", endpoints.alerts),
        Route("/metrics", endpoints.metrics),
        Route("/", site.page),
        Route("/status.html", site.live),
        Route("/status.json", site.document),
        Route("/favicon.ico", favicon),
        Mount("/static", static_files()),
        *(key_routes(KeyForm(keys, environment)) if keys else ()),
    ]
    limits = {path: MOUNT_BODY_BYTES_MAX for path, _ in mounts}
    return _Application(
        fast={"/health": SecurityHeaders(HealthProbe(service, recorder))},
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(SecurityHeaders), Middleware(BodyLimit, bytes_max=BODY_BYTES_MAX, bytes_max_by_path=limits)],
        exception_handlers={
            HTTPException: errors.http,
            TradekitError: errors.tradekit,
            TimeoutError: errors.too_slow,
            Exception: errors.unexpected,
        },
    )


def key_routes(form: KeyForm) -> list[BaseRoute]:
    return [Route("/connect/{token}", form.show, methods=["GET"]), Route("/connect/{token}", form.take, methods=["POST"])]


class _Application(Starlette):
    """Starlette, with a short way for what load balancers ask all day, past the router."""

    def __init__(self, *, fast: Mapping[str, ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._fast = fast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        fast = self._fast.get(scope["path"]) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        await (fast or super().__call__)(scope, receive, send)


class _Plain:
    """Starlette takes an object for an ASGI application and a function for a handler of requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def json_response(document: object) -> Response:
    return Response(encode(document), media_type="application/json")


async def favicon(_request: Request) -> Response:
    """Pages name their own icon; this is for browsers that ask anyway."""
    return HTMLResponse(status_code=204)


def limit_of(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= LIMIT_MAX):
        raise BadInput(field="limit", value=text[:40], problem=f"must be a whole number from 1 to {LIMIT_MAX}.", hint="Example: ?limit=20")
    return int(text)


def flag_of(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadInput(field=name, value=text[:40], problem="must be true or false.", hint=f"Example: ?{name}=true")
    return text in ("true", "1")
