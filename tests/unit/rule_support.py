"""Random rules, bars to try them on, and the plainest account of what a rule says."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tradekit.domain.errors import RuleRefused
from tradekit.domain.indicators import INDICATORS, Indicator, complete
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.domain.rules_print import rule_text
from tradekit.domain.rules_tree import (
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
    fit,
)
from tradekit.strategies.indicators import Ema, Extreme, Rsi, Sma

numbers = st.decimals(min_value=-9999, max_value=9999, places=2).map(lambda value: value + 0)
ago = st.integers(0, 3)
OWN = [indicator for indicator in INDICATORS.values() if not indicator.library]


@st.composite
def readings(draw: st.DrawFn, among: Sequence[Indicator] = tuple(INDICATORS.values())) -> Reading:
    indicator = draw(st.sampled_from(among))
    given = []
    for parameter in indicator.parameters:
        value = draw(st.integers(int(parameter.least) or 1, min(int(parameter.most), 12)))
        given.append(Decimal(value))
    if indicator.name.startswith("macd"):
        given[0], given[1] = Decimal(2), given[1] + 2
    return Reading(indicator.name, complete(indicator, tuple(given)), draw(ago))


def values(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaf, lambda inner: st.builds(Calculation, inner, st.sampled_from("+-*/"), inner), max_leaves=3)


def conditions(value: st.SearchStrategy[Any], max_leaves: int = 5) -> st.SearchStrategy[Any]:
    base = st.builds(Comparison, value, st.sampled_from(["<", "<=", ">", ">="]), value) | st.builds(
        Crossing, value, st.sampled_from(["above", "below"]), value
    )

    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(AllOf, several) | st.builds(AnyOf, several) | st.builds(Negation, inner)

    return st.recursive(base, more, max_leaves=max_leaves)


prices = st.builds(Price, st.sampled_from(Field), ago)
any_value = values(st.builds(Number, numbers) | prices | readings())
own_value = values(st.builds(Number, st.integers(0, 30).map(Decimal)) | prices | readings(OWN))
symbols = st.lists(st.sampled_from(["BTC/USDT", "ETH/USDT", "1INCH/USDT"]), max_size=2, unique=True).map(tuple)


def rules(value: st.SearchStrategy[Any], max_leaves: int = 4) -> st.SearchStrategy[Rule]:
    condition = conditions(value, max_leaves)
    either = st.builds(Rule, buy=condition, sell=st.none() | condition, symbols=symbols) | st.builds(Rule, sell=condition)
    return either.filter(fits)


def fits(rule: Rule) -> bool:
    """Whether a rule is within its bounds."""
    try:
        return len(rule_text(fit(rule))) <= TEXT_MAX
    except RuleRefused:
        return False


def bars_of(closes: Sequence[float | int | str], symbol: str = "BTC/USDT", start: int = 0) -> list[Bar]:
    return [
        Bar(
            symbol=symbol,
            timeframe_ms=60_000,
            open_ms=index * 60_000,
            open=Decimal(str(close)),
            high=Decimal(str(close)) + 1,
            low=Decimal(str(close)) - Decimal("0.5"),
            close=Decimal(str(close)),
            volume=Decimal(1 + index % 7),
        )
        for index, close in enumerate(closes, start)
    ]


def spelled_out(rule: Rule, bars: Sequence[Bar]) -> list[tuple[int, Side]]:
    """What the rule says of these bars: every value of every bar first, then the bars on which a condition becomes true."""
    said: dict[int, Side] = {}
    for side, condition in ((Side.BUY, rule.buy), (Side.SELL, rule.sell)):
        if condition is None:
            continue
        known = [(index, bool(holds)) for index in range(len(bars)) if (holds := _value(condition, bars, index)) is not None]
        said.update({index: side for (_, before), (index, now) in pairwise(known) if now and not before})
    return sorted(said.items())


def _value(node: Node, bars: Sequence[Bar], index: int) -> Any:
    """The value of a node on a bar; None when it cannot be known."""
    if index < 0:
        return None
    match node:
        case Number():
            return float(node.value)
        case Price():
            return float(getattr(bars[index - node.ago], node.field)) if index >= node.ago else None
        case Reading():
            return _reading(node, bars, index - node.ago)
        case Calculation():
            left, right = _value(node.left, bars, index), _value(node.right, bars, index)
            if left is None or right is None or (node.operator == "/" and right == 0):
                return None
            return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[node.operator]
        case Comparison():
            left, right = _value(node.left, bars, index), _value(node.right, bars, index)
            if left is None or right is None:
                return None
            return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[node.operator]
        case Crossing():
            pairs = [(_value(node.left, bars, at), _value(node.right, bars, at)) for at in (index - 1, index)]
            if any(None in pair for pair in pairs):
                return None
            (left_before, right_before), (left, right) = pairs
            if node.direction == "above":
                return left_before <= right_before and left > right
            return left_before >= right_before and left < right
        case AllOf() | AnyOf():
            found = [_value(part, bars, index) for part in node.conditions]
            return None if None in found else (all if isinstance(node, AllOf) else any)(found)
        case Negation():
            held = _value(node.condition, bars, index)
            return None if held is None else not held


def _reading(node: Reading, bars: Sequence[Bar], index: int) -> float | None:
    if index < 0:
        return None
    period = int(node.arguments[0])
    kind: Any = {
        "ema": Ema,
        "sma": Sma,
        "rsi": Rsi,
        "highest": lambda period: Extreme(period, highest=True),
        "lowest": lambda period: Extreme(period, highest=False),
    }[node.name]
    fresh = kind(period)
    price = {"highest": "high", "lowest": "low"}.get(node.name, "close")
    value: float | None = None
    for bar in bars[: index + 1]:
        value = fresh.add(float(getattr(bar, price)))
    return value


def nested(depth: int) -> Condition:
    """A condition of so many levels."""
    node: Condition = Comparison(Price(Field.CLOSE), ">", Number(Decimal(1)))
    for _ in range(depth - 2):
        node = Negation(node)
    return node
