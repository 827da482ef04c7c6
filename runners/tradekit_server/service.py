"""What the server asks of the service it shows."""

from collections.abc import Mapping
from typing import Any, Protocol

from tradekit.domain.alerts import Alert, MetricSample
from tradekit.domain.health import HealthReport
from tradekit.domain.signals import Signal
from tradekit.ports.market import MarketView
from tradekit.ports.storage import Overview

Stats = Mapping[str, Any]
"""Groups of plain values: ``users``, ``trading``, ``messages``, ``outbox``, ``storage``, ``monitoring_stats``, ``market``."""


class Service(Protocol):
    """A running tradekit, as far as a page and its endpoints need it. ``tradekit.Tradekit`` is one."""

    @property
    def version(self) -> str:
        """Version of tradekit."""

    @property
    def started_ms(self) -> int:
        """When the service opened its data."""

    @property
    def market(self) -> MarketView:
        """The last known prices."""

    def now_ms(self) -> int:
        """The service's own clock."""

    def ready(self) -> bool:
        """Whether it takes work: False until everything is loaded, and again from the moment a drain begins."""

    def health(self) -> HealthReport:
        """The last round of checks, from memory."""

    def stats(self) -> Stats:
        """Counters since the start and present levels, from memory. A value that is not known yet is None or absent."""

    def metrics(self) -> Mapping[str, float]:
        """The newest sample of every recorded metric, from memory."""

    async def overview(self, since_ms: int) -> Overview:
        """Counts from the storage."""

    async def alerts(self, limit: int, open_only: bool) -> list[Alert]:
        """Alerts, newest first."""

    async def metric_history(self, name: str, since_ms: int) -> list[MetricSample]:
        """Samples of one metric, oldest first."""

    async def recent_signals(self, limit: int) -> list[Signal]:
        """Signals, newest first."""
