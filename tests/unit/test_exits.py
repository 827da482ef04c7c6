"""Brackets: how a ladder is cut, and that no sequence of fills, prices and cancels sells more than is held or leaves an exit behind."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.errors import BadInput, OrderDenied
from tradekit.domain.orders import (
    Bracket,
    Fill,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    Side,
    TakeProfit,
    as_sent,
)
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.tiers import TierName
from tradekit.domain.triggers import fires, trigger_at
from tradekit.services import amend, trading, triggers
from tradekit.services.decisions import Context, Decision
from tradekit.services.exit_words import bracket_words, parse_bracket
from tradekit.services.exits import rungs
from tradekit.services.reports import apply_report
from tradekit.testing.decisions import a_context, a_registered_state
from tradekit.testing.factories import NOW_MS

D = Decimal
BTC = "BTC/USDT"
replace = msgspec.structs.replace
shares = st.lists(st.integers(1, 100), min_size=1, max_size=5).map(
    lambda parts: tuple(TakeProfit(D(number), (D(100) * part / sum(parts)).quantize(D("0.01"))) for number, part in enumerate(parts, 1))
)


@given(steps=st.integers(0, 10_000), ladder=shares, smallest=st.integers(1, 50))
def test_a_ladder_sells_whole_steps_and_never_more_than_its_share(steps: int, ladder: tuple[TakeProfit, ...], smallest: int) -> None:
    step = D("0.001")
    quantity = steps * step
    parts = rungs(quantity, ladder, step, smallest * step)
    assert len(parts) == len(ladder)
    assert all(part % step == 0 and (part == 0 or part >= smallest * step) for part in parts)
    share = min(D(100), sum((rung.share_pct for rung in ladder), D(0)))
    assert sum(parts) <= quantity * share / 100
    assert not any(parts) or quantity * share / 100 - sum(parts) < step


def test_what_rounding_leaves_goes_to_the_last_rung() -> None:
    thirds = (TakeProfit(D(1), D("33.3333")), TakeProfit(D(2), D("33.3333")), TakeProfit(D(3), D("33.3334")))
    assert rungs(D("0.1"), thirds, D("0.01"), D("0.01")) == (D("0.03"), D("0.03"), D("0.04"))


@pytest.mark.parametrize(
    ("words", "bracket"),
    [
        ("sl=2%", Bracket(stop_loss_pct=D(2))),
        ("tp=5", Bracket(take_profits=(TakeProfit(D(5), D(100)),))),
        ("tp=3%:50,6% trail=1.5 exit=4h", None),
        ("sl=2 exit=90", Bracket(stop_loss_pct=D(2), time_exit_s=90)),
    ],
)
def test_exits_are_read_and_written_back(words: str, bracket: Bracket | None) -> None:
    read = parse_bracket(words.split())
    assert read is not None
    assert bracket is None or read == bracket
    assert parse_bracket(bracket_words(read).split()) == read


@pytest.mark.parametrize(
    "words",
    [
        "sl=0",
        "sl=100%",
        "sl=61000",
        "tp=61000",
        "tp=70000:50,80000",
        "sl=-2%",
        "sl=x",
        "sl=2 sl=3",
        "tp=3:60,6:60",
        "tp=6,3",
        "tp=6:50,3:50",
        "tp=",
        "exit=0",
        "exit=4y",
        "exit=99999d",
    ],
)
def test_exits_that_make_no_sense_are_refused_with_a_hint(words: str) -> None:
    with pytest.raises(BadInput):
        parse_bracket(words.split())


class Desk:
    """One user, a venue that fills what it is sent when told to, and the watch over held orders."""

    def __init__(self) -> None:
        self.ctx = a_context()
        state = a_registered_state(ctx=self.ctx)
        assert state.user is not None
        bold = replace(state.settings, risk_per_trade_pct=D(100))
        self.state = replace(state, settings=bold, user=replace(state.user, tier=TierName.ENTERPRISE))
        self.price = self.ctx.price(BTC) or D(0)
        self.sent: dict[str, Order] = {}
        self.fills = 0
        self.everything: dict[str, Order] = {}

    def context(self, cause: str = "test") -> Context:
        return replace(self.ctx, cause=cause)

    def does(self, decision: object) -> Decision:
        assert isinstance(decision, Decision)
        self.state = decision.state
        for order in (*decision.changes.orders, *decision.changes.order_updates):
            self.everything[order.client_order_id] = order
        for order in decision.submit:
            assert order.client_order_id not in self.sent or not self.sent[order.client_order_id].is_open
            self.sent[order.client_order_id] = as_sent(order)
        for order in decision.cancel:
            self.does(self.report(order.client_order_id, OrderState.CANCELED))
        return decision

    def report(self, order_id: str, state: OrderState, quantity: Decimal = D(0), reason: str = "") -> object:
        order = self.sent[order_id]
        fills: tuple[Fill, ...] = ()
        if quantity:
            self.fills += 1
            fills = (
                Fill(
                    trade_id=f"t{self.fills}",
                    client_order_id=order_id,
                    user_id=1,
                    partition=order.partition,
                    symbol=order.symbol,
                    side=order.side,
                    quantity=quantity,
                    price=self.price,
                    fee=D("0.01"),
                    time_ms=NOW_MS,
                ),
            )
        report = OrderReport(client_order_id=order_id, user_id=1, state=state, fills=fills, reason=reason, time_ms=NOW_MS)
        decision = apply_report(self.state, report, self.context(f"report/{order_id}/{self.fills}"))
        if state in {OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED}:
            self.sent.pop(order_id)
        return decision

    def buys(self, quantity: str, bracket: Bracket, cause: str = "entry", limit: Decimal | None = None) -> Order:
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        request = OrderRequest(symbol=BTC, side=Side.BUY, quantity=D(quantity), type=kind, price=limit, bracket=bracket)
        decision = self.does(trading.place(self.state, request, self.context(cause)))
        assert decision.error is None, decision.error
        order: Order = decision.result
        return order

    def fills_all(self, order: Order) -> None:
        self.does(self.report(order.client_order_id, OrderState.FILLED, order.quantity - self.filled(order)))

    def filled(self, order: Order) -> Decimal:
        now = self.everything[order.client_order_id]
        return now.cum_qty

    def legs(self) -> list[Order]:
        return sorted(
            (order for order in self.state.orders if order.held), key=lambda order: (order.type, order.terms.trigger_price or D(0))
        )

    def fires(self, order: Order) -> Decision:
        return self.does(triggers.fire(self.state, order.client_order_id, self.context(f"fire/{order.client_order_id}")))

    def check(self) -> None:
        held = self.state.position(BTC)
        quantity = held.quantity if held is not None else D(0)
        sells = [order for order in self.state.orders if order.side is Side.SELL]
        at_venue = sum((order.quantity - order.cum_qty for order in sells if not order.held), D(0))
        assert at_venue <= quantity, "more is promised to the venue than is held"
        assert all(order.quantity <= quantity for order in sells if order.held), "an exit is larger than what is held"
        if not quantity:
            assert not [order for order in sells if order.held], "an exit outlived its position"


FULL = Bracket(stop_loss_pct=D(2), take_profits=(TakeProfit(D(3), D(50)), TakeProfit(D(6), D(50))), trailing_pct=D(5), time_exit_s=60)


def test_an_entry_gets_its_exits_with_the_fill() -> None:
    desk = Desk()
    entry = desk.buys("0.1", FULL)
    assert desk.legs() == []
    desk.fills_all(entry)
    facts = [(leg.type, leg.quantity, leg.terms.trigger_price) for leg in desk.legs()]
    price = desk.price
    assert facts == [
        (OrderType.STOP, D("0.1"), price * D("0.98")),
        (OrderType.TAKE_PROFIT, D("0.05"), price * D("1.03")),
        (OrderType.TAKE_PROFIT, D("0.05"), price * D("1.06")),
        (OrderType.TIME_EXIT, D("0.1"), None),
        (OrderType.TRAILING_STOP, D("0.1"), trigger_at(Side.SELL, D(5), price, D("0.01"))),
    ]
    assert {leg.terms.list_id for leg in desk.legs()} == {entry.client_order_id}
    assert desk.state.sellable(BTC) == D("0.1")


def test_more_fills_of_the_entry_enlarge_the_exits() -> None:
    desk = Desk()
    entry = desk.buys("0.1", Bracket(stop_loss_pct=D(2), take_profits=(TakeProfit(D(3), D(100)),)))
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.04")))
    assert {leg.quantity for leg in desk.legs()} == {D("0.04")}
    desk.does(desk.report(entry.client_order_id, OrderState.FILLED, D("0.06")))
    assert {leg.quantity for leg in desk.legs()} == {D("0.1")}


def test_an_exit_that_was_taken_back_does_not_come_again_with_the_next_fill() -> None:
    desk = Desk()
    entry = desk.buys("0.1", Bracket(stop_loss_pct=D(2), take_profits=(TakeProfit(D(3), D(100)),)))
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.04")))
    stop = next(leg for leg in desk.legs() if leg.type is OrderType.STOP)
    desk.does(trading.cancel(desk.state, stop.client_order_id, desk.context("cancel")))
    desk.does(desk.report(entry.client_order_id, OrderState.FILLED, D("0.06")))
    assert [leg.type for leg in desk.legs()] == [OrderType.TAKE_PROFIT]


def test_one_exit_cancels_the_others() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", FULL))
    stop, low, *_ = desk.legs()
    desk.fires(low)
    desk.fills_all(low)
    assert [(leg.type, leg.quantity) for leg in desk.legs()] == [
        (OrderType.STOP, D("0.05")),
        (OrderType.TAKE_PROFIT, D("0.05")),
        (OrderType.TIME_EXIT, D("0.05")),
        (OrderType.TRAILING_STOP, D("0.05")),
    ]
    desk.fires(stop)
    sent = desk.sent[stop.client_order_id]
    assert (sent.type, sent.quantity) == (OrderType.MARKET, D("0.05"))
    desk.does(desk.report(stop.client_order_id, OrderState.FILLED, D("0.05")))
    assert desk.state.orders == ()
    assert desk.state.position(BTC) is None
    assert {order.reason for order in desk.everything.values() if order.state is OrderState.CANCELED} == {"POSITION_CLOSED"}


def test_firing_twice_sends_once() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(stop_loss_pct=D(2))))
    (stop,) = desk.legs()
    assert len(desk.fires(stop).submit) == 1
    assert desk.fires(stop).submit == ()


def test_a_stop_frees_what_a_resting_sell_holds_back_and_goes_then() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(stop_loss_pct=D(2))))
    request = OrderRequest(symbol=BTC, side=Side.SELL, quantity=D("0.1"), type=OrderType.LIMIT, price=desk.price * 2)
    limit = desk.does(trading.place(desk.state, request, desk.context("limit"))).result
    desk.does(desk.report(limit.client_order_id, OrderState.ACCEPTED))
    (stop,) = desk.legs()
    decision = triggers.fire(desk.state, stop.client_order_id, desk.context("fire"))
    assert (decision.submit, [order.client_order_id for order in decision.cancel]) == ((), [limit.client_order_id])
    waiting = next(order for order in decision.state.orders if order.held)
    assert waiting.terms.fired
    desk.does(decision)
    assert list(desk.sent) == [stop.client_order_id]
    desk.check()


@pytest.mark.parametrize("reason", ["NOT_AT_VENUE", "VENUE_UNAVAILABLE"])
def test_an_exit_that_never_reached_the_venue_is_armed_again_after_a_pause(reason: str) -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(stop_loss_pct=D(2))))
    (stop,) = desk.legs()
    desk.fires(stop)
    desk.does(desk.report(stop.client_order_id, OrderState.REJECTED, reason=reason))
    (again,) = desk.legs()
    assert again.client_order_id != stop.client_order_id
    assert (again.type, again.quantity, again.terms.trigger_price) == (stop.type, stop.quantity, stop.terms.trigger_price)
    assert not fires(again, D(1), NOW_MS)
    assert fires(again, D(1), again.terms.trigger_ms)


def test_an_exit_the_venue_refuses_for_good_is_told() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(stop_loss_pct=D(2))))
    (stop,) = desk.legs()
    desk.fires(stop)
    decision = desk.does(desk.report(stop.client_order_id, OrderState.REJECTED, reason="VENUE_REFUSED"))
    assert desk.legs() == []
    assert "exit.failed" in [notice.key for notice in decision.notices]


def test_a_held_buy_reserves_money_and_quota_and_gives_both_back() -> None:
    desk = Desk()
    free, request = (
        desk.state.free,
        OrderRequest(symbol=BTC, side=Side.BUY, quantity=D("0.01"), type=OrderType.STOP, trigger_price=desk.price * 2),
    )
    order = desk.does(trading.place(desk.state, request, desk.context("stop"))).result
    assert order.held
    assert desk.state.free < free
    assert desk.state.today.reserved == 1
    desk.does(trading.cancel(desk.state, "all", desk.context("cancel")))
    assert (desk.state.free, desk.state.today.reserved, desk.state.orders) == (free, 0, ())


def test_a_held_buy_is_checked_again_when_it_fires() -> None:
    desk = Desk()
    request = OrderRequest(symbol=BTC, side=Side.BUY, quantity=D("0.01"), type=OrderType.STOP, trigger_price=desk.price * 2)
    order = desk.does(trading.place(desk.state, request, desk.context("stop"))).result
    desk.ctx = replace(desk.ctx, policy=replace(desk.ctx.policy, maintenance=True))
    desk.fires(order)
    assert desk.everything[order.client_order_id].reason == "MAINTENANCE"
    assert (desk.state.orders, desk.state.today.reserved) == ((), 0)


@pytest.mark.parametrize(
    ("side", "kind", "factor", "code"),
    [
        (Side.SELL, OrderType.STOP, "1.01", "TRIGGER_PRICE"),
        (Side.SELL, OrderType.TAKE_PROFIT, "0.99", "TRIGGER_PRICE"),
        (Side.BUY, OrderType.STOP, "0.99", "TRIGGER_PRICE"),
    ],
)
def test_a_trigger_that_is_reached_already_is_refused(side: Side, kind: OrderType, factor: str, code: str) -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket()))
    request = OrderRequest(symbol=BTC, side=side, quantity=D("0.01"), type=kind, trigger_price=desk.price * D(factor))
    error = trading.place(desk.state, request, desk.context("wrong")).error
    assert isinstance(error, OrderDenied)
    assert error.check == code


def test_amending_a_held_order_replaces_it_and_both_know_each_other() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(stop_loss_pct=D(2))))
    (stop,) = desk.legs()
    desk.does(amend.amend(desk.state, stop.client_order_id[:8], desk.context("amend"), trigger_price=desk.price * D("0.9")))
    (new,) = desk.legs()
    old = desk.everything[stop.client_order_id]
    assert (old.state, old.reason) == (OrderState.CANCELED, "AMENDED")
    assert old.terms.amendment is not None
    assert old.terms.amendment.client_order_id == new.client_order_id
    assert (new.terms.replaces, new.terms.list_id) == (old.client_order_id, old.terms.list_id)
    assert new.terms.trigger_price == desk.price * D("0.9")


def test_amending_a_resting_order_places_the_new_one_when_the_old_is_gone() -> None:
    desk = Desk()
    entry = desk.buys("0.1", Bracket(), limit=desk.price * D("0.9"))
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.02")))
    decision = amend.amend(desk.state, entry.client_order_id, desk.context("amend"), quantity=D("0.05"), price=desk.price * D("0.95"))
    pending = decision.result
    assert (pending.state, decision.submit) == (OrderState.PENDING_CANCEL, ())
    desk.does(decision)
    (new,) = desk.state.orders
    assert (new.quantity, new.price, new.terms.replaces) == (D("0.03"), desk.price * D("0.95"), entry.client_order_id)
    assert desk.everything[entry.client_order_id].state is OrderState.CANCELED
    assert list(desk.sent) == [new.client_order_id]


def test_an_order_that_fills_before_it_could_be_amended_stands_and_nothing_is_placed() -> None:
    desk = Desk()
    entry = desk.buys("0.1", Bracket(), limit=desk.price * D("0.9"))
    desk.does(desk.report(entry.client_order_id, OrderState.ACCEPTED))
    decision = amend.amend(desk.state, entry.client_order_id, desk.context("amend"), quantity=D("0.2"))
    desk.state = decision.state
    desk.does(desk.report(entry.client_order_id, OrderState.FILLED, D("0.1")))
    assert desk.state.orders == ()
    assert desk.sent == {}


moves = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(1, 20), st.integers(0, 3)),
        st.tuples(st.just("fill"), st.integers(0, 5), st.integers(1, 150)),
        st.tuples(st.just("fire"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("reject"), st.integers(0, 5), st.integers(0, 1)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("close"), st.integers(1, 100), st.just(0)),
        st.tuples(st.just("limit"), st.integers(1, 100), st.just(0)),
        st.tuples(st.just("panic"), st.just(0), st.just(0)),
    ),
    min_size=4,
    max_size=60,
)
BRACKETS = (
    FULL,
    Bracket(stop_loss_pct=D(2)),
    Bracket(take_profits=(TakeProfit(D(1), D(30)), TakeProfit(D(2), D(30)))),
    Bracket(trailing_pct=D(3), take_profits=(TakeProfit(D(1), D(100)),)),
)


@given(moves=moves)
def test_whatever_happens_no_more_is_sold_than_held_and_no_exit_outlives_its_position(moves: list[tuple[str, int, int]]) -> None:
    desk = Desk()
    for number, (what, first, second) in enumerate(moves):
        _move(desk, f"m{number}", what, first, second)
        desk.check()


def _move(desk: Desk, cause: str, what: str, first: int, second: int) -> None:
    waiting, held = list(desk.sent.values()), desk.legs()
    if what == "buy":
        request = OrderRequest(symbol=BTC, side=Side.BUY, quantity=D(first) / 1000, bracket=BRACKETS[second])
        desk.does(trading.place(desk.state, request, desk.context(cause)))
    elif what == "fill" and waiting:
        order = waiting[first % len(waiting)]
        left = order.quantity - desk.filled(order)
        part = max(D("0.00001"), (left * second / 100).quantize(D("0.00001")))
        desk.does(desk.report(order.client_order_id, OrderState.FILLED if part >= left else OrderState.PARTIALLY_FILLED, min(part, left)))
    elif what == "fire" and held:
        desk.fires(held[first % len(held)])
    elif what == "reject" and waiting:
        order = waiting[first % len(waiting)]
        if not desk.filled(order) and desk.everything[order.client_order_id].state is OrderState.SUBMITTED:
            desk.does(desk.report(order.client_order_id, OrderState.REJECTED, reason=("NOT_AT_VENUE", "VENUE_REFUSED")[second]))
    elif what == "cancel" and desk.state.orders:
        order = desk.state.orders[first % len(desk.state.orders)]
        desk.does(trading.cancel(desk.state, order.client_order_id, desk.context(cause)))
    elif what == "close" and desk.state.positions:
        desk.does(trading.close(desk.state, BTC, D(first) / 100, desk.context(cause)))
    elif what == "limit" and (position := desk.state.position(BTC)):
        quantity = (position.quantity * first / 100).quantize(D("0.00001"))
        request = OrderRequest(symbol=BTC, side=Side.SELL, quantity=quantity, type=OrderType.LIMIT, price=desk.price * 2)
        decision = desk.does(trading.place(desk.state, request, desk.context(cause)))
        if decision.error is None:
            desk.does(desk.report(decision.result.client_order_id, OrderState.ACCEPTED))
    elif what == "panic":
        desk.does(trading.panic(desk.state, desk.context(cause)))
        desk.state = replace(desk.state, session=replace(desk.state.session, status=SessionStatus.RUNNING))
