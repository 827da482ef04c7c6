"""An account compared with its venue: once is enough, nothing is judged while something is under way, and trouble stays where it is."""

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat_support import Chat, unfilled
from tradekit.chat.render import render
from tradekit.domain.credentials import Custody, ExchangeAccount
from tradekit.domain.discrepancies import Discrepancy, DiscrepancyKind
from tradekit.domain.errors import OrderDenied
from tradekit.domain.orders import PAPER, Order, OrderState, OrderType, Side, TradingMode
from tradekit.domain.portfolio import LedgerKind
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import Book, SessionState, SessionStatus, TradingSession, on_account
from tradekit.domain.users import Role
from tradekit.ports.exchange import Balance, Snapshot, VenueOrder
from tradekit.services import trading
from tradekit.services.decisions import Decision
from tradekit.services.reconciliation import AT_VENUE, IN_FLIGHT, Reconciled, announce, ask, reconcile
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import NOW_MS, a_position, a_session, a_user, an_order

D = Decimal
LIVE = "binance:live"
BTC, ETH = "BTC/USDT", "ETH/USDT"
replace = msgspec.structs.replace


class Books:
    """What a storage holds of one user, and the account in memory."""

    def __init__(self, state: SessionState) -> None:
        self.state, self.now_ms = state, NOW_MS
        self.found: dict[str, Discrepancy] = {}
        self.orders: dict[str, Order] = {order.client_order_id: order for order in state.orders}

    async def discrepancies(self, user_id: int | None = None, limit: int = 50) -> list[Discrepancy]:
        return list(self.found.values())[:limit]

    async def order(self, client_order_id: str) -> Order | None:
        return self.orders.get(client_order_id)

    def compare(self, snapshot: Snapshot, *, checked: frozenset[str] = frozenset(), adopt: bool = False) -> tuple[Reconciled, Decision]:
        self.now_ms += 1
        ctx = a_context(now_ms=self.now_ms)
        read = reconcile(self.state, LIVE, replace(snapshot, time_ms=self.now_ms), checked, ctx, adopt_foreign=adopt)
        decision = read.then(answer_of(read.query(self)), ctx)  # type: ignore[arg-type]
        assert set().union(*map(unfilled, decision.notices)) == set()
        assert decision.state.account == self.state.account, "the account in use stays on the table"
        self.state = decision.state
        self.found |= {each.key: each for each in decision.changes.discrepancies}
        self.orders |= {each.client_order_id: each for each in decision.changes.orders}
        assert isinstance(decision.result, Reconciled)
        return decision.result, decision

    @property
    def open(self) -> list[Discrepancy]:
        return [each for each in self.found.values() if not each.resolved_ms]


def answer_of(question: Coroutine[Any, Any, Any]) -> Any:
    """The answer of a coroutine that waits for nothing."""
    try:
        question.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


def an_account(cash: str = "1000", status: SessionStatus = SessionStatus.RUNNING, **values: Any) -> SessionState:
    """A user whose live account is on the table and whose paper account is on the shelf."""
    home = a_session()
    ends_ms = home.usage[-1].ends_ms
    session = TradingSession(status=status, cash=D(cash), day_start_equity=D(cash), peak_equity=D(cash), day_ends_ms=ends_ms)
    paper = Book(account=PAPER, session=home.session, positions=(a_position(quantity=D(9)),))
    return replace(home, account=LIVE, settings=replace(home.settings, account=LIVE), session=session, shelf=(paper,), **values)


def a_live_order(cause: str, **values: Any) -> Order:
    return an_order(cause, **{"account": LIVE, "mode": TradingMode.LIVE, "state": OrderState.ACCEPTED, "venue_order_id": cause, **values})


def at_venue(order: Order, **values: Any) -> VenueOrder:
    defaults = {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": OrderType.LIMIT,
        "quantity": order.quantity,
        "price": D(100),
        "cum_qty": order.cum_qty,
        "created_ms": NOW_MS,
    }
    return VenueOrder(**{**defaults, **values})


def a_foreign_order(number: int = 1, **values: Any) -> VenueOrder:
    return at_venue(an_order(f"theirs {number}"), **{"client_order_id": "", "venue_order_id": f"v{number}", **values})


