from decimal import Decimal

import pytest

from tests.unit.chat_support import NOW_MS, Chat, NoHistory, replace, unfilled
from tradekit.chat.render import render
from tradekit.domain.orders import OrderState, Side
from tradekit.domain.sessions import Guard, LockKind, TradingLock
from tradekit.domain.signals import Delivery, Outcome, Signal
from tradekit.domain.users import Role
from tradekit.services import signals
from tradekit.services.decisions import Source


@pytest.fixture
def chat() -> Chat:
    return Chat()


def a_signal(signal_id: str = "0123456789abcdef", side: Side = Side.BUY, advanced: bool = False) -> Signal:
    return Signal(
        signal_id=signal_id,
        source="ema-cross",
        symbol="BTC/USDT",
        side=side,
        price=Decimal(40_000),
        bar_ms=NOW_MS,
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 300_000,
        advanced=advanced,
    )


def as_provider(chat: Chat) -> Chat:
    assert chat.state.user is not None
    chat.state = replace(chat.state, user=replace(chat.state.user, role=Role.PROVIDER))
    return chat


def test_signals_lists_sources_with_buttons_and_the_last_signals() -> None:
    chat = Chat(reader=NoHistory(signals=[a_signal()]))
    text = chat.says("/signals")
    assert "• ema-cross: EMA 12/26" in text
    assert "• rsi-reversion: RSI 14\n  needs a plan with advanced signals" in text
    assert "ema-cross says buy BTC/USDT at 40,000.00 USDT — 0123456789abcdef" in text
    chat.presses("Follow ema-cross")
    assert [held.source for held in chat.state.subscriptions] == ["ema-cross"]
    assert "✅ ema-cross: EMA 12/26 — you follow all" in chat.says("/signals")
    chat.presses("Leave ema-cross")
    assert chat.state.subscriptions == ()


def test_a_service_without_sources_says_so(chat: Chat) -> None:
    chat.sources = ()
    assert chat.says("/signals").endswith("Nobody publishes signals here yet.")


def test_a_source_can_be_followed_for_some_instruments(chat: Chat) -> None:
    assert "Following ema-cross: BTC/USDT, ETH/USDT." in chat.says("/subscribe EMA-Cross btc,eth")
    assert chat.state.subscriptions[0].symbols == ("BTC/USDT", "ETH/USDT")
    assert "sized by 100 USDT" in render(chat.reply).text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/subscribe", "The source is missing."),
        ("/subscribe ema-cros", "did you mean ema-cross?"),
        ("/subscribe ema-cross xyz", "The symbols “xyz” is not traded here."),
        ("/unsubscribe", "The source is missing."),
    ],
)
def test_bad_input_gets_an_example(chat: Chat, line: str, said: str) -> None:
    text = chat.says(line)
    assert said in text
    assert "Example: /" in text


def test_advanced_sources_need_a_plan(chat: Chat) -> None:
    assert chat.says("/subscribe rsi-reversion") == "You may not follow rsi-reversion: it needs a plan with advanced signals."


def test_leaving_all_sources(chat: Chat) -> None:
    assert chat.says("/unsubscribe all").startswith("You do not follow “all”.")
    chat.says("/subscribe ema-cross")
    assert chat.says("/unsubscribe ALL").startswith("You no longer follow ema-cross.")
    assert chat.state.subscriptions == ()


def test_a_provider_publishes_through_the_use_case_of_strategies(chat: Chat) -> None:
    as_provider(chat)
    assert "/signal —" in chat.says("/help")
    text = chat.says("/signal buy btc broke out of the range")
    (signal,) = chat.decision.publish
    assert (signal.symbol, signal.side, signal.note) == ("BTC/USDT", Side.BUY, "broke out of the range")
    assert "Published: buy BTC/USDT at 40,000.00 USDT (simulated prices)\nNote: broke out of the range" in text
    assert "is neither buy nor sell" in chat.says("/signal hold btc")
    assert "The symbol is missing." in chat.says("/signal sell")
    assert "The side is missing." in chat.says("/signal")


def test_others_may_not_publish(chat: Chat) -> None:
    assert chat.says("/signal buy btc").startswith("You may not use /signal")
    assert chat.decision.publish == ()


