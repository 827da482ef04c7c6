"""A task that outlives the call that started it, for hosts with start and stop hooks."""

import asyncio
from collections.abc import Awaitable, Callable

Work = Callable[[Callable[[], None]], Awaitable[None]]
"""A long-running coroutine function; it calls its argument once it is ready."""


class Background:
    """Runs one piece of work in a task of its own; start and stop may come from different tasks."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, and return once the work says that it is ready. Raises what the work raises before that."""
        if self._task is not None:
            raise RuntimeError("already started")
        ready = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(ready.set))
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            task, self._task = self._task, None
            await task

    async def _run(self, ready: Callable[[], None]) -> None:
        await self._work(ready)

    async def stop(self) -> None:
        """Cancel the work and wait until it has ended."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
