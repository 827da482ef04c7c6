"""A chat transport with limits, losses and people who block the bot."""

from collections.abc import Callable

import anyio

from tradekit.domain.replies import OutgoingMessage
from tradekit.ports.messenger import Pace, SendOutcome, SendResult
from tradekit.testing.simulation.faults import Faults
from tradekit.testing.simulation.observer import Observer


class FaultyMessenger:
    """Implements :class:`tradekit.ports.messenger.Messenger`; ``deliver`` puts a message before its reader."""

    def __init__(
        self, transport: str, *, faults: Faults, observer: Observer, deliver: Callable[[OutgoingMessage], None], pace: Pace
    ) -> None:
        self._transport, self._faults, self._observer, self._deliver, self._pace = transport, faults, observer, deliver, pace
        self.dead = False

    @property
    def transport(self) -> str:
        return self._transport

    @property
    def pace(self) -> Pace:
        return self._pace

    async def send(self, message: OutgoingMessage) -> SendResult:
        if self.dead:
            await anyio.sleep_forever()
        self._observer.sent_message(message)
        if self._faults.hit("send_slow"):
            # Sometimes longer than the outbox waits.
            await anyio.sleep(self._faults.between(0.01, 35))
        if self._faults.hit("send_limited"):
            whole = self._faults.even()
            return SendResult(outcome=SendOutcome.RETRY, retry_after_s=self._faults.between(1, 10), whole_transport=whole)
        if self._faults.hit("send_blocked"):
            return SendResult(outcome=SendOutcome.UNREACHABLE, detail="simulated: blocked")
        self._deliver(message)
        if self._faults.hit("send_answer_lost"):
            return SendResult(outcome=SendOutcome.RETRY, detail="simulated: answer lost")
        return SendResult(outcome=SendOutcome.SENT)
