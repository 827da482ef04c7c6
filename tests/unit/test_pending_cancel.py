"""While a cancel is under way: fills are booked, and the wish to cancel stays until the venue has answered it."""

from decimal import Decimal

import msgspec
import pytest

from tests.unit.test_orders import applied, buy, fill, placed, report
from tradekit.chat.render import render
from tradekit.domain.orders import Order, OrderState
from tradekit.domain.sessions import SessionState
from tradekit.services import amend
from tradekit.services.trading import cancel
from tradekit.testing.decisions import a_context, a_registered_state

D = Decimal
S = OrderState
replace = msgspec.structs.replace


def canceling(quantity: str = "0.01") -> tuple[SessionState, Order]:
    """A buy that rests at the venue, whose cancel was just asked for."""
    state, order = placed(a_registered_state(), buy(quantity, price="45000"))
    state = applied(state, report(order, S.ACCEPTED)).state
    return cancel(state, order.client_order_id, a_context(cause="test/2")).state, order


def state_of(state: SessionState, order: Order) -> OrderState | None:
    found = state.order(order.client_order_id)
    return None if found is None else found.state


@pytest.mark.parametrize("told", [S.PARTIALLY_FILLED, S.ACCEPTED, S.TRIGGERED])
def test_a_fill_on_the_way_is_booked_and_told_and_the_order_is_still_being_canceled(told: OrderState) -> None:
    state, order = canceling()
    decision = applied(state, report(order, told, fill(order, 1, "0.004", price="45000")))
    assert state_of(decision.state, order) is S.PENDING_CANCEL
    assert decision.state.position("BTC/USDT").quantity == D("0.004")  # type: ignore[union-attr]
    (notice,) = decision.notices
    assert (notice.key, notice.args["filled"]) == ("order.partially_filled", "0.004")
    assert "is being canceled" in render(notice).text
    assert "/cancel" not in render(notice).text
    assert decision.changes.order_updates[0].reserved < order.reserved
    ended = applied(decision.state, report(order, S.CANCELED, fill(order, 1, "0.004", price="45000")))
    assert (ended.state.orders, ended.state.reserved) == ((), 0)


def test_a_late_word_that_it_rests_changes_nothing() -> None:
    state, order = canceling()
    assert not applied(state, report(order, S.ACCEPTED)).changes


def test_the_answer_to_a_submission_does_not_end_a_cancel_that_overtook_it() -> None:
    state, order = placed(a_registered_state(), buy(price="45000"))
    state = cancel(state, order.client_order_id, a_context(cause="test/2")).state
    assert state_of(applied(state, report(order, S.ACCEPTED)).state, order) is S.PENDING_CANCEL


@pytest.mark.parametrize("told", [S.ACCEPTED, S.PARTIALLY_FILLED])
@pytest.mark.parametrize("filled", ["before", "by the answer", "never"])
def test_a_cancel_that_the_venue_refused_leaves_an_open_order(told: OrderState, filled: str) -> None:
    state, order = canceling()
    part = fill(order, 1, "0.004", price="45000")
    if filled == "before":
        state = applied(state, report(order, S.PARTIALLY_FILLED, part)).state
    answer = report(order, told, *((part,) if filled == "by the answer" else ()))
    refused = applied(state, replace(answer, answers_cancel=True)).state
    assert state_of(refused, order) is (told if filled == "never" else S.PARTIALLY_FILLED)
    assert cancel(refused, order.client_order_id, a_context(cause="test/3")).cancel, "it can be asked for again"


def test_what_a_fill_completes_is_filled() -> None:
    state, order = canceling()
    done = applied(state, report(order, S.PARTIALLY_FILLED, fill(order, 1, "0.01", price="45000")))
    assert done.result.state is S.FILLED


def test_less_takes_the_place_of_what_filled_while_it_was_amended() -> None:
    state, order = placed(a_registered_state(), buy(price="45000"))
    state = applied(state, report(order, S.ACCEPTED)).state
    state = amend.amend(state, order.client_order_id, a_context(cause="test/2"), price=D(44_000)).state
    state = applied(state, report(order, S.PARTIALLY_FILLED, fill(order, 1, "0.004", price="45000"))).state
    assert state_of(state, order) is S.PENDING_CANCEL
    replaced = applied(state, report(order, S.CANCELED))
    assert [(each.quantity, each.price) for each in replaced.submit] == [(D("0.006"), D(44_000))]
