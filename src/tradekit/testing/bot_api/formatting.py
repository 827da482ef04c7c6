"""`parse_mode`: text with markup to plain text with entities, and Telegram's refusals."""

from __future__ import annotations

import html
import re

import msgspec

from tradekit.testing.bot_api.errors import bad_request
from tradekit.testing.bot_api.types import MessageEntity

_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
}
_TOKEN = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>|<|[^<]+")
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_MARKDOWN = {"*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler", "`": "code", "```": "pre"}
_MARKDOWN_TOKEN = re.compile(r"\\.|```|__|\|\||[*_~`\[\]()>#+\-=|{}.!]|[^\\*_~`\[\]()>#+\-=|{}.!]+|\\", re.DOTALL)
_LEGACY_TOKEN = re.compile(r"\\[_*`\[]|```|[*_`\[]|[^\\*_`\[]+|\\", re.DOTALL)
_LINK = re.compile(r"\(((?:\\.|[^)\\\n])*)\)")
_LANGUAGE = re.compile(r"([^\s`]*)\n")

Entities = tuple[MessageEntity, ...]


class _Open(msgspec.Struct):
    tag: str
    start: int
    attributes: dict[str, str]


class _Output:
    """Collects plain text and knows the place in UTF-16 code units."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.place = 0
        self.entities: list[MessageEntity] = []

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.place += len(text) + sum(1 for character in text if ord(character) > 0xFFFF)

    def close(self, kind: str, start: int, **extra: str | None) -> None:
        if self.place > start:
            self.entities.append(MessageEntity(type=kind, offset=start, length=self.place - start, **extra))

    def result(self) -> tuple[str, Entities | None]:
        ordered = sorted(self.entities, key=lambda entity: (entity.offset, -entity.length))
        return "".join(self.parts), tuple(ordered) or None


def parse_text(text: str, parse_mode: str) -> tuple[str, Entities | None]:
    """
    :raises ApiError: "can't parse entities: ...", or the mode is unknown.
    """
    mode = parse_mode.lower()
    if mode in ("", "none"):
        return text, None
    if mode == "html":
        return _parse_html(text) if "<" in text or "&" in text else (text, None)
    if mode == "markdownv2":
        return _parse_markdown_v2(text)
    if mode == "markdown":
        return _parse_markdown(text)
    raise bad_request("unsupported parse_mode")


def _fail(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")


def _byte_offset(text: str, index: int) -> int:
    return len(text[:index].encode())


def _parse_html(text: str) -> tuple[str, Entities | None]:
    output = _Output()
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        closing, tag, rest = token.group(1), token.group(2), token.group(3)
        if tag is None:
            if token.group() == "<":
                raise _fail(f'Unsupported start tag "" at byte offset {_byte_offset(text, token.start())}')
            output.write(html.unescape(token.group()))
        elif closing:
            _close_tag(output, stack, tag.lower(), _byte_offset(text, token.start()))
        else:
            _open_tag(output, stack, tag.lower(), rest, _byte_offset(text, token.start()))
    if stack:
        raise _fail(f'Can\'t find end tag corresponding to start tag "{stack[-1].tag}"')
    return output.result()


def _open_tag(output: _Output, stack: list[_Open], tag: str, rest: str, offset: int) -> None:
    if tag not in _TAGS:
        raise _fail(f'Unsupported start tag "{tag}" at byte offset {offset}')
    attributes = {name.lower(): html.unescape(a or b or c) for name, a, b, c in _ATTRIBUTE.findall(rest)}
    if tag == "span" and attributes.get("class") != "tg-spoiler":
        raise _fail(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
    stack.append(_Open(tag, output.place, attributes))


def _close_tag(output: _Output, stack: list[_Open], tag: str, offset: int) -> None:
    if not stack:
        raise _fail(f"Unexpected end tag at byte offset {offset}")
    opened = stack.pop()
    if opened.tag != tag:
        raise _fail(f'Unmatched end tag at byte offset {offset}, expected "</{opened.tag}>", found "</{tag}>"')
    kind = _TAGS[tag]
    if kind == "text_link" and not opened.attributes.get("href"):
        return
    if kind == "blockquote" and "expandable" in opened.attributes:
        kind = "expandable_blockquote"
    output.close(
        kind,
        opened.start,
        url=opened.attributes.get("href") if kind == "text_link" else None,
        custom_emoji_id=opened.attributes.get("emoji-id"),
    )


def _parse_markdown_v2(text: str) -> tuple[str, Entities | None]:
    output = _Output()
    stack: list[_Open] = []
    place = 0
    while place < len(text):
        token = _MARKDOWN_TOKEN.match(text, place)
        assert token is not None
        value = token.group()
        in_code = bool(stack) and stack[-1].tag in ("`", "```")
        place = token.end()
        if len(value) == 2 and value[0] == "\\" and 0 < ord(value[1]) < 127:
            output.write(value[1])
        elif in_code and value != stack[-1].tag:
            output.write(value)
        elif stack and stack[-1].tag == value and value in _MARKDOWN:
            opened = stack.pop()
            output.close(_MARKDOWN[value], opened.start, language=opened.attributes.get("language"))
        elif value == "]" and stack and stack[-1].tag == "[":
            place = _close_link(output, stack.pop().start, text, place)
        elif value in _MARKDOWN or value == "[":
            place = _open_markdown(output, stack, value, text, token.start())
        elif value == ">" and (token.start() == 0 or text[token.start() - 1] == "\n"):
            continue
        elif len(value) == 1 and value in "_*[]()~`>#+-=|{}.!":
            raise _fail(f"Character '{value}' is reserved and must be escaped with the preceding '\\'")
        else:
            output.write(value)
    _refuse_open(stack)
    return output.result()


def _parse_markdown(text: str) -> tuple[str, Entities | None]:
    output = _Output()
    stack: list[_Open] = []
    place = 0
    while place < len(text):
        if stack and stack[-1].tag == "[" and (end := text.find("]", place)) >= 0:
            output.write(text[place:end])
            place = _close_link(output, stack.pop().start, text, end + 1)
            continue
        token = _LEGACY_TOKEN.match(text, place)
        assert token is not None
        value = token.group()
        place = token.end()
        if stack and value == stack[-1].tag:
            kind = {"*": "bold", "_": "italic", "`": "code", "```": "pre"}[value]
            opened = stack.pop()
            output.close(kind, opened.start, language=opened.attributes.get("language"))
        elif not stack and value in ("*", "_", "`", "```", "["):
            place = _open_markdown(output, stack, value, text, token.start())
        else:
            output.write(value[1] if len(value) == 2 and value[0] == "\\" and not stack else value)
    _refuse_open(stack)
    return output.result()


def _open_markdown(output: _Output, stack: list[_Open], tag: str, text: str, start: int) -> int:
    """Open an entity and return the place after its mark and, for a block of code, the name of its language."""
    opened = _Open(tag, output.place, {"offset": str(_byte_offset(text, start))})
    stack.append(opened)
    place = start + len(tag)
    language = _LANGUAGE.match(text, place) if tag == "```" else None
    if language is None:
        return place
    if language.group(1):
        opened.attributes["language"] = language.group(1)
    return language.end()


def _close_link(output: _Output, start: int, text: str, place: int) -> int:
    link = _LINK.match(text, place)
    if link is None:
        return place
    output.close("text_link", start, url=link.group(1).replace("\\", ""))
    return link.end()


def _refuse_open(stack: list[_Open]) -> None:
    if stack:
        raise _fail(f"Can't find end of the entity starting at byte offset {stack[-1].attributes['offset']}")
