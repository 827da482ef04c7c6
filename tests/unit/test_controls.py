"""HALTED and REDUCING: who may set them, for what, and what they let through."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat_support import NOW_MS, Chat
from tradekit.chat.errors import denied
from tradekit.chat.render import render
from tradekit.domain.controls import EVERYWHERE, Control, GlobalState, state_of, user_scope
from tradekit.domain.credentials import KeyPolicy
from tradekit.domain.errors import BadInput, NotPermitted, OrderDenied
from tradekit.domain.orders import Bracket, Fill, Order, OrderReport, OrderState, OrderType, Side
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import Book, SessionState
from tradekit.domain.users import Role, UserStatus
from tradekit.services import controls, signals, trading, triggers
from tradekit.services.decisions import Context, Decision
from tradekit.services.reports import apply_report, mark_unknown
from tradekit.testing.decisions import a_context, a_registered_state
from tradekit.testing.factories import a_fill, a_position, a_signal, a_subscription, an_order

D = Decimal
BTC = "BTC/USDT"
replace = msgspec.structs.replace
HALTED, REDUCING, NORMAL = GlobalState.HALTED, GlobalState.REDUCING, GlobalState.NORMAL


def limited(ctx: Context, **states: GlobalState) -> Context:
    """The context with these scopes limited; ``user_7`` stands for ``user:7``."""
    names = {name.replace("_", ":"): state for name, state in states.items()}
    found = {scope: Control(scope=scope, state=state, changed_ms=NOW_MS) for scope, state in names.items()}
    return replace(ctx, policy=replace(ctx.policy, controls=found))


def a_report(order: Order, state: OrderState, fills: tuple[Fill, ...] = ()) -> OrderReport:
    return OrderReport(client_order_id=order.client_order_id, user_id=order.user_id, state=state, fills=fills, time_ms=NOW_MS)


# Which of several holds.

scopes = st.dictionaries(st.sampled_from(["all", "binance", "paper", "user:7", "user:8"]), st.sampled_from(GlobalState))


@given(states=scopes)
def test_the_strictest_of_everywhere_venue_and_user_holds(states: dict[str, GlobalState]) -> None:
    known = {scope: Control(scope=scope, state=state, changed_ms=0) for scope, state in states.items()}
    rank = [NORMAL, REDUCING, HALTED]
    mine = [states[scope] for scope in ("all", "binance", "user:7") if scope in states]
    assert state_of(known, "binance", 7) is max(mine, key=rank.index, default=NORMAL)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("all", "all"),
        (" ALL ", "all"),
        ("Binance", "binance"),
        ("paper", "paper"),
        ("7", "user:7"),
        ("user:7", "user:7"),
        ("007", "user:7"),
    ],
)
def test_a_scope_is_read_as_people_type_it(text: str, scope: str) -> None:
    ctx = a_context(keys=KeyPolicy(venues=("binance",)))
    assert controls.read_scope(text, ctx) == scope
    assert scope in {EVERYWHERE, "binance", "paper", user_scope(7)}


@pytest.mark.parametrize("text", ["", "okx", "user:", "user:x", "-1", "user:-1", "²", "9" * 19, "all all", "binance:live"])
def test_an_unknown_scope_is_refused_with_what_there_is(text: str) -> None:
    ctx = a_context(keys=KeyPolicy(venues=("binance",)))
    with pytest.raises(BadInput) as refused:
        controls.read_scope(text, ctx)
    assert refused.value.field == "scope"
    assert all(word in refused.value.hint for word in ("all", "paper", "binance", "user"))


# What they let through.


class Desk:
    """One user with a position, resting orders and a stop, at a venue that the test plays."""

    def __init__(self) -> None:
        self.ctx = a_context()
        state = a_registered_state(ctx=self.ctx)
        self.state = replace(
            state,
            settings=replace(state.settings, risk_per_trade_pct=D(100)),
            positions=(a_position(symbol=BTC, quantity=D("0.1")),),
            subscriptions=(a_subscription(),),
        )
        self.rests = self.has(Side.BUY, "resting buy", type=OrderType.LIMIT, price=D(100), state=OrderState.ACCEPTED)
        self.sells = self.has(Side.SELL, "resting sell", type=OrderType.LIMIT, price=D(10**6), state=OrderState.ACCEPTED)

    def has(self, side: Side, cause: str, **values: Any) -> Order:
        order = an_order(cause, **{"symbol": BTC, "side": side, "quantity": D("0.01"), "quota_day": "", **values})
        self.state = replace(self.state, orders=(*self.state.orders, order))
        return order

    def places(self, side: Side, **values: Any) -> str:
        request = OrderRequest(**{"symbol": BTC, "side": side, "quantity": D("0.01"), **values})
        decision = trading.place(self.state, request, replace(self.ctx, cause=f"order/{len(self.state.orders)}"))
        if decision.error is None:
            self.state = decision.state
            return ""
        assert isinstance(decision.error, OrderDenied)
        return decision.error.check

    def hears(self, decision: object) -> Decision:
        assert isinstance(decision, Decision)
        self.state = decision.state
        return decision


LIMITS = [("all", HALTED, "HALTED"), ("all", REDUCING, "REDUCING_ONLY"), ("paper", HALTED, "HALTED"), ("user_1", REDUCING, "REDUCING_ONLY")]


@pytest.mark.parametrize(("scope", "state", "code"), LIMITS)
def test_entries_are_refused_and_exits_are_not(scope: str, state: GlobalState, code: str) -> None:
    desk = Desk()
    desk.ctx = limited(desk.ctx, **{scope: state})
    assert desk.places(Side.BUY) == code
    assert desk.places(Side.BUY, type=OrderType.STOP, trigger_price=D(60_000)) == code
    assert desk.places(Side.SELL) == ""
    assert desk.places(Side.SELL, type=OrderType.STOP, trigger_price=D(40_000)) == ""
    assert trading.close(desk.state, BTC, D("0.1"), replace(desk.ctx, cause="close")).error is None
    assert trading.cancel(desk.state, "all", desk.ctx).error is None
    assert trading.panic(desk.state, replace(desk.ctx, cause="panic")).error is None


@pytest.mark.parametrize("scope", ["binance", "user_2"])
def test_others_go_on(scope: str) -> None:
    desk = Desk()
    desk.ctx = limited(desk.ctx, **{scope: HALTED})
    assert desk.places(Side.BUY) == ""


@pytest.mark.parametrize(("scope", "state", "code"), LIMITS)
def test_a_signal_has_the_code_for_its_outcome_and_its_exits_are_made(scope: str, state: GlobalState, code: str) -> None:
    desk = Desk()
    desk.ctx = limited(desk.ctx, **{scope: state})
    entry = signals.deliver(desk.state, a_signal(symbol=BTC), desk.ctx)
    assert (entry.result.reason, entry.submit) == (code, ())
    assert entry.changes.deliveries == (entry.result,)
    leaving = signals.deliver(desk.state, a_signal(symbol=BTC, side=Side.SELL), desk.ctx)
    assert leaving.result.outcome == "executed"


@pytest.mark.parametrize(("scope", "state", "code"), LIMITS)
def test_a_stop_that_waits_here_still_sells_and_one_that_buys_is_over(scope: str, state: GlobalState, code: str) -> None:
    desk = Desk()
    assert desk.places(Side.SELL, type=OrderType.STOP, trigger_price=D(40_000)) == ""
    assert desk.places(Side.BUY, type=OrderType.STOP, trigger_price=D(60_000)) == ""
    sells, buys = desk.state.orders[-2:]
    desk.ctx = limited(desk.ctx, **{scope: state})
    sold = desk.hears(triggers.fire(desk.state, sells.client_order_id, desk.ctx))
    assert [order.client_order_id for order in sold.submit] == [sells.client_order_id]
    bought = desk.hears(triggers.fire(desk.state, buys.client_order_id, desk.ctx))
    assert (bought.submit, bought.result.state, bought.result.reason) == ((), OrderState.CANCELED, code)


def test_an_entry_that_fills_under_a_halt_gets_its_exits() -> None:
    desk = Desk()
    assert desk.places(Side.BUY, bracket=Bracket(stop_loss_pct=D(2))) == ""
    entry = desk.state.orders[-1]
    desk.ctx = limited(desk.ctx, all=HALTED)
    report = a_report(entry, state=OrderState.FILLED, fills=(a_fill(entry),))
    desk.hears(apply_report(desk.state, report, desk.ctx))
    assert [order.type for order in desk.state.orders if order.held] == [OrderType.STOP]


# What a halt takes back.


def test_a_halt_takes_resting_entries_back_and_leaves_exits() -> None:
    desk = Desk()
    assert desk.places(Side.BUY, type=OrderType.STOP, trigger_price=D(60_000)) == ""
    held = desk.state.orders[-1]
    assert desk.state.today.reserved == 1
    decision = desk.hears(controls.cancel_entries(desk.state, limited(desk.ctx, all=HALTED)))
    assert [order.client_order_id for order in decision.cancel] == [desk.rests.client_order_id]
    now = {order.client_order_id: order.state for order in desk.state.orders}
    assert now == {desk.rests.client_order_id: OrderState.PENDING_CANCEL, desk.sells.client_order_id: OrderState.ACCEPTED}
    ended = next(order for order in decision.changes.order_updates if order.client_order_id == held.client_order_id)
    assert ended.state is OrderState.CANCELED
    assert (desk.state.today.reserved, desk.state.reserved) == (0, 0)
    assert "trading.entries_canceled" in [row.action for row in decision.changes.audit]
    again = controls.cancel_entries(desk.state, limited(desk.ctx, all=HALTED))
    assert not again.changes


@pytest.mark.parametrize("state", [REDUCING, NORMAL])
def test_less_than_a_halt_takes_nothing_back(state: GlobalState) -> None:
    desk = Desk()
    assert not controls.cancel_entries(desk.state, limited(desk.ctx, all=state)).changes


def test_a_halted_venue_takes_back_what_rests_there_whatever_account_is_in_use() -> None:
    desk = Desk()
    there = an_order("there", symbol=BTC, account="binance:live", state=OrderState.ACCEPTED)
    desk.state = replace(desk.state, shelf=(Book(account="binance:live", session=desk.state.session, orders=(there,)),))
    decision = controls.cancel_entries(desk.state, limited(desk.ctx, binance=HALTED))
    assert decision.cancel == (replace(there, state=OrderState.PENDING_CANCEL, updated_ms=desk.ctx.now_ms),)
    assert decision.state.account == desk.state.account
    assert decision.state.orders == desk.state.orders
    assert decision.state.shelf[0].orders[0].state is OrderState.PENDING_CANCEL


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize(("side", "taken_back"), [(Side.BUY, True), (Side.SELL, False)])
def test_an_entry_on_its_way_when_trading_was_halted_is_taken_back_as_it_arrives(unknown: bool, side: Side, taken_back: bool) -> None:
    desk = Desk()
    sent = desk.has(side, "sent", type=OrderType.LIMIT, price=D(100), state=OrderState.SUBMITTED)
    if unknown:
        desk.hears(mark_unknown(desk.state, sent.client_order_id, desk.ctx))
    halted = limited(desk.ctx, all=HALTED)
    sweep = desk.hears(controls.cancel_entries(desk.state, halted))
    assert sent.client_order_id not in [order.client_order_id for order in sweep.cancel], "nobody knows whether it is there"
    arrives = desk.hears(apply_report(desk.state, a_report(sent, state=OrderState.ACCEPTED), halted))
    assert [order.client_order_id for order in arrives.cancel] == ([sent.client_order_id] if taken_back else [])
    state = desk.state.order(sent.client_order_id)
    assert state is not None
    assert state.state is (OrderState.PENDING_CANCEL if taken_back else OrderState.ACCEPTED)


def test_the_venue_s_no_to_such_a_cancel_does_not_go_round_in_circles() -> None:
    desk = Desk()
    sent = desk.has(Side.BUY, "sent", type=OrderType.LIMIT, price=D(100), state=OrderState.SUBMITTED)
    halted = limited(desk.ctx, all=HALTED)
    desk.hears(apply_report(desk.state, a_report(sent, state=OrderState.ACCEPTED), halted))
    stays = desk.hears(apply_report(desk.state, a_report(sent, state=OrderState.ACCEPTED), halted))
    assert stays.cancel == ()


@given(
    kinds=st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.sampled_from(
                [OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.PENDING_CANCEL]
            ),
        ),
        max_size=6,
    )
)
def test_a_sweep_cancels_each_resting_entry_once_and_no_exit(kinds: list[tuple[Side, OrderState]]) -> None:
    desk = Desk()
    for number, (side, state) in enumerate(kinds):
        desk.has(side, f"o{number}", type=OrderType.LIMIT, price=D(100), state=state)
    resting = {
        o.client_order_id for o in desk.state.orders if o.side is Side.BUY and o.state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}
    }
    before = desk.state
    decision = desk.hears(controls.cancel_entries(desk.state, limited(desk.ctx, all=HALTED)))
    assert {order.client_order_id for order in decision.cancel} == resting
    assert {o for o in desk.state.orders if o.client_order_id not in resting} == {
        o for o in before.orders if o.client_order_id not in resting
    }
    assert not controls.cancel_entries(desk.state, limited(desk.ctx, all=HALTED)).changes


def test_somebody_who_never_registered_has_nothing_to_take_back() -> None:
    assert not controls.cancel_entries(SessionState(user_id=9, partition=9), limited(a_context(), all=HALTED)).changes


# In a chat.


def an_admin(role: Role = Role.ADMIN, **values: Any) -> Chat:
    chat = Chat()
    assert chat.state.user is not None
    chat.state = replace(chat.state, user=replace(chat.state.user, role=role, **values))
    return chat


def in_force(chat: Chat) -> list[tuple[str, GlobalState, str]]:
    return [(each.scope, each.state, each.reason) for each in chat.decision.changes.controls]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OWNER])
@pytest.mark.parametrize(("word", "state"), [("halt", HALTED), ("reduce", REDUCING), ("allow", NORMAL)])
def test_an_operator_sets_a_scope_with_a_reason_and_it_is_in_the_audit(role: Role, word: str, state: GlobalState) -> None:
    chat = an_admin(role)
    assert "paper" in chat.says(f"/{word} paper the venue is odd")
    assert in_force(chat) == [("paper", state, "the venue is odd")]
    (row,) = chat.decision.changes.audit
    assert (row.action, row.detail) == (f"trading.{state}", "scope=paper reason=the venue is odd")
    assert chat.state.user is not None
    assert row.actor == f"admin:{chat.state.user.audit_subject}"


def test_halting_everybody_is_asked_twice_and_allowing_is_not() -> None:
    chat = an_admin()
    assert "everybody" in chat.says("/halt all maintenance")
    assert in_force(chat) == []
    chat.presses("Confirm")
    assert in_force(chat) == [("all", HALTED, "maintenance")]
    chat.says("/reduce all")
    chat.says("!no:reduce:" + (chat.state.dialog.nonce if chat.state.dialog else ""))
    assert in_force(chat) == []
    chat.says("/allow all")
    assert in_force(chat) == [("all", NORMAL, "")]


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN, Role.OWNER}])
@pytest.mark.parametrize("word", ["halt", "reduce", "allow"])
def test_nobody_else_may_and_nothing_is_shown_to_them(role: Role, word: str) -> None:
    chat = an_admin(role)
    assert f"/{word}" not in chat.says("/help")
    for line in (f"/{word}", f"/{word} paper"):
        assert "You may not" in chat.says(line)
        assert in_force(chat) == []
    refused = controls.set_by_user(chat.state, "paper", HALTED, "", chat.ctx())
    assert isinstance(refused.error, NotPermitted)
    assert not refused.changes


def test_a_suspended_operator_may_not() -> None:
    chat = an_admin(status=UserStatus.SUSPENDED)
    assert "You may not" in chat.says("/halt paper")
    assert in_force(chat) == []


def test_a_role_lost_before_the_button_is_pressed_counts() -> None:
    chat = an_admin()
    chat.says("/halt all")
    assert chat.state.user is not None
    chat.state = replace(chat.state, user=replace(chat.state.user, role=Role.USER))
    assert "You may not" in chat.presses("Confirm")
    assert in_force(chat) == []


def test_an_unknown_scope_is_named_with_an_example() -> None:
    chat = an_admin()
    text = chat.says("/halt okx")
    assert "“okx” is neither a venue nor a user" in text
    assert "Example: /halt" in text
    assert in_force(chat) == []


def test_without_a_scope_what_is_limited_is_listed() -> None:
    chat = an_admin()
    assert "entries are allowed everywhere" in chat.says("/halt")
    found = Control(scope="user:9", state=REDUCING, reason="asked for it", changed_ms=NOW_MS)
    chat.policy = replace(chat.policy, controls={"user:9": found})
    text = chat.says("/allow")
    assert all(words in text for words in ("user:9", "asked for it")), text


def test_a_halt_is_not_held_up_by_the_limit_of_calls() -> None:
    chat = an_admin()
    while chat.reply.key != "denied.API_RATE_LIMIT":
        chat.says("/status")
    chat.says("/halt paper")
    assert in_force(chat) == [("paper", HALTED, "")]
    chat.says("/allow paper")
    assert chat.reply.key == "denied.API_RATE_LIMIT"


def test_a_reason_of_any_characters_is_kept_short_and_printable() -> None:
    changes = controls.control("all", HALTED, "a\x00\n\u202e" + "b" * 500, "cli", NOW_MS)
    (set_,) = changes.controls
    assert set_.reason == "a" + "b" * (controls.REASON_MAX - 1)


@pytest.mark.parametrize("level", ["service", "venue", "user"])
def test_who_is_refused_hears_where_the_halt_is(level: str) -> None:
    chat = Chat()
    assert level in render(denied("HALTED", {"level": level}, chat.state, chat.ctx())).text


def test_status_says_what_the_operator_allows() -> None:
    chat = Chat()
    for scope, state in (("all", HALTED), ("paper", REDUCING), ("user:7", HALTED)):
        chat.policy = replace(chat.policy, controls={scope: Control(scope=scope, state=state, changed_ms=NOW_MS)})
        shown = chat.says("/status")
        assert ("halted" in shown.lower()) == (state is HALTED), shown
        assert ("exits" in shown.lower()) == (state is REDUCING) or state is HALTED, shown
