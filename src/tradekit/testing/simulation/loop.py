"""An asyncio loop whose time is computed, not waited for, and whose order of ready callbacks follows a seed."""

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from unittest import mock

import anyio
from anyio._backends import _asyncio as anyio_backend

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everybody waits for somebody: nothing is ready and nothing is scheduled."""


class _Selector(selectors.BaseSelector):
    """Waiting is advancing the clock: there is no I/O to wait for."""

    def __init__(self) -> None:
        self.loop: SimulatedLoop | None = None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and nothing is scheduled")
        if timeout > 0:
            assert self.loop is not None
            self.loop.pass_time(timeout)
        return []


class _SeededReady(deque[asyncio.Handle]):
    """Any ready callback may come next."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(f"{seed}/ready").random

    def popleft(self) -> asyncio.Handle:
        waiting = len(self)
        if waiting > 1:
            self.rotate(-int(self._random() * waiting))
        return super().popleft()


class _OrderedSet(dict[T, None], Generic[T]):
    """A set that is walked in order of insertion. anyio keeps tasks and scopes in sets, so that cancellation would follow addresses."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        super().__init__((item, None) for item in items)

    def add(self, item: T) -> None:
        self[item] = None

    def discard(self, item: T) -> None:
        self.pop(item, None)

    def remove(self, item: T) -> None:
        del self[item]


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Virtual time from zero; when nothing is ready the clock jumps to the next timer."""

    def __init__(self, seed: int) -> None:
        selector = _Selector()
        self._now = 0.0
        super().__init__(selector)
        selector.loop = self
        self._ready = _SeededReady(seed)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Let time go by, up to the next timer at least: adding alone might fall short of it by a rounding."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # of the base class, untyped
        self._now = max(self._now + seconds, timers[0].when())

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override] # never returns
        raise RuntimeError("a thread would make the simulation depend on the machine")


@contextmanager
def _ordered_sets() -> Iterator[None]:
    with mock.patch.object(anyio_backend, "set", _OrderedSet, create=True):
        yield


def run_simulated(main: Callable[[], Awaitable[T]], seed: int) -> T:
    """Run a coroutine function on a loop of its own.

    :raises Deadlock: before ``main`` ended everybody waited.
    """
    with _ordered_sets():
        return anyio.run(main, backend="asyncio", backend_options={"loop_factory": lambda: SimulatedLoop(seed)})