def says(orders: tuple[VenueOrder, ...] | None = (), locked: tuple[str, ...] = (), **totals: str) -> Snapshot:
    balances = tuple(Balance(currency=name, total=D(total), locked=D(int(name in locked))) for name, total in totals.items())
    return Snapshot(balances=balances, orders=orders, time_ms=NOW_MS)


# Cash.


def test_a_new_account_is_taken_over_with_what_the_venue_holds() -> None:
    books = Books(an_account("0", SessionStatus.STARTING))
    result, decision = books.compare(says(USDT="750.5"))
    assert (result.settled, result.agrees, result.adjusted) == (True, True, D("750.5"))
    assert (books.state.session.cash, books.state.session.status) == (D("750.5"), SessionStatus.RUNNING)
    assert books.state.session.day_start_equity == books.state.session.peak_equity == D("750.5")
    assert [(each.kind, each.amount, each.balance) for each in decision.changes.ledger] == [
        (LedgerKind.DEPOSIT, D("750.5"), D("750.5")),
    ]
    assert [notice.key for notice in decision.notices] == ["reconcile.taken_over"]
    assert books.found == {}


def test_an_empty_account_is_taken_over_without_a_flow() -> None:
    books = Books(an_account("0", SessionStatus.STARTING))
    result, decision = books.compare(says())
    assert (result.agrees, decision.changes.ledger) == (True, ())
    assert books.state.session.status is SessionStatus.RUNNING


def test_an_account_that_was_paused_before_it_was_compared_is_taken_over_and_stays_paused() -> None:
    books = Books(an_account("0", SessionStatus.PAUSED))
    _, decision = books.compare(says(USDT="750"))
    assert books.state.session.status is SessionStatus.PAUSED
    assert [each.kind for each in decision.changes.ledger] == [LedgerKind.DEPOSIT]
    (notice,) = decision.notices
    assert (notice.key, books.found) == ("reconcile.taken_over", {})
    assert "Entries are possible" not in render(notice).text


@pytest.mark.parametrize(("total", "difference"), [("1200", "200"), ("400", "-600"), ("0", "-1000")])
def test_money_that_came_or_went_is_taken_over_and_is_no_profit(total: str, difference: str) -> None:
    books = Books(an_account())
    result, decision = books.compare(says(USDT=total))
    assert result.adjusted == D(difference)
    session = books.state.session
    assert session.cash == session.day_start_equity == session.peak_equity == D(total)
    assert [(each.kind, each.amount, each.balance, each.account) for each in decision.changes.ledger] == [
        (LedgerKind.ADJUSTMENT, D(difference), D(total), LIVE)
    ]
    assert [(each.kind, bool(each.resolved_ms)) for each in books.found.values()] == [(DiscrepancyKind.CASH, True)]
    assert [notice.key for notice in decision.notices] == ["reconcile.cash"]


# Positions.


def test_a_position_the_venue_does_not_hold_freezes_that_instrument_of_that_account_only() -> None:
    books = Books(an_account(positions=(a_position(symbol=BTC, quantity=D("0.5")), a_position(symbol=ETH, quantity=D(2)))))
    result, decision = books.compare(says(USDT="1000", BTC="0.4", ETH="2"))
    assert (result.frozen, result.settled, result.agrees) == ((BTC,), True, False)
    assert books.state.session.guard.frozen == (BTC,)
    assert [(each.kind, each.symbol) for each in books.open] == [(DiscrepancyKind.POSITION_SHORT, BTC)]
    assert [notice.key for notice in decision.notices] == ["reconcile.frozen"]
    assert on_account(books.state, PAPER).session.guard.frozen == ()
    ctx = a_context(keys=replace(a_context().keys, mock_trading=False))

    def refused(state: SessionState, symbol: str, side: Side) -> str:
        error = trading.place(state, OrderRequest(symbol=symbol, side=side, quantity=D("0.01")), ctx).error
        return error.check if isinstance(error, OrderDenied) else ""

    # Without a key nothing is sent from this account at all: what is of interest is only whether a lock is in the way.
    paper = on_account(books.state, PAPER)
    assert refused(paper, BTC, Side.BUY) != "LOCKED"
    as_paper = replace(books.state, account=PAPER, shelf=())
    assert refused(as_paper, BTC, Side.BUY) == "LOCKED"
    assert refused(as_paper, BTC, Side.SELL) == ""
    assert refused(as_paper, ETH, Side.BUY) != "LOCKED"


