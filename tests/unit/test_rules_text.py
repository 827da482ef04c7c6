"""The text of rules: what it means, that printing it loses nothing, and what is said of text that is no rule."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.rule_support import any_value, nested, rules
from tradekit.domain.errors import RuleRefused
from tradekit.domain.indicators import INDICATORS, LIBRARY_PERIOD_MAX, PERIOD_MAX
from tradekit.domain.rules import rule_of, rule_source, source_label
from tradekit.domain.rules_print import rule_text, rule_words
from tradekit.domain.rules_text import canonical, parse_rule
from tradekit.domain.rules_tree import (
    COST_MAX,
    DEPTH_MAX,
    NODES_MAX,
    TEXT_MAX,
    AllOf,
    AnyOf,
    Calculation,
    Comparison,
    Crossing,
    Field,
    Negation,
    Number,
    Price,
    Reading,
    Rule,
    fit,
    schema,
    size_of,
)
from tradekit.testing.factories import a_rule

EXAMPLE = "buy when ema(12) crosses above ema(26) and rsi(14) < 70; sell when close < sma(50) or rsi(14) > 80"


def ema(period: int) -> Reading:
    return Reading("ema", (Decimal(period),))


RSI = Reading("rsi", (Decimal(14),))
CLOSE = Price(Field.CLOSE)


def test_the_example_means_what_it_says() -> None:
    assert parse_rule(EXAMPLE) == Rule(
        buy=AllOf((Crossing(ema(12), "above", ema(26)), Comparison(RSI, "<", Number(Decimal(70))))),
        sell=AnyOf((Comparison(CLOSE, "<", Reading("sma", (Decimal(50),))), Comparison(RSI, ">", Number(Decimal(80))))),
    )
    assert rule_text(parse_rule(EXAMPLE)) == EXAMPLE


@given(rules(any_value))
def test_the_text_of_a_tree_parses_to_the_tree(rule: Rule) -> None:
    assert parse_rule(rule_text(rule)) == rule


@given(rules(any_value))
def test_a_tree_survives_json(rule: Rule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


@given(st.text(max_size=80) | st.text("buysellwhnodr ()<>=+-*/;,[]0123456789.cloe", max_size=60).map("buy when {}".format))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    refusal: RuleRefused | None = None
    try:
        rule = parse_rule(text)
    except RuleRefused as error:
        refusal = error
    else:
        assert parse_rule(rule_text(rule)) == rule
    if refusal is not None:
        assert refusal.check in {"RULE_SYNTAX", "RULE_INDICATOR", "RULE_TOO_LARGE"}
        assert 1 <= int(refusal.detail.get("column", "1")) <= len(text) + 1


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("BUY WHEN Close > SMA( 50 )", "buy when close > sma(50)"),
        ("  buy\n when\tclose>1.50 ; ", "buy when close > 1.5"),
        ("sell when close < 1; buy when close > 2", "buy when close > 2; sell when close < 1"),
        ("on btc/usdt,ETH/USDT, btc/usdt; buy when rsi < 30", "buy when rsi(14) < 30; on BTC/USDT, ETH/USDT"),
        ("buy when macd() > macd_signal", "buy when macd(12, 26, 9) > macd_signal(12, 26, 9)"),
        ("buy when bollinger_upper(20) < close", "buy when bollinger_upper(20, 2) < close"),
        ("buy when willr < -80", "buy when willr(14) < -80"),
        ("buy when close > -0", "buy when close > 0"),
        ("buy when (close) > (2 + 3) * 4 - (5 - 6)", "buy when close > (2 + 3) * 4 - (5 - 6)"),
        ("buy when ((close > 1))", "buy when close > 1"),
        ("buy when not (close > 1 and open < 2)", "buy when not (close > 1 and open < 2)"),
        ("buy when close > 1 and (open < 2 or high > 3)", "buy when close > 1 and (open < 2 or high > 3)"),
        ("buy when close > highest(20)[1]", "buy when close > highest(20)[1]"),
        ("buy when close[0] > open", "buy when close > open"),
        ("buy when close < .5", "buy when close < 0.5"),
    ],
)
def test_texts_of_one_meaning_have_one_canonical_text(written: str, kept: str) -> None:
    assert canonical(written) == kept
    assert rule_source(canonical(written)) == rule_source(canonical(kept))


def test_and_binds_tighter_than_or_and_products_tighter_than_sums() -> None:
    rule = parse_rule("buy when close > 1 or open > 2 and not high > 1 + 2 * 3")
    high = Comparison(
        Price(Field.HIGH), ">", Calculation(Number(Decimal(1)), "+", Calculation(Number(Decimal(2)), "*", Number(Decimal(3))))
    )
    assert rule.buy == AnyOf(
        (
            Comparison(CLOSE, ">", Number(Decimal(1))),
            AllOf((Comparison(Price(Field.OPEN), ">", Number(Decimal(2))), Negation(high))),
        )
    )


@pytest.mark.parametrize(
    ("text", "column", "found", "expected"),
    [
        ("", 1, "the end", "buy when, sell when, or on and an instrument"),
        ("hold", 1, "hold", "buy when, sell when"),
        ("buy close > 1", 5, "close", "when"),
        ("buy when", 9, "the end", "a price such as close"),
        ("buy when close", 15, "the end", "crosses above or crosses below"),
        ("buy when ema(12) croses above 3", 18, "croses", "crosses above or crosses below"),
        ("buy when close crosses over 3", 24, "over", "above or below"),
        ("buy when close crosses above", 29, "the end", "a price such as close"),
        ("buy when close > 3 sell when close < 2", 20, "sell", "; and the next part"),
        ("buy when close > 3; buy when close > 4", 21, "buy", "each of buy, sell and on once"),
        ("buy when (close > 3", 20, "the end", ")"),
        ("buy when close > 3)", 19, ")", "; and the next part"),
        ("buy when (close > 3) + 1 > 2", 10, "(close", "not a condition"),
        ("buy when close and open > 2", 16, "and", "crosses above"),
        ("buy when not close", 19, "the end", "crosses above"),
        ("buy when close > 3 > 2", 20, ">", "; and the next part"),
        ("buy when close[51] > 3", 16, "51", "0 to 50"),
        ("buy when close[1 > 3", 18, ">", "]"),
        ("buy when ema(a) > 3", 14, "a", "ema(period)"),
        ("buy when ema(1 2) > 3", 16, "2", "a comma or )"),
        ("buy when close > 1e5", 19, "e5", "; and the next part"),
        ("buy when close > 1234567890123", 18, "1234567890123", "below a trillion"),
        ("buy when close > 0.1234567890123456789", 18, "0", "18 digits"),
        ("buy when close > - close", 20, "close", "a number"),
        ("buy when close > $3", 18, "$3", "a price such as close"),
        ("buy when close > \u200f3", 18, "\ufffd3", "a price such as close"),
        ("buy when and > 3", 10, "and", "a price such as close"),
        ("buy when close > 3; on", 23, "the end", "an instrument such as BTC/USDT"),
        ("buy when close > 3; on btc", 24, "btc", "an instrument such as BTC/USDT"),
        ("on BTC/USDT ETH/USDT", 13, "ETH", "a comma and another instrument"),
        ("buy when close > __import__('os')", 18, "__import__", ""),
    ],
)
def test_an_error_points_at_the_column_and_says_what_was_expected(text: str, column: int, found: str, expected: str) -> None:
    with pytest.raises(RuleRefused) as caught:
        parse_rule(text)
    if expected:
        assert caught.value.code == "RULE_SYNTAX"
        assert caught.value.detail["found"] == found
        assert expected in caught.value.detail["expected"]
    else:
        assert caught.value.code == "RULE_INDICATOR"
    assert caught.value.detail["column"] == str(column)


def test_a_word_that_was_probably_meant_is_named() -> None:
    with pytest.raises(RuleRefused) as caught:
        parse_rule("buy when close croses above 3")
    assert caught.value.detail["hint"] == "crosses"
    with pytest.raises(RuleRefused, match="did you mean ema") as unknown:
        parse_rule("buy when emma(3) > 1")
    assert unknown.value.detail["column"] == "10"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("buy when rsi(1) < 30", "from 2 to 500, not 1"),
        (f"buy when ema({PERIOD_MAX + 1}) < 30", f"from 1 to {PERIOD_MAX}"),
        (f"buy when atr({LIBRARY_PERIOD_MAX + 1}) < 30", f"from 2 to {LIBRARY_PERIOD_MAX}"),
        ("buy when ema(1.5) < 30", "a whole number"),
        ("buy when ema < 30", r"ema needs a number: ema\(period\)"),
        ("buy when ema(1, 2) < 30", "at most 1 numbers"),
        ("buy when macd(26, 12) > 0", "must be shorter"),
        ("buy when bollinger_upper(20, 11) > 0", "from 0.1 to 10"),
    ],
)
def test_an_indicator_says_which_numbers_it_takes(text: str, problem: str) -> None:
    with pytest.raises(RuleRefused, match=problem) as caught:
        parse_rule(text)
    assert caught.value.code == "RULE_INDICATOR"


def test_every_bound_is_kept_and_can_be_reached() -> None:
    fit(Rule(buy=nested(DEPTH_MAX)))
    for text, what in (
        ("buy when " + " and ".join(["close > 1"] * 20), "parts"),
        ("buy when close > 1" + " " * TEXT_MAX, "characters"),
        ("buy when " + " and ".join(f"ema({PERIOD_MAX - n}) > 1" for n in range(5)), "bars in all periods"),
        ("buy when close > " + "(" * 200 + "1", "levels"),
        ("buy when " + "not " * 100 + "close > 1", "levels"),
        ("buy when close > 1" + " + 1" * 12, "levels"),
        ("buy when close > 1; on " + ", ".join(f"A{n}/B" for n in range(21)), "instruments"),
        ("buy when " + " and ".join(["macd_histogram > macd_signal"] * 12), "numbers left out included"),
    ):
        with pytest.raises(RuleRefused) as caught:
            parse_rule(text)
        assert caught.value.code == "RULE_TOO_LARGE", text
        assert what in caught.value.detail["what"]
    cheap = parse_rule("buy when " + " and ".join(["rsi(14) < 30"] * 15))
    assert size_of(cheap).cost == 14
    assert size_of(cheap).nodes == 46 < NODES_MAX
    assert (
        size_of(parse_rule(f"buy when ema({PERIOD_MAX}) > sma({PERIOD_MAX}) and rsi({PERIOD_MAX}) > lowest({PERIOD_MAX})")).cost == COST_MAX
    )


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule(), "RULE_MALFORMED"),
        (Rule(buy=AllOf(())), "RULE_MALFORMED"),
        (Rule(buy=Comparison(Number(Decimal("NaN")), "<", CLOSE)), "RULE_MALFORMED"),
        (Rule(buy=Comparison(Number(Decimal("1e400")), "<", CLOSE)), "RULE_MALFORMED"),
        (Rule(buy=Comparison(Price(Field.CLOSE, -1), "<", CLOSE)), "RULE_TOO_LARGE"),
        (Rule(buy=Comparison(Reading("eval", ()), "<", CLOSE)), "RULE_INDICATOR"),
        (Rule(buy=Comparison(Reading("macd", ()), "<", CLOSE)), "RULE_INDICATOR"),
        (Rule(buy=Comparison(ema(0), "<", CLOSE)), "RULE_INDICATOR"),
        (Rule(buy=nested(DEPTH_MAX + 1)), "RULE_TOO_LARGE"),
        (Rule(buy=nested(5000)), "RULE_TOO_LARGE"),
        (Rule(sell=Comparison(CLOSE, ">", CLOSE), symbols=("x" * 30,)), "RULE_TOO_LARGE"),
    ],
)
def test_a_tree_from_outside_is_held_to_the_same_bounds(rule: Rule, code: str) -> None:
    with pytest.raises(RuleRefused) as caught:
        fit(rule)
    assert caught.value.code == code


def test_the_schema_describes_every_kind_of_node() -> None:
    written = msgspec.json.encode(schema()).decode()
    for word in ("crossing", "comparison", "calculation", "indicator", "price", "number", '"and"', '"or"', '"not"'):
        assert word in written


def test_words_tell_the_rule_condition_by_condition() -> None:
    assert rule_words(parse_rule(EXAMPLE)) == (
        "BUY on the first bar on which all of these hold:\n"
        "  ema(12) rises above ema(26)\n"
        "  rsi(14) is below 70\n"
        "SELL on the first bar on which one of these holds:\n"
        "  close is below sma(50)\n"
        "  rsi(14) is above 80\n"
        "On every instrument you follow it for"
    )
    told = rule_words(parse_rule("sell when not (open >= 2 or high <= 3) and low crosses below 4; on BTC/USDT"))
    assert told.splitlines()[2:] == [
        "    one of these holds:",
        "      open is at least 2",
        "      high is at most 3",
        "  low falls below 4",
        "On BTC/USDT",
    ]


def test_a_source_is_called_by_its_owners_name() -> None:
    mine = a_rule(name="dip", text="buy when rsi(14) < 30")
    source = rule_source(mine.text)
    assert (source_label([mine], source), source_label([], source), source_label([mine], "ema-cross")) == ("rule:dip", source, "ema-cross")
    assert rule_of([mine], source) is mine
    assert rule_of([mine], "rule:000000000000") is None


def test_indicators_have_names_that_can_be_written() -> None:
    assert all(name.isidentifier() and name == name.lower() for name in INDICATORS)
    assert set(INDICATORS).isdisjoint({*Field, "buy", "sell", "on", "when", "and", "or", "not", "crosses", "above", "below"})
