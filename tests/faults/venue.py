"""The loopback venue of a campaign, in a process of its own that outlives every kill."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.faults.processes import Child
from tradekit_cli.demo.loopback import VENUE, LoopbackVenue, server_command


def settings(key: str) -> dict[str, str]:
    """Of the environment of a service whose orders go to the venue."""
    return {"MOCK_TRADING": "false", "TRADEKIT_VENUES": VENUE, "TRADEKIT_KEY": key}


@asynccontextmanager
async def exchange(home: Path, session: aiohttp.ClientSession, seed: int) -> AsyncIterator[LoopbackVenue]:
    """The venue, at work until the block ends."""
    command = [sys.executable, "-m", "tradekit.testing.exchange_server", "--seed", str(seed), *server_command()]
    process = await Child.start(command, cwd=home, log=home / "exchange.log")
    try:
        address = await process.ready()
        assert address, f"the exchange server did not start: {home / 'exchange.log'}"
        yield LoopbackVenue(address, session)
    finally:
        await process.stop()
