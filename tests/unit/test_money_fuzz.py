"""Whatever a user and a venue do, in whatever order: the books add up, nothing is sold twice, and a stop covers what is held.

The venue here knows the truth: it fills in parts, answers late, refuses, forgets, and takes fees in what was bought.
"""

import random
from decimal import Decimal

import msgspec
import pytest

from tradekit.domain.amounts import ZERO, round_down
from tradekit.domain.orders import TERMINAL, Bracket, Fill, Order, OrderReport, OrderState, OrderType, Side, TakeProfit, as_sent
from tradekit.domain.risk import OrderRequest
from tradekit.domain.tiers import TierName
from tradekit.services import amend, trading, triggers
from tradekit.services.decisions import Context, Decision, Read
from tradekit.services.reports import apply_report, mark_unknown
from tradekit.services.users import resume
from tradekit.testing.decisions import a_context, a_registered_state
from tradekit.testing.factories import NOW_MS

D, S = Decimal, OrderState
BTC, STEP, HUNDRED = "BTC/USDT", D("0.00001"), D(100)
PRICE = D(50_000)
DUST = D("0.0012")
"""Exits below what a venue takes are not made."""
replace = msgspec.structs.replace


class AtVenue:
    """An order as the venue has it."""

    def __init__(self, order: Order) -> None:
        self.order, self.filled, self.over, self.to_cancel = order, ZERO, False, False

    @property
    def left(self) -> Decimal:
        return self.order.quantity - self.filled


