"""What happens by the clock: health, metrics, alerts, daily performance, the turn of the day, and tidying up."""

import logging
from collections.abc import Awaitable, Callable

import anyio
import msgspec

from tradekit.domain.alerts import MetricSample
from tradekit.domain.changes import Changes
from tradekit.domain.errors import TradekitError
from tradekit.domain.health import HealthReport
from tradekit.domain.inbox import LaneClass
from tradekit.domain.performance import DayPerformance
from tradekit.domain.sessions import SessionState
from tradekit.domain.usage import day_at
from tradekit.engine.custody import Rechecked
from tradekit.engine.health import HealthMonitor
from tradekit.engine.lanes import Envelope
from tradekit.engine.numbers import Numbers
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.sessions import Sessions
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage
from tradekit.services.alerting import review
from tradekit.services.decisions import Context, Decision
from tradekit.services.quotas import begin_day

log = logging.getLogger(__name__)

HEALTH_EVERY_S = 30.0
TROUBLE_EVERY_S = 1.0
PERFORMANCE_EVERY_S = 60.0
TIDY_EVERY_S = 3600.0
RECHECK_EVERY_S = 3600.0
"""Keys are due a day after they were confirmed; looking every hour spreads them over the day."""
METRICS_KEPT_MS = 30 * 86_400_000
INBOX_KEPT_MS = 86_400_000
PAGE_USERS = 500


class Housekeeping:
    """The clock-driven work of one service. Each round is bounded, and a failing one is tried again at its next turn."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        health: HealthMonitor,
        numbers: Numbers,
        sessions: Sessions,
        orchestrator: Orchestrator,
        metrics: Callable[[], dict[str, float]],
        recheck_keys: Callable[[], Awaitable[Rechecked]],
    ) -> None:
        self._storage, self._clock, self._health, self._numbers = storage, clock, health, numbers
        self._sessions, self._orchestrator, self._metrics = sessions, orchestrator, metrics
        self._recheck_keys = recheck_keys
        self._performance_since_ms = clock.now_ms() - 86_400_000
        self._writing_troubled = False
        self.active_alerts = 0
        self.critical_alerts = 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._every, HEALTH_EVERY_S, self.look)
            tasks.start_soon(self._every, TROUBLE_EVERY_S, self.look_at_writing)
            tasks.start_soon(self._every, PERFORMANCE_EVERY_S, self.perform)
            tasks.start_soon(self._every, TIDY_EVERY_S, self.tidy)
            tasks.start_soon(self._every, RECHECK_EVERY_S, self.recheck)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except TradekitError as error:
                log.error("housekeeping: %s: %s", getattr(work, "__name__", work), error)
            except Exception:  # supervisor: the other duties go on
                log.exception("housekeeping: %s failed", getattr(work, "__name__", work))
            await anyio.sleep(seconds)

    async def look(self) -> HealthReport:
        """One round of health checks; stores metrics, raises and resolves alerts."""
        report = await self._health.check()
        open_alerts = await self._storage.alerts(limit=1000, open_only=True)
        changed = review(report.checks, open_alerts, report.time_ms, self._numbers.alert_id)
        for alert in changed:
            if alert.resolved_ms is None:
                log.warning("alert raised: %s (%s): %s", alert.rule, alert.severity, alert.detail)
            else:
                log.warning("alert resolved: %s (%s)", alert.rule, alert.severity)
        samples = tuple(MetricSample(time_ms=report.time_ms, name=name, value=value) for name, value in self._metrics().items())
        await self._storage.commit(Changes(metrics=samples, alerts=changed))
        still = [alert for alert in await self._storage.alerts(limit=1000, open_only=True) if alert.resolved_ms is None]
        self.active_alerts = len(still)
        self.critical_alerts = sum(alert.severity == "critical" for alert in still)
        return report

    async def look_at_writing(self) -> None:
        """A full disk shows in the health at once, and that it has room again."""
        trouble = bool(self._storage.trouble)
        if trouble is not self._writing_troubled:
            self._writing_troubled = trouble
            await self.look()

    async def perform(self) -> None:
        """Bring ``user_performance`` up to date for everyone who traded lately, and turn the day of sessions in memory."""
        now_ms = self._clock.now_ms()
        traders = await self._storage.traders_since(self._performance_since_ms)
        for start in range(0, len(traders), PAGE_USERS):
            states = await self._storage.sessions(traders[start : start + PAGE_USERS])
            rows = [row for state in states.values() for row in await self._days(state, now_ms)]
            if rows:
                await self._storage.commit(Changes(performance=tuple(rows)))
        self._performance_since_ms = now_ms - 3 * int(PERFORMANCE_EVERY_S * 1000)
        self._turn_days(now_ms)

    async def _days(self, state: SessionState, now_ms: int) -> list[DayPerformance]:
        """The user's current day, and the one before it while fills of it may still be new."""
        zone = state.settings.time_zone
        today = day_at(now_ms, zone)
        rows: list[DayPerformance] = []
        for day in (day_at(today.starts_ms - 1, zone), today):
            rows += await self._storage.performance_between(state.user_id, day.day, day.starts_ms, day.ends_ms)
        return rows

    def _turn_days(self, now_ms: int) -> None:
        """Users in memory whose day has ended begin the new one, so that the day's loss counts from its start."""
        for state in self._sessions.loaded():
            if state.user is None or not state.usage or now_ms < state.usage[-1].ends_ms:
                continue
            try:
                self._orchestrator.post(
                    Envelope(
                        user_id=state.user_id,
                        lane_class=LaneClass.BULK,
                        handler=_new_day,
                        cause=f"day/{state.user_id}/{now_ms}",
                        posted_s=self._clock.monotonic(),
                    )
                )
            except TradekitError:
                log.info("user %s is busy; the day turns with their next message", state.user_id)

    async def recheck(self) -> None:
        """Ask venues again about keys they confirmed a day ago or never."""
        told = await self._recheck_keys()
        if told.refused or told.unanswered:
            log.warning("keys checked again: %s confirmed, %s turned down, %s without an answer", *msgspec.structs.astuple(told))
        elif told.verified:
            log.info("keys checked again: %s confirmed", told.verified)

    async def tidy(self) -> None:
        """Delete what retention no longer keeps, and messages nobody can be sent any more."""
        now_ms = self._clock.now_ms()
        gone = await self._storage.forget(metrics_before_ms=now_ms - METRICS_KEPT_MS, inbox_before_ms=now_ms - INBOX_KEPT_MS)
        after_id = 0
        while page := await self._storage.pending_outbox(after_id=after_id):
            after_id = page[-1].outbox_id
            expired = tuple(message.outbox_id for message in page if message.expires_ms <= now_ms)
            if expired:
                await self._storage.commit(Changes(outbox_done=expired))
        if gone:
            log.info("tidied: %s rows past their retention", gone)


def _new_day(state: SessionState, ctx: Context) -> Decision:
    return Decision(state=begin_day(state, ctx))
