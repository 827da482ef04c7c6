"""What a watched service did: which commit answered which message, when fills were durable, what was sent. One JSON line each."""

import time
from pathlib import Path
from typing import Any, cast

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.replies import OutgoingMessage
from tradekit.ports.messenger import Messenger, Pace, SendResult
from tradekit.ports.storage import Done, Storage


class Queued(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that was committed to the outbox."""

    outbox_id: int
    address: str
    key: str
    topic: str
    priority: int
    expires_ms: int


class Committed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="committed"):
    """A commit was answered: what it holds is durable."""

    time_ms: int
    inbox: tuple[int, ...] = ()
    """Inbox rows that it finished."""
    outbox: tuple[Queued, ...] = ()
    fills: tuple[tuple[str, str], ...] = ()
    """Order and trade id."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="sent", gc=False):
    """A send ended."""

    time_ms: int
    outbox_id: int
    address: str
    outcome: str


Line = Committed | Sent


class Journal:
    """Appends lines to a file until it is closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 18)
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: Line) -> None:
        self._file.write(self._encode(line) + b"\n")

    def committed(self, changes: Changes) -> None:
        """Note a commit that is durable now."""
        outbox = tuple(
            Queued(m.outbox_id, m.address, m.reply.key, m.reply.topic, int(m.reply.priority), m.expires_ms) for m in changes.outbox
        )
        fills = tuple((fill.client_order_id, fill.trade_id) for fill in changes.fills)
        finished = (*changes.inbox_done, *(inbox_id for inbox_id, _ in changes.dead_letters))
        if finished or outbox or fills:
            self.write(Committed(time_ms=_now_ms(), inbox=finished, outbox=outbox, fills=fills))

    def sent(self, message: OutgoingMessage, result: SendResult) -> None:
        """Note how a send ended."""
        self.write(Sent(time_ms=_now_ms(), outbox_id=message.outbox_id, address=message.address, outcome=result.outcome.value))

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[Line]:
    """The lines of a closed journal.

    :raises msgspec.DecodeError: it is not one.
    """
    decoder = msgspec.json.Decoder(Line)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


class _WatchedStorage:
    def __init__(self, storage: Storage, journal: Journal) -> None:
        self._storage, self._journal = storage, journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
        def noted(error: Exception | None) -> None:
            if error is None:
                self._journal.committed(changes)
            done(error)

        self._storage.submit(changes, noted, bulk=bulk)

    async def commit(self, changes: Changes) -> None:
        await self._storage.commit(changes)
        self._journal.committed(changes)


def watched_storage(storage: Storage, journal: Journal) -> Storage:
    """The storage, with every answered commit in the journal."""
    return cast("Storage", _WatchedStorage(storage, journal))


class WatchedMessenger:
    """A messenger, with every send in the journal."""

    def __init__(self, messenger: Messenger, journal: Journal) -> None:
        self._messenger, self._journal = messenger, journal

    @property
    def transport(self) -> str:
        return self._messenger.transport

    @property
    def pace(self) -> Pace:
        return self._messenger.pace

    async def send(self, message: OutgoingMessage) -> SendResult:
        result = await self._messenger.send(message)
        self._journal.sent(message, result)
        return result


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
