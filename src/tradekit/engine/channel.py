"""One transport's waiting messages: which may go next, and when."""

import heapq
from collections import OrderedDict, deque
from itertools import count
from math import ceil

import attrs

from tradekit.domain.replies import OutgoingMessage, Priority
from tradekit.engine.pacing import Pacer
from tradekit.ports.messenger import Messenger, Pace

CHATS_SWEEP_AT = 20_000
LOOKED_AT = 8
IN_FLIGHT_MIN = 4
IN_FLIGHT_SPARE = 4
ALERTS_IN_A_ROW = 1
"""After so many a reply goes, if one waits: the fills of a signal that reached thousands must not keep everybody else waiting."""


@attrs.define(eq=False)
class _Chat:
    """Messages of one address, best first, and its pace."""

    address: str
    pacer: Pacer
    heap: list[tuple[int, int, OutgoingMessage]] = attrs.field(factory=list)
    topics: dict[str, OutgoingMessage] = attrs.field(factory=dict)
    replaced: set[int] = attrs.field(factory=set)
    sending: bool = False
    sending_since: float = 0.0
    not_before: float = 0.0
    queued_as: int = 0
    """Stamp of the valid entry in the channel's queues; older entries are passed over."""


class Channel:
    """Keeps a transport's pace: per chat, overall, and a reserve of the overall pace for alerts and replies.

    Within a chat messages leave in order of priority, then age; among chats by the priority of their first message, except that alerts
    and replies take turns.
    """

    def __init__(self, messenger: Messenger) -> None:
        self.messenger = messenger
        pace = messenger.pace
        self._pace: Pace = pace
        self._overall = Pacer(pace.overall_per_s, burst=max(1, pace.overall_per_s / 10))
        self._low = Pacer(pace.overall_per_s * (1 - pace.reserve), burst=max(1, pace.overall_per_s / 10))
        self._chats: OrderedDict[str, _Chat] = OrderedDict()
        self._ready: dict[Priority, deque[tuple[int, _Chat]]] = {priority: deque() for priority in Priority}
        self._alerts_in_a_row = 0
        self._later: list[tuple[float, int, _Chat]] = []
        self._stamps = count(1)
        self._quickest_s = 1.0
        """The quickest of the last sends."""
        self.held_until = 0.0
        self.waiting = 0
        self.in_flight = 0

    def put(self, message: OutgoingMessage, now: float) -> OutgoingMessage | None:
        """Queue a message; returns the waiting one of the same topic that it replaces, or itself if a newer one waits."""
        chat = self._chats.get(message.address)
        if chat is None:
            chat = self._chats[message.address] = _Chat(message.address, Pacer(self._pace.chat_per_s, self._pace.chat_burst))
        topic = message.reply.topic
        old = chat.topics.get(topic) if topic else None
        if old is not None and old.outbox_id > message.outbox_id:
            # Read from the storage while a newer one came straight from its commit: the newest counts, not the last to arrive.
            return message
        if old is not None:
            chat.replaced.add(old.outbox_id)
            self.waiting -= 1
        if topic:
            chat.topics[topic] = message
        heapq.heappush(chat.heap, (message.reply.priority, message.outbox_id, message))
        self.waiting += 1
        self._schedule(chat, now)
        return old

    def _schedule(self, chat: _Chat, now: float) -> None:
        """Enter the chat where it belongs: ready, or later."""
        self._skip_replaced(chat)
        if chat.sending or not chat.heap:
            return
        chat.queued_as = next(self._stamps)
        due = max(chat.not_before, now + chat.pacer.wait(now))
        if due > now:
            heapq.heappush(self._later, (due, chat.queued_as, chat))
        else:
            self._ready[self._class_of(chat)].append((chat.queued_as, chat))

    @staticmethod
    def _class_of(chat: _Chat) -> Priority:
        """That of its first message; but whoever waits for a reply has their turn among replies, with the alert before it."""
        first = chat.heap[0][2].reply.priority
        if first is Priority.ALERT and any(entry[0] == Priority.REPLY for entry in chat.heap[:LOOKED_AT]):
            return Priority.REPLY
        return first

    @staticmethod
    def _skip_replaced(chat: _Chat) -> None:
        while chat.heap and chat.heap[0][1] in chat.replaced:
            chat.replaced.discard(heapq.heappop(chat.heap)[1])

    def take(self, now: float) -> OutgoingMessage | None:
        """The next message that may be sent now; :meth:`settle` must follow."""
        self._promote(now)
        if now < self.held_until or self.in_flight >= self._in_flight_max or self._overall.wait(now) > 0:
            return None
        priority = self._turn()
        if priority is None:
            return None
        low = priority >= Priority.SIGNAL
        if low and self._low.wait(now) > 0:
            return None
        self._overall.spend(now)
        if low:
            self._low.spend(now)
        self._alerts_in_a_row = self._alerts_in_a_row + 1 if priority is Priority.ALERT else 0
        return self._start(self._ready[priority].popleft()[1], now)

    @property
    def _in_flight_max(self) -> int:
        """As many as keep the pace, with room to spare: what is more only waits elsewhere, where nothing can overtake it any longer."""
        if not self._pace.overall_per_s:
            return self._pace.in_flight_max
        needed = ceil(IN_FLIGHT_SPARE * self._pace.overall_per_s * self._quickest_s)
        return min(self._pace.in_flight_max, max(IN_FLIGHT_MIN, needed))

    def _turn(self) -> Priority | None:
        """Whose turn it is among the chats that are ready."""
        waiting = [priority for priority, queue in self._ready.items() if self._has_ready(queue)]
        if waiting[:2] == [Priority.ALERT, Priority.REPLY] and self._alerts_in_a_row >= ALERTS_IN_A_ROW:
            return Priority.REPLY
        return waiting[0] if waiting else None

    @staticmethod
    def _has_ready(queue: deque[tuple[int, _Chat]]) -> bool:
        """Whether any entry is still valid; those in front that are not are passed over."""
        while queue:
            stamp, chat = queue[0]
            if stamp == chat.queued_as and not chat.sending and chat.heap:
                return True
            queue.popleft()
        return False

    def _start(self, chat: _Chat, now: float) -> OutgoingMessage:
        message = heapq.heappop(chat.heap)[2]
        if chat.topics.get(message.reply.topic) is message:
            del chat.topics[message.reply.topic]
        chat.sending, chat.sending_since = True, now
        self.waiting -= 1
        self.in_flight += 1
        return message

    def _promote(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, stamp, chat = heapq.heappop(self._later)
            if stamp == chat.queued_as and not chat.sending and chat.heap:
                self._schedule(chat, now)

    def settle(self, message: OutgoingMessage, now: float, *, sent: bool, wait_s: float = 0.0, again: bool = False) -> bool:
        """End a send. The chat's pace counts from now: the transport cannot have seen the message later than this.

        ``again`` returns the message to its place; False when a newer one of its topic waits, so that it is not worth repeating.
        """
        chat = self._chats[message.address]
        chat.sending = False
        self.in_flight -= 1
        if sent:
            chat.pacer.spend(now)
            if not again:
                self._quickest_s = min(self._quickest_s * 1.02, now - chat.sending_since)
        chat.not_before = now + wait_s
        kept = again and message.reply.topic not in chat.topics
        if kept:
            if message.reply.topic:
                chat.topics[message.reply.topic] = message
            heapq.heappush(chat.heap, (message.reply.priority, message.outbox_id, message))
            self.waiting += 1
        self._schedule(chat, now)
        self._sweep(now)
        return kept

    def drop_chat(self, address: str) -> list[OutgoingMessage]:
        """Take every waiting message of an address out."""
        chat = self._chats.get(address)
        if chat is None:
            return []
        dropped = [message for _, outbox_id, message in chat.heap if outbox_id not in chat.replaced]
        chat.heap.clear()
        chat.topics.clear()
        chat.replaced.clear()
        self.waiting -= len(dropped)
        return dropped

    def next_at(self, now: float) -> float | None:
        """When :meth:`take` may next give something, if nothing new arrives; None when nothing waits."""
        times = [self._later[0][0]] if self._later else []
        priority = self._turn()
        if priority is not None and self.in_flight < self._in_flight_max:
            low = priority >= Priority.SIGNAL
            pause = max(self._overall.wait(now), self._low.wait(now) if low else 0.0, self.held_until - now)
            times.append(now + pause)
        return min(times, default=None)

    def wake(self, address: str, now: float) -> None:
        """End the waits that a retry asked for: the transport's and, if named, the address's."""
        self.held_until = 0.0
        chat = self._chats.get(address)
        if chat is not None:
            chat.not_before = 0.0
            self._schedule(chat, now)

    def busy_with(self, address: str) -> bool:
        """Whether anything for this address waits or is being sent."""
        chat = self._chats.get(address)
        return chat is not None and (chat.sending or bool(chat.heap))

    def _sweep(self, now: float) -> None:
        """Forget chats that have nothing waiting and whose pace has recovered."""
        if len(self._chats) <= CHATS_SWEEP_AT:
            return
        for address, chat in list(self._chats.items()):
            if not chat.heap and not chat.sending and chat.pacer.settled_at <= now and chat.not_before <= now:
                del self._chats[address]
