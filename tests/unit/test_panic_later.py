"""/panic on an account whose venue is not open: what it cannot sell now waits here, is sold once, and is kept by /resume."""

from decimal import Decimal

import msgspec
import pytest

from tests.unit.chat_support import Chat
from tests.unit.test_orders import fill, report
from tradekit.domain.credentials import Credential, CredentialStatus, Custody, KeyPolicy
from tradekit.domain.instruments import Instrument, instrument_for
from tradekit.domain.orders import Order, OrderReport, OrderState, OrderType, Side
from tradekit.domain.sessions import SessionState, SessionStatus
from tradekit.services import trading, triggers, users
from tradekit.services.decisions import Context, Decision
from tradekit.services.later import BOOKS_WAIT_MS
from tradekit.services.reports import apply_report
from tradekit.testing.decisions import a_context
from tradekit.testing.factories import NOW_MS, a_position, a_session, an_order

D = Decimal
LIVE = "binance:live"
BTC, ETH = "BTC/USDT", "ETH/USDT"
S = OrderState
KEYS = KeyPolicy(mock_trading=False, venues=("binance",), ready=True)
CUSTODY = Custody(
    credentials=(
        Credential(
            user_id=1, partition=184, venue="binance", version=1, ciphertext=b"x", status=CredentialStatus.VERIFIED, created_ms=NOW_MS
        ),
    )
)
replace = msgspec.structs.replace


class Venue:
    """Open or not, its accounts compared or not. Implements :class:`~tradekit.ports.exchange.AccountsView`."""

    def __init__(self, *, is_open: bool = False, is_settled: bool = False) -> None:
        self.is_open, self.is_settled = is_open, is_settled

    def instrument(self, account: str, symbol: str) -> Instrument | None:
        return instrument_for(symbol, D(50_000)) if self.is_open else None

    def native(self, account: str) -> frozenset[OrderType]:
        return frozenset()

    def problem(self, account: str) -> str:
        return "" if self.is_open else "connecting"

    def settled(self, user_id: int, account: str) -> bool:
        return self.is_settled


CLOSED, OPEN, UNCOMPARED = Venue(), Venue(is_open=True, is_settled=True), Venue(is_open=True)


def now(venue: Venue, cause: str = "test/1", after_ms: int = 0) -> Context:
    return a_context(accounts=venue, keys=KEYS, cause=cause, now_ms=NOW_MS + after_ms)


def holding(*orders: Order, symbols: tuple[str, ...] = (BTC,)) -> SessionState:
    return a_session(
        account=LIVE, custody=CUSTODY, positions=tuple(a_position(symbol=symbol, quantity=D("0.5")) for symbol in symbols), orders=orders
    )


def panicked(state: SessionState, cause: str = "panic") -> SessionState:
    return trading.panic(state, now(CLOSED, cause)).state


def tried(state: SessionState, venue: Venue, after_ms: int = 0) -> Decision:
    """What the watch over held orders does with the sale of BTC."""
    sale = next(order for order in state.orders if order.symbol == BTC and order.held)
    return triggers.fire(state, sale.client_order_id, now(venue, f"fire/{sale.client_order_id}", after_ms))


def applied(state: SessionState, what: OrderReport, venue: Venue = OPEN) -> Decision:
    decision = apply_report(state, what, now(venue, f"report/{what.client_order_id}"))
    assert isinstance(decision, Decision)
    return decision


def test_each_position_has_one_sale_that_waits_under_an_id_of_the_panic() -> None:
    decision = trading.panic(holding(symbols=(BTC, ETH)), now(CLOSED, "panic"))
    canceled, sold, later = decision.result
    assert (canceled, sold, decision.submit, decision.cancel) == ((), (), (), ())
    assert [(order.symbol, order.side, order.quantity, order.account) for order in later] == [
        (BTC, Side.SELL, D("0.5"), LIVE),
        (ETH, Side.SELL, D("0.5"), LIVE),
    ]
    assert decision.changes.orders == later == decision.state.orders
    assert (decision.state.session.flattening, decision.state.session.status) == (True, SessionStatus.PAUSED)
    again = trading.panic(holding(symbols=(BTC, ETH)), now(CLOSED, "panic"))
    assert [order.client_order_id for order in again.result[2]] == [order.client_order_id for order in later]


