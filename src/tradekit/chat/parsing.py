"""Typed lines and pressed buttons into words; words into symbols, quantities and choices."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from tradekit.chat.command import Command
from tradekit.domain.amounts import HUNDRED, ONE, parse_amount
from tradekit.domain.credentials import PASTED_KEY, looks_like_key
from tradekit.domain.errors import BadInput, NotFound, UserError
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Order
from tradekit.domain.suggestions import closest
from tradekit.ports.market import MarketView

LINE_MAX = 1_000
"""Characters of a message that are looked at; a command needs fewer than a hundred."""
SHOWN_MAX = 40
LISTED_MAX = 8

_SEPARATORS = re.compile(r"[-_/:.]")


class Line(msgspec.Struct, frozen=True):
    """What a message asks for: a command with arguments, or a button of a confirmation."""

    name: str = ""
    """Lower case, without slash; empty when the message is not a command."""
    args: tuple[str, ...] = ()
    nonce: str = ""
    """Of a pressed confirmation; ``name`` is then the command that was asked about, if the button says so."""
    agreed: bool = False
    shown: str = ""
    """The message, short and safe to repeat."""
    pasted: bool = False
    """The message held what looks like a venue's key; nothing else of it is kept."""


def parse_line(text: str) -> Line:
    """Read a typed line, or ``!data`` of a button: ``cmd:/portfolio``, ``ok:buy:NONCE``, ``no:NONCE``, ``sub:SOURCE``, ``unsub:SOURCE``."""
    if text == PASTED_KEY or looks_like_key(text):
        return Line(pasted=True)
    # Half a surrogate pair is a str that no storage takes.
    line = text[:LINE_MAX].encode("utf-8", "replace").decode().strip()
    if line.startswith("!"):
        return _button(line[1:].strip())
    return _typed(line)


def _button(data: str) -> Line:
    action, _, rest = data.partition(":")
    if action == "cmd":
        return _typed(rest)
    if action in {"ok", "no"} and rest:
        name, _, nonce = rest.rpartition(":")
        return Line(name, nonce=nonce, agreed=action == "ok", shown=shown(data))
    if action in {"sub", "unsub"} and rest:
        return Line("subscribe" if action == "sub" else "unsubscribe", tuple(rest.split()), shown=shown(data))
    return Line(shown=shown(data))


def _typed(line: str) -> Line:
    words = line.split()
    # Text pasted from a right-to-left page may begin with a direction mark.
    first = "".join(c for c in words[0] if unicodedata.category(c) != "Cf") if words else ""
    if not first.startswith("/"):
        return Line(shown=shown(line))
    name = first[1:].partition("@")[0].lower()
    return Line(name, tuple(words[1:]), shown=shown(line))


def shown(text: str) -> str:
    """What was typed, safe to repeat: printable, short, without direction marks."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[: SHOWN_MAX + 1])
    return clean if len(clean) <= SHOWN_MAX else clean[: SHOWN_MAX - 1] + "…"


def closest_line(line: Line, commands: Mapping[str, Command]) -> str:
    """What was probably meant, with the arguments as they were: ``/buy btc 1`` for ``buy btc 1`` and ``/byu btc 1``. Empty if unclear."""
    first, _, rest = line.shown.partition(" ")
    word = line.name or first.lower()
    name = word if word in commands else closest(word, commands)
    # Arguments of a sentence that is no command would not be arguments.
    if not name or line.shown.endswith("…") or not (line.name or word == name):
        return f"/{name}" if name else ""
    return f"/{name} {rest}".strip()


def parse_symbol(text: str, market: MarketView, name: str = "symbol") -> Symbol:
    """Find the instrument for ``BTC/USDT``, ``btc``, ``BTCUSDT`` or ``btc-usdt``.

    :raises BadInput: not traded here, or more than one fits.
    """
    wanted, symbols = _plain(text), market.symbols()
    exact = [symbol for symbol in symbols if _plain(symbol) == wanted]
    fitting = exact or [symbol for symbol in symbols if _plain(symbol.partition("/")[0]) == wanted]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BadInput(field=name, value=shown(text), problem="fits more than one instrument", hint="say one of " + listed(fitting))
    raise BadInput(field=name, value=shown(text), problem="is not traded here", hint=_symbol_hint(wanted, symbols))


def _symbol_hint(wanted: str, symbols: tuple[Symbol, ...]) -> str:
    # A pair is recognised by what is bought: of BNBUSDT the nearest by letters would be BTCUSDT, which nobody means.
    base = next((base for symbol in symbols if (base := wanted.removesuffix(_plain(symbol.partition("/")[2]))) not in {"", wanted}), "")
    names = {_plain(symbol.partition("/")[0]): symbol for symbol in symbols}
    if not base:
        names |= {_plain(symbol): symbol for symbol in symbols}
    guess = names.get(closest(base or wanted, names), "")
    traded = f"traded here: {listed(symbols)}" if symbols else "nothing is traded here yet"
    return f"did you mean {guess}? {traded}" if guess else traded


def _plain(symbol: str) -> str:
    return _SEPARATORS.sub("", symbol[:SHOWN_MAX]).upper()


def listed(names: Iterable[str]) -> str:
    """A list in words, cut after a few."""
    known = list(names)
    more = f" and {len(known) - LISTED_MAX} more" if len(known) > LISTED_MAX else ""
    return ", ".join(known[:LISTED_MAX]) + more


def parse_symbols(words: tuple[str, ...], market: MarketView) -> tuple[Symbol, ...]:
    """Several instruments, separated by blanks or commas; ``all`` or nothing means all (an empty tuple).

    :raises BadInput: one is not known.
    """
    parts = [part for word in words for part in word.split(",") if part]
    if not parts or [part.lower() for part in parts] == ["all"]:
        return ()
    return tuple(dict.fromkeys(parse_symbol(part, market, "symbols") for part in parts))


def parse_fraction(text: str) -> Decimal:
    """``50``, ``50%``, ``all`` or nothing into 0.5 or 1.

    :raises BadInput: not a percentage above 0 and up to 100.
    """
    if text.lower() in {"", "all"}:
        return ONE
    percent = parse_amount(text.removesuffix("%"), "percent")
    if percent > HUNDRED:
        raise BadInput(field="percent", value=shown(text), problem="is more than 100 percent", hint="use a number up to 100, or all")
    return percent / HUNDRED


def find_order(text: str, orders: tuple[Order, ...]) -> Order:
    """The open order whose id begins like this.

    :raises NotFound: none does.
    :raises BadInput: several do.
    """
    prefix = text.lower()
    fitting = [order for order in orders if order.client_order_id.startswith(prefix)]
    if not fitting:
        raise NotFound(kind="order", name=shown(text))
    if len(fitting) > 1:
        raise BadInput(field="order", value=shown(text), problem="fits more than one order", hint="type more of its id")
    return fitting[0]


def missing(field: str) -> UserError:
    """A required argument was left out."""
    return BadInput(field=field, value="", problem="is missing")
