"""What a demo leaves behind, read for the comparison: the load process's log, the service's journal and its database."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tradekit.testing.bot_api.event_log import LogLine
from tradekit_cli.demo import journal
from tradekit_cli.demo.journal import Committed, Queued, Sent

LOG, JOURNAL, DATABASE, PLAN, REPORT = "load.jsonl", "journal.jsonl", "trading_service.db", "load_plan.json", "load_report.json"

Row = tuple[Any, ...]


@attrs.define
class LoadLog:
    """The side of the people: what the loopback Bot API server handed out and received."""

    handed_out: dict[int, LogLine] = attrs.field(factory=dict)
    """By update: the first time."""
    acknowledged: set[int] = attrs.field(factory=set)
    answers: dict[int, LogLine] = attrs.field(factory=dict)
    """By update: the message that answered it."""
    messages: list[LogLine] = attrs.field(factory=list)
    unchanged: Counter[str] = attrs.field(factory=Counter)
    """By chat: edits that would have changed nothing."""
    limited: int = 0

    @classmethod
    def read(cls, path: Path) -> "LoadLog":
        log = cls()
        decoder = msgspec.json.Decoder(LogLine)
        for text in path.read_bytes().splitlines():
            log._take(decoder.decode(text))
        return log

    def _take(self, line: LogLine) -> None:
        if line.event == "message":
            self.messages.append(line)
            if line.answers_update_id is not None:
                self.answers[line.answers_update_id] = line
        elif line.event == "handed_out" and line.update_id is not None:
            self.handed_out.setdefault(line.update_id, line)
        elif line.event == "acknowledged" and line.update_id is not None:
            self.acknowledged.add(line.update_id)
        elif line.event == "unchanged":
            self.unchanged[str(line.chat_id)] += 1
        elif line.event == "limited":
            self.limited += 1


@attrs.define
class ServiceJournal:
    """The service's own record."""

    queued: dict[int, tuple[int, Queued]] = attrs.field(factory=dict)
    """By outbox id: when it was durable, Unix milliseconds, and what."""
    replies: dict[int, tuple[Queued, ...]] = attrs.field(factory=dict)
    """By inbox id: what was said in the commit that finished it."""
    sent: dict[int, Sent] = attrs.field(factory=dict)
    """By outbox id: the send that got through."""
    outcomes: Counter[str] = attrs.field(factory=Counter)
    fill_ms: dict[tuple[str, str], int] = attrs.field(factory=dict)
    """By order and trade id: when the fill was durable."""

    @classmethod
    def read(cls, path: Path) -> "ServiceJournal":
        found = cls()
        for line in journal.read(path):
            if isinstance(line, Committed):
                found._take(line)
            else:
                found.outcomes[line.outcome] += 1
                if line.outcome == "sent":
                    found.sent[line.outbox_id] = line
        return found

    def _take(self, line: Committed) -> None:
        for inbox_id in line.inbox:
            self.replies[inbox_id] = line.outbox
        for queued in line.outbox:
            self.queued[queued.outbox_id] = (line.time_ms, queued)
        for fill in line.fills:
            self.fill_ms.setdefault(fill, line.time_ms)

    def newest_of_topic(self) -> dict[tuple[str, str], int]:
        """The last message of each address and topic."""
        return {(q.address, q.topic): outbox_id for outbox_id, (_, q) in self.queued.items() if q.topic}


class Database:
    """Questions to the database of a stopped service."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, sql: str) -> list[Row]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - a constant of ours

    def grouped(self, sql: str) -> dict[Any, list[Row]]:
        """Rows by their first column."""
        groups: dict[Any, list[Row]] = defaultdict(list)
        for row in self.rows(sql):
            groups[row[0]].append(row)
        return groups


@attrs.define
class Findings:
    """What does not fit together, in words; three kinds."""

    lost: list[str] = attrs.field(factory=list)
    duplicated: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)

    def __iter__(self) -> Iterator[str]:
        for kind, found in (("lost", self.lost), ("duplicated", self.duplicated), ("error", self.errors)):
            yield from (f"{kind}: {each}" for each in found)


@attrs.define
class Evidence:
    """All of it."""

    source: str
    """Who numbers the updates, as in the inbox."""
    log: LoadLog
    journal: ServiceJournal
    database: Database

    @classmethod
    def read(cls, directory: Path, source: str) -> "Evidence":
        """Read what a demo kept in a directory."""
        return cls(
            source=source,
            log=LoadLog.read(directory / LOG),
            journal=ServiceJournal.read(directory / JOURNAL),
            database=Database(directory / DATABASE),
        )
