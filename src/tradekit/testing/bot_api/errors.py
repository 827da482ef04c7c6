"""Refusals in the words of the Bot API."""

from __future__ import annotations

import msgspec


class ResponseParameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    retry_after: int | None = None
    """Seconds to wait before the call may be repeated."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    ok: bool
    error_code: int
    description: str
    parameters: ResponseParameters | None = None


class ApiError(Exception):
    """A call was refused; the client sees this code and description."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after

    def body(self) -> ErrorBody:
        parameters = ResponseParameters(retry_after=self.retry_after) if self.retry_after is not None else None
        return ErrorBody(ok=False, error_code=self.code, description=self.description, parameters=parameters)


def bad_request(description: str) -> ApiError:
    return ApiError(400, f"Bad Request: {description}")


def too_many_requests(retry_after: int) -> ApiError:
    """:param retry_after: whole seconds, at least 1."""
    return ApiError(429, f"Too Many Requests: retry after {retry_after}", retry_after)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized")


def method_not_found() -> ApiError:
    return ApiError(404, "Not Found: method not found")


def blocked_by_user() -> ApiError:
    return ApiError(403, "Forbidden: bot was blocked by the user")
