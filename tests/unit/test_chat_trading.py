from decimal import Decimal

import pytest

from tests.unit.chat_support import Chat, FixedMarket, replace
from tradekit.chat.confirm import CONFIRM_S
from tradekit.chat.registry import lane_class
from tradekit.chat.render import render
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import OrderState, OrderType, Side, TimeInForce
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.users import UserStatus


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def careful() -> Chat:
    return Chat(confirm=True)


def test_a_market_order_is_sent_at_once_where_nothing_asks_first(chat: Chat) -> None:
    text = chat.says("/buy BTC/USDT 0.01")
    (order,) = chat.decision.submit
    assert (order.symbol, order.side, order.type, order.quantity) == ("BTC/USDT", Side.BUY, OrderType.MARKET, Decimal("0.01"))
    assert text.startswith("📨 PAPER buy 0.01 BTC/USDT at market: sent (simulated prices)")
    assert order.client_order_id[:8] in text


@pytest.mark.parametrize("symbol", ["BTC/USDT", "btc/usdt", "btc", "BTCUSDT", "btc-usdt", "Btc_Usdt"])
def test_symbols_are_understood_however_they_are_typed(chat: Chat, symbol: str) -> None:
    chat.says(f"/buy@tradekit_bot {symbol} 0.01")
    assert chat.decision.submit[0].symbol == "BTC/USDT"


def test_symbol_and_quantity_may_be_swapped(chat: Chat) -> None:
    chat.says("/BUY 0.01 btc")
    assert chat.decision.submit[0].quantity == Decimal("0.01")


def test_a_limit_order_takes_options(chat: Chat) -> None:
    chat.says("/buy btc 0.01 39000 post")
    assert (chat.decision.submit[0].price, chat.decision.submit[0].post_only) == (Decimal(39000), True)
    chat.says("/buy btc 0.01 IOC 39500.5")
    assert (chat.decision.submit[0].price, chat.decision.submit[0].time_in_force) == (Decimal("39500.5"), TimeInForce.IOC)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/buy", "The symbol is missing."),
        ("/buy btc", "The quantity is missing."),
        ("/buy btc 1e999", "The quantity “1e999” is not a number."),
        ("/buy btc NaN", "The quantity “NaN” is not a number."),
        ("/buy btc -1", "The quantity “-1” is below zero."),
        ("/buy btc 0,01", "use a point, as in 0.01"),
        ("/buy btc 0", "The quantity “0” is zero."),
        ("/buy btc " + "9" * 40, "has more than 28 digits"),
        ("/buy btc 0.01\u200f", "The quantity “0.01\ufffd” is not a number."),
        ("/buy btc ٠٫٠١", "is not a number"),
        ("/buy btx 0.01", "did you mean BTC/USDT? traded here: BTC/USDT, ETH/USDT"),
        ("/buy zzzzzz 0.01", "The symbol “zzzzzz” is not traded here."),
        ("/buy btc 0.01 39000 soon", "options: post, ioc, fok, gtc"),
        ("/buy btc 0.01 39000 post ioc", "The options “post IOC” contradict each other."),
        ("/buy btc 0.01 39000 ioc fok", "The options “IOC FOK” contradict each other."),
        ("/buy btc 0.01 post", "The price is missing: post, ioc, fok and gtc are for limit orders."),
        ("/buy btc 0.01 39000 post gtc more", "The option “more” is not known."),
    ],
)
def test_bad_input_says_what_was_wrong_and_gives_an_example_that_works(chat: Chat, line: str, said: str) -> None:
    text = chat.says(line)
    assert said in text
    assert chat.decision.submit == ()
    example = text.rpartition("Example: ")[2]
    chat.says(example)
    assert chat.keys == ["order.submitted"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/close", "The symbol is missing."),
        ("/close btc 101", "The percent “101” is more than 100 percent."),
        ("/close btc half", "The percent “half” is not a number."),
        ("/sell btc 1e999", "The quantity “1e999” is not a number."),
        ("/sell", "The symbol is missing."),
    ],
)
def test_examples_of_exits_work_with_what_is_held(chat: Chat, line: str, said: str) -> None:
    text = chat.holds("ETH/USDT", "0.1").says(line)
    assert said in text
    chat.says(text.rpartition("Example: ")[2])
    assert chat.decision.submit[0].side is Side.SELL


