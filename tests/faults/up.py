"""``python -m tests.faults.up [--step S --hit N] [--plant BUG] -- up ...``: the real command with the test kit's wrappers in its seams."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tradekit import bootstrap
from tradekit.adapters.sql import storage as sql_storage
from tradekit.domain.orders import OrderState
from tradekit.engine.gateway import Gateway
from tradekit.engine.intake import Inbound, Intake
from tradekit.ports.messenger import SendOutcome, SendResult
from tradekit.testing.steps import STEPS, SteppingStorage, Steps, stepping_accept, stepping_exchange, stepping_send, stepping_writer
from tradekit_cli import main as cli
from tradekit_telegram.messenger import TelegramMessenger

LATE_S = 0.5
_later: set[asyncio.Task[Any]] = set()


def step_on(steps: Steps) -> None:
    """Let every seam of the service tell its steps."""
    open_storage = bootstrap.open_storage

    @asynccontextmanager
    async def opened(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async with open_storage(*args, **options) as storage:
            yield SteppingStorage.around(storage, steps)

    bootstrap.open_storage = opened
    bootstrap.PaperExchange = stepping_exchange(steps)
    sql_storage.SqliteWriter = stepping_writer(steps)
    TelegramMessenger.send = stepping_send(TelegramMessenger.send, steps)
    Intake.accept = stepping_accept(Intake.accept, steps)


def _afterwards(work: Any) -> None:
    async def late() -> None:
        await asyncio.sleep(LATE_S)
        await work

    task = asyncio.get_running_loop().create_task(late())
    _later.add(task)
    task.add_done_callback(_later.discard)


def acknowledge_before_storing() -> None:
    """Planted: messages are acknowledged at once and stored a little later."""
    store = Intake.accept

    async def accept(self: Intake, messages: Sequence[Inbound]) -> None:
        _afterwards(store(self, messages))

    Intake.accept = accept


def send_again_after_restart() -> None:
    """Planted: an order without an answer is sent again instead of asked about."""
    settle = Gateway.settle_after_restart

    def settle_after_restart(self: Gateway, orders: Any) -> None:
        self.submit(tuple(order for order in orders if order.state is OrderState.SUBMITTED))
        settle(self, tuple(order for order in orders if order.state is not OrderState.SUBMITTED))

    Gateway.settle_after_restart = settle_after_restart


def forget_before_sending() -> None:
    """Planted: a reply is taken for sent at once and sent a little later."""
    send = TelegramMessenger.send

    async def sent(self: TelegramMessenger, message: Any) -> SendResult:
        _afterwards(send(self, message))
        return SendResult(outcome=SendOutcome.SENT)

    TelegramMessenger.send = sent


PLANTS = {
    plant.__name__.replace("_", "-"): plant for plant in (acknowledge_before_storing, send_again_after_restart, forget_before_sending)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.up")
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--hit", type=int, default=1)
    parser.add_argument("--plant", choices=PLANTS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.plant:
        PLANTS[options.plant]()
    if options.step:
        step_on(Steps(options.step, options.hit))
    from tradekit_cli import commands

    commands.register(cli.app)
    cli.app([word for word in options.command if word != "--"], prog_name="tradekit")


if __name__ == "__main__":
    main()
