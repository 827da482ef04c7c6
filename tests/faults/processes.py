"""The two processes of a campaign: the loopback Bot API server, which lives throughout, and the service, which is killed."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.runners.cli_process import COMMAND, environment

ROOT = Path(__file__).parents[2]
TOKEN = "123456:loopback"
SOURCE = f"telegram:{TOKEN.partition(':')[0]}"
READY_S = 60.0
END_S = 20.0


class Process:
    """A process of ours: its first line of output, its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.started_s = time.monotonic()

    @classmethod
    async def start(cls, command: list[str], *, cwd: Path, log: Path, **values: str) -> "Process":
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
        """The address it serves, or None if it ended first.

        :raises TimeoutError: neither.
        """
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_S):
            line = (await self._process.stdout.readline()).decode()
        return line.removeprefix("ready ").strip() if line.startswith("ready ") else None

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # Not through the process object: its signalling looks for the exit status first and may take it from whoever waits.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def end(self, timeout_s: float = END_S) -> int:
        """Wait for its end; the exit code, negative for a signal.

        :raises TimeoutError: it goes on.
        """
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and the exit code; SIGKILL if it does not listen."""
        self._signal(signal.SIGTERM)
        try:
            return await self.end()
        except TimeoutError:
            self.kill()
            return await self.end()


def import_path() -> str:
    """With the project's root, for ``tests``."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@asynccontextmanager
async def bot_api(home: Path) -> AsyncIterator[str]:
    """The Bot API server; yields its address."""
    command = [sys.executable, "-m", "tradekit.testing.bot_api", "--token", TOKEN, "--overall-per-s", "1000", "--stay"]
    process = await Process.start([*command, "--log", str(home / "bot_api.jsonl")], cwd=home, log=home / "bot_api.log")
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
            "LOG_LEVEL": "INFO",
            # Nobody types this fast: without it the chats would mostly hear of their calls per minute.
            **{f"TRADEKIT_TIERS__{tier}__API_CALLS_PER_MINUTE": "100000" for tier in ("FREE", "PREMIUM", "ENTERPRISE")},
            **values,
        }

    async def start(self, step: str = "", hit: int = 1) -> Process:
        """The real command, or with a step or planted bug the same command in the test kit's wrappers."""
        command = list(COMMAND)
        if step or self._plant or self._venue_url:
            command = [sys.executable, "-m", "tests.faults.up"]
            command += ["--step", step, "--hit", str(hit)] if step else []
            command += ["--plant", self._plant] if self._plant else []
            command += ["--venue", self._venue_url] if self._venue_url else []
            command += ["--"]
        command += ["up", "--port", "0", "--data", str(self.data)]
        return await Process.start(command, cwd=self._home, log=self.log, PYTHONPATH=import_path(), **self._settings)
