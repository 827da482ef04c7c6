"""/rules and /rule: what is kept, what is said of it, and every refusal."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.chat_support import NOW_MS, Chat, FixedMarket, NoHistory, replace
from tests.unit.rule_support import bars_of
from tradekit.adapters.indicators import Indicators
from tradekit.chat.texts import has_text
from tradekit.domain import errors
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.domain.rules import rule_source
from tradekit.domain.signals import Outcome, Signal
from tradekit.domain.tiers import TierName
from tradekit.ports.indicators import IndicatorLibrary
from tradekit.services import rules as service
from tradekit.services import signals
from tradekit.services.decisions import Context

DIP = "buy when rsi(14) crosses above 30; sell when close < sma(50)"


class Recent:
    """The last bars, as the engine would have them."""

    def __init__(self, bars: list[Bar], indicators: IndicatorLibrary | None = None) -> None:
        self.bars, self.indicators = bars, indicators or Indicators()

    def recent(self, symbol: str) -> tuple[Bar, ...]:
        return tuple(bar for bar in self.bars if bar.symbol == symbol)


class RuleChat(Chat):
    def __init__(self, tier: TierName = TierName.ENTERPRISE, **more: Any) -> None:
        self.bars = Recent(bars_of([9, 11, 9, 11]))
        super().__init__(**more)
        self.on(tier)

    def on(self, tier: TierName) -> None:
        assert self.state.user is not None
        self.state = replace(self.state, user=replace(self.state.user, tier=tier))

    def ctx(self) -> Context:
        return replace(super().ctx(), bars=self.bars)


@pytest.fixture
def chat() -> RuleChat:
    return RuleChat()


def test_a_rule_is_kept_as_its_canonical_text_and_followed(chat: RuleChat) -> None:
    said = chat.says("/rule add Dip BUY when rsi crosses above 30; sell  when close<sma(50)")
    assert said.startswith(f"✅ Rule dip is kept and followed (1 of 10):\n{DIP}\n")
    assert [(rule.name, rule.text, rule.created_ms) for rule in chat.state.rules] == [("dip", DIP, NOW_MS)]
    assert [wish.source for wish in chat.state.subscriptions] == [rule_source(DIP)]
    assert f"✅ dip (for all): {DIP}" in chat.says("/rules")
    assert "1 of 10 rules" in chat.says("/rules")
    assert "Following: rule:dip" in chat.says("/status")


def test_a_rule_is_removed_with_its_subscription(chat: RuleChat) -> None:
    chat.says(f"/rule add dip {DIP}")
    assert chat.presses("Remove dip") == "Rule dip is removed and says nothing any more. Positions stay; to close one: /positions"
    assert chat.state.rules == ()
    assert chat.state.subscriptions == ()
    assert chat.says("/rule remove dip") == "You have no rule “dip”.\nYour rules: /rules"


def test_a_rule_can_be_left_and_followed_again_for_some_instruments(chat: RuleChat) -> None:
    chat.says(f"/rule add dip {DIP}")
    assert "You no longer follow rule:dip." in chat.says("/unsubscribe rule:dip")
    assert "⏸ dip (not followed; /subscribe rule:dip)" in chat.says("/rules")
    assert "Following rule:dip: BTC/USDT." in chat.says("/subscribe rule:DIP btc")
    assert "✅ dip (for BTC/USDT)" in chat.says("/rules")
    assert chat.state.subscriptions[0].source == rule_source(DIP)
    assert "did you mean rule:dip?" in chat.says("/subscribe rule:dap")


def test_a_check_says_what_it_means_and_what_it_would_have_said(chat: RuleChat) -> None:
    said = chat.says("/rule check buy when close>10 ; sell when close < 10")
    assert said.startswith("BUY on the first bar on which close is above 10\nSELL on the first bar on which close is below 10\n")
    assert "As it is kept: buy when close > 10; sell when close < 10\n6 parts, looking at 0 bars\n" in said
    assert "On the last 4 bars of BTC/USDT it would have spoken 3 times" in said
    assert re.findall(r"• .*: (.*)", said) == ["buy at 11.00 USDT", "sell at 9.00 USDT", "buy at 11.00 USDT"]
    assert chat.state.rules == ()


def test_a_costly_rule_is_tried_on_fewer_bars_and_knows_those_before() -> None:
    chat = RuleChat()
    chat.bars = Recent(bars_of([100 + number % 9 for number in range(300)]))
    said = chat.says(
        "/rule check buy when close > sma(400) and close > ema(400) and close > highest(400) or adx(100) > 101 and sma(200) > 0"
    )
    assert "looking at 1800 bars\nOn the last 83 bars of BTC/USDT it would have spoken 0 times" in said
    assert "On the last 300 bars" in chat.says("/rule check buy when close > sma(200)")
    averages = " and ".join(f"sma({period}) > 0" for period in range(120, 130))
    said = chat.says(f"/rule check buy when close > 107 and {averages}")
    assert "On the last 120 bars of BTC/USDT it would have spoken 13 times" in said


def test_a_check_without_bars_or_plan_only_reads() -> None:
    chat = RuleChat(TierName.FREE)
    said = chat.says("/rule check buy when close > 10")
    assert "As it is kept" in said
    assert "would have spoken" not in said
    chat = RuleChat()
    chat.bars = Recent([])
    assert "would have spoken" not in chat.says("/rule check buy when close > 10")


def test_without_rules_the_list_says_how_to_write_one() -> None:
    assert "None yet" in RuleChat().says("/rules")
    assert "needs the Enterprise plan" not in RuleChat().says("/rules")
    assert "needs the Enterprise plan" in RuleChat(TierName.PREMIUM).says("/rules")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("/rule add dip buy whn close > 1", "RULE_SYNTAX", "at column 5, after “buy ”: expected when; found whn.\nDid you mean when?"),
        ("/rule add dip buy when emma(3) > 1", "RULE_INDICATOR", "there is no indicator emma (did you mean ema?).\nLook at column 10."),
        ("/rule add dip buy when rsi(1) > 1", "RULE_INDICATOR", "must be a whole number from 2 to 500, not 1"),
        ("/rule add dip buy when " + " and ".join(["close > 1"] * 25), "RULE_TOO_LARGE", "at most 60 parts"),
        ("/rule add dip buy when close > 1" + " and close > 1" * 80, "RULE_TOO_LARGE", "at most 500 characters"),
        ("/rule add d!p buy when close > 1", "RULE_NAME", "not “d!p”"),
        (f"/rule add {'n' * 25} buy when close > 1", "RULE_NAME", "1 to 24"),
        ("/rule add taken buy when close > 1", "RULE_NAME_TAKEN", f"You have a rule taken: {DIP}"),
        (f"/rule add other {DIP}", "RULE_KNOWN", "You have this rule already, as taken"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_code_and_in_words(line: str, code: str, said: str) -> None:
    chat = RuleChat()
    chat.says(f"/rule add taken {DIP}")
    before = chat.state
    answer = chat.says(line)
    assert said in answer
    assert chat.keys == [f"error.{code.lower()}"]
    assert (chat.state.rules, chat.state.subscriptions) == (before.rules, before.subscriptions)


@pytest.mark.parametrize("tier", [TierName.FREE, TierName.PREMIUM])
def test_plans_without_rules_keep_none(tier: TierName) -> None:
    chat = RuleChat(tier)
    assert chat.says(f"/rule add dip {DIP}") == "Rules of your own need the Enterprise plan. See /plan."
    assert chat.state.rules == ()


def test_a_plan_keeps_so_many_rules(chat: RuleChat) -> None:
    for number in range(10):
        chat.says(f"/rule add r{number} buy when close > {number}")
    chat.later(60)
    assert "Your plan keeps 10 rules, and you have 10" in chat.says(f"/rule add more {DIP}")
    chat.says("/rule remove r3")
    assert "is kept" in chat.says(f"/rule add more {DIP}")


def test_an_indicator_that_cannot_be_computed_here_says_so(chat: RuleChat) -> None:
    chat.bars = Recent([], Indicators(""))
    assert "This service cannot compute adx." in chat.says("/rule add trend buy when adx > 20")
    assert "tradekit[indicators]" in chat.says("/rule check buy when adx > 20")
    assert "is kept" in chat.says("/rule add plain buy when rsi > 20")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/rule", "The action is missing."),
        ("/rule ad dip x", "did you mean add?"),
        ("/rule add", "The name is missing."),
        ("/rule add dip", "The rule is missing."),
        ("/rule check", "The rule is missing."),
        ("/rule remove", "The name is missing."),
        ("/rule remove dip now", "is one too many"),
        ("/rule add dip buy when close > 1; on XYZ/USDT", "The symbol “XYZ/USDT” is not traded here."),
    ],
)
def test_a_command_with_words_missing_says_which(chat: RuleChat, line: str, said: str) -> None:
    assert said in chat.says(line)


def a_signal(text: str, side: Side = Side.BUY) -> Signal:
    return Signal(
        signal_id="0123456789abcdef",
        source=rule_source(text),
        symbol="BTC/USDT",
        side=side,
        price=Decimal(40_000),
        bar_ms=NOW_MS,
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 300_000,
    )


def test_a_signal_of_a_rule_trades_for_its_owner_and_after_a_downgrade_not(chat: RuleChat) -> None:
    chat.says(f"/rule add dip {DIP}")
    assert signals.deliver(chat.state, a_signal(DIP), chat.ctx()).result.outcome is Outcome.EXECUTED
    chat.on(TierName.PREMIUM)
    decision = signals.deliver(chat.state, a_signal(DIP), chat.ctx())
    assert (decision.result.outcome, decision.result.reason) == (Outcome.SKIPPED, "TIER_FEATURE")
    assert decision.notices[0].args["source"] == "rule:dip"
    assert "Your plan does not include rules any more" in chat.says("/rules")


def test_signals_of_other_peoples_rules_are_not_shown() -> None:
    chat = RuleChat(reader=NoHistory(signals=[a_signal("buy when close > 1"), a_signal(DIP)]))
    chat.says(f"/rule add dip {DIP}")
    said = chat.says("/signals")
    assert "rule:dip says buy BTC/USDT" in said
    assert rule_source("buy when close > 1") not in said
    assert rule_source(DIP) not in said


def test_a_former_owner_cannot_follow_somebody_elses_rule(chat: RuleChat) -> None:
    assert "is not known" in chat.says(f"/subscribe {rule_source(DIP)}")
    decision = signals.subscribe(chat.state, rule_source(DIP), (), chat.ctx())
    assert isinstance(decision.error, errors.NotFound)


RULE_CODES = re.findall(
    r"[`]{2}(RULE_[A-Z_]+)[`]{2}", Path(errors.__file__).read_text().partition("class RuleRefused")[2].partition("\nclass ")[0]
)


def test_every_code_of_a_refusal_is_documented_and_has_words() -> None:
    sources = [
        Path(service.__file__),
        *Path(service.__file__).parent.parent.glob("domain/rules_*.py"),
        Path(service.__file__).parent.parent / "strategies/rule.py",
    ]
    used = {code for path in sources for code in re.findall(r'check="(RULE_[A-Z_]+)"', path.read_text())}
    assert used == set(RULE_CODES)
    assert all(has_text(f"error.{code.lower()}") for code in used)


def test_a_market_without_prices_still_reads_a_rule() -> None:
    chat = RuleChat(market=FixedMarket(A_B="1"))
    chat.market.prices.clear()
    assert "As it is kept" in chat.says("/rule check buy when close > 1")
