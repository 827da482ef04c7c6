"""What the status page shows, as values: from here on it is layout."""

from collections.abc import Sequence

import msgspec

from tradekit.domain.alerts import Alert
from tradekit.domain.health import Finding, HealthReport, HealthStatus
from tradekit.domain.signals import Signal
from tradekit_server import words
from tradekit_server.charts import Chart, chart
from tradekit_server.recorder import ACTIVE_USERS, RESPONSE, SYMBOLS_MAX, Recorder, number
from tradekit_server.service import Service, Stats

RESPONSE_TARGET_MS = 100.0
ERROR_RATE_TARGET = 0.001
CHECKS_OLD_MS = 120_000
"""Checks run every 30 s; three missed rounds are worth a word."""
LISTED_MAX = 8

Level = str
"""``healthy``, ``degraded``, ``unhealthy``, ``disabled`` or ``starting``."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what to do."""

    where: str
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to "is it well?"."""

    level: Level
    headline: str
    checked_ms: int
    problems: tuple[Problem, ...] = ()
    """Worst first."""


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One number that matters."""

    name: str
    title: str
    value: str
    note: str
    level: Level = "plain"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One check, or one measured value."""

    name: str
    title: str
    purpose: str
    level: Level
    status: str
    value: str
    detail: str
    share: float | None = None
    """0 to 100 of a percentage, for a bar."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument."""

    symbol: str
    base: str
    quote: str
    price: str
    change: str
    """Since the start of the chart."""
    direction: str
    """``up``, ``down`` or ``flat``."""
    final: bool
    chart: Chart | None


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Where the prices come from."""

    kind: str
    """``simulated``, ``replay``, ``replay-ended`` or ``live``."""
    label: str
    note: str
    prices: tuple[Price, ...]
    more: int
    """Instruments beyond those listed."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An alert or a signal."""

    level: Level
    title: str
    detail: str
    time_ms: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    now_ms: int
    version: str
    started_ms: int
    verdict: Verdict
    tiles: tuple[Tile, ...]
    checks: tuple[Row, ...]
    measures: tuple[Row, ...]
    market: Market
    response: Chart | None
    users: Chart | None
    alerts: tuple[Listed, ...]
    alerts_known: bool
    signals: tuple[Listed, ...] | None
    """None when they could not be read."""
    first_steps: bool
    """Nobody has joined yet."""
    telegram: bool


def build(service: Service, recorder: Recorder, signals: Sequence[Signal] | None) -> Page:
    """The page as of now."""
    report, stats, now_ms = service.health(), service.stats(), service.now_ms()
    bot = report.checks.get("bot") or report.checks.get("telegram")
    return Page(
        now_ms=now_ms,
        version=service.version,
        started_ms=service.started_ms,
        verdict=verdict(report, now_ms, ready=service.ready()),
        tiles=tiles(stats),
        checks=tuple(_check(name, finding) for name, finding in report.checks.items()),
        measures=tuple(_measure(name, finding) for name, finding in report.metrics.items()),
        market=market(service, recorder),
        response=chart(recorder.series[RESPONSE].points, from_zero=True, at_least=1.2 * RESPONSE_TARGET_MS, target=RESPONSE_TARGET_MS),
        users=chart(recorder.series[ACTIVE_USERS].points, from_zero=True, at_least=4),
        alerts=tuple(_alert(alert) for alert in recorder.open_alerts[:LISTED_MAX]),
        alerts_known=recorder.alerts_known,
        signals=None if signals is None else tuple(_signal(signal) for signal in signals),
        first_steps=number(stats, "users", "registered") == 0,
        telegram=bot is not None and bot.status is not HealthStatus.DISABLED,
    )


_HEADLINES = {
    HealthStatus.HEALTHY: "Everything works",
    HealthStatus.DISABLED: "Everything works",
    HealthStatus.DEGRADED: "Working, with a problem",
    HealthStatus.UNHEALTHY: "Not working",
}


def verdict(report: HealthReport, now_ms: int, *, ready: bool) -> Verdict:
    """One line for a stranger, and what is wrong."""
    findings = [(words.check_name(name)[0], finding) for name, finding in report.checks.items()]
    if "resources" not in report.checks:  # that check speaks for the measured values
        findings += [(words.measure_name(name, "")[0], finding) for name, finding in report.metrics.items()]
    troubled = [
        Problem(where=title, text=finding.detail or f"{words.STATUS[finding.status]}.")
        for status in (HealthStatus.UNHEALTHY, HealthStatus.DEGRADED)
        for title, finding in findings
        if finding.status is status
    ]
    level, headline = str(report.overall_status), _HEADLINES[report.overall_status]
    if report.overall_status is HealthStatus.DEGRADED and len(troubled) > 1:
        headline = f"Working, with {len(troubled)} problems"
    age_ms = now_ms - report.time_ms
    if not ready:
        headline, level = ("Starting or stopping", "starting") if level != HealthStatus.UNHEALTHY else (headline, level)
        text = "new commands are not taken at the moment. This takes seconds; if it stays so, look into the log."
        troubled.insert(0, Problem(where="Service", text=text))
    elif age_ms > CHECKS_OLD_MS:
        if level == HealthStatus.HEALTHY:
            headline, level = "Unknown: the checks have stopped", str(HealthStatus.DEGRADED)
        text = f"the last one is {words.ago(age_ms)} old, though one is due every 30 s. Restart the service if it stays so."
        troubled.insert(0, Problem(where="Checks", text=text))
    return Verdict(level=level, headline=headline, checked_ms=report.time_ms, problems=tuple(troubled))


