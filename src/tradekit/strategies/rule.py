"""A rule at work: its conditions compiled once per stream, then asked on every bar."""

import math
import operator
from collections.abc import Callable
from decimal import Decimal

import attrs

from tradekit.domain.errors import RuleRefused
from tradekit.domain.indicators import INDICATORS
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.orders import Side
from tradekit.domain.rules import rule_source
from tradekit.domain.rules_print import rule_text
from tradekit.domain.rules_text import parse_rule
from tradekit.domain.rules_tree import (
    AllOf,
    AnyOf,
    Calculation,
    Comparison,
    Condition,
    Crossing,
    Negation,
    Number,
    Price,
    Reading,
    Rule,
    Value,
    fit,
    walk,
)
from tradekit.ports.indicators import IndicatorLibrary, IndicatorStream, Series
from tradekit.ports.strategy import Evaluator
from tradekit.strategies.streams import Alone, Stream

_Amount = Callable[[int], float]
"""Bars ago into a value."""
_Test = Callable[[], bool]

_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CALCULATE: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class _Unknown(Exception):
    """A value that is needed does not exist on this bar: too few bars, or a division by zero."""


@attrs.frozen(kw_only=True)
class RuleStrategy:
    """Says BUY on the bar on which the rule's ``buy`` comes true and SELL on the bar on which its ``sell`` does; SELL when both do.

    Coming true takes a bar before it on which the condition did not hold: what already holds on the first bar that can be judged says
    nothing, so that neither adding a rule nor a restart trades by itself.

    :raises RuleRefused: the rule is too large or malformed.
    """

    rule: Rule = attrs.field(converter=fit)
    indicators: IndicatorLibrary
    advanced: bool = False

    @property
    def name(self) -> str:
        """The same for everyone who wrote the same rule."""
        return rule_source(self.title)

    @property
    def title(self) -> str:
        """The rule's canonical text."""
        return rule_text(self.rule)

    def evaluator(self, symbol: Symbol) -> Evaluator:
        """A memory with indicators of its own."""
        if self.rule.symbols and symbol not in self.rule.symbols:
            return _Silent()
        return Alone(Stream(self.indicators, history=0), self.evaluator_on)

    def evaluator_on(self, stream: IndicatorStream) -> Evaluator:
        """A memory that reads indicators which others read as well."""
        return _RuleEvaluator(self.rule, stream)


def rule_strategy(text: str, indicators: IndicatorLibrary) -> RuleStrategy:
    """The strategy that a rule's text describes.

    :raises RuleRefused: the text is no rule, or an indicator in it needs a library that is not installed (``RULE_INDICATOR_MISSING``).
    """
    rule = parse_rule(text)
    refuse_missing(rule, indicators)
    return RuleStrategy(rule=rule, indicators=indicators)


def refuse_missing(rule: Rule, indicators: IndicatorLibrary) -> None:
    """:raises RuleRefused: ``RULE_INDICATOR_MISSING``: an indicator of the rule needs a library that is not installed."""
    needed = {node.name for node, _ in walk(rule) if isinstance(node, Reading) and INDICATORS[node.name].library}
    if needed and indicators.missing:
        raise RuleRefused(check="RULE_INDICATOR_MISSING", detail={"names": ", ".join(sorted(needed)), "fix": indicators.missing})


class _Silent:
    def on_bar(self, bar: Bar) -> None:
        return None


class _RuleEvaluator:
    __slots__ = ("_buy", "_sell")

    def __init__(self, rule: Rule, stream: IndicatorStream) -> None:
        self._buy = _Edge(rule.buy, stream)
        self._sell = _Edge(rule.sell, stream)

    def on_bar(self, bar: Bar) -> Side | None:
        # Both are asked on every bar: each remembers what it was on the one before.
        buy, sell = self._buy.came_true(), self._sell.came_true()
        if sell:
            return Side.SELL
        return Side.BUY if buy else None


class _Edge:
    """Tells the bar on which a condition comes true."""

    __slots__ = ("_held", "_test")

    def __init__(self, condition: Condition | None, stream: IndicatorStream) -> None:
        self._test = None if condition is None else _test(condition, stream)
        self._held: bool | None = None

    def came_true(self) -> bool:
        if self._test is None:
            return False
        try:
            holds = self._test()
        except _Unknown:
            return False
        before, self._held = self._held, holds
        return holds and before is False


def _test(condition: Condition, stream: IndicatorStream) -> _Test:
    """A condition as a function of the stream's newest bar."""
    match condition:
        case Comparison():
            compare, left, right = _COMPARE[condition.operator], _amount(condition.left, stream), _amount(condition.right, stream)
            return lambda: compare(left(0), right(0))
        case Crossing():
            return _crossing(condition, stream)
        case AllOf():
            return _joined(condition.conditions, stream, all)
        case AnyOf():
            return _joined(condition.conditions, stream, any)
        case Negation():
            inner = _test(condition.condition, stream)
            return lambda: not inner()


def _joined(conditions: tuple[Condition, ...], stream: IndicatorStream, join: Callable[[list[bool]], bool]) -> _Test:
    """Every condition is asked even if the first decides: one that is unknown makes the whole unknown, whatever its place."""
    tests = [_test(condition, stream) for condition in conditions]
    return lambda: join([test() for test in tests])


def _crossing(condition: Crossing, stream: IndicatorStream) -> _Test:
    left, right = _amount(condition.left, stream), _amount(condition.right, stream)
    if condition.direction == "above":
        return lambda: (left(1) <= right(1)) & (left(0) > right(0))
    return lambda: (left(1) >= right(1)) & (left(0) < right(0))


def _amount(value: Value, stream: IndicatorStream) -> _Amount:
    match value:
        case Number():
            return _constant(value.value)
        case Price():
            return _reader(stream.price(value.field.value), value.ago)
        case Reading():
            return _reader(stream.series(value.name, *value.arguments), value.ago)
        case Calculation():
            return _calculated(_CALCULATE[value.operator], _amount(value.left, stream), _amount(value.right, stream))


def _constant(value: Decimal) -> _Amount:
    number = float(value)
    return lambda ago: number


def _reader(values: Series, offset: int) -> _Amount:
    def read(ago: int) -> float:
        found = values.at(ago + offset)
        if found is None:
            raise _Unknown
        return found

    return read


def _calculated(calculate: Callable[[float, float], float], left: _Amount, right: _Amount) -> _Amount:
    def value(ago: int) -> float:
        try:
            found = calculate(left(ago), right(ago))
        except ArithmeticError:
            raise _Unknown from None
        if not math.isfinite(found):
            raise _Unknown
        return found

    return value
