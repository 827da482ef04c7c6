"""One demo from the empty directory to the result."""

import http.client
import importlib.util
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import attrs

from tradekit.app import Tradekit
from tradekit.bootstrap import Parts, generate_key, open_database
from tradekit.config import Settings
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.health import Finding
from tradekit.testing.bot_api.load_plan import LoadReport
from tradekit_cli import logs
from tradekit_cli.demo import evidence as kept
from tradekit_cli.demo import hang
from tradekit_cli.demo.books import Books
from tradekit_cli.demo.chaos import Chaos, open_chaos
from tradekit_cli.demo.evidence import Evidence
from tradekit_cli.demo.join import compare
from tradekit_cli.demo.journal import Journal, WatchedMessenger, watched_storage
from tradekit_cli.demo.loopback import HANG, MARKETS, VENUE, chosen
from tradekit_cli.demo.plan import Demand, populate, write
from tradekit_cli.demo.process import TOKEN, Load, load_process
from tradekit_cli.demo.report import (
    DemoReport,
    Quantiles,
    deliveries_by_class,
    end_to_end,
    latencies,
    lines,
    measure_commits,
    measured,
)
from tradekit_cli.demo.watch import ErrorCounter, Progress, Usage
from tradekit_cli.hosting import loop_options
from tradekit_cli.output import result, result_json, table

PAPER, LOOPBACK = "paper", "loopback"
SOURCE = f"telegram:{TOKEN.partition(':')[0]}"
DRAINED_S = 25.0
LOAD_OVERDUE_S = 60.0
LOOK_EVERY_S = 0.1
FINDINGS_MAX = 20
FAILURES = ("messages.failed", "messages.busy", "outbox.failed", "outbox.refused", "outbox.unreachable", "signals.postponed")
"""Counters of the service that must stay zero."""


@attrs.define
class _Outcome:
    """What is only known while the service runs."""

    load: LoadReport
    before: Usage
    after: Usage
    health: str
    counts: dict[str, int]
    chaos: Chaos | None


def run(
    *,
    users: int,
    seconds: float,
    seed: int,
    feed: str | None,
    telegram_limit: int,
    keep: Path | None,
    as_json: bool,
    speed: float | None = None,
    venue: str = PAPER,
    faults: str = "none",
) -> int:
    """Run a demo and print its result; the exit code is 1 if anything was lost, done twice, never settled or failed.

    :param keep: where database, log and journal stay; it must not hold those of another run.
    :param venue: where people's orders go: ``paper``, or ``loopback`` for a venue's server on this machine.
    :param faults: of the loopback venue: ``none``, ``all`` or names with commas between.
    :raises ConfigurationError: the directory is in use, a part is not installed, the feed cannot be read, or it prices nothing that the
        venue trades.
    :raises BadInput: there is no such fault.
    """
    has_venue = _has_venue(venue, faults, feed)
    _need_extras({"ccxt": "ccxt"} if has_venue else {})
    demand = Demand(users=users, seconds=seconds, seed=seed, limit=telegram_limit, has_venue=has_venue)
    with _directory(keep) as directory:
        flags = {"data": directory, "feed": feed, "speed": speed, "max_concurrent_users": users, "telegram_messages_per_s": telegram_limit}
        if has_venue:
            flags |= {"mock_trading": False, "venues": VENUE, "key": generate_key()}
        settings = Settings.load(flags=flags, environ={}, cwd=directory)
        logs.configure(settings, least=logging.WARNING)
        errors = ErrorCounter()
        logging.getLogger().addHandler(errors)
        disk = measure_commits(directory)
        try:
            outcome = anyio.run(_serve, settings, demand, faults, backend="asyncio", backend_options=loop_options())
        finally:
            logging.getLogger().removeHandler(errors)
        report = judge(directory, demand, outcome, disk=disk, feed=settings.feed, logged=errors.count)
    result_json(report) if as_json else result(table(("what", "value"), lines(report)))
    return report.exit_code


def _has_venue(venue: str, faults: str, feed: str | None) -> bool:
    """Whether people trade at the loopback venue; the options must fit together."""
    chosen(faults)
    if venue == PAPER:
        if faults != "none":
            problem, fix = f"{faults!r} needs a venue where things can go wrong", "add --venue loopback"
            raise ConfigurationError(setting="--faults", origin="command line", problem=problem, fix=fix)
        return False
    if feed not in {None, "simulated"}:
        problem, fix = f"{feed!r} does not price what the loopback venue trades: {', '.join(MARKETS)}", "leave --feed out"
        raise ConfigurationError(setting="--feed", origin="command line", problem=problem, fix=fix)
    return True