def test_it_thaws_when_the_venue_holds_it_again_and_the_difference_is_closed() -> None:
    books = Books(an_account(positions=(a_position(symbol=BTC, quantity=D("0.5")),)))
    books.compare(says(USDT="1000", BTC="0.4"))
    result, _ = books.compare(says(USDT="1000", BTC="0.5"))
    assert result.agrees
    assert (books.state.session.guard.frozen, books.open) == ((), [])
    books.compare(says(USDT="1000", BTC="0.4"))
    assert [each.kind for each in books.open] == [DiscrepancyKind.POSITION_SHORT], "it counts again the second time"


def test_a_step_less_and_coins_besides_are_no_difference() -> None:
    books = Books(an_account(positions=(a_position(symbol=BTC, quantity=D("0.5")),)))
    step = a_context().instrument(a_session(), BTC)
    assert step is not None
    short = f"{D('0.5') - step.step_size:f}"
    for held in (short, "0.5", "7"):
        result, decision = books.compare(says(USDT="1000", BTC=held))
        assert result.agrees
        assert not decision.changes


# Orders.


def test_an_order_that_the_venue_does_not_list_is_asked_about_and_nothing_else_is_judged() -> None:
    order = a_live_order("gone")
    books = Books(an_account(orders=(order,)))
    result, decision = books.compare(says(USDT="1"))
    assert (result.missing, result.settled, result.adjusted) == ((order,), False, 0)
    assert not decision.changes


def test_an_order_that_filled_further_there_is_asked_about() -> None:
    order = a_live_order("more", quantity=D(1), cum_qty=D("0.2"), state=OrderState.PARTIALLY_FILLED)
    books = Books(an_account(orders=(order,)))
    assert books.compare(says((at_venue(order, cum_qty=D("0.3")),), USDT="1000"))[0].missing == (order,)
    assert books.compare(says((at_venue(order),), USDT="1000"))[0].agrees


def test_a_client_id_that_the_venue_cut_short_is_ours_and_a_stub_is_not() -> None:
    order = a_live_order("cut", venue_order_id="")
    books = Books(an_account(orders=(order,)))
    assert books.compare(says((at_venue(order, client_order_id=order.client_order_id[:24]),), USDT="1000"))[0].agrees
    stub = at_venue(order, client_order_id=order.client_order_id[:8], venue_order_id="x")
    result, _ = books.compare(says((stub,), USDT="1000"))
    assert (result.foreign, result.missing) == (("x",), (order,))


def test_an_order_of_ours_that_is_over_here_and_rests_there_is_canceled_and_noted_once() -> None:
    books = Books(an_account())
    dead = a_live_order("undead", state=OrderState.CANCELED)
    books.orders[dead.client_order_id] = dead
    for number in range(2):
        result, decision = books.compare(says((at_venue(dead),), USDT="1000"))
        assert (result.undead, result.settled) == ((dead,), False)
        assert len(decision.changes.discrepancies) == (1 if number == 0 else 0)
        assert len(decision.changes.audit) == len(decision.changes.discrepancies)
    assert books.compare(says(USDT="1000"))[0].agrees


def test_somebody_elses_order_is_noted_once_and_closed_when_it_is_gone() -> None:
    books = Books(an_account())
    snapshot = says((a_foreign_order(),), USDT="1000")
    result, decision = books.compare(snapshot)
    assert (result.foreign, result.agrees, books.state.orders) == (("v1",), True, ())
    assert [each.kind for each in books.open] == [DiscrepancyKind.FOREIGN_ORDER]
    result, decision = books.compare(snapshot)
    assert (result.foreign, bool(decision.changes)) == (("v1",), False)
    books.compare(says(USDT="1000"))
    assert books.open == []


