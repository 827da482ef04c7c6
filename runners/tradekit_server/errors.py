"""Errors as answers: JSON for programs, a page for people."""

import logging
from typing import Any

import msgspec
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tradekit.domain.errors import BadInput, NotFound, NotPermitted, OperatorError, Temporary, TradekitError, UnknownUser, UserError
from tradekit_server.headers import NO_STORE, SECURITY_HEADERS

_log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[TradekitError], int], ...] = (
    (BadInput, 400),
    (NotPermitted, 403),
    (UnknownUser, 404),
    (NotFound, 404),
    (UserError, 409),
    (Temporary, 503),
    (OperatorError, 500),
)
_HTTP = {
    400: ("BAD_REQUEST", "The request could not be read."),
    404: ("NOT_FOUND", "There is nothing at this address."),
    405: ("METHOD_NOT_ALLOWED", "This address does not take that method."),
}
RETRY_AFTER_S = 5


def problem(status: int, code: str, message: str, **more: Any) -> Response:
    """``{"code", "message", ...}`` with the status."""
    body = msgspec.json.encode({"code": code, "message": message, **more}, enc_hook=str)
    return Response(body, status, media_type="application/json")


def status_of(error: TradekitError) -> int:
    """The HTTP status that says who must act."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


class ErrorHandlers:
    """For Starlette's ``exception_handlers``."""

    def __init__(self, templates: Environment) -> None:
        self._template = templates.get_template("error.html")

    async def http(self, request: Request, error: Exception) -> Response:
        """Of the framework: no such route, wrong method."""
        assert isinstance(error, HTTPException)
        code, message = _HTTP.get(error.status_code, (f"HTTP_{error.status_code}", error.detail))
        return self._answer(request, error.status_code, code, message, dict(error.headers or {}))

    async def tradekit(self, request: Request, error: Exception) -> Response:
        """Of the service."""
        assert isinstance(error, TradekitError)
        status = status_of(error)
        headers = {"retry-after": str(RETRY_AFTER_S)} if status == 503 else {}
        if isinstance(error, BadInput):
            message = f"{error.field}: {error.problem}" + (f" {error.hint}" if error.hint else "")
        else:
            _log.warning("%s %s: %s", request.method, request.url.path, error)
            message = "The service cannot answer right now; try again shortly." if status == 503 else f"The service refused: {error.code}."
        return self._answer(request, status, error.code, message, headers)

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """A bug; the server logs it with its traceback."""
        # Starlette answers this outside of the middleware that adds the headers everywhere else.
        headers = {**SECURITY_HEADERS, "cache-control": NO_STORE}
        return self._answer(request, 500, "INTERNAL", "Something went wrong inside the service; its log has the details.", headers)

    async def too_slow(self, request: Request, error: Exception) -> Response:
        """The storage did not answer in time."""
        _log.warning("%s %s: no answer in time", request.method, request.url.path)
        headers = {"retry-after": str(RETRY_AFTER_S)}
        return self._answer(request, 503, "TOO_SLOW", "The storage did not answer in time; try again shortly.", headers)

    def _answer(self, request: Request, status: int, code: str, message: str, headers: dict[str, str]) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            root = request.scope.get("root_path", "")
            response: Response = HTMLResponse(self._template.render(status=status, message=message, code=code, root=root), status)
        else:
            response = problem(status, code, message)
        response.headers.update(headers)
        return response
