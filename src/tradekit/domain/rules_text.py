"""Reading the text of a rule: ``buy when ema(12) crosses above ema(26) and rsi(14) < 70; sell when close < sma(50); on BTC/USDT``.

From the loosest to the tightest: ``or``, ``and``, ``not``, one comparison, ``+ -``, ``* /``. Words may be of any case.
"""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal, cast

import msgspec

from tradekit.domain.errors import RuleRefused
from tradekit.domain.indicators import INDICATORS, Indicator, complete, signature
from tradekit.domain.rules_print import rule_text
from tradekit.domain.rules_tree import (
    AGO_MAX,
    DIGITS_MAX,
    NODES_MAX,
    TEXT_MAX,
    AllOf,
    AnyOf,
    Calculation,
    Comparison,
    Condition,
    Crossing,
    Field,
    Negation,
    Node,
    Number,
    Price,
    Reading,
    Rule,
    Value,
    fit,
    good_number,
    too_large,
    unknown_indicator,
)
from tradekit.domain.suggestions import closest

NESTING_MAX = 20
"""Parentheses and ``not`` within each other: what a reader without a stack of its own bears. The tree's own bound is tighter."""
SHOWN_MAX = 24
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<sign><=|>=|[-+*/<>(),;\[\]]))", re.ASCII
)
_SYMBOL = re.compile(r"\s*([A-Za-z0-9]+/[A-Za-z0-9]+)(?![A-Za-z0-9/])", re.ASCII)
_COMPARISONS = ("<", "<=", ">", ">=")
_COMPARED = "<, <=, >, >=, crosses above or crosses below"
_VALUE = "a price such as close, an indicator such as ema(12), or a number"
_FIELDS = {field.value: field for field in Field}
_KEYWORDS = ("buy", "sell", "on", "when", "and", "or", "not", "crosses", "above", "below")


def parse_rule(text: str) -> Rule:
    """Read a rule.

    :raises RuleRefused: ``RULE_SYNTAX`` with the column (from 1), what stands there and what was expected; ``RULE_INDICATOR`` for an
        indicator that does not exist or does not take these numbers; ``RULE_TOO_LARGE``.
    """
    if len(text) > TEXT_MAX:
        raise too_large("characters", TEXT_MAX)
    rule = fit(_Parser(text).rule())
    if len(rule_text(rule)) > TEXT_MAX:
        raise too_large("characters, numbers left out included", TEXT_MAX)
    return rule


def canonical(text: str) -> str:
    """The one text of what this text says.

    :raises RuleRefused: as :func:`parse_rule`.
    """
    return rule_text(parse_rule(text))


