"""``python -m tests.faults.up [--step S --hit N] [--plant BUG] [--venue URL] -- up ...``: the real command, with wrappers in its seams."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.plants import PLANTS
from tradekit import app, bootstrap
from tradekit.adapters import ccxt
from tradekit.adapters.sql import storage as sql_storage
from tradekit.engine.intake import Intake
from tradekit.testing.steps import STEPS, SteppingStorage, Steps, stepping_accept, stepping_exchange, stepping_send, stepping_writer
from tradekit_cli import main as cli
from tradekit_cli.demo.loopback import venue_options
from tradekit_telegram.messenger import TelegramMessenger


def step_on(steps: Steps) -> None:
    """Let every seam of the service tell its steps."""
    open_storage = bootstrap.open_storage

    @asynccontextmanager
    async def opened(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async with open_storage(*args, **options) as storage:
            yield SteppingStorage.around(storage, steps)

    bootstrap.open_storage = opened
    bootstrap.PaperExchange = stepping_exchange(steps)
    ccxt.CcxtExchange = stepping_exchange(steps, ccxt.CcxtExchange)
    sql_storage.SqliteWriter = stepping_writer(steps)
    TelegramMessenger.send = stepping_send(TelegramMessenger.send, steps)
    Intake.accept = stepping_accept(Intake.accept, steps)


def trade_at(url: str) -> None:
    """Let the service take the loopback venue there for the real one."""
    open_parts = app.open_parts
    app.open_parts = lambda settings, parts=None: open_parts(
        settings, parts or bootstrap.Parts(venue_options=venue_options(url), rehearsal=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.up")
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--hit", type=int, default=1)
    parser.add_argument("--plant", choices=PLANTS)
    parser.add_argument("--venue", metavar="URL")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.venue:
        trade_at(options.venue)
    if options.plant:
        PLANTS[options.plant]()
    if options.step:
        step_on(Steps(options.step, options.hit))
    from tradekit_cli import commands

    commands.register(cli.app)
    cli.app([word for word in options.command if word != "--"], prog_name="tradekit")


if __name__ == "__main__":
    main()
