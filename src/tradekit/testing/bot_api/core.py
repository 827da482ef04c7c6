"""The state of one simulated bot: its chats, messages, updates, files and payments."""

from __future__ import annotations

import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any

import msgspec

from tradekit.testing.bot_api.chat import SimulatedChat
from tradekit.testing.bot_api.errors import bad_request, blocked_by_user, too_many_requests
from tradekit.testing.bot_api.event_log import EventLog
from tradekit.testing.bot_api.faults import FaultPlan
from tradekit.testing.bot_api.limits import RateLimits, SendLimiter
from tradekit.testing.bot_api.parameters import Parameters, UploadedFile
from tradekit.testing.bot_api.tracker import ReplyTracker
from tradekit.testing.bot_api.types import Call, CallbackAnswer, Charge, Chat, Message, Update, User
from tradekit.testing.bot_api.updates import PendingUpdate, UpdateQueue

_CALLBACKS_MAX = 100_000
_CALLBACK_ANSWERS_MAX = 10_000


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    file_id: str
    unique_id: str
    path: str
    upload: UploadedFile
    width: int = 0
    height: int = 0


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    calls: int
    methods: dict[str, int]
    statuses: dict[str, int]
    limited: dict[str, int]
    """Messages refused with 429, by limit: chat, group, overall."""
    faults: dict[str, int]
    updates: int
    handed_out: int
    redelivered: int
    acknowledged: int
    pending: int
    messages: int
    """Messages and edits of the bot that took effect."""