@pytest.mark.parametrize("prices", [{"DOGE_USDT": "0.08"}, {"AAPL_USD": "190"}, {"SHIB_USDT": "0.00002"}, {"BIG_USDT": "900000"}])
def test_examples_fit_markets_of_any_price(prices: dict[str, str]) -> None:
    chat = Chat(FixedMarket(**prices))
    chat.says(chat.says("/help buy").rpartition("Example: ")[2])
    assert chat.keys == ["order.submitted"]
    chat.later(60).says("/start")
    chat.presses("Buy")
    assert chat.keys == ["order.submitted"]


def test_an_ambiguous_symbol_is_asked_back() -> None:
    chat = Chat(FixedMarket(BTC_USDT="40000", BTC_EUR="37000"))
    assert "fits more than one instrument" in chat.says("/buy btc 0.01")
    chat.says("/buy btceur 0.01")
    assert chat.decision.submit[0].symbol == "BTC/EUR"


def test_an_order_is_confirmed_by_a_button_and_only_once(careful: Chat) -> None:
    text = careful.says("/buy btc 0.01")
    assert text.startswith("PAPER: buy 0.01 BTC/USDT at market?")
    assert "about 400.00 USDT, fee about 0.40 USDT" in text
    assert careful.decision.submit == ()
    data = render(careful.reply).buttons[0][0].data
    careful.presses("Confirm")
    assert len(careful.decision.submit) == 1
    careful.says("!" + data)
    assert careful.keys == ["confirm.gone"]
    assert careful.decision.submit == ()


def test_a_declined_or_stale_question_does_nothing(careful: Chat) -> None:
    careful.says("/buy btc 0.01")
    assert careful.presses("Cancel") == "Nothing was done."
    careful.says("/buy btc 0.01 39000 post")
    data = render(careful.reply).buttons[0][0].data
    careful.later(CONFIRM_S + 1).says("!" + data)
    assert careful.keys == ["confirm.expired"]
    careful.presses("Ask again")
    careful.presses("Confirm")
    assert (careful.decision.submit[0].price, careful.decision.submit[0].post_only) == (Decimal(39000), True)


def test_a_newer_question_replaces_the_older(careful: Chat) -> None:
    careful.says("/buy btc 0.01")
    old = render(careful.reply).buttons[0][0].data
    careful.says("/buy eth 0.1")
    assert careful.says("!" + old).startswith("That question is no longer open")
    careful.says("!" + render(careful.reply).buttons[0][0].data if careful.reply.buttons else "/help")
    assert careful.decision.submit == ()


def test_the_market_is_checked_again_when_the_button_is_pressed(careful: Chat) -> None:
    careful.says("/buy btc 0.01 39000")
    careful.market.prices["BTC/USDT"] = Decimal(60000)
    careful.presses("Confirm")
    assert careful.keys == ["denied.PRICE_DEVIATION"]
    assert careful.decision.submit == ()


def test_what_would_be_refused_is_refused_before_the_question(careful: Chat) -> None:
    assert careful.says("/buy btc 1").startswith("🛡 This order would risk 40,000.00 USDT; your limit is 2,500.00 USDT (25% of equity).")
    assert careful.state.dialog is None


def test_panic_asks_first_then_pauses_cancels_and_sells(careful: Chat) -> None:
    careful.holds("BTC/USDT", "0.01").says("/buy eth 0.1 2000")
    careful.presses("Confirm")
    assert careful.says("/panic").startswith("🚨 PAPER: cancel 1 open order, sell 1 position at market and pause?")
    assert careful.state.session.status is SessionStatus.RUNNING
    careful.presses("Confirm")
    assert [order.symbol for order in careful.decision.submit] == ["BTC/USDT"]
    assert [order.symbol for order in careful.decision.cancel] == ["ETH/USDT"]
    assert careful.state.session.status is SessionStatus.PAUSED


