"""Faults on demand: by method, by seeded probability or for the next N calls."""

from __future__ import annotations

import random
from collections import Counter
from typing import Literal

import msgspec

FaultKind = Literal["error", "drop_before", "drop_after", "delay", "malformed", "misshapen"]

WEBHOOK = "webhook"
"""As a method name: the updates that the server posts to the webhook."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, where and how often.

    `error` answers `status`; `drop_before` closes the connection without handling the call; `drop_after` handles it and closes the
    connection instead of answering; `delay` answers after `delay_s`; `malformed` cuts the JSON of an answer or of a webhook's body
    short; `misshapen` keeps the JSON and the update's id whole but gives the update's content the wrong types. The webhook knows
    `malformed` and `misshapen`; what else can go wrong there is the bot's doing.
    """

    kind: FaultKind
    methods: tuple[str, ...] = ()
    """Method names as in the path, or `webhook`; empty: every method except `getUpdates` and the webhook."""
    probability: float = 1.0
    count: int | None = None
    """How many calls it hits before it is spent; None: it stays."""
    status: int = 502
    delay_s: float = 0.0
    chat_id: int | None = None
    """Only calls for this chat."""


class FaultPlan:
    """The faults in force. Draws from its own seeded generator, so a seed replays the same faults for the same calls."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._faults: list[tuple[Fault, frozenset[str]]] = []
        self._left: dict[int, int] = {}
        self.injected: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        self._faults.append((fault, frozenset(name.lower() for name in fault.methods)))
        if fault.count is not None:
            self._left[len(self._faults) - 1] = fault.count

    def clear(self) -> None:
        self._faults.clear()
        self._left.clear()

    def draw(self, method: str, chat_id: int | None) -> Fault | None:
        """The fault that hits this call, if any. The first that applies wins.

        :param method: in lower case.
        """
        if not self._faults:
            return None
        for index, (fault, methods) in enumerate(self._faults):
            if self._applies(index, fault, methods, method, chat_id):
                if index in self._left:
                    self._left[index] -= 1
                self.injected[fault.kind] += 1
                return fault
        return None

    def _applies(self, index: int, fault: Fault, methods: frozenset[str], method: str, chat_id: int | None) -> bool:
        if methods and method not in methods:
            return False
        if not methods and method in ("getupdates", WEBHOOK):
            return False
        if fault.chat_id is not None and fault.chat_id != chat_id:
            return False
        if self._left.get(index, 1) <= 0:
            return False
        return fault.probability >= 1.0 or self._random.random() < fault.probability


def cut_short(body: bytes) -> bytes:
    """The body without its second half: no longer JSON."""
    return body[: max(1, len(body) // 2)]


def misshape(update: bytes) -> bytes:
    """The update with its id kept and every other field replaced by a value of the wrong type."""
    fields: dict[str, object] = msgspec.json.decode(update)
    wrong = {name: value if name == "update_id" else ["not", "an", "object"] for name, value in fields.items()}
    return msgspec.json.encode(wrong)
