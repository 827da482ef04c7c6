"""Long polling that loses nothing: the offset moves only after the updates before it are durable.

getUpdates: https://core.telegram.org/bots/api#getupdates
"""

import logging
import time
from collections.abc import Callable, Sequence

import anyio
import msgspec
from telegram.error import Conflict, InvalidToken, TelegramError

from tradekit.domain.errors import Temporary
from tradekit_telegram.answers import Answers
from tradekit_telegram.backoff import Backoff
from tradekit_telegram.client import Client
from tradekit_telegram.errors import FloodWait, redacted
from tradekit_telegram.inbound import Accept
from tradekit_telegram.status import Status
from tradekit_telegram.update import ALLOWED_UPDATES, Decoded, UpdateReader

_log = logging.getLogger(__name__)
_BATCH_MAX = 100
_POLL_S = 25
_UNREADABLE_TRIES = 5
_TOKEN_RETRY_S = 30.0


class _Batch(msgspec.Struct):
    result: list[msgspec.Raw]


_batch_decoder = msgspec.json.Decoder(_Batch)


class Poller:
    """Fetches updates, has them made durable, and only then asks for the next ones."""

    def __init__(
        self,
        client: Client,
        reader: UpdateReader,
        accept: Accept,
        answers: Answers,
        status: Status,
        *,
        poll_s: int = _POLL_S,
        backoff_first_s: float = 0.5,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        :param poll_s: how long the server may hold a request without updates.
        :param backoff_first_s: the first wait after a failure; it doubles up to 30 s.
        """
        self._client = client
        self._reader = reader
        self._accept = accept
        self._answers = answers
        self._status = status
        self._poll_s = poll_s
        self._now_ms = now_ms
        self._network = Backoff(backoff_first_s, 30.0)
        self._storage = Backoff(backoff_first_s / 5, 2.0)
        self._unreadable = 0
        self._offset = 0

    @property
    def offset(self) -> int:
        """The first update that is not yet known to be durable; 0 before the first."""
        return self._offset

    async def run(self) -> None:
        """Poll until cancelled.

        :raises Exception: what ``accept`` raises beyond ``Temporary``; running again goes on where it stopped.
        """
        while True:
            body = await self._fetch()
            if body is None:
                continue
            batch = await self._read(body)
            if not batch:
                continue
            await self._make_durable(batch)
            self._move_on(batch)

    async def _fetch(self) -> bytes | None:
        limit = 1 if self._unreadable else _BATCH_MAX
        try:
            body = await self._client.get_updates(offset=self._offset, limit=limit, timeout_s=self._poll_s, allowed=ALLOWED_UPDATES)
        except FloodWait as wait:
            await self._pause(str(wait), wait.retry_after_s)
        except Conflict as conflict:
            await self._resolve(conflict)
        except InvalidToken as error:
            self._status.unhealthy("polling", "the bot token is no longer accepted")
            _log.error("polling: the bot token is no longer accepted (%s), asking again in %g s", redacted(error), _TOKEN_RETRY_S)
            await anyio.sleep(_TOKEN_RETRY_S)
        except TelegramError as error:
            await self._pause(redacted(error))
        else:
            return body
        return None

    async def _resolve(self, conflict: Conflict) -> None:
        if "webhook" in conflict.message.lower():
            _log.warning("a webhook is set although polling is configured: deleting it, waiting updates stay")
            try:
                await self._client.bot.delete_webhook(drop_pending_updates=False)
            except TelegramError as error:
                await self._pause(redacted(error))
            return
        await self._pause("another process polls for the same bot; only one may run with this token")

    async def _pause(self, reason: str, at_least_s: float = 0.0) -> None:
        wait_s = max(self._network.next_s(), at_least_s)
        self._status.degraded("polling", reason)
        _log.warning("polling failed: %s; again in %.1f s", reason, wait_s)
        await anyio.sleep(wait_s)

    async def _read(self, body: bytes) -> list[Decoded] | None:
        try:
            items = _batch_decoder.decode(body).result
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return await self._unreadable_answer(body, redacted(error))
        self._unreadable = 0
        self._network.reset()
        self._status.well("polling")
        now_ms = self._now_ms()
        return [self._reader.read(bytes(item), now_ms) for item in items]

    async def _unreadable_answer(self, body: bytes, reason: str) -> list[Decoded] | None:
        """Ask again, for a single update; if that one stays unreadable it is recorded as malformed, so that those behind it get through."""
        self._unreadable += 1
        if self._unreadable >= _UNREADABLE_TRIES:
            malformed = self._reader.malformed(body, f"unreadable answer: {reason}")
            if malformed.update_id is not None:
                self._unreadable = 0
                return [malformed]
        await self._pause(f"the server's answer cannot be read: {reason}")
        return None

    async def _make_durable(self, batch: Sequence[Decoded]) -> None:
        messages = [decoded.inbound for decoded in batch]
        while True:
            try:
                await self._accept(messages)
            except Temporary as error:
                wait_s = self._storage.next_s()
                self._status.degraded("inbox", f"{len(messages)} updates wait at Telegram: {error}")
                _log.warning("%d updates are not accepted yet: %s; again in %.2f s", len(messages), error, wait_s)
                await anyio.sleep(wait_s)
            else:
                self._storage.reset()
                self._status.well("inbox")
                return

    def _move_on(self, batch: Sequence[Decoded]) -> None:
        numbers = [decoded.update_id for decoded in batch if decoded.update_id is not None]
        if numbers:
            self._offset = max(numbers) + 1
        for decoded in batch:
            self._answers.offer(decoded.answer)
