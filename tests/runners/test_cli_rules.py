"""``tradekit rules``: schema, indicators, and what is said of a text."""

import json

import msgspec
from typer.testing import CliRunner, Result

from tradekit.domain.indicators import INDICATORS
from tradekit.domain.rules_text import parse_rule
from tradekit.domain.rules_tree import Rule
from tradekit_cli import commands, errors
from tradekit_cli.main import app

commands.register(app)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rules", *arguments])


def test_the_schema_is_printed_as_json() -> None:
    printed = json.loads(run("schema").stdout)
    assert {"Rule", "Comparison", "Crossing", "AllOf", "AnyOf", "Negation", "Reading"} <= set(printed["$defs"])


def test_every_indicator_is_listed() -> None:
    assert "rsi(period=14)" in run("indicators").stdout
    listed = json.loads(run("indicators", "--json").stdout)
    assert [each["name"] for each in listed] == list(INDICATORS)


def test_a_text_is_read_into_words_and_data() -> None:
    said = run("check", "BUY when rsi<30").stdout
    assert said.startswith("buy when rsi(14) < 30\n\nBUY on the first bar on which rsi(14) is below 30\n")
    data = json.loads(run("check", "BUY when rsi<30", "--json").stdout)
    assert msgspec.convert(data["rule"], Rule, strict=False) == parse_rule("buy when rsi(14) < 30")
    assert data["source"].startswith("rule:")


def test_a_text_that_is_no_rule_is_pointed_at() -> None:
    refused = run("check", "buy when rsi(14) << 30")
    assert refused.exit_code == errors.FAILURE
    assert "  buy when rsi(14) << 30\n                    ^" in refused.stderr.replace("tradekit: ", "")
