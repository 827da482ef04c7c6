"""What an application holds: one service, its users, orders, signals and conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tradekit.api.accounts import AccountsApi
from tradekit.api.chat import ChatApi
from tradekit.api.controls import ControlsApi
from tradekit.api.keys import KeysApi
from tradekit.api.rules import RulesApi
from tradekit.api.signals import SignalsApi, StrategiesApi
from tradekit.api.trading import TradingApi
from tradekit.api.users import UsersApi
from tradekit.bootstrap import Background, Parts, open_parts
from tradekit.config import Settings
from tradekit.domain.health import HealthReport
from tradekit.domain.users import Identity
from tradekit.engine.probes import flat_metrics, statistics
from tradekit.engine.service import Service
from tradekit.ports.storage import Overview, Reader


class Tradekit:
    """One running service. Made by :meth:`open`; :meth:`serve` does the all-day work until cancelled."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.users = UsersApi(service)
        self.trading = TradingApi(service)
        self.signals = SignalsApi(service)
        self.chat = ChatApi(service)
        self.keys = KeysApi(service)
        self.accounts = AccountsApi(service)
        self.controls = ControlsApi(service)
        self.strategies = StrategiesApi(service)
        self.rules = RulesApi(service)
        self.intake = service.intake
        self.outbox = service.outbox
        self.market = service.market
        self.clock = service.clock
        self.health_monitor = service.health

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings | None = None, *, parts: Parts | None = None) -> AsyncIterator[Tradekit]:
        """Open the data directory, start the writer and the lanes, and take up what a former run left.

        ``parts`` replaces adapters (storage, exchange, feed, clock ...), for tests and hosts with their own.

        :raises DataDirectoryInUse: another process owns the directory.
        :raises SchemaMismatch: a newer release wrote the database; it is left untouched.
        """
        settings = settings or Settings.load()
        failed: Exception | None = None
        async with open_parts(settings, parts) as service, anyio.create_task_group() as tasks:
            try:
                await service.open(tasks)
                yield cls(service, settings)
            except Exception as error:  # noqa: BLE001 - raised below as it is: the task group would wrap it
                failed = error
            finally:
                # Also when the host is cancelled, as Ctrl-C does it: what was accepted is finished.
                with anyio.CancelScope(shield=True):
                    await service.drain()
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def serve(self) -> None:
        """Follow the market and the clock: strategies, health, metrics, alerts, performance. Returns when cancelled."""
        await self.service.run_all_day()

    @staticmethod
    def hosted(settings: Settings | None = None, *, parts: Parts | None = None) -> Hosted:
        """For hosts with start and stop hooks that may run in different tasks."""
        return Hosted(settings, parts)

    @property
    def reader(self) -> Reader:
        """Questions to the storage."""
        return self.service.storage

    @property
    def ready(self) -> bool:
        """Whether new commands are accepted."""
        return self.service.ready

    @property
    def started_ms(self) -> int:
        """When this service started, Unix milliseconds."""
        return self.service.started_ms

    def health(self) -> HealthReport:
        """The last round of health checks; costs nothing."""
        return self.service.health.report

    @property
    def active_alerts(self) -> int:
        """Unresolved alerts."""
        return self.service.housekeeping.active_alerts

    @property
    def critical_alerts(self) -> int:
        """Unresolved critical alerts."""
        return self.service.housekeeping.critical_alerts

    def stats(self) -> dict[str, Any]:
        """Statistics by subject, plain values."""
        return statistics(self.service)

    def metrics(self) -> dict[str, float]:
        """The same as flat numbers."""
        return flat_metrics(self.service)

    async def overview(self, since_ms: int) -> Overview:
        """Counts of users, orders and positions."""
        return await self.service.storage.overview(since_ms)

    async def quiet(self, identity: Identity, timeout_s: float) -> bool:
        """Wait until nothing of this person waits: lane, orders under way, replies. False when the time is up first."""
        with anyio.move_on_after(timeout_s) as scope:
            while not self.service.quiet(identity):  # noqa: ASYNC110 - lanes, gateway and outbox settle one after the other
                await anyio.sleep(0.005)
        return not scope.cancelled_caught


class Hosted:
    """A service with :meth:`start` and :meth:`stop`; ``tk`` is the open Tradekit in between."""

    def __init__(self, settings: Settings | None, parts: Parts | None) -> None:
        self._settings, self._parts = settings, parts
        self._background = Background(self._live)
        self._tk: Tradekit | None = None

    @property
    def tk(self) -> Tradekit:
        """The open service.

        :raises RuntimeError: not started.
        """
        if self._tk is None:
            raise RuntimeError("not started")
        return self._tk

    async def _live(self, ready: Callable[[], None]) -> None:
        async with Tradekit.open(self._settings, parts=self._parts) as self._tk:
            ready()
            await self._tk.serve()

    async def start(self) -> Tradekit:
        """Open and serve in a task of its own; returns once commands are accepted."""
        await self._background.start()
        return self.tk

    async def stop(self) -> None:
        """Drain and close."""
        await self._background.stop()
        self._tk = None