def test_close_sells_a_part_or_all(chat: Chat) -> None:
    chat.holds("BTC/USDT", "0.04").says("/close btc 25%")
    assert chat.decision.submit[0].quantity == Decimal("0.01")
    chat.is_filled()
    chat.says("/close btc")
    assert chat.decision.submit[0].quantity == Decimal("0.03")
    assert chat.says("/close btc") == "All you hold of BTC/USDT is already in open sell orders. Cancel one first: /orders"
    assert chat.says("/close eth").startswith("You hold no ETH/USDT.")


def test_close_is_confirmed_with_the_same_share(careful: Chat) -> None:
    assert careful.holds("BTC/USDT", "0.04").says("/close btc 25").startswith("PAPER: close 25% of BTC/USDT? That sells 0.01 at market.")
    careful.presses("Confirm")
    assert careful.decision.submit[0].quantity == Decimal("0.01")


def test_sell_says_how_much_can_be_sold(chat: Chat) -> None:
    assert chat.holds("BTC/USDT", "0.01").says("/sell btc 0.02").startswith("You can sell at most 0.01 of BTC/USDT")


def test_orders_are_canceled_by_the_start_of_their_id_or_all_at_once(chat: Chat) -> None:
    chat.says("/buy btc 0.01 39000")
    chat.says("/buy btc 0.01 38000")
    text = chat.says("/orders")
    first = chat.state.orders[0].client_order_id[:8]
    assert f"• {first} buy 0.01 BTC/USDT, limit 39,000.00 USDT — sent" in text
    chat.presses(f"Cancel {first}")
    assert [order.client_order_id[:8] for order in chat.decision.cancel] == [first]
    chat.says("/buy eth 0.1 2400")
    chat.says("/cancel all")
    assert len(chat.decision.cancel) == 2
    assert "no open order whose id begins with “zz”" in chat.says("/cancel zz")
    assert chat.says("/cancel all").startswith("You have no open order that can still be canceled.")


def test_an_order_id_must_say_which(chat: Chat) -> None:
    chat.says("/buy btc 0.01 39000")
    twin = replace(chat.state.orders[0], client_order_id=chat.state.orders[0].client_order_id[:6] + "x" * 26)
    chat.state = replace(chat.state, orders=(*chat.state.orders, twin))
    text = chat.says(f"/cancel {twin.client_order_id[:6]}")
    assert "fits more than one order" in text
    assert chat.decision.cancel == ()
    assert "The order id is missing." in chat.says("/cancel")


def test_fills_are_told_with_price_fee_and_result(chat: Chat) -> None:
    chat.says("/buy btc 0.02")
    partial = render(chat.is_filled(quantity="0.005").notices[0]).text
    assert partial.startswith("◐ PAPER buy BTC/USDT: 0.005 of 0.02 filled at 40,000.00 USDT (simulated prices)")
    whole = render(chat.is_filled().notices[0]).text
    assert whole.startswith("✅ PAPER buy 0.02 BTC/USDT: filled at 40,000.00 USDT (simulated prices)")
    chat.later(60).says("/close btc")
    assert "Trade closed: P&L -1.20 USDT" in render(chat.is_filled().notices[0]).text


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (OrderState.ACCEPTED, "", "open (simulated prices)\nOrder"),
        (OrderState.REJECTED, "NOT_AT_VENUE", "refused by the venue, nothing was traded\nReason: the order never reached the venue"),
        (OrderState.EXPIRED, "", "expired, 0 filled"),
        (OrderState.CANCELED, "SOME_VENUE_CODE", "Reason: some venue code"),
    ],
)
def test_every_end_of_an_order_is_told(chat: Chat, state: OrderState, reason: str, said: str) -> None:
    chat.says("/buy btc 0.01 39000")
    order = chat.state.orders[0]
    assert said in render(chat.is_reported(order, state, reason).notices[0]).text


