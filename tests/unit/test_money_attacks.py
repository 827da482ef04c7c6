"""Ways in which money could be lost, doubled or left unprotected, each tried once."""

from decimal import Decimal

import msgspec
import pytest

from tests.unit.chat_support import Chat
from tests.unit.test_exits import BTC, Desk
from tests.unit.test_reconciliation import Books, a_foreign_order, an_account, says
from tradekit.domain.credentials import Custody, ExchangeAccount
from tradekit.domain.errors import OrderDenied
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import Bracket, Fill, OrderReport, OrderState, OrderType, Side, TakeProfit, Terms, TradingMode
from tradekit.domain.risk import OrderRequest
from tradekit.services import amend, trading, triggers
from tradekit.services.decisions import Decision, Read
from tradekit.services.reports import apply_report, never_arrived
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import NOW_MS, a_position, a_session, an_order

D = Decimal
replace = msgspec.structs.replace
STOP = Bracket(stop_loss_pct=D(2))


def late(desk: Desk, order_id: str, quantity: str, reason: str = "CANCELED") -> Decision:
    """A fill of an order that is over, found in the storage."""
    order = desk.everything[order_id]
    desk.fills += 1
    fill = Fill(
        trade_id=f"late{desk.fills}",
        client_order_id=order_id,
        user_id=1,
        partition=order.partition,
        symbol=order.symbol,
        side=order.side,
        quantity=D(quantity),
        price=desk.price,
        fee=D("0.01"),
        time_ms=NOW_MS,
    )
    report = OrderReport(client_order_id=order_id, user_id=1, state=OrderState.CANCELED, fills=(fill,), reason=reason, time_ms=NOW_MS)
    read = apply_report(desk.state, report, desk.context(f"report/{order_id}/{desk.fills}"))
    assert isinstance(read, Read)
    return read.then(order, desk.context(f"report/{order_id}/{desk.fills}"))


def new_ids(desk: Desk, decision: Decision) -> set[str]:
    """Ids of rows that a storage would refuse, because it has them."""
    return {order.client_order_id for order in decision.changes.orders} & set(desk.everything)


# Fills after the end.


def test_what_a_late_fill_leads_to_is_sent() -> None:
    desk = Desk()
    first = desk.buys("0.1", Bracket(), cause="first", limit=desk.price - 1000)
    second = desk.buys("0.1", Bracket(), cause="second", limit=desk.price - 1000)
    for order in (first, second):
        desk.does(desk.report(order.client_order_id, OrderState.ACCEPTED))
    panicked = trading.panic(desk.state, desk.context("panic"))
    desk.state = panicked.state
    for order in panicked.changes.order_updates:
        desk.everything[order.client_order_id] = order
    desk.does(desk.report(first.client_order_id, OrderState.CANCELED))
    decision = late(desk, first.client_order_id, "0.05")
    waiting = {order.client_order_id for order in decision.state.orders if order.state is OrderState.SUBMITTED}
    assert waiting, "the position of the late fill is sold as well"
    assert waiting == {order.client_order_id for order in decision.submit}
    desk.does(decision)
    assert new_ids(desk, late(desk, first.client_order_id, "0.03")) == set()


def test_a_late_fill_of_an_exit_that_was_armed_again_is_booked() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", STOP))
    (stop,) = desk.legs()
    desk.fires(stop)
    desk.does(desk.report(stop.client_order_id, OrderState.CANCELED, reason="NO_LIQUIDITY"))
    (again,) = desk.legs()
    decision = late(desk, stop.client_order_id, "0.04", "NO_LIQUIDITY")
    assert new_ids(desk, decision) == set()
    desk.does(decision)
    assert [(leg.client_order_id, leg.quantity) for leg in desk.legs()] == [(again.client_order_id, D("0.06"))]


def test_a_late_fill_of_an_amended_order_does_not_place_its_replacement_again() -> None:
    desk = Desk()
    old = desk.buys("0.1", Bracket(), limit=desk.price - 1000)
    desk.does(desk.report(old.client_order_id, OrderState.ACCEPTED))
    desk.does(amend.amend(desk.state, old.client_order_id, desk.context("amend"), price=desk.price - 2000))
    (new,) = desk.sent.values()
    desk.fills_all(new)
    decision = late(desk, old.client_order_id, "0.05")
    assert new_ids(desk, decision) == set()
    assert (decision.submit, decision.notices[-1].key) == ((), "order.canceled")


