"""What the page remembers between two looks: recent prices, response times, users, and the open alerts."""

import logging
from collections.abc import Mapping
from typing import Any

import anyio

from tradekit.domain.alerts import Alert
from tradekit.domain.errors import TradekitError
from tradekit.domain.instruments import Quote, Symbol
from tradekit_server.service import Service

_log = logging.getLogger(__name__)

SYMBOLS_MAX = 50
ALERTS_MAX = 200
SAMPLE_EVERY_S = 1.0
REFRESH_EVERY_S = 2.0
ANSWER_WITHIN_S = 2.0
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

RESPONSE = "messages.response_ms_p95"
ACTIVE_USERS = "users.active"
CHARTED = (RESPONSE, ACTIVE_USERS)
"""Recorded metrics, ``group.name`` as in :meth:`Service.stats`; after a restart the charts go on from what was recorded."""


def number(stats: Mapping[str, Any], group: str, name: str) -> float | None:
    """A value of the statistics, or None while it is not known."""
    value = (stats.get(group) or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


class History:
    """At most ``points_max`` points over ``window_ms``; when full it gives up every second one and records half as often."""

    def __init__(self, *, window_ms: int, points_max: int = 600) -> None:
        self._window_ms = window_ms
        self._points_max = points_max
        self._spacing_ms = 0
        self._points: list[tuple[int, float]] = []

    @property
    def points(self) -> tuple[tuple[int, float], ...]:
        """(time in ms, value), oldest first."""
        return tuple(self._points)

    def add(self, time_ms: int, value: float) -> None:
        """Record a value; one that is not newer than the last is ignored."""
        points = self._points
        if points and time_ms <= points[-1][0]:
            return
        if len(points) > 1 and points[-1][0] - points[-2][0] < self._spacing_ms:
            points[-1] = (time_ms, value)
        else:
            points.append((time_ms, value))
        while points[0][0] < time_ms - self._window_ms:
            del points[0]
        if len(points) > self._points_max:
            self._spacing_ms = 2 * max(self._spacing_ms, (points[-1][0] - points[0][0]) // len(points))
            points[:] = points[:-1:2] + points[-1:]


class Recorder:
    """Samples the service while :meth:`run` runs; everything it holds is bounded."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._quotes: dict[Symbol, Quote] = {}
        self.prices: dict[Symbol, History] = {}
        self.series = {name: History(window_ms=HOUR_MS) for name in CHARTED}
        self.open_alerts: tuple[Alert, ...] = ()
        self.alerts_known = True
        """False when the storage did not say in time; ``open_alerts`` are then the last known."""

    async def start(self) -> None:
        """Take what was recorded before a restart, and the first sample."""
        since_ms = self._service.now_ms() - HOUR_MS
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                for name, history in self.series.items():
                    for sample in await self._service.metric_history(name, since_ms):
                        history.add(sample.time_ms, sample.value)
        except (TradekitError, TimeoutError) as error:
            _log.warning("the charts start empty, recorded metrics were not read: %r", error)
        self.sample_prices()
        await self.refresh()

    async def run(self) -> None:
        """Sample until cancelled."""
        refresh_at = anyio.current_time() + REFRESH_EVERY_S
        while True:
            await anyio.sleep(SAMPLE_EVERY_S)
            self.sample_prices()
            if anyio.current_time() >= refresh_at:
                await self.refresh()
                refresh_at = anyio.current_time() + REFRESH_EVERY_S

    def sample_prices(self) -> None:
        """Record each price that has changed; a feed that has ended leaves its chart as it is."""
        now_ms = self._service.now_ms()
        for symbol in self._service.market.symbols()[:SYMBOLS_MAX]:
            quote = self._service.market.quote(symbol)
            last = self._quotes.get(symbol)
            if quote is None or (last and (last.time_ms, last.price) == (quote.time_ms, quote.price)):
                continue
            self._quotes[symbol] = quote
            self.prices.setdefault(symbol, History(window_ms=DAY_MS)).add(now_ms, float(quote.price))

    async def refresh(self) -> None:
        """Record the charted statistics and read the open alerts."""
        now_ms, stats = self._service.now_ms(), self._service.stats()
        for name, history in self.series.items():
            value = number(stats, *name.split(".", 1))
            if value is not None:
                history.add(now_ms, value)
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                alerts = tuple(await self._service.alerts(ALERTS_MAX, True))
        except (TradekitError, TimeoutError) as error:
            if self.alerts_known:
                _log.warning("open alerts could not be read: %r", error)
            self.alerts_known = False
            return
        self.alerts_known = True
        if alerts != self.open_alerts:
            self.open_alerts = alerts
