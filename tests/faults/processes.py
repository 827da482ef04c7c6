"""The two processes of a campaign: the loopback Bot API server, which lives throughout, and the service, which is killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.runners.cli_process import COMMAND, environment

ROOT = Path(__file__).parents[2]
TOKEN = "123456:loopback"
SOURCE = f"telegram:{TOKEN.partition(':')[0]}"
READY_S = 60.0
END_S = 20.0


class Process(ABC):
    """A process of ours: its first line of output, its end."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()

    @abstractmethod
    async def ready(self) -> str | None:
        """The address it serves, or None if it ended first.

        :raises TimeoutError: neither.
        """

    @property
    @abstractmethod
    def running(self) -> bool: ...

    @property
    @abstractmethod
    def pid(self) -> int: ...

    @abstractmethod
    async def end(self, timeout_s: float = END_S) -> int:
        """Wait for its end; the exit code, negative for a signal.

        :raises TimeoutError: it goes on.
        """

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # Not through the process object: its signalling looks for the exit status first and may take it from whoever waits.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self) -> int:
        """SIGTERM, and the exit code; SIGKILL if it does not listen."""
        self._signal(signal.SIGTERM)
        try:
            return await self.end()
        except TimeoutError:
            self.kill()
            return await self.end()


class Child(Process):
    """Started from the command line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process

    @classmethod
    async def start(cls, command: list[str], *, cwd: Path, log: Path, **values: str) -> "Child":
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=environment(**values),
            )
        return cls(process)

    async def ready(self) -> str | None:
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_S):
            return _address((await self._process.stdout.readline()).decode())

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def end(self, timeout_s: float = END_S) -> int:
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()


class Grandchild(Process):
    """Born by the nursery."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._pid = pid
        self.first_line: asyncio.Future[str] = loop.create_future()
        self.code: asyncio.Future[int] = loop.create_future()

    async def ready(self) -> str | None:
        async with asyncio.timeout(READY_S):
            await asyncio.wait({self.first_line, self.code}, return_when=asyncio.FIRST_COMPLETED)
        return _address(self.first_line.result()) if self.first_line.done() else None

    @property
    def running(self) -> bool:
        return not self.code.done()

    @property
    def pid(self) -> int:
        return self._pid

    async def end(self, timeout_s: float = END_S) -> int:
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(self.code)


class Nursery:
    """See :mod:`tests.faults.nursery`; one child at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: asyncio.Queue[Grandchild] = asyncio.Queue()
        self._youngest: Grandchild | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, home: Path) -> AsyncIterator["Nursery"]:
        with (home / "nursery.log").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.nursery"),
                cwd=home,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=environment(PYTHONPATH=import_path()),
            )
        nursery = cls(process)
        listening = asyncio.create_task(nursery._listen())
        try:
            yield nursery
        finally:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(END_S):
                await process.wait()
                await listening

    async def bear(self, arguments: list[str], *, cwd: Path, log: Path, **values: str) -> Grandchild:
        """A service; the one before must have ended."""
        assert self._process.stdin is not None
        life = {"argv": arguments, "env": environment(**values), "cwd": str(cwd), "log": str(log)}
        self._process.stdin.write(json.dumps(life).encode() + b"\n")
        async with asyncio.timeout(READY_S):
            return await self._born.get()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        said = ""
        async for line in self._process.stdout:
            told = json.loads(line) if line.startswith(b"{") else line.decode()
            if isinstance(told, str):
                said = said or told
            elif "pid" in told:
                self._youngest = Grandchild(told["pid"])
                self._born.put_nowait(self._youngest)
            elif self._youngest is not None:
                self._youngest.code.set_result(told["code"])
                said, self._youngest = "", None
            if said and self._youngest is not None and not self._youngest.first_line.done():
                self._youngest.first_line.set_result(said)


def _address(line: str) -> str | None:
    return line.removeprefix("ready ").strip() if line.startswith("ready ") else None


def import_path() -> str:
    """With the project's root, for ``tests``."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@asynccontextmanager
async def bot_api(home: Path) -> AsyncIterator[str]:
    """The Bot API server; yields its address."""
    command = [sys.executable, "-m", "tradekit.testing.bot_api", "--token", TOKEN, "--overall-per-s", "1000", "--stay"]
    process = await Child.start([*command, "--log", str(home / "bot_api.jsonl")], cwd=home, log=home / "bot_api.log")
    try:
        address = await process.ready()
        assert address, f"the Bot API server did not start: {home / 'bot_api.log'}"
        yield address
    finally:
        await process.stop()


class Service:
    """Starts ``tradekit up`` on one data directory, again and again."""

    def __init__(self, home: Path, api_url: str, plant: str = "", venue_url: str = "", **values: str) -> None:
        """:param values: of the environment, further ones."""
        self._home, self._plant, self._venue_url = home, plant, venue_url
        self.data = home / "data"
        self.log = home / "service.log"
        self._settings = {
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TRADEKIT_TELEGRAM_API_URL": api_url,
            "TRADEKIT_TELEGRAM_MESSAGES_PER_S": "1000",
            "TRADEKIT_FEED": "simulated",
            "LOG_LEVEL": "INFO",
            # Nobody types this fast: without it the chats would mostly hear of their calls per minute.
            **{f"TRADEKIT_TIERS__{tier}__API_CALLS_PER_MINUTE": "100000" for tier in ("FREE", "PREMIUM", "ENTERPRISE")},
            **values,
        }

    async def start(self, step: str = "", hit: int = 1, nursery: Nursery | None = None) -> Process:
        """The real command, or with a step or planted bug the same command in the test kit's wrappers. :param nursery: bears it."""
        wrappers = ["--step", step, "--hit", str(hit)] if step else []
        wrappers += ["--plant", self._plant] if self._plant else []
        wrappers += ["--venue", self._venue_url] if self._venue_url else []
        command = ["up", "--port", "0", "--data", str(self.data)]
        if nursery is not None:
            return await nursery.bear([*wrappers, "--", *command], cwd=self._home, log=self.log, **self._settings)
        start = [sys.executable, "-m", "tests.faults.up", *wrappers, "--"] if wrappers else list(COMMAND)
        return await Child.start([*start, *command], cwd=self._home, log=self.log, PYTHONPATH=import_path(), **self._settings)
