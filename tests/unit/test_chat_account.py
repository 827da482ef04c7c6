from decimal import Decimal

import pytest

from tests.unit.chat_support import NOW_MS, Chat, FixedMarket, NoHistory, replace
from tradekit.chat.commands.settings import EXAMPLES, GROUPS, RISK, value_text
from tradekit.chat.registry import COMMANDS, command_list
from tradekit.chat.render import render
from tradekit.chat.texts import text_for
from tradekit.domain.orders import Fill, Side
from tradekit.domain.portfolio import Trade
from tradekit.domain.sessions import Guard, LockKind, SessionStatus, TradingLock
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Role, UserStatus


@pytest.fixture
def chat() -> Chat:
    return Chat()


def test_start_opens_a_paper_account_and_says_what_it_allows_and_risks() -> None:
    chat = Chat(started=False)
    text = chat.says("/start ref_x")
    assert "Welcome, Ada!" in text
    assert "PAPER account: 10,000.00 USDT to trade with, no real money (simulated prices)" in text
    assert "Plan Free: 5 trades a day, 2 positions, 10 commands a minute." in text
    assert "can lose all the money" in text
    assert [[button.label for button in row] for row in render(chat.reply).buttons] == [
        ["💼 Portfolio", "Buy 0.01 BTC/USDT"],
        ["📡 Signals", "Help"],
    ]
    assert chat.state.user is not None
    assert chat.decision.changes.ledger[0].amount == Decimal(10_000)


def test_a_second_start_changes_nothing(chat: Chat) -> None:
    user = chat.state.user
    assert chat.says("/start").startswith("👋 Welcome back, Ada.")
    assert chat.state.user is user
    assert not chat.decision.changes


def test_three_taps_from_start_to_a_position() -> None:
    chat = Chat(started=False, confirm=True)
    chat.says("/start")
    chat.presses("Buy 0.01 BTC/USDT")
    chat.presses("Confirm")
    chat.is_filled()
    assert chat.state.positions[0].quantity == Decimal("0.01")


@pytest.mark.parametrize("line", ["/portfolio", "/buy btc 0.01", "hello", "!ok:buy:1", "!cmd:/panic", ""])
def test_strangers_are_asked_to_start_first(line: str) -> None:
    chat = Chat(started=False)
    assert "Send /start first" in chat.says(line)
    assert chat.state.user is None
    chat.presses("Start")
    assert chat.keys == ["start.welcome"]


def test_strangers_may_read_the_help() -> None:
    assert "/buy" in Chat(started=False).says("/help")
    assert "Example: /buy BTC/USDT 0.01" in Chat(started=False).says("/help buy")


def test_help_lists_every_command_and_explains_one(chat: Chat) -> None:
    text = chat.says("/help")
    assert all(f"/{name} —" in text for name, command in COMMANDS.items() if command.roles is None)
    assert "/signal —" not in text
    assert "Usage: /close SYMBOL [PERCENT|all]" in chat.says("/help /close")
    assert "did you mean /help portfolio?" in chat.says("/help portfolo")


def test_the_menu_of_a_transport_holds_what_everybody_may_use() -> None:
    menu = dict(command_list("en"))
    assert "signal" not in menu
    assert set(menu) == {name for name, command in COMMANDS.items() if command.roles is None}
    assert all(name.isascii() and name.islower() and len(name) <= 32 and 3 <= len(text) <= 256 for name, text in menu.items())


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        ("/byu btc 0.01", "/buy btc 0.01"),
        ("buy btc 0.01", "/buy btc 0.01"),
        ("helo there", "/help"),
        ("/portfolo", "/portfolio"),
        ("/port", "/portfolio"),
        ("/cancle all", "/cancel all"),
    ],
)
def test_a_slip_of_the_finger_is_answered_with_what_was_probably_meant(chat: Chat, line: str, guess: str) -> None:
    assert f"Did you mean {guess}?" in chat.says(line)
    assert f"cmd:{guess}" in [button.data for row in render(chat.reply).buttons for button in row]


@pytest.mark.parametrize("line", ["/price BTC/USDT", "/zebra", "/banana 1", "money please", "/x", "/" + "portfolio" * 9])
def test_a_word_that_is_nothing_like_a_command_gets_no_guess(chat: Chat, line: str) -> None:
    assert "Did you mean" not in chat.says(line)
    assert [button.data for row in render(chat.reply).buttons for button in row] == ["cmd:/help"]


def test_a_message_that_means_nothing_is_answered(chat: Chat) -> None:
    assert chat.says("qqqq zzzz") == "I do not understand “qqqq zzzz”.\nSend /help for what I understand."


