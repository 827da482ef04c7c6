"""Bugs to plant in the service, each of which a campaign must catch."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tradekit.adapters.ccxt.reports import refusal_of
from tradekit.domain.orders import Order, OrderState
from tradekit.engine.gateway import Gateway
from tradekit.engine.intake import Inbound, Intake
from tradekit.ports.messenger import SendOutcome, SendResult
from tradekit.services import reports
from tradekit_telegram.messenger import TelegramMessenger

LATE_S = 0.5
_sent_again: set[str] = set()
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


def send_again_after_silence() -> None:
    """Planted: no answer, so the order is sent once more."""
    silent = Gateway._unanswered

    def unanswered(self: Gateway, order: Order, error: BaseException) -> None:
        silent(self, order, error)
        if order.client_order_id not in _sent_again:
            _sent_again.add(order.client_order_id)
            self.submit((order,))

    Gateway._unanswered = unanswered


def silence_is_refusal() -> None:
    """Planted: an order without an answer is taken for refused."""

    def unanswered(self: Gateway, order: Order, error: BaseException) -> None:
        self._report(refusal_of(order, "VENUE_ERROR", self._clock.now_ms()), order)

    Gateway._unanswered = unanswered


def not_found_is_gone() -> None:
    """Planted: an order that the venue does not show at once never arrived."""
    weigh = Gateway._weigh
    Gateway._weigh = lambda self, question, report, asked, window_s: weigh(self, question, report, asked, 0.0)


def book_every_fill_told() -> None:
    """Planted: a fill is booked as often as it is told."""
    reports._new_fills = lambda order, report: report.fills


_PLANTS = (
    acknowledge_before_storing,
    send_again_after_restart,
    forget_before_sending,
    send_again_after_silence,
    silence_is_refusal,
    not_found_is_gone,
    book_every_fill_told,
)
PLANTS = {plant.__name__.replace("_", "-"): plant for plant in _PLANTS}
