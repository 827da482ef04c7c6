"""Orders through their whole life: reservation, fills in any order, cancellation, quota and cash."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.errors import NotFound, OrderDenied
from tradekit.domain.orders import TERMINAL, Fill, Order, OrderReport, OrderState, OrderType, Side, client_order_id, may_become
from tradekit.domain.portfolio import LedgerKind
from tradekit.domain.risk import OrderRequest, TradingPolicy
from tradekit.domain.sessions import SessionState, SessionStatus
from tradekit.services.decisions import Decision, Read
from tradekit.services.reports import apply_report, mark_unknown, never_arrived
from tradekit.services.trading import cancel, close, panic, place
from tradekit.services.users import pause
from tradekit.testing.decisions import FixedMarket, a_context, a_registered_state
from tradekit.testing.factories import NOW_MS

replace = msgspec.structs.replace


def buy(quantity: str = "0.01", price: str | None = None) -> OrderRequest:
    limit = None if price is None else Decimal(price)
    return OrderRequest(
        symbol="BTC/USDT", side=Side.BUY, quantity=Decimal(quantity), type=OrderType.LIMIT if limit else OrderType.MARKET, price=limit
    )


def fill(order: Order, number: int, quantity: str, price: str = "50000", fee: str = "0.5") -> Fill:
    return Fill(
        trade_id=f"{order.client_order_id}-{number}",
        client_order_id=order.client_order_id,
        user_id=order.user_id,
        partition=order.partition,
        symbol=order.symbol,
        side=order.side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        time_ms=NOW_MS,
    )


def report(order: Order, state: OrderState, *fills: Fill, reason: str = "") -> OrderReport:
    return OrderReport(
        client_order_id=order.client_order_id, user_id=order.user_id, state=state, fills=fills, reason=reason, time_ms=NOW_MS
    )


def applied(state: SessionState, what: OrderReport) -> Decision:
    outcome = apply_report(state, what, a_context())
    assert isinstance(outcome, Decision)
    return outcome


def placed(state: SessionState, request: OrderRequest, **context: object) -> tuple[SessionState, Order]:
    decision = place(state, request, a_context(**context))
    assert decision.error is None, decision.error
    return decision.state, decision.result


def test_an_order_is_reserved_and_counted_before_it_is_sent() -> None:
    state, order = placed(a_registered_state(), buy())
    assert order.state is OrderState.SUBMITTED
    assert state.today.reserved == 1
    assert order.reserved > Decimal(500)
    assert state.free == Decimal(10_000) - order.reserved
    assert order.client_order_id == client_order_id(1, "test/1")


def test_the_same_cause_makes_the_same_id() -> None:
    state, order = placed(a_registered_state(), buy())
    again = place(state, buy(), a_context())
    assert again.error is not None
    assert again.error.code == "DUPLICATE"
    assert not again.submit
    assert order.client_order_id != client_order_id(1, "test/2")


def test_a_fill_moves_cash_position_ledger_and_quota_together() -> None:
    state, order = placed(a_registered_state(), buy())
    decision = applied(state, report(order, OrderState.FILLED, fill(order, 1, "0.01")))
    after = decision.state
    assert after.session.cash == Decimal("9499.5")
    assert after.reserved == 0
    assert after.today.used == 1
    assert after.today.reserved == 0
    position = after.position("BTC/USDT")
    assert position is not None
    assert position.cost == Decimal("500.5")
    (entry,) = decision.changes.ledger
    assert (entry.kind, entry.amount, entry.fee, entry.balance) == (LedgerKind.BUY, Decimal("-500.5"), Decimal("0.5"), after.session.cash)
    assert not after.orders
    assert decision.notices[0].key == "order.filled"


def test_a_repeated_report_changes_nothing() -> None:
    state, order = placed(a_registered_state(), buy())
    partly = report(order, OrderState.PARTIALLY_FILLED, fill(order, 1, "0.004"))
    once = applied(state, partly).state
    twice = applied(once, partly)
    assert twice.state is once
    assert not twice.changes


@given(st.permutations([0, 1, 2, 3]), st.booleans())
def test_fills_in_any_order_and_repeated_give_the_same_account(order_of: list[int], accepted_late: bool) -> None:
    state, order = placed(a_registered_state(), buy())
    parts = ["0.001", "0.002", "0.003", "0.004"]
    for position in range(len(order_of)):
        known = [fill(order, i, parts[i], price=str(50_000 + i)) for i in order_of[: position + 1]]
        state = applied(state, report(order, OrderState.PARTIALLY_FILLED, *known)).state
        if accepted_late and state.order(order.client_order_id):
            state = applied(state, report(order, OrderState.ACCEPTED)).state
    assert state.session.cash == Decimal(10_000) - sum(Decimal(q) * (50_000 + i) + Decimal("0.5") for i, q in enumerate(parts))
    assert state.position("BTC/USDT").quantity == Decimal("0.01")  # type: ignore[union-attr]
    assert not state.orders
    assert state.today.used == 1


def test_a_rejected_order_gives_everything_back() -> None:
    start = a_registered_state()
    state, order = placed(start, buy())
    after = applied(state, report(order, OrderState.REJECTED, reason="NOTIONAL_MIN")).state
    assert after.free == start.free
    assert after.today.used == after.today.reserved == 0


def test_cancel_waits_for_the_venues_last_word() -> None:
    state, order = placed(a_registered_state(), buy(price="45000"))
    state = applied(state, report(order, OrderState.ACCEPTED)).state
    asked = cancel(state, order.client_order_id[:6], a_context(cause="test/2"))
    assert asked.cancel[0].state is OrderState.PENDING_CANCEL
    filled_instead = applied(asked.state, report(order, OrderState.FILLED, fill(order, 1, "0.01", price="45000")))
    assert filled_instead.state.position("BTC/USDT") is not None
    canceled = applied(asked.state, report(order, OrderState.CANCELED))
    assert canceled.state.free == Decimal(10_000)
    assert canceled.state.today.reserved == 0


def test_canceling_what_is_not_there_says_so() -> None:
    decision = cancel(a_registered_state(), "abc", a_context())
    assert isinstance(decision.error, NotFound)


def test_an_unknown_order_blocks_entries_on_its_instrument_only() -> None:
    state, order = placed(a_registered_state(), buy())
    state = mark_unknown(state, order.client_order_id, a_context()).state
    blocked = place(state, buy(), a_context(cause="test/2"))
    assert isinstance(blocked.error, OrderDenied)
    assert blocked.error.check == "UNRESOLVED_ORDER"
    other = OrderRequest(symbol="ETH/USDT", side=Side.BUY, quantity=Decimal("0.1"))
    assert place(state, other, a_context(cause="test/3")).error is None
    gone = never_arrived(state, order.client_order_id, a_context())
    assert isinstance(gone, Decision)
    assert gone.state.free == Decimal(10_000)


def test_a_late_fill_is_booked_and_recorded_as_a_discrepancy() -> None:
    state, order = placed(a_registered_state(), buy(price="45000"))
    canceled = applied(state, report(order, OrderState.CANCELED))
    late = apply_report(canceled.state, report(order, OrderState.FILLED, fill(order, 1, "0.01", price="45000")), a_context())
    assert isinstance(late, Read)
    decision = late.then(canceled.result, a_context())
    assert decision.state.position("BTC/USDT") is not None
    assert any(row.action == "discrepancy.late_fill" for row in decision.changes.audit)


def holding(quantity: str = "0.01") -> SessionState:
    state, order = placed(a_registered_state(), buy(quantity), cause="test/hold")
    return applied(state, report(order, OrderState.FILLED, fill(order, 1, quantity))).state


def test_exits_pass_quota_pause_maintenance_and_halt() -> None:
    state = pause(holding(), a_context()).state
    spent = replace(state, usage=(replace(state.usage[-1], used=5),))
    policy = TradingPolicy(maintenance=True)
    decision = close(spent, "BTC/USDT", Decimal(1), a_context(cause="test/2", policy=policy))
    assert decision.error is None
    assert decision.submit[0].side is Side.SELL
    halted = replace(spent, session=replace(spent.session, status=SessionStatus.HALTED))
    assert close(halted, "BTC/USDT", Decimal(1), a_context(cause="test/2")).error is None


def test_selling_more_than_is_held_is_refused() -> None:
    decision = place(holding(), OrderRequest(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal("0.02")), a_context(cause="test/2"))
    assert isinstance(decision.error, OrderDenied)
    assert decision.error.check == "REDUCE_ONLY_WOULD_INCREASE"


def test_the_sixth_entry_of_a_free_user_names_limit_and_reset() -> None:
    state = a_registered_state()
    state = replace(state, usage=(replace(state.usage[-1], used=3, reserved=2),))
    decision = place(state, buy(), a_context())
    assert isinstance(decision.error, OrderDenied)
    assert decision.error.check == "DAILY_TRADES_LIMIT"
    assert decision.error.detail["limit"] == "5"
    assert int(decision.error.detail["resets_ms"]) == state.today.ends_ms


def test_a_closed_round_trip_is_one_trade_with_exact_profit() -> None:
    state = holding()
    decision = close(state, "BTC/USDT", Decimal(1), a_context(cause="test/2", market=FixedMarket({"BTC/USDT": "51000"})))
    order = decision.submit[0]
    after = applied(decision.state, report(order, OrderState.FILLED, fill(order, 1, "0.01", price="51000", fee="0.51")))
    (trade,) = after.changes.trades
    assert trade.pnl == Decimal("510") - Decimal("0.51") - Decimal("500.5")
    assert after.state.session.cash == Decimal(10_000) + trade.pnl
    assert after.state.position("BTC/USDT") is None


def test_panic_sells_what_open_sells_hold_back_once_they_are_gone() -> None:
    state = holding("0.02")
    limit = OrderRequest(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal("0.01"), type=OrderType.LIMIT, price=Decimal(55_000))
    state, resting = placed(state, limit, cause="test/2")
    state = applied(state, report(resting, OrderState.ACCEPTED)).state
    decision = panic(state, a_context(cause="test/3"))
    assert [order.quantity for order in decision.submit] == [Decimal("0.01")]
    assert decision.cancel[0].client_order_id == resting.client_order_id
    after = applied(decision.state, report(resting, OrderState.CANCELED))
    assert [order.quantity for order in after.submit] == [Decimal("0.01")]
    assert after.state.session.status is SessionStatus.PAUSED


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_nothing_follows_an_end(state: OrderState) -> None:
    assert not any(may_become(state, other) for other in OrderState)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(OrderState)), st.integers(0, 4)),
        max_size=25,
    )
)
def test_whatever_a_venue_reports_transitions_are_legal_and_money_adds_up(reports: list[tuple[OrderState, int]]) -> None:
    state, order = placed(a_registered_state(), buy())
    parts = [fill(order, i, "0.0025") for i in range(4)]
    booked: set[str] = set()
    current = order
    for told, known in reports:
        outcome = apply_report(state, report(order, told, *parts[:known]), a_context())
        decision = outcome if isinstance(outcome, Decision) else outcome.then(current, a_context())
        for update in decision.changes.order_updates:
            assert update.state is current.state or may_become(current.state, update.state) or decision.changes.fills
            assert update.cum_qty >= current.cum_qty
            current = update
        for booking in decision.changes.fills:
            assert booking.trade_id not in booked
            booked.add(booking.trade_id)
        state = decision.state
    flows = sum((part.quantity * part.price + part.fee for part in parts if part.trade_id in booked), Decimal(0))
    assert state.session.cash == Decimal(10_000) - flows
    day = state.today
    assert day.used + day.reserved <= 1
    assert day.used == 0 or booked
    assert not day.reserved or current.is_open