# Exits.


def test_the_stop_covers_what_an_entry_buys_after_a_target_has_sold() -> None:
    desk = Desk()
    ladder = (TakeProfit(D(3), D(50)), TakeProfit(D(6), D(50)))
    entry = desk.buys("0.1", replace(STOP, take_profits=ladder))
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.04")))
    low = next(leg for leg in desk.legs() if leg.type is OrderType.TAKE_PROFIT)
    # The rest of the entry is taken back, and fills before the venue has heard of it.
    desk.does(replace(triggers.fire(desk.state, low.client_order_id, desk.context("fire")), cancel=()))
    desk.fills_all(low)
    desk.does(desk.report(entry.client_order_id, OrderState.FILLED, D("0.06")))
    held = desk.state.position(BTC)
    assert held is not None
    assert [leg.quantity for leg in desk.legs() if leg.type is OrderType.STOP] == [held.quantity]


def test_the_stop_covers_what_an_entry_buys_after_its_user_sold_some() -> None:
    desk = Desk()
    entry = desk.buys("0.1", STOP)
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.05")))
    request = OrderRequest(symbol=BTC, side=Side.SELL, quantity=D("0.02"))
    desk.fills_all(desk.does(trading.place(desk.state, request, desk.context("sell"))).result)
    desk.does(desk.report(entry.client_order_id, OrderState.FILLED, D("0.05")))
    assert [leg.quantity for leg in desk.legs()] == [D("0.08")]


def test_an_entry_that_fills_on_after_everything_was_sold_gets_its_stop_anew() -> None:
    desk = Desk()
    entry = desk.buys("0.1", STOP)
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.05")))
    request = OrderRequest(symbol=BTC, side=Side.SELL, quantity=D("0.05"))
    desk.fills_all(desk.does(trading.place(desk.state, request, desk.context("sell"))).result)
    assert desk.legs() == []
    decision = desk.report(entry.client_order_id, OrderState.FILLED, D("0.05"))
    assert isinstance(decision, Decision)
    assert new_ids(desk, decision) == set()
    desk.does(decision)
    assert [(leg.type, leg.quantity) for leg in desk.legs()] == [(OrderType.STOP, D("0.05"))]
    desk.check()


def test_a_late_fill_while_the_stop_is_selling_gets_a_stop_of_its_own() -> None:
    desk = Desk()
    entry = desk.buys("0.1", STOP, limit=desk.price - 1000)
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.05")))
    desk.does(desk.report(entry.client_order_id, OrderState.CANCELED))
    (stop,) = desk.legs()
    desk.fires(stop)
    desk.does(late(desk, entry.client_order_id, "0.02"))
    desk.fills_all(stop)
    assert [(leg.type, leg.quantity) for leg in desk.legs()] == [(OrderType.STOP, D("0.02"))]
    desk.check()


def test_a_stop_that_sells_at_market_is_not_taken_back_for_a_target() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", replace(STOP, take_profits=(TakeProfit(D(3), D(100)),))))
    stop, target = desk.legs()
    desk.fires(stop)
    desk.does(desk.report(stop.client_order_id, OrderState.PARTIALLY_FILLED, D("0.04")))
    assert desk.fires(target).cancel == ()
    desk.does(desk.report(stop.client_order_id, OrderState.FILLED, D("0.06")))
    assert (desk.state.orders, desk.state.position(BTC)) == ((), None)


class NotOpen:
    """A venue that was not reached yet: it tells no instruments. Implements :class:`~tradekit.ports.exchange.AccountsView`."""

    def instrument(self, account: str, symbol: str) -> Instrument | None:
        return None

    def native(self, account: str) -> frozenset[OrderType]:
        return frozenset()

    def problem(self, account: str) -> str:
        return "connecting"

    def settled(self, user_id: int, account: str) -> bool:
        return False


