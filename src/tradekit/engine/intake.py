"""The durable inbox: a message is stored before it is acknowledged, recognised when it comes again, and never forgotten."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import anyio
import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.credentials import PASTED_KEY, looks_like_key
from tradekit.domain.errors import Busy, Duplicate, TradekitError, Unavailable
from tradekit.domain.inbox import InboxMessage, LaneClass
from tradekit.domain.replies import OutgoingMessage, Reply
from tradekit.domain.users import Identity, partition_of
from tradekit.engine.directory import Directory
from tradekit.engine.lanes import Envelope, Slot
from tradekit.engine.numbers import Numbers
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.sessions import Sessions
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage
from tradekit.services.decisions import Handler

log = logging.getLogger(__name__)

RECENT_MAX = 50_000
"""Message keys kept to recognise repeats without asking the storage."""
WAITING_MAX = 20_000
"""Messages at work above which nothing more is taken in."""
RETRY_S = 1.0


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner took from its transport."""

    source: str
    """Who numbers the messages, such as ``telegram:BOT_ID``."""
    message_id: str
    identity: Identity | None
    text: str
    display_name: str = ""
    raw: bytes = b""
    problem: str = ""
    """Why it can only be recorded: it is stored as a dead letter and nothing else happens."""


MakeHandler = Callable[[str, Identity, str], Handler]
"""Text, identity and display name to a use case: the conversation."""


