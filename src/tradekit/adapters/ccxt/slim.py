"""One venue's class of ccxt without the hundred others: half a second instead of four at every start, and 50 MiB less.

`import ccxt` reads every venue three times over. The venues' modules themselves need little of that: here they are imported while
stand-ins for ccxt's three packages are in place, which are taken away again, so that whoever imports ccxt later gets all of it.
"""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_importing = threading.RLock()
"""While stand-ins are in place nobody else may look for ccxt: several users connect a key at once."""


class _StandIn(ModuleType):
    """A package that holds no more than what was asked of it; a venue's name gives its class, as in the real one."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name)
        self.__path__ = [str(path)]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, vars(value).get(name, value) if isinstance(value, ModuleType) else value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__ == "ccxt":
            home = "exchange" if name == "Exchange" else "errors"
            return getattr(importlib.import_module(f"ccxt.base.{home}"), name)
        try:
            module = importlib.import_module(f"{self.__name__}.{name}")
        except ImportError as error:
            raise AttributeError(name) from error
        return getattr(module, name, module)


def venue_names() -> list[str]:
    """What ccxt knows.

    :raises ImportError: it is not installed.
    """
    with _importing:
        folder = _home() / "async_support"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def load_venue(name: str) -> tuple[type[Any], bool, ModuleType]:
    """The class of a venue, whether ccxt has websockets for it, and ccxt's errors.

    :raises ImportError: ccxt is not installed or knows no such venue.
    """
    with _importing:
        websockets = (_home() / "pro" / f"{name}.py").exists()
        package = "ccxt.pro" if websockets else "ccxt.async_support"
        with _stand_ins():
            module = importlib.import_module(f"{package}.{name}")
            return getattr(module, name), websockets, importlib.import_module("ccxt.base.errors")


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Packages that somebody has imported whole stay."""
    home, placed = _home(), []
    for name in PACKAGES:
        if name not in sys.modules:
            package = sys.modules[name] = _StandIn(name, home.joinpath(*name.split(".")[1:]))
            placed.append(name)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, package)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


def _home() -> Path:
    spec = importlib.util.find_spec("ccxt")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'ccxt'", name="ccxt")
    return Path(next(iter(spec.submodule_search_locations)))
