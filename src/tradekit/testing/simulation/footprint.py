"""What a service keeps in memory, counted."""

import gc
from collections import deque
from types import FunctionType, ModuleType
from typing import Any

from tradekit.engine.service import Service

_NOT_KEPT = (type, ModuleType, FunctionType)
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)


def footprint(service: Service) -> int:
    """Objects and entries of containers that the parts of the engine hold, however deep. The test kit and the storage are left out.

    Costs time: a sample now and then, not every step.
    """
    seen: set[int] = set()
    entries = 0
    waiting: list[Any] = [
        part
        for name, part in vars(service).items()
        if name not in {"storage", "exchange", "clock", "market", "host"} and not isinstance(part, _NOT_KEPT)
    ]
    while waiting:
        kept = waiting.pop()
        if id(kept) in seen or isinstance(kept, _NOT_KEPT) or not _is_engine(kept):
            continue
        seen.add(id(kept))
        if isinstance(kept, _CONTAINERS):
            # A number or a word in a dictionary is no object of its own.
            entries += len(kept)
        waiting += gc.get_referents(kept)
    return len(seen) + entries


def _is_engine(kept: Any) -> bool:
    """Containers, and objects of the engine, its services and its domain: neither the loop and its tasks nor the simulated world."""
    module = type(kept).__module__
    if module == "builtins":
        return isinstance(kept, _CONTAINERS)
    if module == "collections":
        return True
    return module.startswith(("tradekit.engine.", "tradekit.domain.", "tradekit.services.", "tradekit.ports."))