def test_a_stop_that_fires_while_its_venue_is_not_open_waits_for_it() -> None:
    live = {"account": "binance:live", "mode": TradingMode.LIVE}
    stop = an_order(side=Side.SELL, type=OrderType.STOP, state=OrderState.INITIALIZED, terms=Terms(trigger_price=D(49000)), **live)
    state = a_session(account="binance:live", positions=(a_position(),), orders=(stop,))
    closed = a_context(accounts=NotOpen())
    waiting = triggers.fire(state, stop.client_order_id, closed)
    assert [order.state for order in waiting.state.orders] == [OrderState.INITIALIZED]
    assert triggers.fire(waiting.state, stop.client_order_id, closed).changes.orders == ()
    sent = triggers.fire(waiting.state, stop.client_order_id, a_context())
    assert [order.client_order_id for order in sent.submit] == [stop.client_order_id]


@pytest.mark.parametrize("reason", ["INSTRUMENT_NOT_TRADABLE", "ORDER_RATE_LIMIT", "NO_PRICE"])
def test_an_exit_that_a_venue_turns_away_for_now_is_tried_again(reason: str) -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", STOP))
    (stop,) = desk.legs()
    desk.fires(stop)
    desk.does(desk.report(stop.client_order_id, OrderState.REJECTED, reason=reason))
    assert [leg.terms.tries for leg in desk.legs()] == [1]


def test_an_entry_whose_stop_has_fired_is_not_placed_anew_by_an_amendment() -> None:
    desk = Desk()
    entry = desk.buys("0.1", STOP, limit=desk.price - 1000)
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.05")))
    (stop,) = desk.legs()
    asked = amend.amend(desk.state, entry.client_order_id, desk.context("amend"), price=desk.price - 2000)
    desk.state = asked.state
    desk.fires(stop)
    decision = desk.report(entry.client_order_id, OrderState.CANCELED)
    assert isinstance(decision, Decision)
    assert [order.side for order in decision.submit] == []


# Panic.


def test_panic_does_not_submit_in_a_circle_at_a_venue_that_refuses() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket()))
    desk.does(trading.panic(desk.state, desk.context("panic")))
    (sale,) = desk.sent.values()
    refused = desk.does(desk.report(sale.client_order_id, OrderState.REJECTED, reason="VENUE_UNAVAILABLE"))
    assert refused.submit == ()
    (again,) = desk.legs()
    assert again.terms.trigger_ms > NOW_MS
    assert desk.state.session.flattening
    desk.fires(again)
    desk.fills_all(again)
    assert (desk.state.position(BTC), desk.state.orders, desk.state.session.flattening) == (None, (), False)


def test_panic_ends_at_a_refusal_for_good() -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket()))
    desk.does(trading.panic(desk.state, desk.context("panic")))
    (sale,) = desk.sent.values()
    refused = desk.does(desk.report(sale.client_order_id, OrderState.REJECTED, reason="INSUFFICIENT_BALANCE"))
    assert (refused.submit, desk.state.orders, desk.state.session.flattening) == ((), (), False)
    assert "exit.failed" in [notice.key for notice in refused.notices]


@pytest.mark.parametrize("side", list(Side))
def test_an_order_of_unknown_fate_that_rests_after_a_panic_is_taken_back(side: Side) -> None:
    desk = Desk()
    desk.fills_all(desk.buys("0.1", Bracket(), cause="before"))
    price = desk.price - 1000 if side is Side.BUY else desk.price + 1000
    request = OrderRequest(symbol=BTC, side=side, quantity=D("0.1"), type=OrderType.LIMIT, price=price)
    order = desk.does(trading.place(desk.state, request, desk.context("limit"))).result
    desk.state = replace(desk.state, orders=tuple(replace(each, state=OrderState.UNKNOWN) for each in desk.state.orders))
    desk.does(trading.panic(desk.state, desk.context("panic")))
    found = desk.report(order.client_order_id, OrderState.ACCEPTED)
    assert isinstance(found, Decision)
    assert [each.client_order_id for each in found.cancel] == [order.client_order_id]


# Unknown orders.