def test_portfolio_shows_money_and_positions_at_market(chat: Chat) -> None:
    chat.holds("BTC/USDT", "0.01").says("/buy eth 0.1 2000")
    chat.market.prices["BTC/USDT"] = Decimal(44_000)
    text = chat.says("/portfolio")
    assert "💼 PAPER portfolio (simulated prices)" in text
    assert "Equity 10,039.60 USDT" in text
    assert "Cash 9,599.60 USDT" in text
    assert "reserved for open orders: 200.20 USDT" in text
    assert "Unrealised P&L +39.60 USDT" in text
    assert "Today +39.60 USDT (+0.4%)" in text
    assert "• 0.01 BTC: now 44,000.00, paid 40,040.00 USDT, worth 440.00 USDT, P&L +39.60 USDT (+9.89%)" in text


def test_a_position_without_a_price_counts_at_cost(chat: Chat) -> None:
    chat.holds("BTC/USDT", "0.01")
    del chat.market.prices["BTC/USDT"]
    text = chat.says("/portfolio")
    assert "cost 400.40 USDT, no price yet" in text
    assert "Equity 10,000.00 USDT" in text


@pytest.mark.parametrize(("source", "mark"), [("simulated", "(simulated prices)"), ("replay", "(replayed prices)"), ("live", "")])
def test_prices_that_are_not_live_are_marked(source: str, mark: str) -> None:
    chat = Chat(FixedMarket(source))
    for line in ("/portfolio", "/positions", "/status", "/buy btc 0.01", "/start"):
        text = chat.says(line)
        assert (mark in text) if mark else ("prices)" not in text)


def test_positions_can_be_closed_by_a_button(chat: Chat) -> None:
    assert chat.says("/positions").endswith("None. A first one: /help buy")
    chat.holds("ETH/USDT", "0.1").says("/positions")
    chat.presses("Close ETH/USDT")
    assert chat.decision.submit[0].side is Side.SELL


def test_usage_shows_what_is_used_reserved_and_when_it_resets(chat: Chat) -> None:
    chat.holds("BTC/USDT", "0.01").says("/buy eth 0.1 2000")
    text = chat.says("/usage")
    assert "Today: 1 of 5 trades used, 3 left" in text
    assert "Reserved by orders under way: 1" in text
    assert "Resets 2026-01-02 00:00 UTC" in text
    assert "Commands this minute: 2 of 10" in text
    assert "Positions: 2 of 2" in text


def test_calls_of_an_earlier_minute_do_not_count(chat: Chat) -> None:
    for _ in range(9):
        chat.says("/status")
    assert "Commands this minute: 1 of 10" in chat.later(60).says("/usage")


def test_too_many_calls_hear_when_the_next_is_possible_in_their_zone(chat: Chat) -> None:
    chat.says("/settings time_zone Asia/Tokyo")
    for _ in range(10):
        text = chat.says("/status")
    assert "You have used your 10 commands of this minute. Next ones from 2026-01-01 09:01 Asia/Tokyo." in text
    topic = chat.reply.topic
    chat.says("/status")
    assert topic == chat.reply.topic != ""
    assert "Trading: running" in chat.later(60).says("/status")


def test_plan_marks_the_own_one(chat: Chat) -> None:
    user = chat.state.user
    assert user is not None
    chat.state = replace(chat.state, user=replace(user, tier=TierName.PREMIUM))
    text = chat.says("/plan")
    assert "✅ Premium (yours)" in text
    assert "25 trades a day, 5 positions, 30 commands a minute" in text
    assert "advanced signals: yes, own strategies: no, priority support: yes" in text


def test_status_tells_of_session_service_market_and_subscriptions(chat: Chat) -> None:
    chat.says("/subscribe ema-cross")
    chat.policy = replace(chat.policy, maintenance=True)
    lock = TradingLock(kind=LockKind.COOLDOWN, until_ms=NOW_MS + 60_000)
    chat.state = replace(chat.state, session=replace(chat.state.session, guard=Guard(locks=(lock,))))
    text = chat.says("/status")
    for part in (
        "Trading: running",
        "no entries before 2026-01-01 00:01 UTC",
        "Service: maintenance",
        "2 instruments",
        "Following: ema-cross",
    ):
        assert part in text


def test_pause_and_resume(chat: Chat) -> None:
    chat.says("/buy eth 0.1 2000")
    assert "Open orders stay: 1" in chat.says("/pause")
    assert chat.says("/buy btc 0.01").startswith("⏸ Your trading is paused by you")
    chat.presses("Resume")
    assert chat.state.session.status is SessionStatus.RUNNING
    chat.state = replace(chat.state, session=replace(chat.state.session, status=SessionStatus.HALTED))
    assert chat.says("/resume").startswith("You may not resume: it needs the operator")


def test_a_suspended_account_can_be_looked_at_but_not_used(chat: Chat) -> None:
    user = chat.state.user
    assert user is not None
    chat.state = replace(chat.state, user=replace(user, status=UserStatus.SUSPENDED))
    assert "PAPER portfolio" in chat.says("/portfolio")
    for line in ("/buy btc 0.01", "/subscribe ema-cross", "/settings time_zone UTC"):
        chat.says(line)
        assert chat.keys == ["suspended"]