def test_exits_are_never_blocked_by_call_quota_pause_maintenance_or_suspension(chat: Chat) -> None:
    chat.holds("BTC/USDT", "0.04")
    for _ in range(12):
        chat.says("/portfolio")
    assert chat.keys == ["denied.API_RATE_LIMIT"]
    chat.policy = replace(chat.policy, maintenance=True)
    user = chat.state.user
    assert user is not None
    chat.state = replace(
        chat.state, session=replace(chat.state.session, status=SessionStatus.PAUSED), user=replace(user, status=UserStatus.SUSPENDED)
    )
    chat.says("/sell btc 0.01")
    assert len(chat.decision.submit) == 1
    chat.says("/close btc")
    assert len(chat.decision.submit) == 1
    chat.says("/cancel all")
    assert len(chat.decision.cancel) == 2
    chat.says("/panic")
    assert chat.keys == ["panic.done"]


def test_the_confirmation_of_an_exit_is_not_blocked_either(careful: Chat) -> None:
    careful.holds("BTC/USDT", "0.01").says("/close btc")
    asked = careful.reply
    for _ in range(12):
        careful.says("/usage")
    assert careful.keys == ["denied.API_RATE_LIMIT"]
    careful.says("!" + render(asked).buttons[0][0].data)
    assert careful.keys == ["order.submitted"]


def test_the_question_about_an_entry_does_not_open_a_way_round_the_call_quota(careful: Chat) -> None:
    careful.says("/buy btc 0.01")
    nonce = render(careful.reply).buttons[0][0].data.rpartition(":")[2]
    for _ in range(12):
        careful.says("/usage")
    careful.says(f"!ok:panic:{nonce}")
    assert careful.keys == ["denied.API_RATE_LIMIT"]


def test_a_sixth_entry_of_a_free_user_hears_the_limit_and_the_reset_in_their_zone(chat: Chat) -> None:
    chat.says("/settings time_zone Asia/Tokyo")
    chat.later(86_400)
    for _ in range(5):
        chat.holds("BTC/USDT", "0.001")
    text = chat.says("/buy btc 0.001")
    assert "5 of 5 trades used" in text
    assert "Resets 2026-01-03 00:00 Asia/Tokyo" in text
    assert "Closing still works" in text
    chat.says("/close btc")
    assert chat.keys == ["order.submitted"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/panic", LaneClass.CONTROL),
        ("/PANIC now", LaneClass.CONTROL),
        ("/cancel all", LaneClass.CONTROL),
        ("/close btc", LaneClass.CONTROL),
        ("/sell btc 1", LaneClass.CONTROL),
        ("/pause", LaneClass.CONTROL),
        ("!cmd:/cancel 1234", LaneClass.CONTROL),
        ("!ok:panic:abc", LaneClass.CONTROL),
        ("!ok:buy:abc", LaneClass.COMMAND),
        ("/buy btc 1", LaneClass.COMMAND),
        ("panic", LaneClass.COMMAND),
        ("", LaneClass.COMMAND),
    ],
)
def test_exits_go_to_the_head_of_the_lane(text: str, expected: LaneClass) -> None:
    assert lane_class(text) is expected


def test_panic_tells_of_orders_that_waited_here(chat: Chat) -> None:
    chat.says("/stop buy BTC/USDT 0.01 70000")
    assert "Canceling 1 order, selling 0 positions" in chat.says("/panic")
    assert chat.state.orders == ()


def test_a_number_below_zero_is_called_that(chat: Chat) -> None:
    assert "is below zero" in chat.says("/buy BTC/USDT -1")
    assert "use a number above zero" in chat.says("/buy BTC/USDT 0.01 sl=-2%")
