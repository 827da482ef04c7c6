"""Planted bugs. Each is applied to the running code for the length of a ``with`` block; a simulation under it must find a violation.

They live here, in the test kit: the product has no switch for any of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest import mock

import msgspec

from tradekit.adapters.sql import writer
from tradekit.adapters.sql.writer import SqliteWriter
from tradekit.domain import checks
from tradekit.domain.audit import GENESIS, link
from tradekit.domain.changes import NOTHING, Changes, together
from tradekit.domain.errors import ExchangeUnavailable
from tradekit.domain.orders import Fill, Order, OrderReport, OrderState, client_order_id
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.sessions import SessionState
from tradekit.engine import fanout
from tradekit.engine.controls import ControlBoard
from tradekit.engine.fanout import Fanout
from tradekit.engine.gateway import Gateway
from tradekit.engine.intake import Inbound, Intake
from tradekit.engine.lanes import Envelope, Slot
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.triggers import Triggers
from tradekit.services import amend, reconciliation, reports, trading
from tradekit.services.decisions import Context, Decision
from tradekit.services.signals import deliver
from tradekit.testing.simulation.faulty_exchange import FaultyExchange

replace = msgspec.structs.replace


@contextmanager
def _patched(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, new in patches:
            stack.enter_context(mock.patch.object(owner, name, new))
        yield


def new_id_per_retry() -> Any:
    """No answer from the venue: the order is sent again under a fresh id."""
    once = FaultyExchange.submit_many

    async def submit_many(self: FaultyExchange, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        answers = await once(self, orders)
        for index, (order, answer) in enumerate(zip(orders, answers, strict=True)):
            if isinstance(answer, ExchangeUnavailable):
                again = replace(order, client_order_id=client_order_id(order.user_id, f"{order.cause}/again"))
                (second,) = await once(self, (again,))
                if isinstance(second, OrderReport):
                    fills = tuple(replace(fill, client_order_id=order.client_order_id) for fill in second.fills)
                    answers[index] = replace(second, client_order_id=order.client_order_id, fills=fills)
        return answers

    return _patched((FaultyExchange, "submit_many", submit_many))


def quota_outside_the_commit() -> Any:
    """The entry is counted when its fill comes, not in the commit that makes the order."""
    reserve_nothing = mock.Mock(side_effect=lambda usage: usage)

    def settle(state: SessionState, order: Order) -> tuple[SessionState, Order]:
        if not order.quota_day or not order.cum_qty:
            return state, order if order.is_open else replace(order, quota_day="")
        usage = tuple(replace(day, used=day.used + 1) if day.day == order.quota_day else day for day in state.usage)
        return replace(state, usage=usage), replace(order, quota_day="")

    return _patched((trading, "reserve", reserve_nothing), (reports, "_settle_quota", settle))


def acknowledge_before_commit() -> Any:
    """The transport is told that messages are safe while they are still on their way to the disk."""

    async def accept(self: Intake, messages: Sequence[Inbound]) -> None:
        for message in messages:
            key = (message.source, message.message_id)
            if key not in self._recent:
                row = self._row(message)
                self._remember(key)
                self._storage.submit(Changes(inbox=(row,)), lambda error: None)
                self._dispatch(row)

    return _patched((Intake, "accept", accept))


def no_fence() -> Any:
    """A process whose partitions were taken over goes on writing."""
    return _patched((SqliteWriter, "_lost_partitions", lambda self: frozenset()))


def decide_on_a_busy_session() -> Any:
    """The lane goes on to the next message while the commit of the last one is in flight."""
    commit = Orchestrator._commit

    def commit_and_go_on(self: Orchestrator, slot: Slot, envelope: Envelope, decision: Decision, *, dead: bool = False) -> None:
        commit(self, slot, envelope, decision, dead=dead)
        if slot.busy:
            self._lanes.release(slot)

    return _patched((Orchestrator, "_commit", commit_and_go_on))


def fill_applied_twice() -> Any:
    """What was booked is not remembered: a report that repeats a fill books it again, under a number of its own."""
    numbers = count(1)

    def new_fills(order: Order, report: OrderReport) -> tuple[Fill, ...]:
        return tuple(
            fill if fill.trade_id not in order.trade_ids else replace(fill, trade_id=f"{fill.trade_id}#{next(numbers)}")
            for fill in report.fills
        )

    return _patched((reports, "_new_fills", new_fills))


def deliver_twice() -> Any:
    """A signal is acted upon twice: the second time nothing recalls that there was an outcome."""
    fan_out = Fanout._fan_out
    second = False

    def deliver_again(state: SessionState, signal: Any, ctx: Context) -> Decision:
        if not second:
            return deliver(state, signal, ctx)
        decision = deliver(state, replace(signal, signal_id=signal.signal_id[::-1]), ctx)
        changes = decision.changes
        orders = tuple(replace(order, signal_id=signal.signal_id) for order in changes.orders)
        return replace(decision, changes=replace(changes, orders=orders, deliveries=()))

    async def fan_out_twice(self: Fanout, signal: Any, resumed: bool) -> None:
        nonlocal second
        second = True
        await fan_out(self, signal, resumed)
        second = False
        await fan_out(self, signal, resumed)

    return _patched((fanout, "deliver", deliver_again), (Fanout, "_fan_out", fan_out_twice))


def forget_unknown() -> Any:
    """An order without an answer is taken for one that never was."""

    def unanswered(self: Gateway, order: Order, error: BaseException) -> None:
        gone = OrderReport(
            client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.REJECTED, reason="NO_ANSWER", time_ms=0
        )
        self._report(gone, order)

    return _patched((Gateway, "_unanswered", unanswered))


def state_before_commit() -> Any:
    """What is in memory advances when the decision is made; a commit that fails leaves it there."""
    commit = Orchestrator._commit

    def advance_first(self: Orchestrator, slot: Slot, envelope: Envelope, decision: Decision, *, dead: bool = False) -> None:
        commit(self, slot, envelope, decision, dead=dead)
        slot.state = decision.state

    def keep(self: Orchestrator, slot: Slot, envelope: Envelope, error: Exception, changes: Changes = NOTHING) -> None:
        if envelope.inbox_id is not None:
            self.on_failed_inbox(envelope.inbox_id)

    return _patched((Orchestrator, "_commit", advance_first), (Orchestrator, "_lost", keep))


def entries_while_unresolved() -> Any:
    """The check for an order of unknown fate is left out."""
    return _patched((checks, "ENTRY_CHECKS", tuple(each for each in checks.ENTRY_CHECKS if each is not checks._resolved)))


def maintenance_admits_entries() -> Any:
    """The check for maintenance is left out."""
    return _patched((checks, "ENTRY_CHECKS", tuple(each for each in checks.ENTRY_CHECKS if each is not checks._maintenance)))


def maintenance_stops_exits() -> Any:
    """The check for maintenance is made for exits as well."""
    return _patched((checks, "EXIT_CHECKS", (checks._maintenance, *checks.EXIT_CHECKS)))


def audit_without_a_chain() -> Any:
    """The hash of a row does not depend on the row before."""
    return _patched((writer, "link", lambda previous, seq, entry: link(GENESIS, seq, entry)))


def notices_to_a_stranger() -> Any:
    """Now and then a message goes to the user who was served before."""
    outgoing = Orchestrator._outgoing
    last: list[OutgoingMessage] = []

    def mixed_up(self: Orchestrator, envelope: Envelope, decision: Decision) -> tuple[OutgoingMessage, ...]:
        messages = outgoing(self, envelope, decision)
        if messages and last and last[0].transport == messages[0].transport and messages[0].outbox_id % 10 == 0:
            messages = (*messages, replace(messages[0], outbox_id=self._numbers.outbox_id(), address=last[0].address))
        last[:] = messages[:1] or last
        return messages

    return _patched((Orchestrator, "_outgoing", mixed_up))


def adjust_while_in_flight() -> Any:
    """An account is compared although an order of it is on its way."""
    return _patched((reconciliation._Work, "under_way", lambda self, *rest, **more: False))


def entries_before_the_comparison() -> Any:
    """Entries are let in while the account has not been compared since the start."""
    kept = tuple(each for each in checks.ENTRY_CHECKS if each is not checks._session_active)
    return _patched((checks, "ENTRY_CHECKS", kept))


def exits_do_not_shrink() -> Any:
    """After a sale the other exits of the position keep their size."""
    return _patched((reports, "sold", lambda state, *rest, **more: (state, NOTHING)))


def entries_get_no_exits() -> Any:
    """The exits of an entry are forgotten when it fills."""
    return _patched((reports, "protect", lambda state, entry, *rest, **more: (state, entry, NOTHING)))


def exit_given_up() -> Any:
    """An exit that the venue turned away for the moment is not tried again."""
    return _patched((reports, "armed_again", lambda state, *rest, **more: (state, NOTHING, ())))


def sent_again_after_restart() -> Any:
    """What may have been sent before the crash is sent again."""
    settle = Gateway.settle_after_restart

    def send_again(self: Gateway, orders: tuple[Order, ...]) -> None:
        self.submit(tuple(order for order in orders if order.state is OrderState.SUBMITTED))
        settle(self, tuple(order for order in orders if order.state is not OrderState.SUBMITTED))

    return _patched((Gateway, "settle_after_restart", send_again))


def triggers_forgotten_by_a_restart() -> Any:
    """Held orders of an earlier run are not watched."""
    note, begin = Triggers.note, Triggers.__init__

    def remember_the_start(self: Triggers, **parts: Any) -> None:
        begin(self, **parts)
        vars(self)["began_ms"] = parts["clock"].now_ms()

    def note_the_new(self: Triggers, orders: Iterable[Order]) -> None:
        began_ms: int = vars(self)["began_ms"]
        note(self, [order for order in orders if order.created_ms >= began_ms])

    return _patched((Triggers, "__init__", remember_the_start), (Triggers, "note", note_the_new))


def base_fee_ignored() -> Any:
    """A fee that was paid in coins leaves the position as it was."""
    return _patched((Fill, "net_quantity", property(lambda self: self.quantity)))


def halt_forgotten_by_a_restart() -> Any:
    """What the operator set is not read at the start."""

    async def load(self: ControlBoard) -> None:
        del self

    return _patched((ControlBoard, "load", load))


def amended_before_the_cancel() -> Any:
    """The replacement is placed while the old order may still fill."""
    at_venue = amend._at_venue

    def place_at_once(state: SessionState, order: Order, ctx: Context) -> Decision:
        asked = at_venue(state, order, ctx)
        placed = amend.place_amended(asked.state, order, ctx)
        if placed.error is not None:
            return asked
        changes = together(asked.changes, placed.changes)
        return replace(asked, state=placed.state, changes=changes, submit=placed.submit)

    return _patched((amend, "_at_venue", place_at_once))


Mutation = Callable[[], Any]

MUTATIONS: dict[str, tuple[Mutation, frozenset[str]]] = {
    "new_id_per_retry": (new_id_per_retry, frozenset({"I2", "I12", "I14"})),
    "quota_outside_the_commit": (quota_outside_the_commit, frozenset({"I3"})),
    "acknowledge_before_commit": (acknowledge_before_commit, frozenset({"I12"})),
    "no_fence": (no_fence, frozenset({"I11"})),
    "decide_on_a_busy_session": (decide_on_a_busy_session, frozenset({"I5", "I6", "I8"})),
    "fill_applied_twice": (fill_applied_twice, frozenset({"I5", "I6", "I14"})),
    "deliver_twice": (deliver_twice, frozenset({"I15"})),
    "forget_unknown": (forget_unknown, frozenset({"I1", "I14"})),
    "state_before_commit": (state_before_commit, frozenset({"I5", "I6"})),
    "entries_while_unresolved": (entries_while_unresolved, frozenset({"I4"})),
    "maintenance_admits_entries": (maintenance_admits_entries, frozenset({"I16"})),
    "maintenance_stops_exits": (maintenance_stops_exits, frozenset({"I16"})),
    "audit_without_a_chain": (audit_without_a_chain, frozenset({"I10"})),
    "notices_to_a_stranger": (notices_to_a_stranger, frozenset({"I9"})),
    "adjust_while_in_flight": (adjust_while_in_flight, frozenset({"I6", "I14"})),
    "entries_before_the_comparison": (entries_before_the_comparison, frozenset({"I14"})),
    "exits_do_not_shrink": (exits_do_not_shrink, frozenset({"I22"})),
    "entries_get_no_exits": (entries_get_no_exits, frozenset({"I23"})),
    "exit_given_up": (exit_given_up, frozenset({"I23"})),
    "sent_again_after_restart": (sent_again_after_restart, frozenset({"I2"})),
    "triggers_forgotten_by_a_restart": (triggers_forgotten_by_a_restart, frozenset({"I19"})),
    "base_fee_ignored": (base_fee_ignored, frozenset({"I5", "I14"})),
    "halt_forgotten_by_a_restart": (halt_forgotten_by_a_restart, frozenset({"I16"})),
    "amended_before_the_cancel": (amended_before_the_cancel, frozenset({"I2"})),
}
"""By name: how to plant it, and the invariants of which at least one must be seen broken."""