def test_it_is_tried_until_the_venue_is_open_and_sold_once() -> None:
    state = panicked(holding())
    for _ in range(3):
        waiting = tried(state, CLOSED)
        assert (waiting.submit, waiting.state) == ((), state)
    sent = tried(state, OPEN)
    (order,) = sent.submit
    assert (order.client_order_id, order.state, order.quantity) == (state.orders[0].client_order_id, S.SUBMITTED, D("0.5"))
    assert triggers.fire(sent.state, order.client_order_id, now(OPEN)).submit == ()
    over = applied(sent.state, report(order, S.FILLED, fill(order, 1, "0.5")))
    assert (over.submit, over.state.orders, over.state.positions, over.state.session.flattening) == ((), (), (), False)


def test_the_account_is_compared_before_the_sale_but_not_waited_for_without_end() -> None:
    state = panicked(holding())
    first = tried(state, UNCOMPARED)
    assert (first.submit, first.reconcile) == ((), (LIVE,))
    second = tried(first.state, UNCOMPARED, BOOKS_WAIT_MS - 1)
    assert (second.submit, second.reconcile, second.changes.order_updates) == ((), (), ())
    assert tried(first.state, OPEN, 1).submit, "compared"
    assert tried(first.state, UNCOMPARED, BOOKS_WAIT_MS).submit, "waited for long enough"


def test_panic_again_makes_no_second_sale_while_closed_and_sells_at_once_when_open() -> None:
    state = panicked(holding())
    again = trading.panic(state, now(CLOSED, "again"))
    assert (again.state.orders, again.result) == (state.orders, ((), (), state.orders))
    at_once = trading.panic(state, now(UNCOMPARED, "again"))
    assert [order.client_order_id for order in at_once.result[0]] == [state.orders[0].client_order_id]
    assert [order.quantity for order in at_once.submit] == [D("0.5")]


def test_what_a_resting_sale_holds_back_is_sold_with_the_rest_once_it_is_gone() -> None:
    resting = an_order(side=Side.SELL, type=OrderType.LIMIT, price=D(60_000), quantity=D("0.2"), state=S.ACCEPTED, account=LIVE)
    decision = trading.panic(holding(resting), now(CLOSED, "panic"))
    assert [order.client_order_id for order in decision.cancel] == [resting.client_order_id]
    waiting = tried(decision.state, OPEN)
    assert waiting.submit == ()
    gone = applied(waiting.state, report(resting, S.CANCELED))
    assert [order.quantity for order in gone.submit] == [D("0.5")]


def test_an_order_that_ends_while_closed_makes_no_second_sale() -> None:
    entry = an_order(type=OrderType.LIMIT, price=D(40_000), quantity=D("0.2"), state=S.ACCEPTED, account=LIVE)
    state = panicked(holding(entry))
    ended = applied(state, report(entry, S.CANCELED), CLOSED)
    assert [order.client_order_id for order in ended.state.orders] == [state.orders[-1].client_order_id]


def test_what_an_entry_still_bought_is_sold_after_the_sale_that_waited() -> None:
    entry = an_order(type=OrderType.LIMIT, price=D(40_000), quantity=D("0.2"), state=S.ACCEPTED, account=LIVE)
    state = applied(panicked(holding(entry)), report(entry, S.CANCELED, fill(entry, 1, "0.1"))).state
    (sale,) = tried(state, OPEN).submit
    state = tried(state, OPEN).state
    rest = applied(state, report(sale, S.FILLED, fill(sale, 2, "0.5")))
    assert [order.quantity for order in rest.submit] == [D("0.1")]
    over = applied(rest.state, report(rest.submit[0], S.FILLED, fill(rest.submit[0], 3, "0.1")))
    assert (over.state.positions, over.state.session.flattening) == ((), False)