def test_history_lists_round_trips_and_fills() -> None:
    trade = Trade(
        user_id=7,
        partition=3,
        symbol="BTC/USDT",
        quantity=Decimal("0.01"),
        entry_price=Decimal(40_000),
        exit_price=Decimal(41_000),
        pnl=Decimal(10),
        fees=Decimal(1),
        opened_ms=NOW_MS,
        closed_ms=NOW_MS,
        closing_order="a",
    )
    fill = Fill(
        trade_id="t",
        client_order_id="a",
        user_id=7,
        partition=3,
        symbol="BTC/USDT",
        side=Side.SELL,
        quantity=Decimal("0.01"),
        price=Decimal(41_000),
        fee=Decimal("0.41"),
        time_ms=NOW_MS,
    )
    chat = Chat(reader=NoHistory(trades=lambda user, limit: [trade] * (user == 7 and limit == 10), fills=[fill]))
    text = chat.says("/history")
    assert "the last 1 closed trade and 1 fill" in text
    assert "• 2026-01-01 00:00 UTC: BTC/USDT 0.01, 40,000.00 → 41,000.00, P&L +10.00 USDT (+2.5%)" in text
    assert "• 2026-01-01 00:00 UTC: sell 0.01 BTC/USDT at 41,000.00, fee 0.41 USDT" in text
    assert Chat().says("/history").endswith("Nothing yet.")


def test_settings_are_listed_and_changed(chat: Chat) -> None:
    assert "• time_zone = UTC" in chat.says("/settings")
    chat.presses("Europe/Berlin")
    assert chat.state.settings.time_zone == "Europe/Berlin"
    assert "keeps its old end, 2026-01-02 00:00 UTC" in render(chat.reply).text
    assert "notify_signals = off" in chat.says("/settings notify-signals off")
    assert "symbols = ETH/USDT" in chat.says("/settings symbols eth")
    assert "• risk_per_trade_pct = 25" in chat.says("/risk")
    chat.says("/risk max_drawdown 30%")
    assert chat.state.settings.max_drawdown_pct == 30


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/settings time_zone Mars/Base", "is not a time zone"),
        ("/settings colour blue", "The setting “colour” is not known."),
        ("/settings size NaN", "The size “NaN” is not a number."),
        ("/settings sizing much", "is not a sizing mode"),
        ("/settings symbols btc,xxx", "The symbols “xxx” is not traded here."),
        ("/settings notify_fills maybe", "is neither on nor off"),
        ("/settings language xx", "is not available"),
        ("/risk max_exposure 200", "is above 100 percent"),
        ("/risk cooldown_s 1.5", "is not a whole number of seconds"),
        ("/risk cooldowns 5", "did you mean cooldown_s?"),
    ],
)
def test_a_wrong_setting_gets_an_example_for_it_that_works(chat: Chat, line: str, said: str) -> None:
    before = chat.state.settings
    text = chat.says(line)
    assert said in text
    assert chat.state.settings == before
    chat.says(text.rpartition("Example: ")[2])
    assert chat.keys[0] in {"settings.changed", "settings.zone_changed"}


def test_every_setting_is_seen_at_a_glance_on_a_phone(chat: Chat) -> None:
    chat.says("/risk stop_loss_pct 2")
    text = chat.says("/settings")
    lines = text.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("• ")] == [name for group in GROUPS.values() for name in group]
    assert {"Limits", "Protections", "• stop_loss_pct = 2", "• guard_lock_s = 3600 (1 h)", "• cooldown_s = off"} <= set(lines)
    assert max(len(line) for line in lines[:-1]) <= 40
    assert all(f"• {name} = " in chat.later(60).says("/risk") for group in RISK for name in GROUPS[group])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_setting_alone_shows_its_value_what_it_means_and_how_to_change_it(chat: Chat, name: str) -> None:
    before = chat.state.settings
    text = chat.says(f"/settings {name}")
    assert text.startswith(f"⚙️ {name} = {value_text(name, getattr(before, name))}")
    assert text_for(f"setting.{name}") in text
    assert chat.state.settings == before
    chat.says(text.rpartition("for example: ")[2])
    assert chat.keys[0] in {"settings.changed", "settings.zone_changed"}


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if name not in {"start", "help"}])
def test_every_command_answers_without_arguments(chat: Chat, name: str) -> None:
    user = chat.state.user
    assert user is not None
    chat.state = replace(chat.state, user=replace(user, role=Role.OWNER))
    assert chat.says(f"/{name}")


def test_a_ladder_that_was_taken_away_is_off(chat: Chat) -> None:
    chat.says("/settings take_profits 3%:50,6%")
    assert "take_profits = off" in chat.says("/settings take_profits off")
    assert "symbols = all" in chat.says("/settings symbols all")