def _need_extras(more: dict[str, str]) -> None:
    for module, extra in ({"telegram": "telegram", "starlette": "server", "httptools": "testing"} | more).items():
        if importlib.util.find_spec(module) is None:
            fix = f"pip install 'tradekit[{','.join(('telegram', 'server', 'fast', 'testing', *more.values()))}]'"
            raise ConfigurationError(setting=f"the extra {extra!r}", origin="installation", problem="is not installed", fix=fix)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tradekit-demo-") as name:
            yield Path(name)
        return
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (keep / kept.DATABASE).exists() or (keep / kept.LOG).exists():
        problem, fix = f"{str(keep)!r} holds the data of another run", "name an empty or new directory"
        raise ConfigurationError(setting="--keep", origin="command line", problem=problem, fix=fix)
    yield keep


async def _serve(settings: Settings, demand: Demand, faults: str) -> _Outcome:
    """The demo, and its venue around it: that must still be there when the service has stopped."""
    if not demand.has_venue:
        return await _serve_with(settings, demand, None)
    async with open_chaos(settings.data, demand, faults) as chaos:
        outcome = await _serve_with(settings, demand, chaos)
        await chaos.look(settings.data / kept.DATABASE)
        return outcome


async def _serve_with(settings: Settings, demand: Demand, chaos: Chaos | None) -> _Outcome:
    """The real service, server and client in this process, the load in another."""
    directory = settings.data
    async with AsyncExitStack() as stack:
        journal = Journal(directory / kept.JOURNAL)
        stack.callback(journal.close)
        storage = await stack.enter_async_context(open_database(settings))
        watched = watched_storage(storage, journal)
        parts = Parts(storage=watched) if chaos is None else chaos.parts(watched)
        tk = await stack.enter_async_context(Tradekit.open(settings, parts=parts))
        runners = await stack.enter_async_context(anyio.create_task_group())
        runners.start_soon(tk.serve)
        port = await _start_server(tk, runners)
        source = await populate(tk, demand)
        if chaos is not None:
            await chaos.connect(tk, demand)
        write(demand.load_plan(source, tk.market), directory / kept.PLAN)
        load = await stack.enter_async_context(
            load_process(
                plan=directory / kept.PLAN,
                log=directory / kept.LOG,
                report=directory / kept.REPORT,
                errors=directory / "load.err",
                limit=demand.limit,
                seed=demand.seed,
            )
        )
        before = Usage.now()
        await _start_telegram(tk, journal, load.url, demand.limit, runners)
        if chaos is not None:
            runners.start_soon(chaos.work, demand)
        report = await _until_over(tk, load, demand)
        after = Usage.now()
        health = await anyio.to_thread.run_sync(_health, port)
        runners.cancel_scope.cancel()
    return _Outcome(load=report, before=before, after=after, health=health, counts=dict(tk.service.telemetry.counts), chaos=chaos)


async def _start_server(tk: Tradekit, runners: anyio.abc.TaskGroup) -> int:
    from tradekit_cli.view import ServiceView
    from tradekit_server import create_app, serve

    listening = anyio.Event()
    ports: list[int] = []

    def on_ready(port: int) -> None:
        ports.append(port)
        listening.set()

    runners.start_soon(partial(serve, create_app(ServiceView(tk)), "127.0.0.1", 0, on_ready))
    await listening.wait()
    return ports[0]


async def _start_telegram(tk: Tradekit, journal: Journal, url: str, limit: int, runners: anyio.abc.TaskGroup) -> None:
    from tradekit.chat.registry import command_list
    from tradekit.chat.render import render
    from tradekit_telegram import TelegramRunner

    telegram = TelegramRunner(
        TOKEN, accept=tk.intake.accept, render=render, api_url=url, commands=command_list(), overall_per_s=limit, origin="demo"
    )

    async def health() -> Finding:
        return telegram.health()

    tk.outbox.attach(WatchedMessenger(telegram.messenger, journal))
    tk.health_monitor.add("bot", health)
    await runners.start(telegram.run)


