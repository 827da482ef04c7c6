from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.chat import formatting
from tradekit.chat.render import DATA_MAX, LABEL_MAX, TEXT_MAX, fill, render, units
from tradekit.chat.texts import CATALOGS
from tradekit.domain.replies import Button, Reply

MIDNIGHT_MS = 1_767_225_600_000


def filled(template: str, **args: str) -> str:
    return fill(template, args, "en")


@pytest.mark.parametrize(
    ("shape", "value", "shown"),
    [
        ("num", "1234567.890", "1,234,567.89"),
        ("num", "0.00001", "0.00001"),
        ("money", "10000", "10,000.00"),
        ("money", "1", "1.00"),
        ("money", "0.99999", "1.00"),
        ("money", "0.5", "0.50"),
        ("money", "12345.675", "12,345.68"),
        ("money", "0.6501", "0.6501"),
        ("money", "0.06501173", "0.06501"),
        ("money", "-0.0719876", "-0.07199"),
        ("money", "0.000123456", "0.0001235"),
        ("money", "-0.000000001", "0.00"),
        ("money", "-0.745208", "-0.7452"),
        ("signed", "12.5", "+12.50"),
        ("signed", "-3.999", "-4.00"),
        ("signed", "0.000000001", "0.00"),
        ("signed", "0", "0.00"),
        ("percent", "1.2345", "+1.23%"),
        ("percent", "-0.001", "0%"),
        ("price", "42123.456789", "42,123.46"),
        ("price", "65000", "65,000.00"),
        ("price", "100000.01", "100,000.01"),
        ("price", "1.5", "1.50"),
        ("exact", "61000", "61,000.00"),
        ("exact", "64998.7", "64,998.70"),
        ("exact", "12345.678", "12,345.678"),
        ("exact", "0.000012345678", "0.000012345678"),
        ("price", "0.0000123456789", "0.00001234568"),
        ("price", "123456789012", "123,456,789,012.00"),
        ("num", "never", "never"),
        ("duration", "45", "45 s"),
        ("duration", "7500", "2 h 5 min"),
        ("duration", "never", "never"),
    ],
)
def test_numbers_are_written_for_people(shape: str, value: str, shown: str) -> None:
    assert filled(f"{{x:{shape}}}", x=value) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8))
def test_grouping_loses_no_digit(value: Decimal) -> None:
    assert Decimal(formatting.number(value).replace(",", "")) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_can_be_shown(value: Decimal) -> None:
    for shape in formatting.SHAPES:
        assert formatting.shaped(f"{value:f}", shape)


def test_times_are_in_the_zone_of_the_reply_and_utc_without_one() -> None:
    assert filled("{at:time}", at=str(MIDNIGHT_MS), zone="Asia/Tokyo") == "2026-01-01 09:00 Asia/Tokyo"
    assert filled("{at:time}", at=str(MIDNIGHT_MS)) == "2026-01-01 00:00 UTC"
    assert filled("{at:time}", at=str(MIDNIGHT_MS), zone="Mars/Base") == "2026-01-01 00:00 UTC"
    assert filled("{at:time}", at="9" * 30) == "9" * 30


def test_conditional_lines_and_nested_texts() -> None:
    assert filled("[a] {a}\n[!a] none\nend", a="x") == "x\nend"
    assert filled("[a] {a}\n[!a] none\nend", a="") == "none\nend"
    assert filled("Why: {reason:why}", reason="MAX_POSITIONS", limit="2") == ("Why: you already had 2 positions, the most your plan allows")
    assert filled("{reason:why}", reason="SOMETHING_NEW") == "something new"
    assert filled("{n} {n:plural order orders}", n="1") == "1 order"
    assert filled("{missing}") == "—"


def test_what_a_user_wrote_is_not_taken_for_a_template() -> None:
    assert render(Reply(key="unknown", args={"text": "{guess:text} [x] {a}", "guess": ""})).text.startswith(
        "I do not understand “{guess:text} [x] {a}”."
    )


def test_long_lists_are_cut_at_a_line_and_say_how_many_are_left() -> None:
    rows = tuple({"name": f"command{index}", "usage": "", "about": "help.buy"} for index in range(500))
    text = render(Reply(key="help", rows=rows)).text
    assert units(text) <= TEXT_MAX
    shown = text.count("/command")
    assert f"… and {500 - shown} more" in text
    assert text.endswith("/help buy")


@given(st.text(max_size=9_000), st.lists(st.text(max_size=600), max_size=12))
def test_no_message_is_longer_than_a_transport_takes(value: str, rows: list[str]) -> None:
    args = {"text": value, "guess": value}
    reply = Reply(key="unknown", args=args, rows=tuple({"row_key": "button.plain", "text": row} for row in rows))
    text = render(reply).text
    assert units(text) <= TEXT_MAX
    text.encode()


def test_buttons_have_words_and_data_that_fits() -> None:
    rows = (
        (Button("button.buy", "cmd:/buy BTC/USDT 0.01", {"symbol": "BTC/USDT", "quantity": "0.010"}), Button("button.help", "x" * 41)),
        (Button("button.plain", "y" * 41, {"text": "too long"}),),
        (Button("button.plain", "z", {"text": "w" * 200}),),
    )
    shown = render(Reply(key="orders.none", buttons=rows)).buttons
    assert [button.label for button in shown[0]] == ["Buy 0.01 BTC/USDT"]
    assert len(shown) == 2
    assert len(shown[1][0].label) <= LABEL_MAX
    assert all(len(button.data) <= DATA_MAX for row in shown for button in row)


def test_a_second_language_is_used_where_it_has_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOGS, "de", {"orders": "Offene Aufträge"})
    assert render(Reply(key="orders"), "de").text == "Offene Aufträge\nNone."
    assert render(Reply(key="orders"), "de-CH").text.startswith("Offene")
