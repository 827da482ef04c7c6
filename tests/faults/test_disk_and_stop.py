"""A disk that is full, a database that somebody else locks, a stop in the middle of it: the real program, and what people were told."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from tests.faults.evidence import BOOK, DATABASE
from tests.faults.processes import Process, Service, bot_api
from tradekit.testing.invariants import check_database

pytestmark = pytest.mark.anyio
CHATS = range(9001, 9009)
DEADLINE_S = 40
FILLED = "filled at"
ASK_AGAIN = "Please ask again"
"""A question lives in memory: one whose answer could not be stored has to be asked anew."""


class Street:
    """Some people with a chat each, the service they use, and its health page."""

    def __init__(self, home: Path, api_url: str, session: aiohttp.ClientSession) -> None:
        self.service = Service(home, api_url)
        self._api_url, self._session = api_url, session
        self.process: Process
        self.url = ""

    async def starts(self) -> None:
        self.process = await self.service.start()
        address = await self.process.ready()
        assert address, self.service.log.read_text()
        self.url = address

    async def control(self, action: str, **body: Any) -> Any:
        async with self._session.post(f"{self._api_url}/control/{action}", json=body) as answer:
            assert answer.status == 200, f"{action}: {await answer.text()}"
            return await answer.json()

    async def everyone_says(self, text: str) -> None:
        for chat in CHATS:
            await self.control("send", chat_id=chat, text=text)

    async def everyone_presses(self, button: str) -> None:
        for chat in CHATS:
            await self.control("press", chat_id=chat, button=button)

    async def texts(self, chat: int) -> list[str]:
        return [message.get("text") or "" for message in await self.control("messages", chat_id=chat)]

    async def heard(self, chat: int, words: str) -> int:
        return sum(words in text for text in await self.texts(chat))

    async def everyone_hears(self, *words: str) -> None:
        """Wait until every chat holds one of these."""
        last: dict[int, list[str]] = {}
        try:
            with anyio.fail_after(DEADLINE_S):
                for chat in CHATS:
                    while not any(word in text for word in words for text in last.setdefault(chat, [])):
                        last[chat] = await self.texts(chat)
                        await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"none of {words} was heard: {last}\n{self.service.log.read_text()[-4000:]}") from error

    async def health(self) -> dict[str, Any]:
        async with self._session.get(f"{self.url}/health") as answer:
            return json.loads(await answer.text())  # type: ignore[no-any-return]

    async def health_says(self, status: str) -> dict[str, Any]:
        """Wait until the page says so."""
        with anyio.fail_after(DEADLINE_S):
            while (page := await self.health())["overall_status"] != status:  # noqa: ASYNC110 - another process's page
                await asyncio.sleep(0.1)
        return page

    async def writing_works(self) -> None:
        """Wait until the database is well again."""
        with anyio.fail_after(DEADLINE_S):
            while (await self.health())["checks"]["database"]["status"] != "healthy":  # noqa: ASYNC110 - another process's page
                await asyncio.sleep(0.1)

    async def asks_to_buy(self) -> None:
        """Everybody registers and is asked whether to buy."""
        await self.everyone_says("/start")
        await self.everyone_hears("Welcome")
        await self.everyone_says("/buy ETH/USDT 0.05")
        await self.everyone_hears("buy 0.05 ETH/USDT")

    async def each_bought_once_or_not_at_all(self) -> None:
        """Everybody was told of one fill and has it, or was told to ask again and has none; and the books are right."""
        await self.everyone_hears(FILLED, ASK_AGAIN)
        assert await self.process.stop() == 0
        query = "SELECT i.external_id, o.state FROM orders o JOIN identities i ON i.user_id = o.user_id"
        with sqlite3.connect(self.service.data / DATABASE) as db:
            states = {chat: [state for who, state in db.execute(query) if who == str(chat)] for chat in CHATS}
        told = {chat: (await self.heard(chat, FILLED), await self.heard(chat, ASK_AGAIN)) for chat in CHATS}
        assert set(told.values()) <= {(1, 0), (0, 1)}, told
        assert states == {chat: ["filled"] * filled for chat, (filled, _) in told.items()}
        assert any(filled for filled, _ in told.values()), "nobody bought, so this shows nothing"
        assert check_database(self.service.data / DATABASE, self.service.data / BOOK, settled=True) == []


@asynccontextmanager
async def street(home: Path) -> AsyncIterator[Street]:
    async with bot_api(home) as api_url, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        people = Street(home, api_url, session)
        await people.starts()
        try:
            yield people
        finally:
            people.process.kill()
            await people.process.end()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process can be set on Linux only")
async def test_on_a_full_disk_nothing_acknowledged_is_lost_and_trading_goes_on_once_there_is_room(tmp_path: Path) -> None:
    async with street(tmp_path) as people:
        await people.asks_to_buy()
        before = resource.prlimit(people.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        await people.everyone_presses("✅ Confirm")
        page = await people.health_says("unhealthy")
        assert "nothing can be written" in page["checks"]["database"]["detail"], page
        resource.prlimit(people.process.pid, resource.RLIMIT_FSIZE, before)
        await people.writing_works()
        await people.each_bought_once_or_not_at_all()


async def test_a_database_locked_by_somebody_else_is_waited_for(tmp_path: Path) -> None:
    async with street(tmp_path) as people:
        await people.asks_to_buy()
        code = (
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30); "
            "db.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(people.service.data / DATABASE)]
        other = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert other.stdout is not None
        assert other.stdin is not None
        assert await other.stdout.readline() == b"locked\n"
        await people.everyone_presses("✅ Confirm")
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            assert [chat for chat in CHATS if await people.heard(chat, FILLED)] == []
            await asyncio.sleep(0.2)
        other.stdin.close()
        assert await other.wait() == 0
        await people.each_bought_once_or_not_at_all()


async def test_a_stop_in_the_middle_of_orders_loses_none(tmp_path: Path) -> None:
    async with street(tmp_path) as people:
        await people.asks_to_buy()
        await people.everyone_presses("✅ Confirm")
        os.kill(people.process.pid, signal.SIGTERM)
        assert await people.process.end(timeout_s=10) == 0
        await people.starts()
        await people.each_bought_once_or_not_at_all()
