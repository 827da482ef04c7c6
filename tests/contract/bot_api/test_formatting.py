"""`parse_mode` turns markup into entities as Telegram documents it, and refuses what Telegram refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.testing.bot_api.errors import ApiError
from tradekit.testing.bot_api.formatting import parse_text


def spans(text: str, mode: str) -> tuple[str, list[tuple[str, str]]]:
    """The plain text, and each entity's type with the text it covers."""
    plain, entities = parse_text(text, mode)
    units = plain.encode("utf-16-le")
    covered = [
        (entity.type, units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")) for entity in entities or ()
    ]
    return plain, covered


@pytest.mark.parametrize(
    ("mode", "text", "plain", "covered"),
    [
        ("HTML", "<b>bold <i>both</i></b>", "bold both", [("bold", "bold both"), ("italic", "both")]),
        ("HTML", "\U0001f680 <code>a&lt;b</code>", "\U0001f680 a<b", [("code", "a<b")]),
        ("html", '<a href="http://x.y/?a=1&amp;b=2">link</a>', "link", [("text_link", "link")]),
        ("HTML", '<span class="tg-spoiler">s</span>', "s", [("spoiler", "s")]),
        ("MarkdownV2", "*bold _both_*", "bold both", [("bold", "bold both"), ("italic", "both")]),
        (
            "MarkdownV2",
            "__u__ ~s~ ||p|| `a*b` 1\\.5",
            "u s p a*b 1.5",
            [("underline", "u"), ("strikethrough", "s"), ("spoiler", "p"), ("code", "a*b")],
        ),
        ("MarkdownV2", "```python\nx = 1```", "x = 1", [("pre", "x = 1")]),
        ("MarkdownV2", "[a](http://x.y/\\))", "a", [("text_link", "a")]),
        ("Markdown", "*bold* _it_ a\\_b [t](http://x)", "bold it a_b t", [("bold", "bold"), ("italic", "it"), ("text_link", "t")]),
    ],
)
def test_markup_becomes_entities(mode: str, text: str, plain: str, covered: list[tuple[str, str]]) -> None:
    assert spans(text, mode) == (plain, covered)


@pytest.mark.parametrize(
    ("mode", "text", "reason"),
    [
        ("HTML", "a < b", "Unsupported start tag"),
        ("HTML", "<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("HTML", "a</b>", "Unexpected end tag at byte offset 1"),
        ("MarkdownV2", "a-b", "Character '-' is reserved"),
        ("MarkdownV2", "é *a", "Can't find end of the entity starting at byte offset 3"),
        ("Markdown", "a_b", "Can't find end of the entity starting at byte offset 1"),
    ],
)
def test_broken_markup_is_refused(mode: str, text: str, reason: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_text(text, mode)
    assert refusal.value.description.startswith(f"Bad Request: can't parse entities: {reason}")


@given(st.text(max_size=200))
def test_escaped_text_comes_out_as_it_went_in(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse_text(f"<b>{escaped}</b>", "HTML")[0] == text
    marked = "".join(f"\\{character}" if character in r"_*[]()~`>#+-=|{}.!\\" else character for character in text)
    assert parse_text(marked, "MarkdownV2")[0] == text