def test_a_provider_of_a_long_source_name_can_be_followed_without_a_button(chat: Chat) -> None:
    chat.sources = (Source(name="provider:" + "x" * 40, title="Long"),)
    chat.says("/signals")
    assert [button.label for row in render(chat.reply).buttons for button in row] == ["Why?"]
    chat.says(f"/subscribe {chat.sources[0].name}")
    assert chat.keys == ["signals.subscribed"]


def delivered(chat: Chat, signal: Signal) -> Delivery:
    decision = signals.deliver(chat.state, signal, chat.ctx())
    assert set().union(*map(unfilled, decision.notices)) == set()
    chat.state = decision.state
    result = decision.result
    assert isinstance(result, Delivery)
    return result


def test_why_explains_every_outcome_with_its_facts() -> None:
    chat = Chat()
    chat.says("/subscribe ema-cross")
    done = delivered(chat, a_signal("a" * 16))
    chat.is_filled()
    chat.says("/pause")
    paused = delivered(chat, a_signal("b" * 16))
    chat.says("/resume")
    chat.says("/risk risk_per_trade_pct 0.5")
    risky = delivered(chat, a_signal("c" * 16))
    expired = delivered(chat.later(400), a_signal("d" * 16))
    rejected = replace(done, signal_id="e" * 16, outcome=Outcome.FAILED, reason="NO_LIQUIDITY")
    unknown = replace(done, signal_id="f" * 16, outcome=Outcome.SKIPPED, reason="NEW_REASON")
    found = {one.signal_id: one for one in (done, paused, risky, expired, rejected, unknown)}
    chat.reader = NoHistory(
        deliveries=list(found.values()),
        signal=lambda wanted: a_signal(wanted),
        delivery=lambda wanted, user: found.get(wanted) if user == 7 else None,
    )
    text = chat.later(60).says("/why")
    assert f"ema-cross buy BTC/USDT — traded, order {done.client_order_id[:8]}" in text
    assert "not traded: your trading was paused by you" in text
    assert "not traded: it would have risked 100.00 USDT; your limit is 50.00 USDT (0.5% of equity)" in text
    assert "expired: it came too late" in text
    assert "failed: nobody took the rest at that price" in text
    assert "not traded: new reason" in text
    assert chat.says("/why bbbb").count("signal ") == 1
    assert "paused by you" in chat.says("/why " + "B" * 16)
    assert chat.says("/why 9999").startswith("No signal “9999” has reached you.")


def test_why_without_history(chat: Chat) -> None:
    assert chat.says("/why").endswith("Nothing yet: no signal has reached you. See /signals.")


def test_every_denial_of_a_signal_is_told_with_all_its_facts(chat: Chat) -> None:
    """Notices of skipped signals and rows of /why share the texts: no argument may be missing."""
    chat.says("/subscribe ema-cross")
    base = chat.state
    for change in (
        {"maintenance": True},
        {"stale_price_after_s": -1},
        {"open_orders_max": 0},
    ):
        chat.policy = replace(chat.policy, **change)
        chat.state = base
        assert delivered(chat, a_signal()).outcome is Outcome.SKIPPED
        chat.policy = type(chat.policy)()
    for settings in ({"size": Decimal(1)}, {"size": Decimal(50_000)}, {"max_exposure_pct": Decimal("0.1")}):
        chat.state = replace(base, settings=replace(base.settings, **settings))
        assert delivered(chat, a_signal()).outcome is Outcome.SKIPPED
    for session in (
        {"cash": Decimal(50)},
        {"guard": Guard(locks=(TradingLock(kind=LockKind.COOLDOWN, until_ms=NOW_MS + 9_000),))},
        {"peak_equity": Decimal(100_000)},
        {"day_start_equity": Decimal(20_000)},
    ):
        chat.state = replace(base, session=replace(base.session, **session))
        assert delivered(chat, a_signal()).outcome is Outcome.SKIPPED
    chat.state = replace(base, usage=(replace(base.usage[-1], used=5),))
    assert delivered(chat, a_signal()).reason == "DAILY_TRADES_LIMIT"


def test_an_order_whose_fate_is_unknown_holds_the_instrument_and_says_so(chat: Chat) -> None:
    chat.says("/buy btc 0.01")
    chat.state = replace(chat.state, orders=(replace(chat.state.orders[0], state=OrderState.UNKNOWN),))
    assert chat.says("/buy btc 0.01").startswith("An earlier order on BTC/USDT has no answer from the venue yet.")
