"""The orders that a user's stream may speak of, and what it has said so far."""

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal

import attrs

from tradekit.domain.amounts import ZERO
from tradekit.domain.orders import TERMINAL, Fill, Order, OrderReport, OrderState

OVER_KEPT_MAX = 10_000
"""Orders that are over, kept for fills that come late."""


@attrs.define(eq=False)
class Tracked:
    """An order, with everything heard of it, in whatever order it came."""

    order: Order
    since: float
    """Monotonic time at which it became known here."""
    venue_order_id: str = ""
    state: OrderState = OrderState.SUBMITTED
    said_filled: Decimal = ZERO
    """The most that the venue has said to be filled."""
    fills: dict[str, Fill] = attrs.Factory(dict)
    told: tuple[OrderState, int] = (OrderState.SUBMITTED, 0)
    """State and number of fills of the last report given out."""
    doubtful: bool = False
    """Something is missing or unclear; the venue must be asked."""

    @property
    def filled(self) -> Decimal:
        """The sum of the fills that are known."""
        return sum((fill.quantity for fill in self.fills.values()), ZERO)

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.state not in TERMINAL

    def hear(self, state: OrderState, filled: Decimal, venue_order_id: str) -> None:
        """The venue says this of the order. An older word than one heard before changes nothing."""
        self.venue_order_id = venue_order_id or self.venue_order_id
        if filled < self.said_filled or (not self.is_open and state not in TERMINAL):
            return
        self.said_filled = filled
        self.state = state

    def add(self, fills: Sequence[Fill]) -> None:
        """Fills, known or new."""
        for fill in fills:
            self.fills.setdefault(fill.trade_id, fill)
        if self.filled >= self.order.quantity:
            self.state = OrderState.FILLED
        elif self.fills and self.state in {OrderState.SUBMITTED, OrderState.ACCEPTED}:
            self.state = OrderState.PARTIALLY_FILLED

    @property
    def complete(self) -> bool:
        """Whether every fill that the venue spoke of is known."""
        return self.filled >= self.said_filled

    @property
    def news(self) -> bool:
        """Whether there is something to tell that was not told yet."""
        return (self.state, len(self.fills)) != self.told and self.state is not OrderState.SUBMITTED

    def tell(self) -> None:
        """It is told."""
        self.told = (self.state, len(self.fills))


class Tracker:
    """By user: the open orders, and the last ones that are over."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, Tracked]] = {}
        self._over: OrderedDict[tuple[int, str], Tracked] = OrderedDict()
        self._over_ids: dict[tuple[int, str], Tracked] = {}

    def add(self, order: Order, client_id: str, now: float) -> Tracked:
        """Know the order. :param client_id: our id as the venue has it. :param now: monotonic seconds."""
        known = self.get(order.user_id, client_id)
        if known is None:
            known = Tracked(order, now, venue_order_id=order.venue_order_id)
            self._open.setdefault(order.user_id, {})[client_id] = known
        return known

    def get(self, user_id: int, client_id: str) -> Tracked | None:
        return self._open.get(user_id, {}).get(client_id) or self._over.get((user_id, client_id))

    def by_venue_id(self, user_id: int, venue_order_id: str) -> Tracked | None:
        """Open orders, then those that are over."""
        for tracked in self._open.get(user_id, {}).values():
            if tracked.venue_order_id == venue_order_id:
                return tracked
        return self._over_ids.get((user_id, venue_order_id))

    def forget(self, order: Order, client_id: str) -> None:
        """The venue does not have it."""
        self._remove(order.user_id, client_id)

    def settle(self, client_id: str, tracked: Tracked) -> None:
        """Put an order that is over and wholly known away."""
        if not tracked.is_open and tracked.complete:
            user_id = tracked.order.user_id
            self._remove(user_id, client_id)
            self._over[user_id, client_id] = tracked
            self._over.move_to_end((user_id, client_id))
            self._over_ids[user_id, tracked.venue_order_id] = tracked
            while len(self._over) > OVER_KEPT_MAX:
                (owner, _), oldest = self._over.popitem(last=False)
                self._over_ids.pop((owner, oldest.venue_order_id), None)

    def reopen(self, client_id: str, report: OrderReport, order: Order, now: float) -> Tracked:
        """What an answer to a question says, for an order known or not."""
        tracked = self.add(order, client_id, now)
        filled = sum((fill.quantity for fill in report.fills), ZERO)
        tracked.hear(report.state, filled, report.venue_order_id)
        tracked.add(report.fills)
        tracked.doubtful = False
        return tracked

    def users(self) -> list[int]:
        """Those with open orders."""
        return list(self._open)

    def open_of(self, user_id: int) -> list[tuple[str, Tracked]]:
        """A user's open orders, by our id as the venue has it."""
        return list(self._open.get(user_id, {}).items())

    def _remove(self, user_id: int, client_id: str) -> None:
        mine = self._open.get(user_id)
        if mine is not None:
            mine.pop(client_id, None)
            if not mine:
                del self._open[user_id]