def test_an_adopted_order_is_one_of_ours_sets_money_aside_and_takes_no_quota() -> None:
    books = Books(an_account())
    snapshot = says((a_foreign_order(quantity=D(2), price=D(100)),), USDT="1000")
    result, decision = books.compare(snapshot, adopt=True)
    (order,) = books.state.orders
    assert (order.account, order.state, order.terms.foreign, order.quantity) == (LIVE, OrderState.ACCEPTED, True, 2)
    assert order.reserved == D("200.2")
    assert (books.state.today.used, books.state.today.reserved) == (0, 0)
    assert decision.changes.orders == (order,)
    result, decision = books.compare(snapshot, adopt=True)
    assert (result.foreign, result.agrees, bool(decision.changes)) == ((), True, False)


def test_a_kind_of_order_that_is_not_understood_is_not_adopted() -> None:
    books = Books(an_account())
    books.compare(says((a_foreign_order(type=OrderType.STOP),), USDT="1000"), adopt=True)
    assert books.state.orders == ()
    assert [each.kind for each in books.open] == [DiscrepancyKind.FOREIGN_ORDER]


@pytest.mark.parametrize(
    ("locked", "side", "wanted"),
    [(("USDT",), Side.BUY, False), (("BTC",), Side.SELL, False), ((), Side.BUY, True), (("BTC",), Side.BUY, True)],
)
def test_without_the_list_locked_balances_say_whether_it_is_needed(locked: tuple[str, ...], side: Side, wanted: bool) -> None:
    order = a_live_order("rests", side=side, quantity=D(1))
    books = Books(an_account(orders=(order,), positions=(a_position(symbol=BTC, quantity=D(1)),)))
    result, _ = books.compare(says(None, locked, USDT="1000", BTC="1"), checked=frozenset({order.client_order_id}))
    assert (result.orders_wanted, result.settled) == (wanted, not wanted)


def test_an_order_that_was_not_asked_about_leaves_the_account_unsettled() -> None:
    order = a_live_order("rests", side=Side.BUY)
    books = Books(an_account(orders=(order,)))
    result, _ = books.compare(says(None, ("USDT",), USDT="900"))
    assert (result.settled, result.adjusted) == (False, 0)


def test_what_was_booked_after_the_question_is_not_taken_for_a_difference() -> None:
    state = an_account()
    books = Books(replace(state, session=replace(state.session, booked_ms=NOW_MS + 1)))
    assert not books.compare(says(USDT="900"))[0].settled
    assert books.compare(says(USDT="900"))[0].adjusted == -100


# Whatever the two say.

amounts = st.integers(0, 5).map(D)
order_states = st.sampled_from(sorted(AT_VENUE | IN_FLIGHT))


@st.composite
def situations(draw: st.DrawFn) -> tuple[SessionState, Snapshot, frozenset[str], dict[str, Order]]:
    """An account with orders and positions, and a venue that knows some of them and others."""
    orders = tuple(
        a_live_order(f"o{number}", symbol=draw(st.sampled_from([BTC, ETH])), side=draw(st.sampled_from(Side)), quantity=D(3), state=state)
        for number, state in enumerate(draw(st.lists(order_states, max_size=3)))
    )
    positions = tuple(a_position(symbol=symbol, quantity=draw(amounts) + 1) for symbol in draw(st.sets(st.sampled_from([BTC, ETH]))))
    status = draw(st.sampled_from([SessionStatus.STARTING, SessionStatus.RUNNING, SessionStatus.PAUSED]))
    cash = "0" if status is SessionStatus.STARTING else str(draw(st.integers(0, 2_000)))
    over = {
        order.client_order_id: order for order in (a_live_order(f"d{n}", state=OrderState.CANCELED) for n in range(draw(st.integers(0, 2))))
    }
    listed: tuple[VenueOrder, ...] | None = None
    if draw(st.booleans()):
        known = [at_venue(order, cum_qty=draw(st.sampled_from([D(0), D(1)]))) for order in (*orders, *over.values()) if draw(st.booleans())]
        listed = (*known, *(a_foreign_order(number, type=draw(st.sampled_from(OrderType))) for number in range(draw(st.integers(0, 2)))))
    totals = {name: str(draw(st.integers(0, 6))) for name in ("BTC", "ETH")} | {"USDT": str(draw(st.integers(0, 2_000)))}
    snapshot = says(listed, tuple(draw(st.sets(st.sampled_from(sorted(totals))))), **totals)
    checked = frozenset(order.client_order_id for order in orders if draw(st.booleans()))
    return an_account(cash, status, orders=orders, positions=positions), snapshot, checked, over