class _Parser:
    """Recursive descent over tokens that are read one at a time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._nesting = 0
        self._advance()

    def _advance(self) -> None:
        """Read the token behind the current one."""
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            rest = self._text[self._end :]
            self._kind, self._token = ("end", "") if not rest.strip() else ("other", rest.split()[0])
            self._at = self._end + len(rest) - len(rest.lstrip()) if rest.strip() else len(self._text.rstrip())
            return
        self._kind = match.lastgroup or ""
        self._token = match[self._kind].lower()
        self._at, self._end = match.start(self._kind), match.end()

    def _take(self, *tokens: str) -> str:
        """The current token if it is one of these, and on to the next; else empty text."""
        if self._kind in {"word", "sign"} and self._token in tokens:
            taken = self._token
            self._advance()
            return taken
        return ""

    def _need(self, token: str, expected: str = "") -> None:
        if not self._take(token):
            raise self._wrong(expected or token)

    def _wrong(self, expected: str, at: int | None = None, known: Iterable[str] = ()) -> RuleRefused:
        at = self._at if at is None else at
        rest = self._text[at:].split(maxsplit=1)
        word = re.match(r"\w+", rest[0]) if rest else None
        found = word[0] if word else rest[0] if rest else "the end"
        guess = closest(found.lower(), list(known) or _KEYWORDS)
        detail = {"column": str(at + 1), "found": _short(found), "expected": expected, "before": _tail(self._text[:at]), "text": self._text}
        detail["hint"] = guess if guess != found.lower() else ""
        return RuleRefused(check="RULE_SYNTAX", detail=detail)

    def rule(self) -> Rule:
        rule = Rule()
        while True:
            at = self._at
            clause = self._take("buy", "sell") or ("on" if (self._kind, self._token) == ("word", "on") else "")
            if not clause:
                raise self._wrong("buy when, sell when, or on and an instrument")
            if clause == "on":
                rule = self._once(rule, "symbols", at, self._symbols)
            else:
                self._need("when")
                rule = self._once(rule, clause, at, lambda: self._condition(self._or()))
            if self._kind == "end":
                return rule
            self._need(
                ";", "; and the next part, and, or, or the end" if clause != "on" else "a comma and another instrument, ; or the end"
            )
            if self._kind == "end":
                return rule

    def _once(self, rule: Rule, part: str, at: int, read: Callable[[], object]) -> Rule:
        if getattr(rule, part):
            raise self._wrong("each of buy, sell and on once", at)
        return msgspec.structs.replace(rule, **{part: read()})

    def _symbols(self) -> tuple[str, ...]:
        """Instruments behind ``on``, whose slash is no division."""
        found: list[str] = []
        while True:
            match = _SYMBOL.match(self._text, self._end)
            if match is None:
                rest = self._text[self._end :]
                raise self._wrong("an instrument such as BTC/USDT", self._end + len(rest) - len(rest.lstrip()))
            self._end = match.end()
            found.append(match[1].upper())
            self._advance()
            if (self._kind, self._token) != ("sign", ","):
                return tuple(dict.fromkeys(found))

    def _condition(self, node: Node) -> Condition:
        if isinstance(node, Number | Price | Reading | Calculation):
            raise self._wrong(_COMPARED)
        return node

    def _value(self, node: Node, at: int) -> Value:
        if isinstance(node, Number | Price | Reading | Calculation):
            return node
        raise self._wrong(f"{_VALUE}, not a condition,", at)

    def _joined(self, word: str, read: Callable[[], Node], join: "Callable[[tuple[Condition, ...]], Condition]") -> Node:
        first = read()
        if (self._kind, self._token) != ("word", word):
            return first
        conditions = [self._condition(first)]
        while self._take(word):
            conditions.append(self._condition(read()))
            if len(conditions) > NODES_MAX:
                raise too_large("parts", NODES_MAX)
        return join(tuple(conditions))

    def _or(self) -> Node:
        return self._joined("or", self._and, AnyOf)

    def _and(self) -> Node:
        return self._joined("and", self._not, AllOf)

    def _not(self) -> Node:
        if not self._take("not"):
            return self._comparison()
        self._deeper()
        condition = self._condition(self._not())
        self._nesting -= 1
        return Negation(condition)

    def _comparison(self) -> Node:
        at = self._at
        left = self._sum()
        if sign := self._take(*_COMPARISONS):
            right_at = self._at
            operator = cast('Literal["<", "<=", ">", ">="]', sign)
            return Comparison(self._value(left, at), operator, self._value(self._sum(), right_at))
        if self._take("crosses"):
            direction = self._take("above", "below")
            if not direction:
                raise self._wrong("above or below")
            right_at = self._at
            way = cast('Literal["above", "below"]', direction)
            return Crossing(self._value(left, at), way, self._value(self._sum(), right_at))
        return left

    def _sum(self) -> Node:
        return self._calculation(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._calculation(("*", "/"), self._atom)

    def _calculation(self, signs: tuple[str, ...], read: Callable[[], Node]) -> Node:
        at = self._at
        node = read()
        while sign := self._take(*signs):
            right_at = self._at
            operator = cast('Literal["+", "-", "*", "/"]', sign)
            node = Calculation(self._value(node, at), operator, self._value(read(), right_at))
        return node

    def _atom(self) -> Node:
        if self._kind == "number":
            return Number(self._number())
        if self._take("-"):
            if self._kind != "number":
                raise self._wrong("a number")
            return Number(-self._number())
        if self._take("("):
            self._deeper()
            node = self._or()
            self._need(")", "and, or, a sign of comparison or calculation, or )")
            self._nesting -= 1
            return node
        if self._kind != "word" or self._token in _KEYWORDS:
            raise self._wrong(_VALUE)
        return self._named()

    def _deeper(self) -> None:
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise too_large("levels of parts within parts", NESTING_MAX)

    def _number(self) -> Decimal:
        value = Decimal(self._token)
        if not good_number(value) or len(self._token) > 2 * DIGITS_MAX:
            raise self._wrong(f"a number of at most {DIGITS_MAX} digits, below a trillion")
        self._advance()
        # A zero has no sign and a number no trailing zeros: they would make two texts of one meaning.
        return value.normalize() + 0

    def _named(self) -> Node:
        name, at = self._token, self._at
        if name in _FIELDS:
            self._advance()
            return Price(_FIELDS[name], self._ago())
        indicator = INDICATORS.get(name)
        if indicator is None:
            refusal = unknown_indicator(name, closest(name, [*INDICATORS, *_FIELDS]))
            refusal.detail["column"] = str(at + 1)
            raise refusal
        self._advance()
        arguments = self._arguments(indicator, at)
        return Reading(name, arguments, self._ago())

    def _arguments(self, indicator: Indicator, at: int) -> tuple[Decimal, ...]:
        given: list[Decimal] = []
        if self._take("(") and not self._take(")"):
            while True:
                if self._kind != "number":
                    raise self._wrong(f"a number: {signature(indicator)}")
                given.append(self._number())
                if self._take(")"):
                    break
                self._need(",", f"a comma or ): {signature(indicator)}")
        try:
            return complete(indicator, tuple(given))
        except ValueError as error:
            detail = {"name": indicator.name, "problem": str(error), "column": str(at + 1)}
            raise RuleRefused(check="RULE_INDICATOR", detail=detail) from None

    def _ago(self) -> int:
        if not self._take("["):
            return 0
        if self._kind != "number" or not self._token.isdigit() or len(self._token) > 3 or int(self._token) > AGO_MAX:
            raise self._wrong(f"a number of bars ago, 0 to {AGO_MAX}")
        bars = int(self._token)
        self._advance()
        self._need("]")
        return bars


def _short(text: str) -> str:
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[: SHOWN_MAX + 1])
    return clean if len(clean) <= SHOWN_MAX else clean[: SHOWN_MAX - 1] + "…"


def _tail(text: str) -> str:
    clean = "".join(character if character.isprintable() else " " for character in text[-SHOWN_MAX:])
    return clean if len(text) <= SHOWN_MAX else "…" + clean
