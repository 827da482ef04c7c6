"""Faults on demand: by request, by seeded probability or for the next N."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Literal

import msgspec

FaultKind = Literal[
    "drop_before",
    "drop_after",
    "delay",
    "error",
    "rate_limit",
    "ban",
    "clock",
    "maintenance",
    "partial",
    "late_fill",
    "invisible",
    "no_trades",
    "duplicate",
    "reorder",
    "lose",
    "disconnect",
]

STREAM_KINDS = frozenset({"duplicate", "reorder", "lose", "disconnect"})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, where and how often.

    Requests: `drop_before` closes the connection without acting; `drop_after` acts and closes it instead of answering; `delay` acts and
    answers after `delay_s`; `error` answers `status`, `error_code`, `message` without acting (`act=True`: after acting); `rate_limit`
    answers 429 and `ban` 418, both for `delay_s`; `clock` answers -1021; `maintenance` answers 503.
    New orders: `partial` takes `fraction` of what would fill at once; `invisible` hides the order from queries for `delay_s`.
    Queries: `no_trades` answers myTrades as if nothing had been filled yet.
    Cancels: `late_fill` fills `fraction` of what was canceled, `delay_s` later.
    Events of a user's stream: `duplicate` sends it twice; `reorder` sends it after the next of its type (at the latest
    after `delay_s`, or a tenth of a second); `lose` never sends it; `disconnect` cuts the socket instead.
    """

    kind: FaultKind
    requests: tuple[str, ...] = ()
    """Such as ``POST /api/v3/order``; of streams the event's type. Empty: everything the kind can hit."""
    probability: float = 1.0
    count: int | None = None
    """How many it hits before it is spent; None: it stays."""
    account: str | None = None
    """Only this account's."""
    delay_s: float = 0.0
    status: int = 500
    error_code: int = -1000
    message: str = "An unknown error occurred while processing the request."
    act: bool = False
    fraction: Decimal = Decimal("0.5")
    name: str = ""
    """Under which it is counted; empty: its kind."""


_FIXED_REQUESTS: dict[str, frozenset[str]] = {
    "partial": frozenset({"POST /api/v3/order"}),
    "invisible": frozenset({"POST /api/v3/order"}),
    "late_fill": frozenset({"DELETE /api/v3/order"}),
    "no_trades": frozenset({"GET /api/v3/myTrades"}),
}


class FaultPlan:
    """The faults in force. Draws from its own seeded generator, so a seed replays the same faults for the same requests."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._faults: list[Fault] = []
        self._left: list[int | None] = []
        self.injected: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)
        self._left.append(fault.count)

    def clear(self) -> None:
        self._faults.clear()
        self._left.clear()

    def draw(self, request: str, account: str | None) -> Fault | None:
        """The fault that hits this request, if any. The first that applies wins."""
        return self._draw(request, account, stream=False)

    def draw_event(self, event: str, account: str) -> Fault | None:
        """The fault that hits this event of a user's stream, if any."""
        return self._draw(event, account, stream=True)

    def _draw(self, name: str, account: str | None, *, stream: bool) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if (fault.kind in STREAM_KINDS) is stream and self._applies(index, fault, name, account):
                left = self._left[index]
                if left is not None:
                    self._left[index] = left - 1
                self.injected[fault.name or fault.kind] += 1
                return fault
        return None

    def _applies(self, index: int, fault: Fault, name: str, account: str | None) -> bool:
        fixed = _FIXED_REQUESTS.get(fault.kind)
        if fixed is not None and name not in fixed:
            return False
        if fault.requests and name not in fault.requests:
            return False
        if fault.account is not None and fault.account != account:
            return False
        if self._left[index] == 0:
            return False
        return fault.probability >= 1.0 or self._random.random() < fault.probability
