"""Looks at everything that becomes durable, goes to the venue or to a person, and notes what must not be."""

import asyncio
from collections import Counter
from typing import Any

import anyio

from tradekit.chat.registry import lane_class
from tradekit.domain.changes import Changes
from tradekit.domain.controls import Controls, GlobalState, state_of
from tradekit.domain.inbox import InboxMessage, LaneClass
from tradekit.domain.orders import PAPER, Order, OrderReport, OrderState, Side, venue_of
from tradekit.domain.replies import OutgoingMessage
from tradekit.testing.invariants import Violations
from tradekit.testing.simulation.shadow import Shadow
from tradekit.testing.simulation.taint import Taint
from tradekit.testing.simulation.trace import Trace


class Observer:
    """One per simulation; the nodes come and go. ``node`` numbers the runs of the service."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.violations = Violations()
        self.shadow = Shadow(self.broken)
        self.taint = Taint(self.shadow, self.broken)
        self.counts: Counter[str] = Counter()
        self.sending = anyio.Event()
        """Set when the next order goes out."""
        self.owner = 0
        """The node that opened the database last."""
        self.maintenance = False
        self._known_controls: Controls = {}
        """What the running service was told of: a halt whose commit was not confirmed is known after the next start."""
        self._compared: set[int] = set()
        self.stored: dict[tuple[str, str], int] = {}
        """Inbox id by source and message id."""
        self._inbox: dict[int, InboxMessage] = {}
        self._handled: dict[int, int] = {}
        self._dead: dict[int, str] = {}
        """Why each dead letter was given up."""
        self._out_of_turn: set[tuple[str, str]] = set()
        self._excused: set[int] = set()
        self._last_handled: dict[tuple[str, LaneClass], int] = {}
        self._deciding: set[tuple[int, int]] = set()
        self._sent_orders: Counter[str] = Counter()

    def broken(self, invariant: str, detail: str) -> None:
        """Note a violation now."""
        self.violations.add(invariant, detail, round(asyncio.get_running_loop().time(), 3))

    def took_over(self, node: int, compared: set[int]) -> None:
        """A run of the service opens the database. :param compared: users whose balances the live venue tells it, as it goes on."""
        self.owner, self._compared = node, compared
        self._known_controls = dict(self.shadow.controls)

    # Storage

    def decided(self, node: int, changes: Changes) -> tuple[int, ...]:
        """A commit is handed over; returns the users it decides about, for :meth:`answered`."""
        users = _users_of(changes)
        for user_id in users:
            if (node, user_id) in self._deciding:
                self.broken("I8", f"user {user_id}: decided while another commit of theirs is in flight")
            self._deciding.add((node, user_id))
        for order in changes.orders:
            if order.side is Side.BUY and not order.terms.foreign:
                self._entry(order)
        for order in changes.order_updates:
            if order.side is Side.BUY and order.state is OrderState.SUBMITTED:
                # A held buy has fired.
                self._entry(order)
        for entry in changes.audit:
            if entry.action == "order.denied" and " sell " in entry.detail and entry.detail.startswith("MAINTENANCE"):
                self.broken("I16", f"{entry.subject}: an exit was refused during maintenance")
        return users

    def _entry(self, order: Order) -> None:
        """Is an entry allowed now?"""
        if self.maintenance:
            self.broken("I16", f"user {order.user_id}: entry {order.client_order_id} during maintenance")
        for controls in (self._known_controls, self.shadow.controls):
            if (state := state_of(controls, venue_of(order.account), order.user_id)) is GlobalState.NORMAL:
                break
        else:
            self.broken("I16", f"user {order.user_id}: entry {order.client_order_id} on {order.account} while {state}")
        self.shadow.entry_allowed(order)
        if order.account != PAPER and order.user_id not in self._compared:
            self.broken("I14", f"user {order.user_id}: entry {order.client_order_id} before {order.account} was compared")

    def answered(self, node: int, users: tuple[int, ...], changes: Changes, error: Exception | None) -> None:
        """The service hears what became of the commit."""
        self._deciding.difference_update((node, user_id) for user_id in users)
        if error is not None:
            # What was not confirmed is taken up again a moment later, perhaps after others.
            self._excused.update(changes.inbox_done)
            for message in changes.inbox:
                self.out_of_turn((message.source, message.message_id))
        elif node == self.owner:
            self._known_controls |= {control.scope: control for control in changes.controls}

    def durable(self, node: int, changes: Changes) -> None:
        """The commit is on the disk, whatever the service hears."""
        self.trace.commit(str(node), changes)
        self.counts["commits"] += 1
        if node != self.owner:
            self.broken("I11", f"node {node} committed although node {self.owner} had taken over")
        for message in changes.inbox:
            self._note_stored(message)
        self._dead.update(changes.dead_letters)
        for inbox_id in changes.inbox_done:
            self._note_handled(inbox_id, changes)
        self.shadow.apply(changes)

    def _note_stored(self, message: InboxMessage) -> None:
        key = (message.source, message.message_id)
        if key in self.stored:
            self.broken("I7", f"message {message.cause} is stored twice")
        self.stored[key] = message.inbox_id
        self._inbox[message.inbox_id] = message
        if key in self._out_of_turn:
            self._excused.add(message.inbox_id)

    def _note_handled(self, inbox_id: int, changes: Changes) -> None:
        message = self._inbox.get(inbox_id)
        if message is None or message.identity is None:
            self.broken("I12", f"message {inbox_id} had an effect before it was stored")
            return
        if inbox_id in self._handled:
            self.broken("I7", f"message {message.cause} was handled twice")
        self._handled[inbox_id] = 1
        address = message.identity.external_id
        if not any(reply.address == address for reply in changes.outbox):
            self.broken("I7", f"message {message.cause} ({message.text[:40]!r}) was handled without a reply")
        turn = (str(message.identity), lane_class(message.text))
        if inbox_id not in self._excused:
            if inbox_id < self._last_handled.get(turn, 0):
                self.broken("I8", f"message {message.cause} was handled after a later one of {address}")
            self._last_handled[turn] = max(inbox_id, self._last_handled.get(turn, 0))

    # Transports

    def out_of_turn(self, key: tuple[str, str]) -> None:
        """The transport delivers this message out of order or again: its turn among others is not fixed."""
        self._out_of_turn.add(key)
        if key in self.stored:
            self._excused.add(self.stored[key])

    def acknowledged(self, key: tuple[str, str]) -> None:
        """The transport was told that the message is safe."""
        self.counts["acknowledged"] += 1
        if key not in self.stored:
            self.broken("I12", f"message {'/'.join(key)} was acknowledged before it was durable")

    def sent_message(self, message: OutgoingMessage) -> None:
        """A message is on its way to a person."""
        self.counts["sent"] += 1
        self.trace.add("send", message)
        if not self.shadow.was_written(message.outbox_id):
            self.broken("I12", f"message {message.outbox_id} to {message.address} was sent before it was durable")
        self.taint.check(message)

    # Venue

    def sent_order(self, order: Order) -> None:
        """An order is on its way to the venue."""
        self.sending.set()
        self.sending = anyio.Event()
        self.trace.add("order", order.client_order_id, order.symbol, order.side, order.quantity, order.price)
        self._sent_orders[order.client_order_id] += 1
        if self._sent_orders[order.client_order_id] > 1:
            self.broken("I2", f"order {order.client_order_id} was sent {self._sent_orders[order.client_order_id]} times")
        known = self.shadow.orders.get(order.client_order_id)
        if known is None or known.state is OrderState.INITIALIZED:
            self.broken("I12", f"order {order.client_order_id} was sent before it was durable")

    def venue_said(self, asked: str, client_order_id: str, answer: OrderReport | BaseException | None) -> None:
        """The venue answered, whether or not the answer arrives."""
        what: Any = answer if isinstance(answer, OrderReport | None) else repr(answer)
        self.trace.add(f"venue.{asked}", client_order_id, what)

    # The end

    def finish(self) -> None:
        """Every stored message was handled or is a dead letter, every signal reached its followers."""
        for inbox_id, message in self._inbox.items():
            if inbox_id not in self._handled and inbox_id not in self._dead:
                self.broken("I7", f"message {message.cause} ({message.text[:40]!r}) was never handled")
        for inbox_id, reason in self._dead.items():
            if self._inbox[inbox_id].identity is not None:
                self.broken("I7", f"message {self._inbox[inbox_id].cause} ({self._inbox[inbox_id].text[:40]!r}) was given up: {reason}")
        self.shadow.finish()

    @property
    def handled(self) -> int:
        """Messages that had their effect."""
        return len(self._handled)


def _users_of(changes: Changes) -> tuple[int, ...]:
    """Users whose session a commit advances, each once."""
    found: dict[int, None] = {}
    for rows in (changes.users, changes.orders, changes.order_updates, changes.fills, changes.deliveries):
        for row in rows:
            found[row.user_id] = None
    for keyed in (changes.sessions, changes.settings, changes.usage, changes.positions, changes.subscriptions):
        for key in keyed:
            found[key[0]] = None
    for gone in (changes.positions_closed, changes.unsubscriptions):
        for pair in gone:
            found[pair[0]] = None
    return tuple(found)