def test_an_order_with_fills_that_a_venue_has_forgotten_is_over() -> None:
    order = an_order(
        quantity=D("0.02"), cum_qty=D("0.01"), state=OrderState.PARTIALLY_FILLED, reserved=D(400), type=OrderType.LIMIT, price=D(40000)
    )
    state = a_session(orders=(order,), positions=(a_position(),))
    decision = never_arrived(state, order.client_order_id, a_context())
    assert isinstance(decision, Decision)
    assert (decision.state.orders, decision.state.reserved) == ((), D(0))


# Accounts.


def test_a_confirmation_is_of_the_account_that_it_was_asked_about() -> None:
    custody = Custody(accounts=(ExchangeAccount(venue="binance", mode=TradingMode.LIVE, changed_ms=NOW_MS),))
    chat = Chat(confirm=True)
    chat.state = replace(chat.state, custody=custody)
    chat.says("/buy BTC 0.01")
    assert chat.state.dialog is not None
    nonce = chat.state.dialog.nonce
    chat.says("/account binance:live")
    assert chat.state.account == "binance:live"
    chat.says(f"!ok:buy:{nonce}")
    assert chat.keys == ["confirm.gone"]


def test_an_order_in_another_currency_is_not_adopted_and_never_becomes_cash() -> None:
    books = Books(an_account("1000"))
    theirs = a_foreign_order(symbol="ETH/BTC", side=Side.BUY)
    books.compare(says((theirs,), locked=("BTC",), USDT="1000", BTC="0.5"), adopt=True)
    books.compare(says((theirs,), locked=("BTC",), USDT="1000", BTC="0.5"), adopt=True)
    assert books.state.session.cash == D(1000)
    assert not books.state.orders


def test_amending_by_the_beginning_of_an_id_that_fits_several_orders_changes_none() -> None:
    chat = Chat()
    orders = tuple(an_order(client_order_id=f"ab{number}", state=OrderState.ACCEPTED) for number in range(3))
    chat.state = replace(chat.state, orders=orders)
    before = chat.state.orders
    chat.says("/amend ab qty=2")
    assert chat.state.orders == before
    chat.says("/amend ab1 qty=2")
    assert chat.state.orders != before


# Numbers.


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("quantity", ["9" * 28, "0." + "0" * 26 + "1", "1" + "0" * 27])
def test_a_quantity_beyond_reason_is_denied_by_a_check(side: Side, quantity: str) -> None:
    desk = Desk()
    request = OrderRequest(symbol=BTC, side=side, quantity=D(quantity), type=OrderType.LIMIT, price=D(quantity))
    assert isinstance(trading.place(desk.state, request, desk.context()).error, OrderDenied)


def test_what_fills_while_an_order_makes_way_comes_off_its_replacement() -> None:
    desk = Desk()
    old = desk.buys("0.1", Bracket(), limit=desk.price - 1000)
    desk.does(desk.report(old.client_order_id, OrderState.PARTIALLY_FILLED, D("0.01")))
    desk.state = amend.amend(desk.state, old.client_order_id, desk.context("amend"), price=desk.price - 2000).state
    desk.does(desk.report(old.client_order_id, OrderState.PARTIALLY_FILLED, D("0.04")))
    desk.does(desk.report(old.client_order_id, OrderState.CANCELED))
    assert [order.quantity for order in desk.sent.values()] == [D("0.05")]


def test_a_late_fill_of_an_entry_whose_stop_has_sold_gets_a_stop_anew() -> None:
    desk = Desk()
    entry = desk.buys("0.1", STOP, limit=desk.price - 1000)
    desk.does(desk.report(entry.client_order_id, OrderState.PARTIALLY_FILLED, D("0.05")))
    desk.does(desk.report(entry.client_order_id, OrderState.CANCELED))
    (stop,) = desk.legs()
    desk.fires(stop)
    desk.fills_all(stop)
    decision = late(desk, entry.client_order_id, "0.02")
    assert new_ids(desk, decision) == set()
    desk.does(decision)
    assert [(leg.type, leg.quantity) for leg in desk.legs()] == [(OrderType.STOP, D("0.02"))]
