"""Replies into words and buttons for people.

A template holds ``{name}`` or ``{name:shape}``. Shapes: ``num`` (a quantity), ``money signed price exact`` (amounts in quote currency;
``exact`` is a price that somebody gave), ``percent``, ``time`` (Unix milliseconds, in the zone of the argument ``zone``), ``duration``
(seconds), ``plural one many``, ``word why venue mark setting`` (the text ``SHAPE.VALUE``, filled with the same arguments), ``text`` (the
value is itself a text key). A line that begins with ``[name]`` is shown only if that argument is not empty, one that begins with
``[!name]`` only if it is.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from tradekit.chat import formatting
from tradekit.chat.texts import has_text, text_for
from tradekit.domain.replies import Button, Reply

TEXT_MAX = 4096
"""Most UTF-16 code units of one message: Telegram's limit, and a sensible one anywhere."""
LABEL_MAX = 60
DATA_MAX = 40
ROW_KEY = "row_key"
"""Argument of a row that names its template instead of ``KEY.row``."""

_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
_CONDITION = re.compile(r"\[(!?)(\w+)\] ?")
_NESTING_MAX = 3
LOOKUPS = frozenset({"word", "lock", "why", "venue", "mark", "setting", "text", "key_reason"})
"""Shapes whose value names another text."""


class RenderedButton(msgspec.Struct, frozen=True):
    """What is shown on a button and what comes back when it is pressed."""

    label: str
    data: str


class Rendered(msgspec.Struct, frozen=True):
    """A message ready for a transport: plain text without markup."""

    text: str
    buttons: tuple[tuple[RenderedButton, ...], ...] = ()


def render(reply: Reply, language: str = "en") -> Rendered:
    """Words for a reply. Never raises: what cannot be filled shows as a dash, what is too long is cut and says so."""
    return Rendered(_body(reply, language), _buttons(reply, language))


def fill(template: str, args: Mapping[str, str], language: str, depth: int = 0) -> str:
    """The template with its arguments in their shapes."""
    lines = []
    for line in template.split("\n"):
        wanted, rest = _kept(line, args)
        if wanted:
            lines.append(_FIELD.sub(lambda match: _field(match, args, language, depth), rest))
    return "\n".join(lines)


def _conditions(line: str) -> Iterator[re.Match[str]]:
    position = 0
    while match := _CONDITION.match(line, position):
        yield match
        position = match.end()


def _kept(line: str, args: Mapping[str, str]) -> tuple[bool, str]:
    end = 0
    for match in _conditions(line):
        if bool(args.get(match[2])) == bool(match[1]):
            return False, ""
        end = match.end()
    return True, line[end:]


def _field(match: re.Match[str], args: Mapping[str, str], language: str, depth: int) -> str:
    name, shape = match[1], match[2]
    if name not in args:
        return "—"
    value = args[name]
    if not shape:
        return value
    if shape in formatting.SHAPES:
        return formatting.shaped(value, shape)
    if shape == "account":
        return _account(value, language)
    if shape in LOOKUPS:
        key = value if shape == "text" else f"{shape}.{value}"
        if depth >= _NESTING_MAX or not has_text(key):
            return value.replace("_", " ").lower()
        return fill(text_for(key, language), args, language, depth + 1)
    return _other(shape, value, args)


def _account(name: str, language: str) -> str:
    """``PAPER``, ``LIVE binance``."""
    venue, _, mode = name.partition(":")
    return f"{text_for(f'word.{mode}', language)} {venue}" if mode else text_for("word.paper", language)


def _other(shape: str, value: str, args: Mapping[str, str]) -> str:
    if shape.startswith("plural "):
        _, one, many = shape.split(" ")
        return one if value == "1" else many
    try:
        whole = int(value)
        return formatting.moment(whole, args.get("zone", "UTC")) if shape == "time" else formatting.duration(whole)
    except (ValueError, OverflowError, OSError):
        return value


def _body(reply: Reply, language: str) -> str:
    head = _cut(fill(text_for(reply.key, language), reply.args, language), TEXT_MAX)
    tail_key = f"{reply.key}.end" if reply.rows else f"{reply.key}.none"
    tail = "\n" + fill(text_for(tail_key, language), reply.args, language) if has_text(tail_key) else ""
    room = TEXT_MAX - units(head) - units(tail)
    if room < 0:
        return head
    return head + _rows(reply, language, room) + tail


def _rows(reply: Reply, language: str, room: int) -> str:
    lines = ["\n" + fill(text_for(row.get(ROW_KEY, f"{reply.key}.row"), language), {**reply.args, **row}, language) for row in reply.rows]
    if sum(map(units, lines)) <= room:
        return "".join(lines)
    kept: list[str] = []
    left = room - units(_more(len(lines), language))
    for line in lines:
        left -= units(line)
        if left < 0:
            break
        kept.append(line)
    more = _more(len(lines) - len(kept), language)
    return "".join(kept) + (more if units(more) <= room else "")


def _more(count: int, language: str) -> str:
    return "\n" + fill(text_for("rows.more", language), {"count": str(count)}, language)


def units(text: str) -> int:
    """Length as Telegram counts: UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def _cut(text: str, most: int) -> str:
    """Cut so that at most ``most`` units are left, an ellipsis included."""
    text = text.encode("utf-16-le", "replace").decode("utf-16-le", "replace")
    if units(text) <= most:
        return text
    return text.encode("utf-16-le")[: (most - 1) * 2].decode("utf-16-le", "ignore") + "…"


def _buttons(reply: Reply, language: str) -> tuple[tuple[RenderedButton, ...], ...]:
    rows = (tuple(_button(button, language) for button in row if len(button.data) <= DATA_MAX) for row in reply.buttons)
    return tuple(row for row in rows if row)


def _button(button: Button, language: str) -> RenderedButton:
    label = fill(text_for(button.label, language), button.args, language)
    return RenderedButton(_cut(label, LABEL_MAX), button.data)
