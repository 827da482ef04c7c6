"""The loopback servers, each in a process of its own: the Bot API with its load, and the venue."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import attrs
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from tradekit.domain.errors import Unavailable
from tradekit.testing.bot_api.load_plan import LoadReport

TOKEN = "123456:demo-on-loopback"  # noqa: S105 - of a bot that exists only here
_READY_S = 20.0
_END_S = 5.0
_LINE_MAX = 1000


@attrs.frozen(kw_only=True)
class Load:
    """A load at work."""

    url: str
    process: anyio.abc.Process
    report_path: Path

    def report(self) -> LoadReport | None:
        """What the load found; None while it runs.

        :raises Unavailable: its process ended without a report.
        """
        if self.report_path.exists():
            return msgspec.json.decode(self.report_path.read_bytes(), type=LoadReport)
        if self.process.returncode is not None:
            raise Unavailable(what="load", reason=f"its process ended with {self.process.returncode}")
        return None


@asynccontextmanager
async def load_process(*, plan: Path, log: Path, report: Path, errors: Path, limit: int, seed: int) -> AsyncIterator[Load]:
    """Start it; the load begins once a bot asks for updates, and the server stays until the block ends.

    :raises Unavailable: it does not start.
    """
    options = {"--token": TOKEN, "--port": 0, "--overall-per-s": limit, "--seed": seed, "--load-wait-s": 60}
    paths = {"--log": log, "--load": plan, "--report": report}
    command = [sys.executable, "-m", "tradekit.testing.bot_api", "--stay"]
    command += [str(word) for pair in (options | paths).items() for word in pair]
    async with server_process(command, errors=errors, what="load") as (process, url):
        yield Load(url=url, process=process, report_path=report)


@asynccontextmanager
async def server_process(command: list[str], *, errors: Path, what: str) -> AsyncIterator[tuple[anyio.abc.Process, str]]:
    """Start a server that says ``ready URL``, until the block ends; yields it and its address.

    :raises Unavailable: it does not start.
    """
    with errors.open("wb") as stderr:
        process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            yield process, await _ready(process, errors, what)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


async def _ready(process: anyio.abc.Process, errors: Path, what: str) -> str:
    assert process.stdout is not None
    try:
        with anyio.fail_after(_READY_S):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _LINE_MAX)
    except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead) as error:
        said = (await anyio.Path(errors).read_text(errors="replace")).strip().splitlines()
        raise Unavailable(what=what, reason=said[-1] if said else "its process does not answer") from error
    return line.decode().removeprefix("ready").strip()


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(_END_S) as scope:
        await process.wait()
    if scope.cancelled_caught:
        process.kill()
        await process.wait()
    await process.aclose()