async def _until_over(tk: Tradekit, load: Load, demand: Demand) -> LoadReport:
    """Wait for the load's report, then for everything that it has set going."""
    progress = Progress(demand.ramp_s + demand.seconds)
    counts = tk.service.telemetry.counts

    def show(*, last: bool = False) -> None:
        done, filled, sent = counts["messages.handled"], counts["fills"], counts["outbox.sent"]
        progress.show(f"{done} messages handled, {filled} fills, {sent} sent, {tk.outbox.waiting} waiting", last=last)

    with anyio.fail_after(demand.ramp_s + demand.seconds + LOAD_OVERDUE_S):
        while (report := load.report()) is None:
            show()
            await anyio.sleep(LOOK_EVERY_S)
    with anyio.move_on_after(DRAINED_S):
        while not _drained(tk):
            show()
            await anyio.sleep(LOOK_EVERY_S)
    show(last=True)
    return report


def _drained(tk: Tradekit) -> bool:
    service = tk.service
    return not (service.orchestrator.at_work or service.gateway.waiting or service.fanout.waiting or tk.outbox.waiting)


def _health(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return str(json.loads(connection.getresponse().read())["overall_status"])
    finally:
        connection.close()


def judge(directory: Path, demand: Demand, outcome: _Outcome, *, disk: Quantiles, feed: str, logged: int) -> DemoReport:
    """Join what was kept, and count."""
    evidence = Evidence.read(directory, SOURCE)
    findings, answers = compare(evidence)
    counts, load, database = outcome.counts, outcome.load, evidence.database
    books, chaos = Books(), outcome.chaos
    if chaos is not None:
        books = chaos.books
        findings.lost.extend(books.lost)
        findings.duplicated.extend(books.duplicated)
        findings.errors.extend(books.violations)
    failures = {name: counts[name] for name in FAILURES if counts.get(name)}
    findings.errors.extend(f"{count} times {name}" for name, count in failures.items())
    errors = len(findings.errors) - len(failures) + max(sum(failures.values()), logged) + load.refused
    if logged:
        findings.errors.append(f"{logged} errors in the log")
    rows = measured(load)
    latency, by_intent = latencies(rows)
    began_ms = min((row.sent_ms for row in load.rows), default=0) + demand.ramp_s * 1000
    received = sum(began_ms <= message.time_ms < began_ms + demand.seconds * 1000 for message in evidence.log.messages)
    updates = len(evidence.log.handed_out)
    return DemoReport(
        users=demand.users,
        duration_s=demand.seconds,
        updates=updates,
        replies=answers.seen,
        orders=database.count("orders"),
        fills=database.count("fills"),
        signals=int(database.rows("SELECT count(*) FROM signals WHERE source LIKE 'provider:%'")[0][0]),
        deliveries=database.count("deliveries"),
        errors=errors,
        error_rate=round(errors / max(1, updates), 6),
        latency_ms=latency,
        latency_ms_by_intent=by_intent,
        end_to_end_ms=end_to_end(evidence),
        delivery_ms_by_class=deliveries_by_class(evidence, 0 if chaos is None else chaos.began_ms),
        late=answers.late,
        coalesced=counts.get("outbox.coalesced", 0) + sum(evidence.log.unchanged.values()),
        expired=counts.get("outbox.expired", 0),
        pending=int(database.rows("SELECT count(*) FROM outbox WHERE transport = 'telegram'")[0][0]),
        lost=len(findings.lost),
        duplicated=len(findings.duplicated),
        limited=evidence.log.limited,
        rss_mib=outcome.after.rss_mib,
        cpu_s=round(outcome.after.cpu_s - outcome.before.cpu_s, 2),
        updates_per_s=round(len(rows) / demand.seconds, 1),
        messages_per_s=round(received / demand.seconds, 1),
        disk_commit_ms=disk,
        health=outcome.health,
        telegram_limit=demand.limit,
        feed=feed,
        seed=demand.seed,
        venue=PAPER if chaos is None else LOOPBACK,
        faults_injected={} if chaos is None else dict(chaos.injected),
        unknown_left=books.unknown_left,
        hang=_hang(chaos, load, evidence),
        findings=list(findings)[:FINDINGS_MAX],
    )


def _hang(chaos: Chaos | None, load: LoadReport, evidence: Evidence) -> hang.Hang | None:
    if chaos is None or chaos.hung_chat is None or chaos.hang_ms is None:
        return None
    from_ms, to_ms = chaos.hang_ms
    calls = chaos.injected.get(HANG, 0)
    return hang.measure(user=chaos.hung_chat, calls=calls, from_ms=from_ms, to_ms=to_ms, load=load, evidence=evidence)