class BotCore:
    """What the server knows. No HTTP here: methods read and change it, transports deliver from it."""

    def __init__(
        self,
        *,
        token: str,
        username: str,
        limits: RateLimits,
        log: EventLog,
        seed: int,
        calls_kept: int,
        messages_kept: int,
        pending_max: int,
    ) -> None:
        self.token = token
        self.me = User(id=int(token.partition(":")[0]), is_bot=True, first_name=username, username=username)
        self.limits = limits
        self.limiter = SendLimiter(limits)
        self.faults = FaultPlan(seed)
        self.log = log
        self.tracker = ReplyTracker()
        self.chats: dict[int, SimulatedChat] = {}
        self.messages_kept = messages_kept
        self.calls: deque[Call] = deque(maxlen=calls_kept)
        self.files: dict[str, StoredFile] = {}
        self.charges: dict[str, Charge] = {}
        self.profile: dict[tuple[str, str], Any] = {}
        """Commands, names and descriptions by (what, language and scope)."""
        self.callbacks: OrderedDict[str, SimulatedChat] = OrderedDict()
        self.callback_answers: OrderedDict[str, CallbackAnswer] = OrderedDict()
        """What the bot answered, by id of the callback query."""
        self.on_callback_answer: Callable[[str, CallbackAnswer], None] = lambda _id, _answer: None
        self.pre_checkouts: dict[str, Callable[[bool, str], None]] = {}
        self.invoices: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """Payload and price of each invoice by "chat:message" or by its link."""
        self.updates = UpdateQueue(
            first_update_id=1 + secrets.randbelow(1 << 20), pending_max=pending_max, on_acknowledged=self._acknowledged
        )
        self.on_pending: Callable[[PendingUpdate], None] = lambda _: None
        self.counts: Counter[str] = Counter()
        self.method_counts: Counter[str] = Counter()
        self.status_counts: Counter[int] = Counter()
        self._next_message_id = 1
        self._next_callback_id = int(time.time()) << 20

    def stats(self) -> Stats:
        return Stats(
            calls=self.counts["calls"],
            methods=dict(self.method_counts),
            statuses={str(status): count for status, count in self.status_counts.items()},
            limited=dict(self.limiter.limited),
            faults=dict(self.faults.injected),
            updates=self.counts["updates"],
            handed_out=self.counts["handed_out"],
            redelivered=self.counts["redelivered"],
            acknowledged=self.counts["acknowledged"],
            pending=len(self.updates),
            messages=self.counts["messages"],
        )

    # What people do

    def open_chat(
        self,
        chat_id: int,
        *,
        first_name: str = "Person",
        kind: str = "private",
        title: str | None = None,
        username: str | None = None,
        language_code: str = "en",
    ) -> SimulatedChat:
        """The chat with this id; made on first use."""
        known = self.chats.get(chat_id)
        if known is not None:
            return known
        is_private = kind == "private"
        user = User(
            id=abs(chat_id), is_bot=False, first_name=first_name, username=username if is_private else None, language_code=language_code
        )
        if is_private:
            chat = Chat(id=chat_id, type=kind, first_name=first_name, username=username)
        else:
            chat = Chat(id=chat_id, type=kind, title=title or "Group", username=username)
        self.chats[chat_id] = SimulatedChat(self, chat, user)
        return self.chats[chat_id]

    def take_message_id(self) -> int:
        self._next_message_id += 1
        return self._next_message_id - 1

    def take_callback_id(self, chat: SimulatedChat) -> str:
        self._next_callback_id += 1
        callback_id = str(self._next_callback_id)
        self.callbacks[callback_id] = chat
        if len(self.callbacks) > _CALLBACKS_MAX:
            self.callbacks.popitem(last=False)
        return callback_id

    def emit(self, kind: str, chat_id: int, text: str, value: msgspec.Struct) -> Update | None:
        """Queue an update for the bot; None if the bot did not ask for its kind.

        :raises QueueOverflow: the bot is too far behind.
        """
        if not self.updates.accepts(kind):
            return None
        update = Update(**{"update_id": self.updates.take_id(), kind: value})  # type: ignore[arg-type]
        pending = PendingUpdate(update, kind, chat_id, text)
        self.updates.append(pending)
        self.counts["updates"] += 1
        self.on_pending(pending)
        return update

    # What the bot gets

    def hand_out(self, pending: PendingUpdate, via: str) -> None:
        """Note that the update is being sent to the bot now."""
        now_ns = time.monotonic_ns()
        pending.attempts += 1
        self.counts["handed_out"] += 1
        if pending.attempts == 1:
            pending.handed_out_ns = now_ns
            pending.handed_out_ms = time.time_ns() // 1_000_000
            self.tracker.handed_out(pending)
        else:
            self.counts["redelivered"] += 1
        self.log.write(
            "handed_out",
            now_ns=now_ns,
            update_id=pending.update_id,
            chat_id=pending.chat_id,
            text=pending.text,
            via=via,
            attempt=pending.attempts,
        )

    def _acknowledged(self, pending: PendingUpdate) -> None:
        self.counts["acknowledged"] += 1
        self.log.write("acknowledged", now_ns=time.monotonic_ns(), update_id=pending.update_id, chat_id=pending.chat_id, text=pending.text)

    # What the bot does

    def chat_of(self, parameters: Parameters) -> SimulatedChat:
        """
        :raises ApiError: no such chat.
        """
        value = parameters.text("chat_id")
        if not value:
            raise bad_request("chat_id is empty")
        chat_id = parameters.as_integer("chat_id")
        chat = self.chats.get(chat_id) if chat_id is not None else None
        if chat is None and value.startswith("@"):
            chat = next((known for known in self.chats.values() if known.chat.username == value[1:]), None)
        if chat is None:
            raise bad_request("chat not found")
        return chat

    def admit(self, chat: SimulatedChat, method: str, text: str) -> None:
        """Let one message to the chat pass or refuse it.

        :raises ApiError: 403 or 429.
        """
        if chat.blocked:
            raise blocked_by_user()
        now_ns = time.monotonic_ns()
        retry_after = self.limiter.admit(chat.id, is_group=chat.chat.type in ("group", "supergroup"), now_s=now_ns / 1e9)
        if retry_after is not None:
            self.log.write("limited", now_ns=now_ns, chat_id=chat.id, text=text, method=method, retry_after=retry_after)
            raise too_many_requests(retry_after)

    def deliver(self, chat: SimulatedChat, message: Message, method: str) -> None:
        """A new message or an edit of the bot reaches the chat."""
        now_ns = time.monotonic_ns()
        self.counts["messages"] += 1
        reply_to = message.reply_to_message.message_id if message.reply_to_message is not None else None
        answer = self.tracker.sent(chat.id, message.content, method, now_ns, reply_to)
        chat.receive(message)
        self.log.write(
            "message",
            now_ns=now_ns,
            chat_id=chat.id,
            text=message.content,
            method=method,
            message_id=message.message_id,
            answers_update_id=answer.update_id if answer is not None else None,
            latency_ms=answer.latency_ms if answer is not None else None,
        )

    def unchanged(self, chat: SimulatedChat, message: Message, method: str) -> None:
        """An edit to what the message says already is refused: the chat shows it."""
        self.log.write(
            "unchanged", now_ns=time.monotonic_ns(), chat_id=chat.id, text=message.content, method=method, message_id=message.message_id
        )

    def callback_answered(self, query_id: str, answer: CallbackAnswer) -> None:
        self.callback_answers[query_id] = answer
        if len(self.callback_answers) > _CALLBACK_ANSWERS_MAX:
            self.callback_answers.popitem(last=False)
        self.on_callback_answer(query_id, answer)

    def store_file(self, upload: UploadedFile, folder: str, width: int = 0, height: int = 0) -> StoredFile:
        number = len(self.files) + 1
        suffix = upload.name.rpartition(".")[2] or "bin"
        stored = StoredFile(
            file_id=f"AgAC{number:08d}{secrets.token_urlsafe(24)}",
            unique_id=f"AQAD{number:08d}",
            path=f"{folder}/file_{number}.{suffix}",
            upload=upload,
            width=width,
            height=height,
        )
        self.files[stored.file_id] = stored
        return stored
