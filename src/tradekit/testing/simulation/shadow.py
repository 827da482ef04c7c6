"""A second bookkeeping of what is durable, kept by other means than the service's own."""

from collections import defaultdict
from collections.abc import Callable

from tradekit.domain.changes import Changes
from tradekit.domain.orders import TERMINAL, Order, OrderState, Side, may_become
from tradekit.domain.signals import Subscription
from tradekit.domain.tiers import DEFAULT_TIERS, Limits, TierName

Broken = Callable[[str, str], None]


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
        self._open: defaultdict[int, dict[str, Order]] = defaultdict(dict)
        self._held: defaultdict[int, set[str]] = defaultdict(set)
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
        for other in self._open[order.user_id].values():
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
        for order in changes.order_updates:
            self._updated(order)
        for order in changes.orders:
            self._new(order)
        for fill in changes.fills:
            self.fills += 1
            if (fill.user_id, fill.trade_id) in self._trade_ids:
                self._broken("I5", f"user {fill.user_id}: fill {fill.trade_id} was counted twice")
            self._trade_ids.add((fill.user_id, fill.trade_id))
        self._signals(changes)

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
        for user_id, _, _, position in changes.positions:
            self._held[user_id].add(position.symbol)
        for user_id, _, symbol in changes.positions_closed:
            self._held[user_id].discard(symbol)

    def _new(self, order: Order) -> None:
        user_id, order_id = order.user_id, order.client_order_id
        if order_id in self.orders:
            self._broken("I2", f"order {order_id} was made twice")
        self.orders[order_id] = order
        self._open[user_id][order_id] = order
        self._by_prefix[order_id[:8]].add(user_id)
        if order.side is not Side.BUY:
            return
        limits = self._limits(user_id)
        entries = self._entries[user_id, order.quota_day]
        entries.add(order_id)
        self._day_of[order_id] = order.quota_day
        if len(entries) > limits.daily_trades:
            self._broken("I3", f"user {user_id}: {len(entries)} entries on {order.quota_day}, {limits.daily_trades} are allowed")
        used = self._held[user_id] | {other.symbol for other in self._open[user_id].values() if other.side is Side.BUY}
        if len(used) > limits.max_positions and order.symbol not in self._held[user_id]:
            self._broken("I3", f"user {user_id}: {len(used)} instruments, {limits.max_positions} are allowed")

    def _updated(self, order: Order) -> None:
        order_id, before = order.client_order_id, self.orders.get(order.client_order_id)
        if before is None:
            self._broken("I13", f"order {order_id} is {order.state} before it was made")
            return
        late_fill = before.state in TERMINAL and order.cum_qty > before.cum_qty
        if not late_fill and not may_become(before.state, order.state):
            self._broken("I13", f"order {order_id} went from {before.state} to {order.state}")
        if order.cum_qty < before.cum_qty:
            self._broken("I5", f"order {order_id}: filled quantity went from {before.cum_qty} to {order.cum_qty}")
        self.orders[order_id] = order
        if order.is_open:
            self._open[order.user_id][order_id] = order
            return
        self._open[order.user_id].pop(order_id, None)
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
