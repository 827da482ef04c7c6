"""Signals that a user wrote as a rule."""

import re
from collections.abc import Iterable
from hashlib import blake2b

import msgspec


class UserRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule of one user: its name among theirs, and its canonical text."""

    name: str
    text: str
    created_ms: int


RULE_PREFIX = "rule:"
RULE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}", re.ASCII)


def rule_source(text: str) -> str:
    """The source under which the signals of a rule go out, the same for everyone who wrote it: ``rule:`` and 12 of [0-9a-f]."""
    return RULE_PREFIX + blake2b(text.encode(), digest_size=6).hexdigest()


def rule_of(rules: Iterable[UserRule], source: str) -> UserRule | None:
    """The rule among these whose signals go out under this source."""
    if not source.startswith(RULE_PREFIX):
        return None
    return next((rule for rule in rules if rule_source(rule.text) == source), None)


def source_label(rules: Iterable[UserRule], source: str) -> str:
    """What the owner of these rules calls a source: ``rule:NAME`` of their own, any other as it is."""
    rule = rule_of(rules, source)
    return source if rule is None else RULE_PREFIX + rule.name
