"""``python -m tests.faults.campaign --kills N [--venue loopback] [--json]``: kill the real service again and again, and count what it cost.

A loopback Bot API server and ``tradekit up`` run as processes. People chat, trade and follow signals; the service is ended with
SIGKILL, half of the times at a random moment and half at a named step, and started again on the same data directory. In the end
everybody has heard an answer, and what they remember is joined with the database and the venue's book.

Prints one JSON object; exit 1 if anything was lost, duplicated or broken. Progress goes to stderr.
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import structlog

from tests.faults.evidence import BOOK, DATABASE, Left, Verdict, copy_of, everything, judge
from tests.faults.people import FIRST_CHAT, PROVIDER, Town
from tests.faults.plants import PLANTS
from tests.faults.processes import Nursery, Process, Service, bot_api
from tests.faults.venue import exchange
from tests.faults.venue import settings as at_venue
from tradekit.app import Tradekit
from tradekit.bootstrap import Parts, generate_key
from tradekit.config import Settings
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Identity, Role
from tradekit.testing.invariants import check_database
from tradekit.testing.steps import STEPS
from tradekit_cli.demo.books import Books, ask, compare, reading
from tradekit_cli.demo.loopback import VENUE, LoopbackVenue, chosen, go_live, venue_options

SETTLED_S = 20.0
"""A run that has not settled what it found by then is reported as stuck."""
STEP_S = 8.0
"""A step that is not reached within this after `ready` is given up for a kill at that moment."""
VISIBILITY_WINDOW_S = 1.0
SLOW_S = 0.5
"""Recoveries that take longer say what they waited for."""
POLL_S = 0.02
ASK_S = 0.1
CALLS_SEEN = 300
CHAT_BURST = 3
DIPS = 0.3
"""How often the venue's price falls for a moment while the service is down."""
LOWS = (("BTC/USDT", "59000"), ("ETH/USDT", "2850"))
FRESH = 0.05
"""How often the service is started from the command line; else it is born by a process that has its modules in memory."""
CHECKED_EVERY = 10
SHOWN = 20


@attrs.define
class Findings:
    """What the campaign saw besides what people remember."""

    kills: Counter[str] = attrs.field(factory=Counter)
    """By step, or ``random`` or ``starting``."""
    not_reached: Counter[str] = attrs.field(factory=Counter)
    starts_s: list[float] = attrs.field(factory=list)
    recovery_s: list[float] = attrs.field(factory=list)
    """From ready until all is settled, except replies to chats that Telegram takes no more messages for just now."""
    replies_s: list[float] = attrs.field(factory=list)
    """From ready until those are sent as well."""
    asked: int = 0
    """Starts that had to wait for the venue's visibility window."""
    violations: list[str] = attrs.field(factory=list)
    books: Books | None = None
    """What the venue's books say, if there is a venue."""


