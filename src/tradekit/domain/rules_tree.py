"""A rule as data: conditions on prices and indicators, and nothing that could run. Bounded in size and cost by :func:`fit`."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from tradekit.domain.amounts import text_of
from tradekit.domain.errors import RuleRefused
from tradekit.domain.indicators import INDICATORS, complete
from tradekit.domain.instruments import Symbol

NODES_MAX = 60
DEPTH_MAX = 10
COST_MAX = 2_000
"""Bars that all indicators of a rule look at together; those of a library count fourfold."""
TEXT_MAX = 500
AGO_MAX = 50
SYMBOLS_MAX = 20
NUMBER_MAX = Decimal(10) ** 12
DIGITS_MAX = 18
SYMBOL_CHARACTERS_MAX = 24


class Field(StrEnum):
    """A price of a bar, or what was traded in it."""

    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    CLOSE = "close"
    VOLUME = "volume"


class Number(msgspec.Struct, frozen=True, tag="number", tag_field="is"):
    """A number as written."""

    value: Decimal


class Price(msgspec.Struct, frozen=True, tag="price", tag_field="is"):
    """A price of the bar that just closed, or of one some bars ago."""

    field: Field
    ago: int = 0


class Reading(msgspec.Struct, frozen=True, tag="indicator", tag_field="is"):
    """The value of an indicator, now or some bars ago."""

    name: str
    arguments: tuple[Decimal, ...]
    ago: int = 0


class Calculation(msgspec.Struct, frozen=True, tag="calculation", tag_field="is"):
    """Two values added, subtracted, multiplied or divided."""

    left: "Value"
    operator: Literal["+", "-", "*", "/"]
    right: "Value"


Value = Number | Price | Reading | Calculation


class Comparison(msgspec.Struct, frozen=True, tag="comparison", tag_field="is"):
    """One value above or below another."""

    left: Value
    operator: Literal["<", "<=", ">", ">="]
    right: Value


class Crossing(msgspec.Struct, frozen=True, tag="crossing", tag_field="is"):
    """One value passes another on this bar: it is beyond it now and was not on the bar before."""

    left: Value
    direction: Literal["above", "below"]
    right: Value


class AllOf(msgspec.Struct, frozen=True, tag="and", tag_field="is"):
    """Two or more conditions that must all hold."""

    conditions: "tuple[Condition, ...]"


class AnyOf(msgspec.Struct, frozen=True, tag="or", tag_field="is"):
    """Two or more conditions of which one must hold."""

    conditions: "tuple[Condition, ...]"


class Negation(msgspec.Struct, frozen=True, tag="not", tag_field="is"):
    """A condition that must not hold."""

    condition: "Condition"


Condition = Comparison | Crossing | AllOf | AnyOf | Negation
Node = Value | Condition


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Says BUY on the bar on which ``buy`` comes true, SELL on the bar on which ``sell`` does; SELL when both do."""

    buy: Condition | None = None
    sell: Condition | None = None
    symbols: tuple[Symbol, ...] = ()
    """Instruments it speaks of; empty means every one it is followed for."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """One or two."""
        return tuple(condition for condition in (self.buy, self.sell) if condition is not None)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes right below one."""
    match node:
        case Number() | Price() | Reading():
            return ()
        case Calculation() | Comparison() | Crossing():
            return node.left, node.right
        case AllOf() | AnyOf():
            return node.conditions
        case Negation():
            return (node.condition,)


def walk(rule: Rule) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, the conditions at 1. Without recursion: a tree from outside may be of any depth."""
    waiting: list[tuple[Node, int]] = [(condition, 1) for condition in reversed(rule.conditions)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(part, depth + 1) for part in reversed(parts(node))]


class Size(msgspec.Struct, frozen=True):
    """What a rule takes."""

    nodes: int
    depth: int
    cost: int
    """Bars that its indicators look at, those of a library fourfold; one that is used twice counts once."""


def size_of(rule: Rule) -> Size:
    """Measure a rule whose indicators are known."""
    found = list(walk(rule))
    readings = {(node.name, node.arguments) for node, _ in found if isinstance(node, Reading)}
    cost = sum(INDICATORS[name].cost(arguments) for name, arguments in readings)
    return Size(nodes=len(found), depth=max((depth for _, depth in found), default=0), cost=cost)


def fit(rule: Rule) -> Rule:
    """The rule, if it is one that may run.

    :raises RuleRefused: ``RULE_TOO_LARGE``, ``RULE_INDICATOR`` or ``RULE_MALFORMED``.
    """
    if not rule.conditions:
        raise RuleRefused(check="RULE_MALFORMED", detail={"problem": "it needs buy, sell or both"})
    for nodes, (node, depth) in enumerate(walk(rule), 1):
        if nodes > NODES_MAX:
            raise too_large("parts", NODES_MAX)
        if depth > DEPTH_MAX:
            raise too_large("levels of parts within parts", DEPTH_MAX)
        _check(node)
    if len(rule.symbols) > SYMBOLS_MAX:
        raise too_large("instruments", SYMBOLS_MAX)
    for symbol in rule.symbols:
        if len(symbol) > SYMBOL_CHARACTERS_MAX:
            raise too_large("characters in the name of an instrument", SYMBOL_CHARACTERS_MAX)
    if size_of(rule).cost > COST_MAX:
        raise too_large("bars in all periods together", COST_MAX)
    return rule


def too_large(what: str, limit: int) -> RuleRefused:
    """The refusal of a rule above one of the bounds."""
    return RuleRefused(check="RULE_TOO_LARGE", detail={"what": what, "limit": str(limit)})


def _check(node: Node) -> None:
    if isinstance(node, Price | Reading) and not 0 <= node.ago <= AGO_MAX:
        raise too_large("bars ago", AGO_MAX)
    if isinstance(node, Number) and not good_number(node.value):
        raise RuleRefused(check="RULE_MALFORMED", detail={"problem": f"a number needs 1 to {DIGITS_MAX} digits and be below a trillion"})
    if isinstance(node, AllOf | AnyOf) and len(node.conditions) < 2:
        raise RuleRefused(check="RULE_MALFORMED", detail={"problem": "and and or join two conditions or more"})
    if isinstance(node, Reading):
        indicator = INDICATORS.get(node.name)
        if indicator is None:
            raise unknown_indicator(node.name)
        try:
            if complete(indicator, node.arguments) != node.arguments:
                raise ValueError(f"every number of {node.name} must be given")
        except ValueError as error:
            raise RuleRefused(check="RULE_INDICATOR", detail={"name": node.name, "problem": str(error)}) from None


def good_number(value: Decimal) -> bool:
    """Whether a number may stand in a rule: at most 18 digits, and less than a trillion from zero."""
    if not value.is_finite() or abs(value) >= NUMBER_MAX:
        return False
    return len(text_of(abs(value)).replace(".", "")) <= DIGITS_MAX


def unknown_indicator(name: str, hint: str = "") -> RuleRefused:
    """The refusal of an indicator that does not exist."""
    problem = f"there is no indicator {name[:40]}" + (f" (did you mean {hint}?)" if hint else f"; there are {', '.join(INDICATORS)}")
    return RuleRefused(check="RULE_INDICATOR", detail={"name": name[:40], "problem": problem})


def schema() -> dict[str, object]:
    """The JSON schema of a rule as data."""
    return msgspec.json.schema(Rule)
