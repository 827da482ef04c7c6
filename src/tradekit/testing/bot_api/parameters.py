"""Parameters of a call from its query and its body: JSON, form or multipart."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tradekit.testing.bot_api.errors import bad_request

_PARTS_MAX = 256


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    content_type: str
    data: bytes


class Parameters:
    """Values by name. Form and multipart carry text, JSON carries values; the getters hide the difference."""

    __slots__ = ("files", "values")

    def __init__(self, values: dict[str, Any], files: dict[str, UploadedFile] | None = None) -> None:
        self.values = values
        self.files = files or {}

    def text(self, name: str) -> str:
        """The value as text, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        return msgspec.json.encode(value).decode()

    def integer(self, name: str, default: int, low: int | None = None, high: int | None = None) -> int:
        """The value as an integer, clamped; as Telegram does, what is no integer counts as the default."""
        value = self.as_integer(name)
        if value is None:
            return default
        if low is not None:
            value = max(low, value)
        return value if high is None else min(high, value)

    def as_integer(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return None
        try:
            return int(value)
        except (TypeError, ValueError):
            return None

    def flag(self, name: str) -> bool:
        return str(self.values.get(name, "")).strip().lower() in ("true", "yes", "1")

    def json(self, name: str, what: str) -> Any:
        """The decoded value, None if absent or empty.

        :param what: names the value in the refusal, as in "can't parse {what} JSON object".
        :raises ApiError: it is text but not JSON.
        """
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise bad_request(f"can't parse {what} JSON object") from error


def parse_parameters(query: str, content_type: str, body: bytes) -> Parameters:
    """
    :raises ApiError: the body is not what its content type says.
    """
    values: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    if not body:
        return Parameters(values)
    if content_type.startswith("application/json"):
        values.update(_decode_json(body))
        return Parameters(values)
    if content_type.startswith("multipart/form-data"):
        return _parse_multipart(values, content_type, body)
    if content_type.startswith("application/x-www-form-urlencoded"):
        try:
            values.update(parse_qsl(body.decode(), keep_blank_values=True))
        except ValueError as error:
            raise bad_request("strings must be encoded in UTF-8") from error
    return Parameters(values)


def _decode_json(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request("can't parse JSON object") from error
    if not isinstance(decoded, dict):
        raise bad_request("JSON object expected")
    return decoded


def _parse_multipart(values: dict[str, Any], content_type: str, body: bytes) -> Parameters:
    boundary = _attribute(content_type, "boundary")
    if not boundary:
        raise bad_request("boundary parameter expected in the Content-Type header")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]
    if len(parts) > _PARTS_MAX:
        raise bad_request("too many form fields")
    files: dict[str, UploadedFile] = {}
    for part in parts:
        if part.startswith(b"--"):
            return Parameters(values, files)
        head, separator, data = part.partition(b"\r\n\r\n")
        if not separator:
            break
        headers = _part_headers(head)
        disposition = headers.get("content-disposition", "")
        name = _attribute(disposition, "name")
        file_name = _attribute(disposition, "filename")
        if file_name is not None:
            kind = headers.get("content-type", "application/octet-stream")
            files[name or ""] = UploadedFile(name=file_name, content_type=kind, data=data)
        else:
            values[name or ""] = data.decode(errors="replace")
    raise bad_request("can't parse multipart form")


def _part_headers(head: bytes) -> dict[str, str]:
    headers = {}
    for line in head.decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _attribute(header: str, name: str) -> str | None:
    for item in header.split(";")[1:]:
        key, _, value = item.strip().partition("=")
        if key.lower() == name:
            return value.strip('"')
    return None