class Campaign:
    def __init__(
        self, home: Path, service: Service, nursery: Nursery, town: Town, venue: LoopbackVenue | None, options: argparse.Namespace
    ) -> None:
        self.home, self.service, self.nursery, self.town, self.venue = home, service, nursery, town, venue
        self.kills, self.step, self.linger_s, self.quiet_s = options.kills, options.step, options.linger_s, options.quiet_s
        self.chance = random.Random(f"{options.seed}:campaign")
        self.found = Findings()
        self._process: Process | None = None

    async def run(self) -> Verdict:
        """All kills, then the end.

        :raises Exception: something that is no finding: a process does not start, the server does not answer.
        """
        try:
            left: Left | None = None
            for plan in self._plans():
                left = await self._one(plan, left)
                self.town.kills += 1
            await self._end(left)
        finally:
            if self._process is not None:
                self._process.kill()
                await self._process.end()
            await self.town.cancel()
        return judge(self.town.memory, self.service.data, self.home / "bot_api.jsonl")

    def _plans(self) -> list[str]:
        """``random``, ``starting`` or a step, for each kill."""
        if self.step:
            return [self.step] * self.kills
        steps = list(STEPS)
        self.chance.shuffle(steps)
        named = [steps[number % len(steps)] for number in range(self.kills // 2)]
        plain = ["starting" if number % 5 == 4 else "random" for number in range(self.kills - len(named))]
        plans = named + plain
        self.chance.shuffle(plans)
        return plans

    async def _one(self, plan: str, left: Left | None) -> Left:
        """One life of the service, and what it leaves."""
        process = await self._start(plan if plan in STEPS else "")
        if plan == "starting":
            await _ends_within(process, self.chance.uniform(0.0, 1.3))
            how = plan
        else:
            how = await self._live(process, plan, left)
        process.kill()
        if self.venue is not None and self.chance.random() < DIPS:
            await self.venue.dip(*self.chance.choice(LOWS))
        code = await process.end()
        if code != -signal.SIGKILL:
            raise RuntimeError(f"the service ended with {code} instead of being killed, see {self.service.log}")
        self.found.kills[how] += 1
        return self._look(sum(self.found.kills.values()))

    async def _start(self, step: str) -> Process:
        often = not self.step and step.startswith(("message", "order", "report", "sent", "reply", "venue.submit"))
        nursery = None if self.chance.random() < FRESH else self.nursery
        self._process = await self.service.start(step, self.chance.randint(1, 4) if often else 1, nursery)
        return self._process

    async def _live(self, process: Process, plan: str, left: Left | None) -> str:
        """From the start to the kill; returns what to call it."""
        address = await process.ready()
        if address is None:
            return plan
        self.found.starts_s.append(time.monotonic() - process.started_s)
        if plan == "random":
            if self.chance.random() < 0.2:
                await asyncio.sleep(self.chance.uniform(0.0, 0.4))
                return plan
            await self._settled(process, left)
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
            return plan
        await self._settled(process, left)
        if plan.startswith("user"):
            self.town.newcomer()
        if await _ends_within(process, STEP_S):
            return plan
        self.found.not_reached[plan] += 1
        return "random"

    async def _settled(self, process: Process, left: Left | None) -> None:
        """Wait until everything a former run left is settled, and note how long it took from `ready`; a kill may come first."""
        if left is None:
            return
        began, ready_ms = time.monotonic(), time.time_ns() // 1_000_000
        at: float | None = None
        last: object = None
        with reading(self.service.data / DATABASE) as db:
            while waits := left.waits(db):
                took = time.monotonic() - began
                if not process.running:
                    return
                if took > SETTLED_S:
                    self.found.violations.append(f"after {SETTLED_S:g} s still unsettled: {waits}")
                    return
                if at is None:
                    last = waits, left.replies(db), left.orders(db)
                    if waits.keys() == {"replies"} and await self._held_back(left.chats(db), ready_ms):
                        at = took
                await asyncio.sleep(POLL_S)
            took = time.monotonic() - began
            beyond = VISIBILITY_WINDOW_S if left.never_arrived(db) else 0.0
        self.found.asked += bool(beyond)
        self.found.replies_s.append(took)
        self.found.recovery_s.append(max(0.0, (took if at is None else at) - beyond))
        if self.found.recovery_s[-1] > SLOW_S:
            _note(f"settled after {self.found.recovery_s[-1]:.2f} s; last came {last}")

    async def _held_back(self, chats: set[str], ready_ms: int) -> bool:
        """Whether none of these chats may be sent to now: Telegram takes three messages at once and then one per second."""
        await asyncio.sleep(ASK_S)
        calls = await self.town.control("calls", method="sendMessage", last=CALLS_SEEN)
        refused = {str(call["parameters"]["chat_id"]) for call in calls if call["status"] == 429 and call["time_ms"] >= ready_ms}
        recent_ms = time.time_ns() // 1_000_000 - CHAT_BURST * 1000
        taken = Counter(str(call["parameters"]["chat_id"]) for call in calls if call["status"] == 200 and call["time_ms"] >= recent_ms)
        return all(chat in refused or taken[chat] >= CHAT_BURST for chat in chats)

    def _look(self, number: int) -> Left:
        """Look at the files as the kill left them."""
        copied = copy_of(self.service.data, self.home / "copy")
        if number % CHECKED_EVERY == 0 or number == self.kills:
            self._check(copied, settled=False)
        left = Left.by(copied / DATABASE)
        said = self.town.memory.said
        open_now = len(self.town.memory.unanswered())
        _note(f"kill {number}/{self.kills}: {len(said)} updates, {open_now} open, {len(left.unsettled or ())} orders unsettled")
        return left

    def _check(self, data: Path, *, settled: bool) -> None:
        for violation in check_database(data / DATABASE, data / BOOK, settled=settled):
            self.found.violations.append(f"{violation.invariant}: {violation.detail}")

    async def _end(self, left: Left | None) -> None:
        """A last life without a kill: everybody is answered, everything settles, the service drains."""
        process = await self._start("")
        assert await process.ready(), f"the service did not start: {self.service.log}"
        await self._settled(process, left)
        await asyncio.sleep(self.linger_s)
        if not await self.town.finished(self.quiet_s):
            _note("some people were never answered")
        until = time.monotonic() + self.quiet_s
        while (waits := everything(self.service.data / DATABASE)) and time.monotonic() < until:  # noqa: ASYNC110 - another process's files
            await asyncio.sleep(0.2)
        if waits:
            self.found.violations.append(f"never quiet: {waits}")
        code = await process.stop()
        if code:
            self.found.violations.append(f"SIGTERM ended the service with {code}, see {self.service.log}")
        self._check(self.service.data, settled=True)
        if self.venue is not None:
            database = self.service.data / DATABASE
            books = self.found.books = compare(await ask(self.venue, database), database)
            self.found.violations += books.violations


async def _ends_within(process: Process, timeout_s: float) -> bool:
    try:
        await process.end(timeout_s)
    except TimeoutError:
        return False
    return True


async def prepare(settings: Settings, chats: int, venue: LoopbackVenue | None) -> None:
    """The first accounts: a provider, and people of every plan, who trade at the venue if there is one; the others register by /start."""
    parts = Parts(venue_options=venue_options(venue.url), rehearsal=True) if venue is not None else None
    async with Tradekit.open(settings, parts=parts) as tk:
        provider = Identity("telegram", str(PROVIDER))
        await tk.users.register(provider, "Provider")
        await tk.users.set_role(provider, Role.PROVIDER)
        for number in range(chats // 2):
            who = Identity("telegram", str(FIRST_CHAT + number))
            await tk.users.register(who, f"Person {number}")
            await tk.users.set_tier(who, TierName.PREMIUM if number % 4 == 3 else TierName.ENTERPRISE)
            if venue is not None:
                await go_live(tk, venue, who)


async def campaign(home: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run it and return the report. SIGTERM ends it and its processes."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=0)
    async with AsyncExitStack() as stack:
        api_url = await stack.enter_async_context(bot_api(home))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)))
        service, venue = Service(home, api_url, options.plant), None
        settings = Settings(data=home / "data", feed="simulated")
        if options.venue == "loopback":
            venue = await stack.enter_async_context(exchange(home, session, options.seed))
            key = generate_key()
            settings = attrs.evolve(settings, mock_trading=False, venues=VENUE, key=key)
            service = Service(home, api_url, options.plant, venue.url, **at_venue(key))
        nursery = await stack.enter_async_context(Nursery.open(home))
        await prepare(settings, options.chats, venue)
        if venue is not None:
            await venue.begin(chosen(options.faults))
        town = Town(api_url, session, seed=options.seed, chats=options.chats)
        work = Campaign(home, service, nursery, town, venue, options)
        town.begin(options.kills)
        verdict = await work.run()
        stats = await venue.control("stats") if venue is not None else None
    return report(work, verdict, options, time.monotonic() - began) | (at_the_venue(work, stats) if stats else {})


def report(work: Campaign, verdict: Verdict, options: argparse.Namespace, duration_s: float) -> dict[str, object]:
    """The one JSON object."""
    found, memory = work.found, work.town.memory
    if found.books is not None:
        verdict.lost += found.books.lost
        verdict.duplicated += found.books.duplicated
    return {
        "kills": sum(found.kills.values()),
        "lost": len(verdict.lost),
        "duplicated": len(verdict.duplicated),
        "recovery_s": percentiles(found.recovery_s),
        "violations": found.violations[:SHOWN],
        "lost_examples": verdict.lost[:SHOWN],
        "duplicated_examples": verdict.duplicated[:SHOWN],
        "updates": len(memory.said),
        "confirmed": len(memory.attempts),
        "outcomes": dict(Counter(attempt.outcome or "unanswered" for attempt in memory.attempts)),
        "orders": verdict.orders,
        "signals": verdict.signals,
        "deliveries": verdict.deliveries,
        "answers_sent_again": memory.resent,
        "kills_by_step": dict(sorted(found.kills.items())),
        "steps_not_reached": dict(sorted(found.not_reached.items())),
        "waited_for_visibility": found.asked,
        "replies_sent_s": percentiles(found.replies_s),
        "recoveries": len(found.recovery_s),
        "start_s": percentiles(found.starts_s),
        "duration_s": round(duration_s, 1),
        "seed": options.seed,
    }


def at_the_venue(work: Campaign, stats: dict[str, Any]) -> dict[str, object]:
    """Further lines of the report, of a campaign with a venue."""
    books = work.found.books
    assert books is not None
    return {
        "unknown_left": books.unknown_left,
        "venue_accounts": books.accounts,
        "venue_orders": books.venue_orders,
        "venue_trades": books.venue_trades,
        "venue_requests": stats["requests"],
        "faults_injected": dict(sorted(stats["injected"].items())),
    }


def percentiles(samples: list[float]) -> dict[str, float]:
    """By nearest rank."""
    ordered = sorted(samples)
    if not ordered:
        return {}
    return {name: round(ordered[-(-len(ordered) * percent // 100) - 1], 3) for name, percent in (("p50", 50), ("p99", 99))}


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of people and kills; default: a fresh one"
    )
    parser.add_argument("--venue", choices=["paper", "loopback"], default="paper", help="where most people's orders go")
    parser.add_argument("--faults", default="all", metavar="all|none|LIST", help="of the loopback venue")
    parser.add_argument("--chats", type=int, default=50)
    parser.add_argument("--step", choices=STEPS, default="", help="kill whenever this step is reached, and nowhere else")
    parser.add_argument("--linger-s", type=float, default=0.0, help="how long people go on in the last life, before they are let go")
    parser.add_argument("--quiet-s", type=float, default=90.0, help="how long people wait for their last answer")
    parser.add_argument("--plant", choices=PLANTS, default="", help="a bug to plant, to see that it is caught")
    parser.add_argument("--keep", action="store_true", help="keep the files even if nothing is wrong")
    parser.add_argument("--json", action="store_true", help="print the report on one line")
    options = parser.parse_args(arguments)
    # Standard output is for the report.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    home = Path(tempfile.mkdtemp(prefix="tradekit-faults-"))
    _note(f"seed {options.seed}, files in {home}")
    found = asyncio.run(campaign(home, options))
    wrong = bool(found["lost"] or found["duplicated"] or found["violations"] or found.get("unknown_left"))
    print(json.dumps(found, ensure_ascii=False, indent=None if options.json else 2), flush=True)
    if wrong:
        _note(f"something is wrong: databases, logs and the server's log are kept in {home}; --seed {options.seed} plans the same kills")
    elif not options.keep:
        shutil.rmtree(home)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
