"""A second bookkeeping of what is durable, kept by other means than the service's own."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal

from tradekit.domain.amounts import ZERO
from tradekit.domain.changes import Changes
from tradekit.domain.controls import Controls, GlobalState, state_of
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import PAPER, TERMINAL, Fill, Order, OrderState, Side, may_become, venue_of
from tradekit.domain.portfolio import LedgerEntry, LedgerKind
from tradekit.domain.signals import Subscription
from tradekit.domain.tiers import DEFAULT_TIERS, Limits, TierName

Broken = Callable[[str, str], None]
Place = tuple[int, str]
"""User and account."""
Holding = tuple[int, str, Symbol]
OURS = frozenset({LedgerKind.DEPOSIT, LedgerKind.ADJUSTMENT})
"""Flows that are no trade."""

FOR_NOW = frozenset({"NOT_AT_VENUE", "VENUE_BUSY", "CLOCK_SKEW", "NO_LIQUIDITY", "VENUE_UNAVAILABLE"})
"""Reasons for which an exit comes to nothing now and may succeed later."""
TRIES = 20
WORTH_AN_EXIT = Decimal(15)
"""In quote currency; less may be too small for the venue."""


class Shadow:
    """Orders, positions, quotas, followers and outcomes by user. Applied commit by commit, in the order they became durable."""

    def __init__(self, broken: Broken) -> None:
        self._broken = broken
        self.orders: dict[str, Order] = {}
        self.fills = 0
        self.deliveries = 0
        self.audit_rows = 0
        self._tiers: dict[int, TierName] = {}
        self._users: dict[tuple[str, str], int] = {}
        self._open: defaultdict[Place, dict[str, Order]] = defaultdict(dict)
        self._symbols: defaultdict[Place, set[str]] = defaultdict(set)
        self._coins: defaultdict[Holding, Decimal] = defaultdict(Decimal)
        """Bought less sold."""
        self._protected: set[str] = set()
        """Entries that got exits."""
        self._causes: set[str] = set()
        """Of exits."""
        self._late: set[Holding] = set()
        """Where an order filled after it was over: what was free to sell was not."""
        self.taken_over: defaultdict[Place, Decimal] = defaultdict(Decimal)
        """Sum of the cash that is no trade's."""
        self.adjustments = 0
        self.held_orders = 0
        self.live_orders = 0
        self.controls: Controls = {}
        self.explained: Callable[[int, Decimal], bool] = lambda user_id, cash: True
        """Whether a customer of the live venue ever had so much money that was no trade's."""
        self._entries: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        self._day_of: dict[str, str] = {}
        self._trade_ids: set[tuple[int, str]] = set()
        self._calls: dict[int, tuple[int, int]] = {}
        self._followers: defaultdict[str, dict[int, Subscription]] = defaultdict(dict)
        self._waiting: dict[str, tuple[str, set[int]]] = {}
        self._outcomes: set[tuple[str, int]] = set()
        self._by_prefix: defaultdict[str, set[int]] = defaultdict(set)
        self._written: set[int] = set()
        self.signals = 0

    def user_at(self, transport: str, address: str) -> int | None:
        """Who is reached there."""
        return self._users.get((transport, address))

    def owners_of(self, prefix: str) -> set[int]:
        """Users with an order whose id begins so."""
        return self._by_prefix.get(prefix, set())

    def was_written(self, outbox_id: int) -> bool:
        """Whether the message was ever durable."""
        return outbox_id in self._written

    def _limits(self, user_id: int) -> Limits:
        return DEFAULT_TIERS[self._tiers.get(user_id, TierName.FREE)].limits

    def entry_allowed(self, order: Order) -> None:
        """I4: called when an entry is decided."""
        for other in self._open[order.user_id, order.account].values():
            if other.symbol == order.symbol and other.state is OrderState.UNKNOWN:
                self._broken("I4", f"user {order.user_id}: entry on {order.symbol} while {other.client_order_id} is unresolved")

    def apply(self, changes: Changes) -> None:
        """Take a durable commit in."""
        for user in changes.users:
            self._tiers[user.user_id] = user.tier
        for identity, user_id, _ in changes.identities:
            self._users[identity.transport, identity.external_id] = user_id
        self._written.update(message.outbox_id for message in changes.outbox)
        self.audit_rows += len(changes.audit)
        self._calls_counted(changes)
        self._positions(changes)
        moved = [(self.orders.get(order.client_order_id), order) for order in changes.order_updates]
        for order in changes.order_updates:
            self._updated(order)
        for order in changes.orders:
            self._new(order)
        for fill in changes.fills:
            self._filled(fill)
        if changes.fills:
            self._exits_fit({(fill.user_id, fill.account, fill.symbol) for fill in changes.fills if fill.side is Side.SELL})
        for before, order in moved:
            if before is not None:
                self._exits_stand(before, order)
        for entry in changes.ledger:
            if entry.kind in OURS:
                self._taken_over(entry)
        for control in changes.controls:
            self.controls[control.scope] = control
        self._signals(changes)

    def _filled(self, fill: Fill) -> None:
        self.fills += 1
        if (fill.user_id, fill.trade_id) in self._trade_ids:
            self._broken("I5", f"user {fill.user_id}: fill {fill.trade_id} was counted twice")
        self._trade_ids.add((fill.user_id, fill.trade_id))
        holding = fill.user_id, fill.account, fill.symbol
        paid = fill.fee_paid if fill.fee_currency == fill.symbol.partition("/")[0] else ZERO
        self._coins[holding] += fill.quantity - paid if fill.side is Side.BUY else -fill.quantity - paid
        if self._coins[holding] < 0:
            # What was sold beyond is the user's own, and no part of the position.
            own = self.orders[fill.client_order_id].terms.foreign
            if not own and holding not in self._late:
                order_id = fill.client_order_id
                self._broken("I22", f"user {fill.user_id}: {order_id} sold {-self._coins[holding]} {fill.symbol} more than was held")
            self._coins[holding] = ZERO

    def _exits_fit(self, sold: Iterable[Holding]) -> None:
        """After a sale no exit that waits is larger than what is left."""
        for user_id, account, symbol in sorted(sold):
            held = self._coins[user_id, account, symbol]
            for order in self._open[user_id, account].values():
                if order.symbol == symbol and order.side is Side.SELL and order.held and order.quantity > held:
                    order_id = order.client_order_id
                    self._broken("I22", f"user {user_id}: exit {order_id} waits to sell {order.quantity} {symbol}, {held} is held")

    def _exits_stand(self, before: Order, order: Order) -> None:
        """An entry has its exits with its first fill, and an exit that came to nothing for no reason of its user's has a successor."""
        user_id, order_id = order.user_id, order.client_order_id
        exits = order.terms.bracket
        if order.cum_qty and not before.cum_qty and exits and (exits.stop_loss_pct or exits.trailing_pct or exits.time_exit_s):
            held = self._coins[user_id, order.account, order.symbol]
            if min(order.cum_qty, held) * order.cum_quote > WORTH_AN_EXIT * order.cum_qty and order_id not in self._protected:
                self._broken("I23", f"user {user_id}: entry {order_id} filled without its exits")
        if not order.terms.list_id or before.state is OrderState.PENDING_CANCEL or order.is_open or not before.is_open:
            return
        left = (order.quantity - order.cum_qty) if order.reason in FOR_NOW and order.terms.tries < TRIES else ZERO
        if left and self._coins[user_id, order.account, order.symbol] > 0 and f"{order_id}/again" not in self._causes:
            self._broken("I23", f"user {user_id}: exit {order_id} is {order.state} ({order.reason}), and nothing stands in its place")

    def _taken_over(self, entry: LedgerEntry) -> None:
        self.taken_over[entry.user_id, entry.account] += entry.amount
        if entry.account == PAPER:
            return
        self.adjustments += entry.kind is LedgerKind.ADJUSTMENT
        cash = self.taken_over[entry.user_id, entry.account]
        if not self.explained(entry.user_id, cash):
            self._broken("I6", f"user {entry.user_id}: {entry.amount} was taken over ({entry.reference}), now {cash}: nothing explains it")

    def due(self, is_due: Callable[[Order], bool]) -> list[Order]:
        """Held orders that should have gone to market."""
        return [order for orders in self._open.values() for order in orders.values() if order.held and is_due(order)]

    def entries_while_halted(self) -> list[Order]:
        """Entries that should have been taken back."""
        return [
            order
            for (user_id, account), orders in self._open.items()
            for order in orders.values()
            if order.side is Side.BUY and state_of(self.controls, venue_of(account), user_id) is GlobalState.HALTED
        ]

    def _calls_counted(self, changes: Changes) -> None:
        for user_id, _, _, session in changes.sessions:
            before, now = self._calls.get(user_id, (0, 0)), (session.api.minute, session.api.calls)
            limit = self._limits(user_id).api_calls_per_minute
            if now < before:
                self._broken("I3", f"user {user_id}: calls went from {before} to {now}")
            if now > before and session.api.calls > limit:
                self._broken("I3", f"user {user_id}: {session.api.calls} calls in a minute, {limit} are allowed")
            self._calls[user_id] = now

    def _positions(self, changes: Changes) -> None:
        for user_id, _, account, position in changes.positions:
            self._symbols[user_id, account].add(position.symbol)
        for user_id, account, symbol in changes.positions_closed:
            self._symbols[user_id, account].discard(symbol)

    def _new(self, order: Order) -> None:
        user_id, order_id = order.user_id, order.client_order_id
        if order_id in self.orders:
            self._broken("I2", f"order {order_id} was made twice")
        self.orders[order_id] = order
        if order.terms.list_id:
            self._protected.add(order.terms.list_id)
            self._causes.add(order.cause)
        replaced = self.orders.get(order.terms.replaces)
        if replaced is not None and replaced.is_open:
            self._broken("I2", f"user {user_id}: {order_id} was made in place of {replaced.client_order_id}, which is {replaced.state}")
        place = user_id, order.account
        if order.is_open:
            self._open[place][order_id] = order
        self._by_prefix[order_id[:8]].add(user_id)
        self.held_orders += order.held
        self.live_orders += order.account != PAPER
        if order.side is not Side.BUY or order.terms.foreign:
            return
        limits = self._limits(user_id)
        entries = self._entries[user_id, order.quota_day]
        entries.add(order_id)
        self._day_of[order_id] = order.quota_day
        if len(entries) > limits.daily_trades:
            self._broken("I3", f"user {user_id}: {len(entries)} entries on {order.quota_day}, {limits.daily_trades} are allowed")
        used = self._symbols[place] | {other.symbol for other in self._open[place].values() if other.side is Side.BUY}
        if len(used) > limits.max_positions and order.symbol not in self._symbols[place]:
            self._broken("I3", f"user {user_id}: {len(used)} instruments, {limits.max_positions} are allowed")

    def _updated(self, order: Order) -> None:
        order_id, before = order.client_order_id, self.orders.get(order.client_order_id)
        if before is None:
            self._broken("I13", f"order {order_id} is {order.state} before it was made")
            return
        late_fill = before.state in TERMINAL and order.cum_qty > before.cum_qty
        if not late_fill and not may_become(before.state, order.state):
            self._broken("I13", f"order {order_id} went from {before.state} to {order.state}")
        if late_fill:
            self._late.add((order.user_id, order.account, order.symbol))
        if order.cum_qty < before.cum_qty:
            self._broken("I5", f"order {order_id}: filled quantity went from {before.cum_qty} to {order.cum_qty}")
        self.orders[order_id] = order
        if order.is_open:
            self._open[order.user_id, order.account][order_id] = order
            return
        self._open[order.user_id, order.account].pop(order_id, None)
        if not order.cum_qty and order_id in self._day_of:
            self._entries[order.user_id, self._day_of[order_id]].discard(order_id)

    def _signals(self, changes: Changes) -> None:
        for user_id, source in changes.unsubscriptions:
            self._followers[source].pop(user_id, None)
            for of_source, expected in self._waiting.values():
                if of_source == source:
                    expected.discard(user_id)
        for user_id, _, wish in changes.subscriptions:
            self._followers[wish.source][user_id] = wish
        for signal in changes.signals:
            self.signals += 1
            self._waiting[signal.signal_id] = (signal.source, set(self._followers[signal.source]))
        for delivery in changes.deliveries:
            self.deliveries += 1
            if (delivery.signal_id, delivery.user_id) in self._outcomes:
                self._broken("I15", f"user {delivery.user_id}: two outcomes of signal {delivery.signal_id}")
            self._outcomes.add((delivery.signal_id, delivery.user_id))
        for signal_id in changes.signals_done:
            _, expected = self._waiting.pop(signal_id, ("", set()))
            for user_id in sorted(expected):
                if (signal_id, user_id) not in self._outcomes:
                    self._broken("I15", f"user {user_id} has no outcome of signal {signal_id}, which is done")

    def finish(self) -> None:
        """Nothing is left to be fanned out."""
        for signal_id in self._waiting:
            self._broken("I15", f"signal {signal_id} was never done")
