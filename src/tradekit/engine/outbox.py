"""The durable outbox: what was committed is sent, in order of priority, within each transport's limits, at least once."""

import logging
from collections.abc import Callable, Iterable

import anyio
import anyio.abc
import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Busy
from tradekit.domain.replies import OutgoingMessage, Priority
from tradekit.domain.users import Identity
from tradekit.engine.channel import Channel
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.messenger import Messenger, SendOutcome, SendResult
from tradekit.ports.storage import Storage

log = logging.getLogger(__name__)

SEND_DEADLINE_S = 30
BACKOFF_MAX_S = 60.0
TRIES_MAX = 20
FLUSH_EVERY_S = 0.1
FLUSH_ROWS = 500
IDLE_S = 1.0
"""Longest pause between two looks at the queue."""


class Outbox:
    """Messages of every transport that has a messenger; those of others stay in the storage until one is attached."""

    def __init__(self, *, storage: Storage, clock: Clock, telemetry: Telemetry, size_max: int = 100_000) -> None:
        self._storage, self._clock, self._telemetry, self._size_max = storage, clock, telemetry, size_max
        self._started_ms = clock.now_ms()
        self._channels: dict[str, Channel] = {}
        self._held: set[int] = set()
        """Ids in memory."""
        self._done: list[int] = []
        self._finished: set[int] = set()
        """Ids that are sent but whose deletion is not durable yet."""
        self._left_after: dict[str, int] = {}
        """By transport: the outbox id after which messages wait in the storage that are not in memory."""
        self._wakes: dict[str, anyio.Event] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._to_start: list[Channel] = []
        self._some_done = anyio.Event()
        self._flush_wake = anyio.Event()
        self.on_unreachable: Callable[[int], None] = lambda user_id: None

    def attach(self, messenger: Messenger) -> None:
        """Send through this messenger from now on, beginning with what waits in the storage."""
        channel = self._channels[messenger.transport] = Channel(messenger)
        self._wakes[messenger.transport] = anyio.Event()
        if self._tasks is None:
            self._to_start.append(channel)
        else:
            self._tasks.start_soon(self._serve, channel)

    def offer(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take messages that are durable now."""
        for message in messages:
            if message.transport in self._channels:
                self._take(message)

    def _take(self, message: OutgoingMessage) -> None:
        if message.outbox_id in self._held or message.outbox_id in self._finished:
            return
        if len(self._held) >= self._size_max:
            if message.transport not in self._left_after:
                self._left_after[message.transport] = message.outbox_id - 1
                log.warning("outbox: %s messages in memory, further ones wait in the storage", self._size_max)
            return
        self._held.add(message.outbox_id)
        replaced = self._channels[message.transport].put(message, self._clock.monotonic())
        if replaced is not None:
            self._finish(replaced, "outbox.coalesced")
        self._wakes[message.transport].set()

    def rescan(self) -> None:
        """Look into the storage: messages may be there although their commit was not confirmed."""
        for transport in self._channels:
            self._left_after[transport] = 0
            self._wakes[transport].set()

    @property
    def waiting(self) -> int:
        """Messages in memory not yet settled."""
        return len(self._held)

    def quiet(self, identity: Identity) -> bool:
        """Whether nothing waits for this address."""
        channel = self._channels.get(identity.transport)
        return channel is None or not channel.busy_with(identity.external_id)

    def wake(self, transport: str, address: str = "") -> None:
        """Something about the transport, or one address of it, changed, such as a client that attached: what waits is tried at once."""
        channel = self._channels.get(transport)
        if channel is not None:
            channel.wake(address, self._clock.monotonic())
            self._wakes[transport].set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            for channel in self._to_start:
                self._tasks.start_soon(self._serve, channel)
            self._to_start.clear()
            self._tasks.start_soon(self._flush_forever)

    async def _serve(self, channel: Channel) -> None:
        transport = channel.messenger.transport
        await self._load(transport)
        async with anyio.create_task_group() as sends:
            while True:
                now = self._clock.monotonic()
                while (message := channel.take(now)) is not None:
                    if message.expires_ms <= self._clock.now_ms():
                        channel.settle(message, now, sent=False)
                        self._finish(message, "outbox.expired")
                    else:
                        sends.start_soon(self._send, channel, message)
                        now = self._clock.monotonic()
                await self._pause(channel)
                if transport in self._left_after and len(self._held) < self._size_max // 2:
                    await self._load(transport)

    async def _pause(self, channel: Channel) -> None:
        transport = channel.messenger.transport
        now = self._clock.monotonic()
        due = channel.next_at(now)
        delay = IDLE_S if due is None else min(IDLE_S, max(0.0, due - now))
        with anyio.move_on_after(delay):
            await self._wakes[transport].wait()
        if self._wakes[transport].is_set():
            self._wakes[transport] = anyio.Event()

    async def _load(self, transport: str) -> None:
        """Bring what waits in the storage into memory, as far as there is room."""
        after_id = self._left_after.pop(transport, 0)
        while True:
            try:
                page = await self._storage.pending_outbox(after_id=after_id)
            except Exception:
                log.exception("outbox: cannot read what waits; trying again")
                await anyio.sleep(1)
                continue
            self.offer(message for message in page if message.transport == transport)
            if not page or transport in self._left_after:
                return
            after_id = page[-1].outbox_id

    async def _send(self, channel: Channel, message: OutgoingMessage) -> None:
        with anyio.move_on_after(SEND_DEADLINE_S):
            try:
                result = await channel.messenger.send(message)
            except Exception:  # supervisor: a messenger's bug must not end the outbox
                log.exception("messenger %s failed", message.transport)
                result = SendResult(outcome=SendOutcome.RETRY)
            self._settle(channel, message, result)
            return
        self._settle(channel, message, SendResult(outcome=SendOutcome.RETRY, detail="no answer"))

    def _settle(self, channel: Channel, message: OutgoingMessage, result: SendResult) -> None:
        now = self._clock.monotonic()
        if result.outcome is SendOutcome.RETRY:
            self._again(channel, message, result, now)
        else:
            channel.settle(message, now, sent=True)
            self._finish(message, f"outbox.{result.outcome}")
        if result.outcome is SendOutcome.SENT and self._answers_now(message):
            self._telemetry.observe("response_ms", self._clock.now_ms() - message.created_ms)
        elif result.outcome is SendOutcome.UNREACHABLE:
            for dropped in channel.drop_chat(message.address):
                self._finish(dropped, "outbox.unreachable")
            self.on_unreachable(message.user_id)
        elif result.outcome is SendOutcome.REFUSED:
            log.error("%s refused message %s (%s): %s", message.transport, message.outbox_id, message.reply.key, result.detail)
        self._wakes[message.transport].set()

    def _answers_now(self, message: OutgoingMessage) -> bool:
        """Whether the time to send it says how fast the service answers: a reply made by this run, delivered at the first try."""
        return message.reply.priority is Priority.REPLY and not message.tries and message.created_ms >= self._started_ms

    def _again(self, channel: Channel, message: OutgoingMessage, result: SendResult, now: float) -> None:
        tries = message.tries + 1
        if tries >= TRIES_MAX and not result.retry_after_s:
            channel.settle(message, now, sent=True)
            log.error("%s: message %s given up after %s tries: %s", message.transport, message.outbox_id, tries, result.detail)
            self._finish(message, "outbox.failed")
            return
        self._telemetry.count("outbox.retried")
        wait_s = result.retry_after_s or min(BACKOFF_MAX_S, 0.25 * 2 ** min(tries, 10))
        if result.whole_transport:
            channel.held_until = max(channel.held_until, now + wait_s)
        if not channel.settle(msgspec.structs.replace(message, tries=tries), now, sent=True, wait_s=wait_s, again=True):
            self._finish(message, "outbox.coalesced")

    def _finish(self, message: OutgoingMessage, counter: str) -> None:
        self._telemetry.count(counter)
        self._held.discard(message.outbox_id)
        self._done.append(message.outbox_id)
        self._finished.add(message.outbox_id)
        self._some_done.set()
        if len(self._done) >= FLUSH_ROWS:
            self._flush_wake.set()

    async def _flush_forever(self) -> None:
        try:
            while True:
                await self._some_done.wait()
                self._some_done = anyio.Event()
                with anyio.move_on_after(FLUSH_EVERY_S):
                    await self._flush_wake.wait()
                self._flush_wake = anyio.Event()
                self._flush()
        finally:
            self._flush()

    def _flush(self) -> None:
        """Delete what was sent. Until this is durable a crash sends it again."""
        if not self._done:
            return
        ids, self._done = tuple(self._done), []

        def written(error: Exception | None) -> None:
            if error is None:
                self._finished.difference_update(ids)
            else:
                self._done.extend(ids)
                self._some_done.set()

        try:
            self._storage.submit(Changes(outbox_done=ids), written, bulk=True)
        except Busy:
            self._done.extend(ids)
            self._some_done.set()
