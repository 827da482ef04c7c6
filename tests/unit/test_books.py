from decimal import Decimal

import msgspec
import pytest

from tradekit.domain.changes import NOTHING, state_changes
from tradekit.domain.orders import Fill, OrderReport, OrderState, Side, account_name, mode_of, venue_of
from tradekit.domain.orders import TradingMode as Mode
from tradekit.domain.portfolio import Position, book
from tradekit.domain.sessions import Book, SessionState, TradingSession, books, find_order, on_account
from tradekit.domain.usage import MinuteUsage
from tradekit.services.decisions import Decision
from tradekit.services.reports import apply_report
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import NOW_MS, a_fill, a_position, a_session, an_order

replace = msgspec.structs.replace
LIVE = "binance:live"


def with_live(**values: object) -> SessionState:
    session = TradingSession(cash=Decimal(500), day_ends_ms=a_session().session.day_ends_ms)
    live = Book(account=LIVE, session=session, orders=(an_order("live", account=LIVE, mode=Mode.LIVE, quantity=Decimal(1)),))
    return replace(a_session(), shelf=(live,), positions=(a_position(),))


@pytest.mark.parametrize(("venue", "mode", "name"), [("binance", Mode.PAPER, "paper"), ("okx", Mode.LIVE, "okx:live")])
def test_an_account_has_the_name_of_venue_and_mode(venue: str, mode: Mode, name: str) -> None:
    assert account_name(venue, mode) == name
    assert mode_of(name) is mode
    assert venue_of(name) == ("paper" if mode is Mode.PAPER else venue)


def test_swapping_there_and_back_changes_nothing() -> None:
    state = with_live()
    there = on_account(state, LIVE)
    assert (there.account, there.session.cash, there.positions) == (LIVE, Decimal(500), ())
    assert sorted(each.account for each in books(there)) == [LIVE, "paper"]
    assert on_account(there, "paper") == state


def test_calls_are_counted_for_the_user_whatever_the_account() -> None:
    state = with_live()
    counted = replace(state, session=replace(state.session, api=MinuteUsage(minute=9, calls=3)))
    assert on_account(counted, LIVE).session.api.calls == 3


def test_an_account_that_was_never_used_is_written_with_its_first_change() -> None:
    state = a_session()
    there = on_account(state, "okx:live")
    changes = state_changes(state, there)
    assert [(account, session.cash) for _, _, account, session in changes.sessions] == [("okx:live", Decimal(0))]
    assert state_changes(state, on_account(there, "paper")) is not NOTHING


def test_a_report_is_booked_on_the_account_of_its_order_and_the_table_stays() -> None:
    state = with_live()
    order = find_order(state, state.shelf[0].orders[0].client_order_id)
    assert order is not None
    fill = a_fill(order, quantity=Decimal(1), price=Decimal(100), fee=Decimal("0.1"))
    report = OrderReport(client_order_id=order.client_order_id, user_id=1, state=OrderState.FILLED, fills=(fill,), time_ms=NOW_MS)
    decision = apply_report(state, report, a_context())
    assert isinstance(decision, Decision)
    new = decision.state
    assert (new.account, new.session, new.positions) == ("paper", state.session, state.positions)
    (live,) = new.shelf
    assert (live.session.cash, live.orders) == (Decimal("399.9"), ())
    assert [position.quantity for position in live.positions] == [Decimal(1)]
    assert {row.account for row in (*decision.changes.fills, *decision.changes.ledger)} == {LIVE}


def fill_with_fee(side: Side, currency: str, paid: str, worth: str) -> Fill:
    return a_fill(side=side, quantity=Decimal(2), price=Decimal(100), fee=Decimal(worth), fee_currency=currency, fee_paid=Decimal(paid))


def held(quantity: str) -> Position:
    return a_position(quantity=Decimal(quantity), cost=Decimal(100), bought=Decimal(quantity), spent=Decimal(100), fees=Decimal(0))


def test_a_fee_in_base_currency_makes_the_position_smaller_and_leaves_the_cash() -> None:
    booked = book(fill_with_fee(Side.BUY, "BTC", "0.002", "0.2"), Decimal(1000), None)
    assert booked.position is not None
    assert (booked.cash, booked.position.quantity, booked.position.cost) == (Decimal(800), Decimal("1.998"), Decimal(200))


def test_a_fee_in_a_third_currency_counts_in_the_result_but_not_in_the_cash() -> None:
    booked = book(fill_with_fee(Side.SELL, "BNB", "0.001", "0.3"), Decimal(0), held("2"))
    assert booked.cash == Decimal(200)
    assert booked.trade is not None
    assert (booked.trade.pnl, booked.trade.fees) == (Decimal("99.7"), Decimal("0.3"))


def test_what_is_sold_beyond_the_position_moves_cash_alone() -> None:
    booked = book(fill_with_fee(Side.SELL, "", "0", "0"), Decimal(0), held("1"))
    assert (booked.cash, booked.position) == (Decimal(200), None)
    assert booked.trade is not None
    assert booked.trade.pnl == Decimal(0)
    alone = book(fill_with_fee(Side.SELL, "", "0", "0"), Decimal(0), None)
    assert (alone.cash, alone.position, alone.trade, alone.realized) == (Decimal(200), None, None, Decimal(0))
