import ast
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

import tradekit
from tests.unit.chat_support import Chat, unfilled
from tradekit.chat import formatting
from tradekit.chat.errors import reply_for
from tradekit.chat.registry import COMMANDS
from tradekit.chat.render import LOOKUPS
from tradekit.chat.texts import CATALOGS, has_text, text_for
from tradekit.domain import errors
from tradekit.domain.orders import OrderState
from tradekit.domain.replies import Reply
from tradekit.domain.risk import Check
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.users import UserStatus
from tradekit.services import credentials
from tradekit.services.users import PARSERS

SOURCES = [path for path in Path(tradekit.__file__).parent.rglob("*.py") if "testing" not in path.parts]
SAYING = {"Reply": "key", "say": "key", "press": "label", "Button": "label", "order_notice": "key", "ask": "key"}


def literals_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return literals_of(node.body) + literals_of(node.orelse)
    return []


def keys_in(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in SAYING:
                continue
            words = [word.value for word in node.keywords if word.arg == SAYING[name]]
            place = 2 if name == "ask" else 0
            words += node.args[place : place + 1]
            found.update(literal for word in words for literal in literals_of(word))
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "row_key":
                    found.update(literals_of(value))
    return found


def test_every_key_in_the_source_has_a_text() -> None:
    used = {key: path.name for path in SOURCES for key in keys_in(ast.parse(path.read_text()))}
    assert len(used) > 60
    assert {"order.submitted", "confirm.order", "error.internal", "signal.skipped", "position.line", "button.confirm"} <= set(used)
    assert {key: path for key, path in used.items() if not has_text(key)} == {}


@pytest.mark.parametrize("check", Check)
def test_every_check_is_explained_at_once_and_in_why(check: Check) -> None:
    assert has_text(f"denied.{check}")
    assert has_text(f"why.{check}")


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.INITIALIZED, OrderState.DENIED, OrderState.TRIGGERED}))
def test_every_state_a_user_hears_of_has_a_notice(state: OrderState) -> None:
    assert has_text(f"order.{state}")


@pytest.mark.parametrize("value", [*SessionStatus, *UserStatus, *OrderState])
def test_every_state_has_a_word(value: str) -> None:
    assert has_text(f"word.{value}")


def test_every_command_and_setting_is_described() -> None:
    assert {name for name in COMMANDS if not has_text(f"help.{name}")} == set()
    assert {name for name in PARSERS if not has_text(f"setting.{name}")} == set()


HEARD = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.UserError | errors.Temporary)]


@pytest.mark.parametrize("kind", HEARD)
def test_every_error_that_can_reach_a_user_has_words(kind: type[errors.TradekitError]) -> None:
    facts: dict[str, Any] = {field.name: "42" for field in attrs.fields(kind) if field.init}
    if kind is errors.OrderDenied:
        facts = {"check": "MAINTENANCE", "detail": {}}
    if kind is errors.KeyRefused:
        facts = {"check": "KEY_MISSING", "venue": "binance"}
    if kind is errors.RuleRefused:
        facts = {"check": "RULE_LIMIT", "detail": {"limit": "10", "used": "10"}}
    chat = Chat()
    assert unfilled(reply_for(kind(**facts), chat.state, chat.ctx())) == set()


KEY_CODES = re.findall(
    r"[`]{2}([A-Z_]+)[`]{2}", Path(errors.__file__).read_text().partition("class KeyRefused")[2].partition("\nclass ")[0]
)


@pytest.mark.parametrize("code", KEY_CODES)
def test_every_refusal_of_a_key_is_explained_at_once_and_in_the_list_of_accounts(code: str) -> None:
    assert has_text(f"error.{code.lower()}")
    assert has_text(f"key_reason.{code}")


@pytest.mark.parametrize(
    "code", sorted(set(re.findall(r'"((?:KEY|LINK|LIVE|ACCOUNT|NOT)_[A-Z_]+)"', Path(credentials.__file__).read_text())))
)
def test_every_refusal_of_a_key_is_a_documented_code(code: str) -> None:
    assert len(KEY_CODES) == 12
    assert code in KEY_CODES


@pytest.mark.parametrize("language", CATALOGS)
def test_templates_use_only_known_shapes_and_balanced_braces(language: str) -> None:
    known = formatting.SHAPES | LOOKUPS | {"time", "duration", "account"}
    for key, text in CATALOGS[language].items():
        assert has_text(key), f"{language}: {key} does not exist in English"
        fields = re.findall(r"\{(\w+)(?::([^{}]*))?\}", text)
        assert text.count("{") == text.count("}") == len(fields), key
        for _, shape in fields:
            assert not shape or shape in known or re.fullmatch(r"plural \S+ \S+", shape), key


def test_a_language_without_a_text_falls_back_to_english_and_an_unknown_key_shows_itself() -> None:
    assert text_for("orders.none", "de-AT") == text_for("orders.none", "en")
    assert text_for("no.such.key") == "no.such.key"


def test_the_check_of_arguments_sees_what_is_missing() -> None:
    assert unfilled(Reply(key="order.filled", args={"mode": "paper"})) >= {"order.filled needs side", "order.filled needs avg_px"}
    assert unfilled(Reply(key="no.such.key")) == {"no text no.such.key"}