@given(situation=situations(), adopt=st.booleans())
def test_comparing_again_finds_nothing_new(situation: tuple[SessionState, Snapshot, frozenset[str], dict[str, Order]], adopt: bool) -> None:
    state, snapshot, checked, over = situation
    books = Books(state)
    books.orders |= over
    first, _ = books.compare(snapshot, checked=checked, adopt=adopt)
    before = books.state
    adopted = frozenset(order.client_order_id for order in books.state.orders)
    again, decision = books.compare(snapshot, checked=checked | (adopted if first.settled else frozenset()), adopt=adopt)
    assert not decision.changes
    assert decision.notices == ()
    assert again.adjusted == 0
    assert books.state == before
    assert again.settled == first.settled
    assert again.frozen == first.frozen


@given(situation=situations(), adopt=st.booleans())
def test_nothing_is_judged_while_anything_is_under_way_and_all_of_it_otherwise(
    situation: tuple[SessionState, Snapshot, frozenset[str], dict[str, Order]], adopt: bool
) -> None:
    state, snapshot, checked, over = situation
    books = Books(state)
    books.orders |= over
    result, decision = books.compare(snapshot, checked=checked, adopt=adopt)
    if any(order.state in IN_FLIGHT for order in state.orders) or result.missing or result.undead or result.orders_wanted:
        assert not result.settled
    shelved = on_account(books.state, PAPER)
    assert (shelved.session.cash, shelved.positions, shelved.session.guard) == (
        state.shelf[0].session.cash,
        state.shelf[0].positions,
        state.shelf[0].session.guard,
    ), "the paper account is another one"
    if not result.settled:
        assert decision.changes.ledger == ()
        assert (result.adjusted, result.frozen) == (0, ())
        assert books.state.session == state.session
        return
    assert books.state.session.cash == snapshot.balance("USDT").total
    assert books.state.session.status is not SessionStatus.STARTING
    assert sum((each.amount for each in decision.changes.ledger), D(0)) == books.state.session.cash - state.session.cash
    short = {position.symbol for position in state.positions if position.quantity > snapshot.balance(position.symbol[:3]).total}
    assert set(books.state.session.guard.frozen) == set(result.frozen) == short
    assert books.state.positions == state.positions, "a position is never made to fit"


# In a chat.


def a_chat_on(account: str) -> Chat:
    chat = Chat()
    custody = Custody(accounts=(ExchangeAccount(venue="binance", mode=TradingMode.LIVE, changed_ms=NOW_MS),))
    chat.state = replace(on_account(chat.state, account), custody=custody, settings=replace(chat.state.settings, account=account))
    return chat


def test_paper_has_nothing_to_compare_with() -> None:
    chat = a_chat_on(PAPER)
    assert "/account" in chat.says("/reconcile")
    assert chat.decision.reconcile == ()


def test_a_real_account_is_compared_after_the_commit_also_of_a_suspended_user() -> None:
    chat = a_chat_on(LIVE)
    assert "asking the venue" in chat.says("/reconcile")
    assert chat.decision.reconcile == (LIVE,)
    assert chat.state.user is not None
    chat.state = replace(chat.state, user=a_user(user_id=7, partition=3, role=Role.USER, status="suspended"))
    assert ask(chat.state).result == LIVE
    chat.later(60).says("/reconcile")
    assert chat.keys == ["reconcile.asked"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Reconciled(account=LIVE, settled=True), ["positions agree"]),
        (Reconciled(account=LIVE, settled=True, adjusted=D("-5")), ["corrected by", "5"]),
        (Reconciled(account=LIVE, settled=True, frozen=(BTC, ETH)), [f"{BTC}, {ETH}"]),
        (Reconciled(account=LIVE, settled=True, foreign=("a", "b")), ["not mine: 2"]),
    ],
)
def test_what_came_of_it_is_told(result: Reconciled, words: list[str]) -> None:
    (notice,) = announce(a_session(), result, a_context()).notices
    assert unfilled(notice) == set()
    text = render(notice).text
    assert all(word in text for word in words), text