def tiles(stats: Stats) -> tuple[Tile, ...]:
    """The numbers that matter, with their targets."""

    def shown(group: str, name: str) -> str:
        return words.count(number(stats, group, name))

    return (
        Tile(name="users", title="Users active", value=shown("users", "active"), note=f"of {shown('users', 'registered')} registered"),
        _response_tile(number(stats, "messages", "response_ms_p95")),
        Tile(
            name="orders",
            title="Orders",
            value=shown("trading", "orders"),
            note=f"{shown('trading', 'fills')} fills, {shown('trading', 'signals')} signals",
        ),
        _error_tile(number(stats, "messages", "handled") or 0, number(stats, "messages", "failed") or 0),
        Tile(
            name="outbox",
            title="Waiting to be sent",
            value=shown("outbox", "waiting"),
            note=f"{shown('outbox', 'sent')} sent, {shown('outbox', 'failed')} failed",
        ),
    )


def _response_tile(response_ms: float | None) -> Tile:
    if response_ms is None:
        level, note = "plain", "no message yet"
    elif response_ms < RESPONSE_TARGET_MS:
        level, note = "healthy", "95 % of replies are faster; target 100 ms"
    else:
        level, note = "degraded", "95 % of replies are faster; above the target of 100 ms"
    return Tile(name="response", title="Response time", value=words.amount(response_ms, "ms"), note=note, level=level)


def _error_tile(handled: float, failed: float) -> Tile:
    everything = handled + failed
    level = "plain" if not everything else "unhealthy" if failed >= ERROR_RATE_TARGET * everything else "healthy"
    note = f"{words.share(failed, everything)} of {words.count(everything)} messages; target below 0.1 %"
    return Tile(name="errors", title="Errors", value=words.count(failed), note=note, level=level)


def market(service: Service, recorder: Recorder) -> Market:
    """Prices with their charts, and what kind of prices they are."""
    view = service.market
    symbols = view.symbols()
    prices = tuple(_price(service, recorder, symbol) for symbol in symbols[:SYMBOLS_MAX])
    quotes = [quote for symbol in symbols if (quote := view.quote(symbol))]
    if view.source == "replay" and quotes and all(quote.final for quote in quotes):
        kind, label, note = "replay-ended", "REPLAY ENDED", "The recording is over; the last price stands."
    elif view.source == "replay":
        kind, label, note = "replay", "REPLAY", "Recorded prices, played back. This is not today's market."
    elif view.source == "simulated":
        kind, label, note = "simulated", "SIMULATED", "Made-up prices for trying things out. This is not a market."
    else:
        kind, label, note = "live", "LIVE", "Prices of a real market."
    return Market(kind=kind, label=label, note=note, prices=prices, more=max(0, len(symbols) - SYMBOLS_MAX))


def _price(service: Service, recorder: Recorder, symbol: str) -> Price:
    quote, instrument = service.market.quote(symbol), service.market.instrument(symbol)
    history = recorder.prices.get(symbol)
    points = history.points if history else ()
    base, _, quoted = symbol.partition("/")
    change = points[-1][1] / points[0][1] - 1 if len(points) > 1 and points[0][1] else 0.0
    rounded = round(100 * change, 2)
    return Price(
        symbol=symbol,
        base=base,
        quote=quoted,
        price=words.UNKNOWN if quote is None else words.price(quote.price, instrument.tick_size if instrument else None),
        change=f"{rounded:+.2f} %" if len(points) > 1 else words.UNKNOWN,
        direction="up" if rounded > 0 else "down" if rounded < 0 else "flat",
        final=quote is not None and quote.final,
        chart=chart(points),
    )


def _check(name: str, finding: Finding) -> Row:
    title, purpose = words.check_name(name)
    return Row(
        name=name,
        title=title,
        purpose=purpose,
        level=str(finding.status),
        status=words.STATUS[finding.status],
        value=_measured(finding),
        detail=finding.detail,
    )


def _measured(finding: Finding) -> str:
    if finding.status is HealthStatus.DISABLED:
        return ""
    if finding.value is not None:
        return words.amount(finding.value, finding.unit)
    return "" if finding.latency_ms is None else words.amount(finding.latency_ms, "ms")


def _measure(name: str, finding: Finding) -> Row:
    title, unit = words.measure_name(name, finding.unit)
    return Row(
        name=name,
        title=title,
        purpose="",
        level=str(finding.status),
        status="normal" if finding.status is HealthStatus.HEALTHY else words.STATUS[finding.status],
        value=words.amount(finding.value, unit),
        detail=finding.detail,
        share=None if finding.value is None or unit != "%" else min(100.0, max(0.0, finding.value)),
    )


_ALERT_LEVELS = {"critical": "unhealthy", "warning": "degraded", "info": "plain"}


def _alert(alert: Alert) -> Listed:
    title = f"{alert.severity.capitalize()}: {alert.rule}"
    return Listed(level=_ALERT_LEVELS[alert.severity], title=title, detail=alert.detail, time_ms=alert.raised_ms)


def _signal(signal: Signal) -> Listed:
    return Listed(
        level=str(signal.side),
        title=f"{str(signal.side).capitalize()} {signal.symbol} at {words.price(signal.price)}",
        detail=signal.source.removeprefix("provider:") + (f": {signal.note}" if signal.note else ""),
        time_ms=signal.created_ms,
    )