def test_resume_before_it_opens_keeps_what_is_held() -> None:
    state = panicked(holding())
    resumed = users.resume(state, now(CLOSED, "resume"))
    assert (resumed.state.orders, resumed.state.session.flattening) == ((), False)
    assert resumed.state.session.status is SessionStatus.RUNNING
    assert [(order.state, order.reason) for order in resumed.changes.order_updates] == [(S.CANCELED, "CANCELED_BY_USER")]
    fired = triggers.fire(resumed.state, state.orders[0].client_order_id, now(OPEN))
    assert (fired.submit, fired.result) == ((), None)


def test_resume_leaves_other_orders_that_wait_here() -> None:
    stop = an_order(side=Side.SELL, type=OrderType.STOP, state=S.INITIALIZED, account=LIVE)
    state = panicked(holding())
    state = replace(state, orders=(*state.orders, stop))
    assert users.resume(state, now(CLOSED, "resume")).state.orders == (stop,)


@pytest.mark.parametrize("ends", ["resume", "another order"])
def test_so_does_a_sale_that_the_venue_turned_away(ends: str) -> None:
    entry = an_order(type=OrderType.LIMIT, price=D(40_000), quantity=D("0.2"), state=S.ACCEPTED, account=LIVE)
    started = trading.panic(holding(entry), now(OPEN, "panic"))
    state = applied(started.state, report(started.submit[0], S.REJECTED, reason="VENUE_UNAVAILABLE")).state
    (again,) = (order for order in state.orders if order.held)
    if ends == "resume":
        assert [order.client_order_id for order in users.resume(state, now(OPEN)).state.orders] == [entry.client_order_id]
    else:
        ended = applied(state, report(entry, S.CANCELED), CLOSED)
        assert (ended.submit, ended.state.orders) == ((), (again,)), "one sale is enough"


def test_a_sale_that_its_user_takes_back_ends_the_panic() -> None:
    state = panicked(holding())
    taken = trading.cancel(state, "all", now(CLOSED, "cancel")).state
    assert (taken.orders, taken.session.flattening) == ((), False)


def test_what_is_too_small_to_sell_ends_the_panic() -> None:
    state = panicked(replace(holding(), positions=(a_position(quantity=D("0.0000001")),)))
    over = tried(state, OPEN)
    assert (over.submit, over.state.orders, over.state.session.flattening) == ((), (), False)


@pytest.mark.parametrize("account", ["paper", LIVE])
def test_where_the_venue_is_open_nothing_waits(account: str) -> None:
    decision = trading.panic(replace(holding(), account=account), now(OPEN, "panic"))
    assert ([order.quantity for order in decision.submit], decision.result[2]) == ([D("0.5")], ())


def test_nothing_is_promised_without_a_key() -> None:
    decision = trading.panic(replace(holding(), custody=Custody()), now(CLOSED, "panic"))
    assert (decision.state.orders, decision.result, decision.state.session.flattening) == ((), ((), (), ()), False)


class ClosedChat(Chat):
    def ctx(self) -> Context:
        return replace(super().ctx(), accounts=CLOSED)


def test_the_reply_says_so() -> None:
    chat = ClosedChat()
    chat.key_policy = KEYS
    user, identities, usage = chat.state.user, chat.state.identities, chat.state.usage
    chat.state = replace(holding(symbols=(BTC, ETH)), user=user, identities=identities, usage=usage)
    chat.says("/panic")
    said = chat.presses("Confirm")
    assert "The venue cannot be reached now: 2 positions will be sold at market as soon as it can, also after a restart" in said
    assert "too small" not in said
    assert "at market — held here" in chat.says("/orders")
    chat.says("/resume")
    assert chat.state.orders == ()