class Intake:
    """Takes messages in at least-once transports and makes of them exactly one effect each."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        numbers: Numbers,
        directory: Directory,
        sessions: Sessions,
        orchestrator: Orchestrator,
        telemetry: Telemetry,
        partitions: int,
        handler: MakeHandler,
        lane_class: Callable[[str], LaneClass],
        offer: Callable[[Sequence[OutgoingMessage]], None],
        confirm: Callable[[Identity], bool],
    ) -> None:
        self._storage, self._clock, self._numbers, self._directory = storage, clock, numbers, directory
        self._sessions, self._orchestrator, self._telemetry, self._partitions = sessions, orchestrator, telemetry, partitions
        self._handler, self._lane_class, self._offer, self._confirm = handler, lane_class, offer, confirm
        self._recent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._newest: dict[str, int] = {}
        self._storing: dict[tuple[str, str], list[Callable[[Exception | None], None]]] = {}
        """Keys with the storage, and who else waits for its answer."""
        self._failed: set[int] = set()
        self._doubtful: dict[tuple[str, str], list[int]] = {}
        """Inbox ids of messages that were to be worked on once stored, and whose storing was not confirmed: one for every try."""
        self._wake = anyio.Event()
        self.on_doubt: Callable[[], None] = lambda: None
        """Told that an answer to a sender may be stored although its commit was not confirmed."""
        orchestrator.on_failed_inbox = self._failed_later

    async def accept(self, messages: Sequence[Inbound]) -> None:
        """Store the messages; when this returns they may be acknowledged to their sender.

        Repeats are recognised and left alone. A message whose number is new is worked on while it is being stored.

        :raises Busy: too much waits; nothing that is not stored already was taken.
        :raises StorageFailed: not stored; let the transport deliver again.
        """
        if self._orchestrator.at_work > WAITING_MAX:
            raise Busy(queue="inbox", limit=WAITING_MAX)
        stored = _Answers()
        in_turn: set[Identity | None] = set()
        """Who has an earlier message that waits for the storage: their later ones must not overtake it."""
        for message in messages:
            key = (message.source, message.message_id)
            if key in self._storing:
                # The first copy is not durable yet: this one must not be acknowledged before it is.
                self._storing[key].append(stored.follow())
                continue
            if key in self._recent:
                self._telemetry.count("inbox.repeated")
                continue
            row = self._row(message)
            dead = ((row.inbox_id, message.problem or "unreadable"),) if self._is_dead(message) else ()
            fresh = self._is_newest(message) and not dead and message.identity not in in_turn
            if not dead and not fresh:
                in_turn.add(message.identity)
            dispatch_later = None if dead or fresh else row
            self._storage.submit(Changes(inbox=(row,), dead_letters=dead), stored.expect(self._stored, key, dispatch_later))
            self._storing[key] = []
            self._remember(key)
            if fresh:
                self._dispatch(row)
        await stored.wait()

    @staticmethod
    def _is_dead(message: Inbound) -> bool:
        return bool(message.problem) or message.identity is None

    def _is_newest(self, message: Inbound) -> bool:
        """Whether the number is above all seen, so that the message cannot be a repeat. Others wait for the storage's word."""
        if not message.message_id.isdecimal():
            return False
        number = int(message.message_id)
        if number <= self._newest.get(message.source, -1):
            return False
        self._newest[message.source] = number
        return True

    def _row(self, message: Inbound) -> InboxMessage:
        user_id = self._user_of(message.identity) if message.identity is not None else None
        # Before anything is durable: a venue's key that somebody typed into a chat must not be kept, not even until it is answered.
        pasted = looks_like_key(message.text)
        return InboxMessage(
            inbox_id=self._numbers.inbox_id(),
            partition=0 if user_id is None else partition_of(user_id, self._partitions),
            source=message.source,
            message_id=message.message_id,
            identity=message.identity,
            text=PASTED_KEY if pasted else message.text[:4096],
            display_name=message.display_name[:64],
            raw=b"" if pasted else message.raw[:65_536],
            received_ms=self._clock.now_ms(),
            problem=message.problem[:500],
        )

    def _remember(self, key: tuple[str, str]) -> None:
        self._recent[key] = None
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def _stored(self, key: tuple[str, str], later: InboxMessage | None, error: Exception | None) -> Exception | None:
        """Note what the storage said; a repeat that only the storage knew is no error."""
        verdict = self._judge(key, later, error)
        for follower in self._storing.pop(key, ()):
            follower(verdict)
        return verdict

    def _judge(self, key: tuple[str, str], later: InboxMessage | None, error: Exception | None) -> Exception | None:
        if error is None:
            self._telemetry.count("inbox.stored")
            self._doubtful.pop(key, None)
            if later is not None:
                self._dispatch(later)
            return None
        if isinstance(error, Duplicate):
            self._telemetry.count("inbox.repeated")
            # Which of the tries was stored is not known: the storage shows it.
            for inbox_id in self._doubtful.pop(key, ()):
                self._failed_later(inbox_id)
            return None
        self._recent.pop(key, None)
        if later is not None:
            self._doubtful.setdefault(key, []).append(later.inbox_id)
        return error

    def _dispatch(self, row: InboxMessage) -> None:
        """Put a message into its user's lane, or tell the user that it is full."""
        assert row.identity is not None
        try:
            slot = self.slot_of(row.identity)
            self._orchestrator.post(
                Envelope(
                    user_id=slot.user_id,
                    lane_class=self._lane_class(row.text),
                    handler=self._handler(row.text, row.identity, row.display_name),
                    cause=row.cause,
                    posted_s=self._clock.monotonic(),
                    inbox_id=row.inbox_id,
                    reply_to=row.identity,
                    confirm_orders=self._confirm(row.identity),
                ),
                slot,
            )
        except Busy as error:
            self._say_busy(row, error)
        except Unavailable:
            log.info("stopping: message %s stays in the inbox", row.cause)

    def _user_of(self, identity: Identity) -> int:
        """The number of whoever uses this identity; somebody new gets the next one."""
        user_id = self._directory.find(identity)
        if user_id is None:
            user_id = self._numbers.user_id()
            self._directory.remember(identity, user_id)
        return user_id

    def slot_of(self, identity: Identity) -> Slot:
        """The slot for whoever uses this identity, registered or not.

        :raises Busy: memory is full of users at work.
        """
        return self._sessions.slot(self._user_of(identity))

    def _say_busy(self, row: InboxMessage, error: Busy) -> None:
        """Nothing is dropped silently: the message ends here, and its sender hears it."""
        assert row.identity is not None
        self._telemetry.count("messages.busy")
        now_ms = self._clock.now_ms()
        reply = OutgoingMessage(
            outbox_id=self._numbers.outbox_id(),
            user_id=self._directory.find(row.identity) or 0,
            partition=row.partition,
            transport=row.identity.transport,
            address=row.identity.external_id,
            reply=Reply(key="error.busy", args={"queue": error.queue, "limit": str(error.limit)}, topic="busy"),
            language="en",
            created_ms=now_ms,
            expires_ms=now_ms + 60_000,
        )

        def written(failure: Exception | None) -> None:
            if failure is None:
                self._offer((reply,))
            else:
                self.on_doubt()
                self._failed_later(row.inbox_id)

        try:
            self._storage.submit(Changes(inbox_done=(row.inbox_id,), outbox=(reply,)), written)
        except Busy:
            self._failed_later(row.inbox_id)

    def _failed_later(self, inbox_id: int) -> None:
        self._failed.add(inbox_id)
        self._wake.set()

    async def recover(self) -> int:
        """Take up what a former run stored and did not finish; returns how many messages."""
        for key in await self._storage.recent_message_keys(RECENT_MAX):
            self._remember(key)
            if key[1].isdecimal():
                self._newest[key[0]] = max(self._newest.get(key[0], -1), int(key[1]))
        return await self._again(None)

    async def _again(self, only: set[int] | None) -> int:
        count = after_id = 0
        while page := await self._storage.pending_inbox(after_id=after_id):
            for row in page:
                if only is None or row.inbox_id in only:
                    while self._orchestrator.at_work > WAITING_MAX:  # noqa: ASYNC110 - a bound, looked at once a second
                        await anyio.sleep(RETRY_S)
                    self._dispatch(row)
                    count += 1
            after_id = page[-1].inbox_id
        return count

    async def run(self) -> None:
        """Retry what could not be committed, once the storage answers again, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            await anyio.sleep(RETRY_S)
            failed, self._failed = self._failed, set()
            try:
                await self._again(failed)
            except TradekitError as error:
                log.error("inbox: %s messages wait for the storage: %s", len(failed), error)
                self._failed |= failed
                self._wake.set()


class _Answers:
    """Waits for the storage's answers to several submissions."""

    def __init__(self) -> None:
        self._open = 0
        self._event = anyio.Event()
        self._error: Exception | None = None

    def expect(
        self,
        judge: Callable[[tuple[str, str], InboxMessage | None, Exception | None], Exception | None],
        key: tuple[str, str],
        later: InboxMessage | None,
    ) -> Callable[[Exception | None], None]:
        self._open += 1

        def done(error: Exception | None) -> None:
            self._arrived(judge(key, later, error))

        return done

    def follow(self) -> Callable[[Exception | None], None]:
        """Wait for somebody else's answer too."""
        self._open += 1
        return self._arrived

    def _arrived(self, error: Exception | None) -> None:
        self._error = error or self._error
        self._open -= 1
        if not self._open:
            self._event.set()

    async def wait(self) -> None:
        if self._open:
            await self._event.wait()
        if self._error is not None:
            raise self._error
