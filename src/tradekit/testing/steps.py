"""Wrappers that end the process with SIGKILL at a named step of the work, so that every gap between two durable facts can be hit.

They stand where the shipped adapters stand and do the same work; nothing in the product knows of them.
"""

import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql.writer import Outcomes, SqliteWriter
from tradekit.domain.changes import Changes
from tradekit.domain.orders import Order, OrderReport, OrderState
from tradekit.domain.replies import OutgoingMessage
from tradekit.ports.messenger import SendResult
from tradekit.ports.storage import Done, Storage

_MOMENTS = {"commit": "handed to the storage", "write": "written, the transaction still open", "committed": "durable, nobody told"}
_SUBJECTS = {
    "message": "an inbound message",
    "user": "a new user",
    "order": "an order",
    "cancel": "the wish to cancel",
    "report": "what the venue said",
    "signal": "a provider's signal",
    "delivery": "the outcomes of a signal",
    "sent": "that a message was sent",
}

STEPS: dict[str, str] = {
    **{f"{subject}.{moment}": f"{what}: {when}" for subject, what in _SUBJECTS.items() for moment, when in _MOMENTS.items()},
    "message.acknowledge": "an inbound message is durable, its sender not yet told",
    "venue.submit": "an order is about to reach the venue",
    "venue.submitted": "the venue has the order, its answer is not booked",
    "venue.canceled": "the venue has canceled, its answer is not booked",
    "venue.find": "the venue is about to be asked about an order",
    "venue.found": "the venue has told about an order, its answer is not booked",
    "reply.send": "a reply is durable and about to be sent",
    "reply.sent": "a reply was sent, which is not on record yet",
    "recover": "the work of the last run is about to be taken up",
}
"""Every step and what is true when it is reached."""


def kill() -> None:
    """End this process at once, as a power cut would: no handler, no flush, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Steps:
    """Calls ``act`` when ``step`` is reached for the ``hit``-th time."""

    def __init__(self, step: str, hit: int = 1, act: Callable[[], None] = kill) -> None:
        """
        :raises ValueError: there is no such step.
        """
        if step not in STEPS:
            raise ValueError(f"no step {step!r}")
        self._step, self._left, self._act = step, hit, act

    def reached(self, step: str) -> None:
        """Note a step."""
        assert step in STEPS, step
        if step == self._step:
            self._left -= 1
            if not self._left:
                self._act()

    def reached_by(self, changes: Changes, moment: str) -> None:
        """Note the moment for everything the changes are about."""
        for subject in subjects(changes):
            self.reached(f"{subject}.{moment}")


def subjects(changes: Changes) -> list[str]:
    """What a commit is about, in the words of :data:`STEPS`."""
    cancels = any(order.state is OrderState.PENDING_CANCEL for order in changes.order_updates)
    about = {
        "message": bool(changes.inbox),
        "user": bool(changes.identities),
        "order": bool(changes.orders),
        "cancel": cancels,
        "report": bool(changes.order_updates) and not cancels,
        "signal": bool(changes.signals),
        "delivery": bool(changes.deliveries),
        "sent": bool(changes.outbox_done),
    }
    return [subject for subject, present in about.items() if present]


class SteppingStorage:
    """A storage that tells what is handed to it and what has become durable. Reads go through untouched."""

    def __init__(self, inner: Storage, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @classmethod
    def around(cls, inner: Storage, steps: Steps) -> Storage:
        """The wrapper, as the port it serves."""
        return cast("Storage", cls(inner, steps))

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        """See :meth:`tradekit.ports.storage.Storage.submit`."""

        def told(error: Exception | None) -> None:
            if error is None:
                self._steps.reached_by(changes, "committed")
            done(error)

        self._steps.reached_by(changes, "commit")
        self._inner.submit(changes, told, bulk=bulk)

    async def users_with_open_orders(self) -> list[int]:
        """The first question of a start that takes up what was left."""
        self._steps.reached("recover")
        return await self._inner.users_with_open_orders()


class _Connection:
    """A connection that tells before it commits."""

    def __init__(self, inner: sqlite3.Connection, commits: Callable[[], None]) -> None:
        self._inner, self._commits = inner, commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self._commits()
        return self._inner.execute(sql, *parameters)


def stepping_writer(steps: Steps) -> type[SqliteWriter]:
    """A writer that tells when rows are written and the transaction is still open."""

    class SteppingWriter(SqliteWriter):
        _group: Sequence[Changes] = ()

        def __init__(self, db: sqlite3.Connection, epochs: dict[int, int]) -> None:
            super().__init__(cast("sqlite3.Connection", _Connection(db, self._commits)), epochs)

        def write(self, group: Sequence[Changes]) -> Outcomes:
            self._group = group
            return super().write(group)

        def _commits(self) -> None:
            for changes in self._group:
                steps.reached_by(changes, "write")

    return SteppingWriter


def stepping_exchange(steps: Steps, kind: type[Any] = PaperExchange) -> type[Any]:
    """An exchange of this kind that tells what it is asked and what it is about to answer."""

    class SteppingExchange(kind):  # type: ignore[misc]
        async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
            steps.reached("venue.submit")
            answers: list[OrderReport | BaseException] = await super().submit_many(orders)
            steps.reached("venue.submitted")
            return answers

        async def cancel(self, order: Order) -> OrderReport:
            report: OrderReport = await super().cancel(order)
            steps.reached("venue.canceled")
            return report

        async def find(self, order: Order) -> OrderReport | None:
            steps.reached("venue.find")
            report: OrderReport | None = await super().find(order)
            steps.reached("venue.found")
            return report

    return SteppingExchange


Send = Callable[[Any, OutgoingMessage], Awaitable[SendResult]]


def stepping_send(send: Send, steps: Steps) -> Send:
    """A messenger's ``send`` that tells before and after."""

    async def stepped(messenger: Any, message: OutgoingMessage) -> SendResult:
        steps.reached("reply.send")
        result = await send(messenger, message)
        steps.reached("reply.sent")
        return result

    return stepped


Accept = Callable[[Any, Any], Awaitable[None]]


def stepping_accept(accept: Accept, steps: Steps) -> Accept:
    """An intake's ``accept`` that tells once the messages are durable."""

    async def stepped(intake: Any, messages: Any) -> None:
        await accept(intake, messages)
        steps.reached("message.acknowledge")

    return stepped
