"""A rule as its one canonical text, and in words."""

from tradekit.domain.amounts import text_of
from tradekit.domain.rules_tree import (
    AllOf,
    AnyOf,
    Calculation,
    Comparison,
    Condition,
    Crossing,
    Negation,
    Node,
    Number,
    Price,
    Reading,
    Rule,
)

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _ATOM = range(1, 8)
_SIGNS = {"<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least"}


def rule_text(rule: Rule) -> str:
    """The text of a rule: what parses to the same tree, and is the same for everyone who means the same."""
    clauses = []
    if rule.buy is not None:
        clauses.append(f"buy when {node_text(rule.buy)}")
    if rule.sell is not None:
        clauses.append(f"sell when {node_text(rule.sell)}")
    if rule.symbols:
        clauses.append(f"on {', '.join(rule.symbols)}")
    return "; ".join(clauses)


def node_text(node: Node, least: int = _OR) -> str:
    """One node, in parentheses if it binds less than ``least``."""
    text, binds = _written(node)
    return text if binds >= least else f"({text})"


def _written(node: Node) -> tuple[str, int]:
    match node:
        case Number():
            return text_of(node.value), _ATOM
        case Price():
            return node.field.value + _ago(node.ago), _ATOM
        case Reading():
            return f"{node.name}({', '.join(map(text_of, node.arguments))}){_ago(node.ago)}", _ATOM
        case Calculation():
            binds = _SUM if node.operator in "+-" else _PRODUCT
            return f"{node_text(node.left, binds)} {node.operator} {node_text(node.right, binds + 1)}", binds
        case Comparison():
            return f"{node_text(node.left, _SUM)} {node.operator} {node_text(node.right, _SUM)}", _COMPARISON
        case Crossing():
            return f"{node_text(node.left, _SUM)} crosses {node.direction} {node_text(node.right, _SUM)}", _COMPARISON
        case AllOf():
            return " and ".join(node_text(part, _NOT) for part in node.conditions), _AND
        case AnyOf():
            return " or ".join(node_text(part, _AND) for part in node.conditions), _OR
        case Negation():
            return f"not {node_text(node.condition, _NOT)}", _NOT


def _ago(bars: int) -> str:
    return f"[{bars}]" if bars else ""


def rule_words(rule: Rule) -> str:
    """The rule as an outline, one condition a line."""
    lines: list[str] = []
    for side, condition in (("BUY", rule.buy), ("SELL", rule.sell)):
        if condition is not None:
            lines += _outline(condition, f"{side} on the first bar on which ", 0)
    lines.append("On " + (", ".join(rule.symbols) or "every instrument you follow it for"))
    return "\n".join(lines)


def _outline(condition: Condition, before: str, level: int) -> list[str]:
    indent = "  " * level
    match condition:
        case AllOf() | AnyOf():
            head = "all of these hold:" if isinstance(condition, AllOf) else "one of these holds:"
            below = [line for part in condition.conditions for line in _outline(part, "", level + 1)]
            return [f"{indent}{before}{head}", *below]
        case Negation():
            return [f"{indent}{before}this does not hold:", *_outline(condition.condition, "", level + 1)]
        case Comparison():
            middle = _SIGNS[condition.operator]
        case Crossing():
            middle = "rises above" if condition.direction == "above" else "falls below"
    return [f"{indent}{before}{node_text(condition.left)} {middle} {node_text(condition.right)}"]
