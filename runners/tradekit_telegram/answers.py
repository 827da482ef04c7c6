"""Answers to clicks and checkout queries: after the update is durable, best effort, bounded."""

import logging
from collections import deque

import anyio
from telegram.error import TelegramError

from tradekit_telegram.client import Client
from tradekit_telegram.errors import FloodWait, redacted
from tradekit_telegram.update import Answer

_log = logging.getLogger(__name__)
_WAITING_MAX = 1_000
_WORKERS = 4
_DEADLINE_S = 5.0
_FLOOD_WAIT_MAX_S = 30.0


class Answers:
    """A queue of answers. One that does not fit or does not get through is counted in ``dropped``: a click without an answer
    only leaves a progress circle on the button for a while.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: deque[Answer] = deque()
        self._wake = anyio.Event()
        self.dropped = 0

    def offer(self, answer: Answer | None) -> None:
        """Queue an answer, if there is one."""
        if answer is None:
            return
        if len(self._waiting) >= _WAITING_MAX:
            self._drop("the queue is full")
            return
        self._waiting.append(answer)
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_WORKERS):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake = anyio.Event() if self._wake.is_set() else self._wake
                await self._wake.wait()
            await self._deliver(self._waiting.popleft())

    async def _deliver(self, answer: Answer) -> None:
        try:
            with anyio.fail_after(_DEADLINE_S):
                await self._answer(answer)
        except FloodWait as wait:
            self._drop(redacted(wait))
            await anyio.sleep(min(wait.retry_after_s, _FLOOD_WAIT_MAX_S))
        except (TelegramError, TimeoutError) as error:
            self._drop(redacted(error))

    async def _answer(self, answer: Answer) -> None:
        if answer.callback_query_id:
            await self._client.call("answerCallbackQuery", callback_query_id=answer.callback_query_id, text=answer.text)
        if answer.pre_checkout_query_id:
            await self._client.call(
                "answerPreCheckoutQuery", pre_checkout_query_id=answer.pre_checkout_query_id, ok=False, error_message=answer.text
            )

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        _log.debug("an answer to a click was dropped: %s", reason)
