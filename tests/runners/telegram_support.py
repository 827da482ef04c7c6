"""Doubles of what stands behind the Telegram runner: an intake, words, and messages to send."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec

from tradekit.domain.errors import TradekitError
from tradekit.domain.replies import Button, OutgoingMessage, Priority, Reply
from tradekit.testing.bot_api import BotApiServer
from tradekit_telegram import Inbound, TelegramRunner

CHAT = 4711


class Intake:
    """Keeps each message once, as the inbox does; `errors` are raised first, one per call."""

    def __init__(self, *errors: TradekitError) -> None:
        self.errors = list(errors)
        self.accepted: dict[tuple[str, str], Inbound] = {}
        self.calls = 0
        self._changed = anyio.Event()
        self.crash_before: Callable[[], bool] | None = None
        self.crash_after: Callable[[], bool] | None = None
        """Where they say so, an acceptance never returns, as if the process had died."""

    async def accept(self, messages: Sequence[Inbound]) -> None:
        self.calls += 1
        await anyio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        if self.crash_before is not None and self.crash_before():
            await anyio.sleep_forever()
        for message in messages:
            self.accepted.setdefault((message.source, message.message_id), message)
        self._changed.set()
        self._changed = anyio.Event()
        if self.crash_after is not None and self.crash_after():
            await anyio.sleep_forever()

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.accepted.values() if not message.problem]

    @property
    def problems(self) -> list[str]:
        return [message.problem for message in self.accepted.values() if message.problem]

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.accepted) < count:
                await self._changed.wait()


class Label(msgspec.Struct, frozen=True):
    label: str
    data: str


class Words(msgspec.Struct, frozen=True):
    text: str
    buttons: tuple[tuple[Label, ...], ...] = ()


def render(reply: Reply, language: str) -> Words:
    text = " ".join((reply.key, *reply.args.values()))
    return Words(text, tuple(tuple(Label(button.label, button.data) for button in row) for row in reply.buttons))


def message(
    key: str = "hello", *, chat: int = CHAT, topic: str = "", buttons: Sequence[str] = (), priority: Priority = Priority.REPLY, **args: str
) -> OutgoingMessage:
    rows = (tuple(Button(data.title(), data) for data in buttons),) if buttons else ()
    return OutgoingMessage(
        outbox_id=1,
        user_id=1,
        partition=0,
        transport="telegram",
        address=str(chat),
        reply=Reply(key=key, args=args, topic=topic, buttons=rows, priority=priority),
        language="en",
        created_ms=0,
        expires_ms=86_400_000,
    )


def runner_of(server: BotApiServer, intake: Intake, **options: object) -> TelegramRunner:
    settings: dict[str, object] = {"api_url": server.url, "retry_first_s": 0.02, **options}
    return TelegramRunner(server.token, accept=intake.accept, render=render, **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def running(runner: TelegramRunner) -> AsyncIterator[TelegramRunner]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(lambda *, task_status: runner.run(task_status=task_status))
        yield runner
        tasks.cancel_scope.cancel()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fails after 10 s."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await anyio.sleep(0.005)
