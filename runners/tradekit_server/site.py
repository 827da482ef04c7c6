"""The status page: drawn on the server, at most once a second however many people look at it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import anyio
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tradekit.domain.errors import TradekitError
from tradekit.domain.signals import Signal
from tradekit_server import documents, words
from tradekit_server.page import LISTED_MAX, Page, build
from tradekit_server.recorder import ANSWER_WITHIN_S, Recorder
from tradekit_server.service import Service

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
DRAWN_FOR_S = 1.0


def templates() -> Environment:
    """The package's templates; everything they print is escaped, and a misspelt name is an error."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(clock=words.clock, iso=documents.iso, ago=words.ago, price=words.price, amount=words.amount)
    return environment


class _StaticFiles(StaticFiles):
    """The page's own files: a browser asks each time and is told "not modified"."""

    def file_response(self, full_path: str | Path, stat_result: object, scope: Scope, status_code: int = 200) -> Response:  # type: ignore[override]
        response = super().file_response(full_path, stat_result, scope, status_code)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


def static_files() -> StaticFiles:
    return _StaticFiles(directory=_HERE / "static")


class Site:
    """Page, its live part, and the same as JSON."""

    def __init__(self, service: Service, recorder: Recorder, environment: Environment) -> None:
        self._service = service
        self._recorder = recorder
        self._page = environment.get_template("page.html")
        self._live = environment.get_template("live.html")
        self._drawing = anyio.Lock(fast_acquire=True)
        self._drawn: tuple[float, Page, str] | None = None

    async def page(self, request: Request) -> Response:
        """``GET /``."""
        page, live = await self._draw()
        return HTMLResponse(self._page.render(page=page, live=live, root=request.scope.get("root_path", "")))

    async def live(self, _request: Request) -> Response:
        """``GET /status.html``: what the page's script swaps in every two seconds."""
        return HTMLResponse((await self._draw())[1])

    async def document(self, _request: Request) -> Response:
        """``GET /status.json``: everything on the page, for programs."""
        return Response(documents.encode((await self._draw())[0]), media_type="application/json")

    async def _draw(self) -> tuple[Page, str]:
        async with self._drawing:
            now = anyio.current_time()
            if self._drawn is None or now - self._drawn[0] >= DRAWN_FOR_S:
                page = build(self._service, self._recorder, await self._signals())
                self._drawn = (now, page, self._live.render(page=page))
            return self._drawn[1:]

    async def _signals(self) -> Sequence[Signal] | None:
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                return await self._service.recent_signals(LISTED_MAX)
        except (TradekitError, TimeoutError) as error:
            _log.warning("recent signals could not be read: %r", error)
            return None
