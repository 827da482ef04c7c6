"""What the tests of the loopback Bot API server share."""

import asyncio
import json
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.request import HTTPXRequest

from tradekit.testing.bot_api import BotApiServer, RateLimits

TOKEN = "123456:test-token"
FREELY = RateLimits(chat_per_s=1000, chat_burst=1000, overall_per_s=10_000)
THREE_THEN_A_MINUTE = RateLimits(chat_per_s=1 / 60)
"""Telegram's burst, but a rate so low that a slow machine does not turn a refusal into an admission."""


def bot_of(server: BotApiServer, token: str = TOKEN) -> Bot:
    return Bot(
        token,
        base_url=f"{server.url}/bot",
        base_file_url=f"{server.url}/file/bot",
        request=HTTPXRequest(connection_pool_size=8),
        get_updates_request=HTTPXRequest(),
    )


class Hook:
    """A webhook that answers what the test says and remembers what came."""

    def __init__(self, answer: Callable[[dict[str, Any]], Awaitable[bytes]]) -> None:
        self.posts: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.secrets: list[str | None] = []
        self._answer = answer
        self._arrived = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Hook":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: len(self.bodies) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.split("\r\n")[1:]}
                body = await reader.readexactly(int(headers["content-length"]))
                self.secrets.append(headers.get("x-telegram-bot-api-secret-token"))
                self.bodies.append(body)
                try:
                    self.posts.append(json.loads(body))
                except ValueError:
                    self.posts.append({})
                async with self._arrived:
                    self._arrived.notify_all()
                writer.write(await self._answer(self.posts[-1]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def http_answer(status: int, body: bytes = b"", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


async def accept(_: dict[str, Any]) -> bytes:
    return http_answer(200)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + b"\r\n\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def button(data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("b", callback_data=data)]])
