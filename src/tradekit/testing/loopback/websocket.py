"""The server's side of RFC 6455: text frames, fragments, ping, close. No extensions are offered."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MESSAGE_BYTES_MAX = 1024 * 1024
_UNSENT_BYTES_MAX = 4 * 1024 * 1024
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def accept_key(key: str) -> str:
    """The value of Sec-WebSocket-Accept (RFC 6455, 4.2.2)."""
    return b64encode(sha1((key + _GUID).encode("latin-1"), usedforsecurity=False).digest()).decode("latin-1")


class WebSocket:
    """One open socket. Set `on_text` and `on_closed`; both are called on the event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = bytearray()
        self._message = bytearray()
        self.closed = False
        self.on_text: Callable[[bytes], None] = lambda _: None
        self.on_closed: Callable[[], None] = lambda: None

    def send(self, text: bytes) -> None:
        """Send a text message. A peer that does not read for 4 MiB is cut off."""
        if self.closed:
            return
        self._transport.write(_frame(_TEXT, text))
        if self._transport.get_write_buffer_size() > _UNSENT_BYTES_MAX:
            self.abort()

    def close(self, code: int = 1000) -> None:
        if not self.closed:
            self._transport.write(_frame(_CLOSE, code.to_bytes(2, "big")))
            self._transport.close()
            self.lost()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if not self.closed:
            self._transport.abort()
            self.lost()

    def lost(self) -> None:
        """The connection is gone."""
        if not self.closed:
            self.closed = True
            self.on_closed()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while not self.closed:
            frame = self._next_frame()
            if frame is None:
                return
            self._take(*frame)

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, at = buffer[1] & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            at += width
            if len(buffer) < at:
                return None
            length = int.from_bytes(buffer[2:at], "big")
        if length > _MESSAGE_BYTES_MAX:
            self.close(1009)
            return None
        masked = bool(buffer[1] & 0x80)
        end = at + (4 if masked else 0) + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[end - length : end])
        if masked and length:
            payload = _unmask(payload, bytes(buffer[at : at + 4]))
        first = buffer[0]
        del buffer[:end]
        return bool(first & 0x80), first & 0x0F, payload

    def _take(self, final: bool, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._transport.write(_frame(_PONG, payload))
        elif opcode == _CLOSE:
            self.close()
        elif opcode in {_CONTINUATION, _TEXT, _BINARY}:
            self._message += payload
            if len(self._message) > _MESSAGE_BYTES_MAX:
                self.close(1009)
            elif final:
                message = bytes(self._message)
                self._message.clear()
                self.on_text(message)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, length))
    elif length < 65_536:
        head = bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")
    return head + payload
