"""A word that is not known gets a guess if it is a slip of the finger, and none if it is another word."""

import pytest

from tests.unit.chat_support import Chat, FixedMarket
from tradekit.chat.commands.settings import EXAMPLES
from tradekit.chat.registry import COMMANDS
from tradekit.domain.suggestions import WORD_MAX, closest, slips


@pytest.mark.parametrize(
    ("word", "other", "count"),
    [("", "", 0), ("", "abc", 3), ("buy", "byu", 1), ("buy", "by", 1), ("sell", "cell", 1), ("price", "panic", 3), ("ca", "abc", 3)],
)
def test_slips_are_letters_left_out_added_mistyped_or_swapped(word: str, other: str, count: int) -> None:
    assert slips(word, other) == slips(other, word) == count


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("byu", "buy"),
        ("by", "buy"),
        ("sel", "sell"),
        ("cancle", "cancel"),
        ("histroy", "history"),
        ("potfolo", "portfolio"),
        ("subscibr", "subscribe"),
        ("port", "portfolio"),
        ("unsub", "unsubscribe"),
        ("sig", "signal"),
    ],
)
def test_a_slip_or_a_beginning_is_recognised(word: str, meant: str) -> None:
    assert closest(word, COMMANDS) == meant


@pytest.mark.parametrize(
    "word", ["", "b", "ok", "hi", "price", "zebra", "banana", "money", "weather", "market", "sta", "x" * (WORD_MAX + 1)]
)
def test_another_word_gets_no_guess(word: str) -> None:
    assert closest(word, COMMANDS) == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("drawdown", "max_drawdown_pct"),
        ("risk_pct", "risk_per_trade_pct"),
        ("cooldowns", "cooldown_s"),
        ("trailing", "trailing_stop_pct"),
        ("stop", ""),
        ("pct", ""),
        ("colour", ""),
    ],
)
def test_a_part_of_a_name_stands_for_it_unless_several_have_it(word: str, meant: str) -> None:
    assert closest(word, EXAMPLES) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("btx", "BTC/USDT"),
        ("btcusd", "BTC/USDT"),
        ("btcusdc", "BTC/USDT"),
        ("bctusdt", "BTC/USDT"),
        ("slo/usdt", "SOL/USDT"),
        ("bnbusdt", ""),
        ("xrp/usdt", ""),
        ("doge", ""),
        ("usdt", ""),
    ],
)
def test_an_instrument_is_guessed_by_what_is_bought(typed: str, meant: str) -> None:
    chat = Chat(FixedMarket(BTC_USDT="40000", ETH_USDT="2500", SOL_USDT="150"))
    text = chat.says(f"/buy {typed} 1")
    assert "traded here: BTC/USDT, ETH/USDT, SOL/USDT" in text
    assert (f"did you mean {meant}?" if meant else "Hint: traded here") in text
