"""Signals that a user wrote as a rule."""

import msgspec


class UserRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule of one user: its name among theirs, and its canonical text."""

    name: str
    text: str
    created_ms: int
