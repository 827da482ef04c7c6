"""Signals that a user wrote as a rule."""

from hashlib import blake2b

import msgspec


class UserRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule of one user: its name among theirs, and its canonical text."""

    name: str
    text: str
    created_ms: int


RULE_PREFIX = "rule:"


def rule_source(text: str) -> str:
    """The source under which the signals of a rule go out, the same for everyone who wrote it: ``rule:`` and 12 of [0-9a-f]."""
    return RULE_PREFIX + blake2b(text.encode(), digest_size=6).hexdigest()