class World:
    """One user who does anything at any time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ctx = a_context()
        state = a_registered_state(ctx=self.ctx)
        assert state.user is not None
        bold = replace(state.settings, **dict.fromkeys(("risk_per_trade_pct", "max_exposure_pct", "max_daily_loss_pct"), HUNDRED))
        self.state = replace(state, settings=bold, user=replace(state.user, tier=TierName.ENTERPRISE))
        self.cash, self.held = state.session.cash, ZERO
        self.venue: dict[str, AtVenue] = {}
        self.rows: dict[str, Order] = {}
        self.steps = 0

    def context(self) -> Context:
        self.steps += 1
        return replace(self.ctx, cause=f"step {self.steps}", now_ms=NOW_MS + self.steps)

    def does(self, decision: Decision | Read) -> None:
        assert isinstance(decision, Decision)
        for order in decision.changes.orders:
            assert order.client_order_id not in self.rows, "the storage would refuse the row"
            self.rows[order.client_order_id] = order
        self.rows |= {order.client_order_id: order for order in decision.changes.order_updates}
        self.state = decision.state
        for order in decision.submit:
            assert order.client_order_id not in self.venue, "sent twice"
            self.venue[order.client_order_id] = AtVenue(as_sent(order))
        for order in decision.cancel:
            self.venue[order.client_order_id].to_cancel = True
        self.check()

    def check(self) -> None:
        position, orders = self.state.position(BTC), self.state.orders
        quantity = position.quantity if position is not None else ZERO
        assert (quantity, self.state.session.cash) == (self.held, self.cash), "the books differ from the venue's"
        assert quantity >= 0, "more was sold than was held"
        at_venue = [order for order in orders if not order.held]
        assert sum(order.leaves_qty for order in at_venue if order.side is Side.SELL) <= quantity, "more is promised than is held"
        assert {order.client_order_id for order in at_venue} <= set(self.venue), "waits for an answer, and was never sent"
        assert sum(day.reserved for day in self.state.usage) == sum(bool(order.quota_day) for order in orders), "quota lost or given twice"
        assert {order.client_order_id: order for order in orders} == {key: row for key, row in self.rows.items() if row.is_open}

    @property
    def guarded(self) -> Decimal:
        """What stops cover, and what is being sold."""
        sells = [order for order in self.state.orders if order.side is Side.SELL]
        stops = {OrderType.STOP, OrderType.TIME_EXIT}
        return sum((order.leaves_qty for order in sells if not order.held or order.type in stops), ZERO)

    # What the venue does.

    def says(self, known: AtVenue, state: OrderState, quantity: Decimal = ZERO, reason: str = "") -> None:
        order, fills = known.order, ()
        if quantity:
            fills = (self.fill(known, quantity),)
        known.over = state in TERMINAL
        report = OrderReport(client_order_id=order.client_order_id, user_id=1, state=state, fills=fills, reason=reason, time_ms=NOW_MS)
        outcome = apply_report(self.state, report, self.context())
        self.does(outcome if isinstance(outcome, Decision) else outcome.then(self.rows[order.client_order_id], self.context()))

    def fill(self, known: AtVenue, quantity: Decimal) -> Fill:
        order = known.order
        known.filled += quantity
        in_base = order.side is Side.BUY and self.random.random() < 0.3
        fee, paid = quantity * PRICE / 1000, quantity / 1000 if in_base else ZERO
        sign = 1 if order.side is Side.BUY else -1
        self.held += sign * quantity - paid
        self.cash -= sign * quantity * PRICE + (ZERO if in_base else fee)
        return Fill(
            trade_id=f"t{self.steps}",
            client_order_id=order.client_order_id,
            user_id=1,
            partition=order.partition,
            symbol=BTC,
            side=order.side,
            quantity=quantity,
            price=PRICE,
            fee=fee,
            fee_currency="BTC" if in_base else "",
            fee_paid=paid,
            time_ms=NOW_MS,
        )

    def venue_acts(self, *, refusals: tuple[str, ...]) -> None:
        open_there = [each for each in self.venue.values() if not each.over]
        if not open_there:
            return
        known, chance = self.random.choice(open_there), self.random.random()
        part = round_down(known.left * D("0.4"), STEP)
        if known.to_cancel and self.random.random() < 0.6:
            self.says(known, S.CANCELED, reason="CANCELED_BY_USER")
        elif chance < 0.2:
            self.says(known, S.PARTIALLY_FILLED if known.filled else S.ACCEPTED)
        elif chance < 0.6 and part:
            self.says(known, S.PARTIALLY_FILLED, part)
        elif chance < 0.85:
            self.says(known, S.FILLED, known.left)
        elif chance < 0.93 and not known.filled:
            self.says(known, S.REJECTED, reason=self.random.choice(refusals))
        elif known.order.price is None:
            self.says(known, S.CANCELED, reason="NO_LIQUIDITY")

    def venue_remembers_a_fill(self) -> None:
        ended = [each for each in self.venue.values() if each.over and each.left and each.order.side is Side.BUY]
        if ended:
            known = self.random.choice(ended)
            self.says(known, S.CANCELED, round_down(known.left / 2, STEP) or known.left, "CANCELED")

    # What the user does, and prices do.

    def buys(self) -> None:
        rungs = self.random.choice(((), (TakeProfit(D(3)),), (TakeProfit(D(3), D(50)), TakeProfit(D(6), D(50)))))
        bracket = Bracket(stop_loss_pct=D(2), take_profits=rungs)
        self.orders(Side.BUY, D(self.random.randint(5, 40)) / 1000, self.random.choice((None, PRICE - 100)), bracket)

    def sells(self, limit: Decimal | None = None) -> None:
        part = self.state.sellable(BTC) * self.random.randint(1, 10) / 10
        if part > 0:
            self.orders(Side.SELL, round_down(part, STEP), limit)

    def orders(self, side: Side, quantity: Decimal, price: Decimal | None, bracket: Bracket | None = None) -> None:
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        request = OrderRequest(symbol=BTC, side=side, quantity=quantity, type=kind, price=price, bracket=bracket)
        self.does(trading.place(self.state, request, self.context()))

    def one_of(self, *sides: Side) -> Order | None:
        orders = [order for order in self.state.orders if order.side in sides]
        return self.random.choice(orders) if orders else None

    def cancels(self, *sides: Side) -> None:
        if (order := self.one_of(*sides)) is not None:
            self.does(trading.cancel(self.state, order.client_order_id, self.context()))

    def amends(self, *sides: Side) -> None:
        order = self.one_of(*sides)
        if order is None:
            return
        quantity = round_down(order.quantity * self.random.choice((D("0.8"), D("1.2"))), STEP)
        change = {"quantity": quantity} if order.price is None else {"quantity": quantity, "price": order.price - 50}
        self.does(amend.amend(self.state, order.client_order_id, self.context(), **change))

    def fires(self) -> None:
        held = [order for order in self.state.orders if order.held]
        if held:
            self.does(triggers.fire(self.state, self.random.choice(held).client_order_id, self.context()))

    def loses_an_answer(self) -> None:
        sent = [order for order in self.state.orders if order.state is S.SUBMITTED]
        if sent:
            self.does(mark_unknown(self.state, self.random.choice(sent).client_order_id, self.context()))


@pytest.mark.parametrize("seed", range(25))
def test_the_books_add_up_whatever_happens(seed: int) -> None:
    world = World(seed)
    both = tuple(Side)
    refusals = ("VENUE_UNAVAILABLE", "INSUFFICIENT_BALANCE", "NOT_AT_VENUE")
    for _ in range(100):
        chance = world.random.random()
        if chance < 0.46:
            does = (world.buys, world.buys, world.sells, lambda: world.sells(PRICE + 500), lambda: world.cancels(*both))
            world.random.choice((*does, lambda: world.amends(*both), world.fires, world.fires, world.loses_an_answer))()
        elif chance < 0.48:
            world.does(trading.panic(world.state, world.context()))
        elif chance < 0.5:
            world.does(resume(world.state, world.context()))
        elif chance < 0.55:
            world.venue_remembers_a_fill()
        else:
            world.venue_acts(refusals=refusals)


@pytest.mark.parametrize("seed", range(25))
def test_a_stop_covers_what_is_held_whatever_happens(seed: int) -> None:
    """As long as the user takes back no exit and the venue refuses none for good."""
    world = World(seed)
    for _ in range(80):
        chance = world.random.random()
        if chance < 0.46:
            entries = (world.buys, world.buys, lambda: world.cancels(Side.BUY), lambda: world.amends(Side.BUY))
            world.random.choice((*entries, world.sells, world.fires, world.fires))()
        elif chance < 0.5:
            world.venue_remembers_a_fill()
        else:
            world.venue_acts(refusals=("VENUE_UNAVAILABLE",))
        assert world.held - world.guarded <= DUST
