"""Bugs to plant in the service, each of which a campaign must catch."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tradekit.domain.orders import OrderState
from tradekit.engine.gateway import Gateway
from tradekit.engine.intake import Inbound, Intake
from tradekit.ports.messenger import SendOutcome, SendResult
from tradekit_telegram.messenger import TelegramMessenger

LATE_S = 0.5
_later: set[asyncio.Task[Any]] = set()


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
