"""The service as the HTTP server wants to see it."""

from collections.abc import Mapping
from typing import Any

from tradekit import __version__
from tradekit.app import Tradekit
from tradekit.domain.alerts import Alert, MetricSample
from tradekit.domain.health import HealthReport
from tradekit.domain.signals import Signal
from tradekit.ports.market import MarketView
from tradekit.ports.storage import Overview


class ServiceView:
    """Implements :class:`tradekit_server.service.Service` over a running service."""

    version = __version__

    def __init__(self, tk: Tradekit) -> None:
        self._tk = tk

    @property
    def started_ms(self) -> int:
        return self._tk.started_ms

    @property
    def market(self) -> MarketView:
        return self._tk.market

    def now_ms(self) -> int:
        return self._tk.clock.now_ms()

    def ready(self) -> bool:
        return self._tk.ready

    def health(self) -> HealthReport:
        return self._tk.health()

    def stats(self) -> Mapping[str, Any]:
        return self._tk.stats()

    def metrics(self) -> Mapping[str, float]:
        return self._tk.metrics()

    async def overview(self, since_ms: int) -> Overview:
        return await self._tk.overview(since_ms)

    async def alerts(self, limit: int, open_only: bool) -> list[Alert]:
        return await self._tk.reader.alerts(limit=limit, open_only=open_only)

    async def metric_history(self, name: str, since_ms: int) -> list[MetricSample]:
        return await self._tk.reader.metrics(name, since_ms)

    async def recent_signals(self, limit: int) -> list[Signal]:
        return await self._tk.reader.signals(limit)
