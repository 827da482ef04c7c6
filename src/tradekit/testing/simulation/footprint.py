"""What a service keeps in memory, counted."""

import gc
from types import FunctionType, ModuleType
from typing import Any

from tradekit.engine.service import Service

_NOT_KEPT = (type, ModuleType, FunctionType)
_OURS = "tradekit.testing."


def footprint(service: Service) -> int:
    """Objects that the parts of the engine hold, however deep. What belongs to the test kit is left out, and with it the storage.

    Costs time: a sample now and then, not every step.
    """
    seen: set[int] = set()
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
        waiting += gc.get_referents(kept)
    return len(seen)


def _is_engine(kept: Any) -> bool:
    """Containers, and objects of the engine, its services and its domain: neither the loop and its tasks nor the simulated world."""
    module = type(kept).__module__
    if module == "builtins":
        return isinstance(kept, (dict, list, tuple, set, frozenset))
    if module == "collections":
        return True
    return module.startswith(("tradekit.engine.", "tradekit.domain.", "tradekit.services.", "tradekit.ports."))
