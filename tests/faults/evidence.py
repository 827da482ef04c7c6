"""What the files say: what waits after a kill, when it is settled, and whether what people remember is true."""

import re
import shutil
import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import attrs
import msgspec

from tests.faults.people import ACCOUNT, Memory
from tests.faults.processes import SOURCE
from tradekit.testing.bot_api import LogLine
from tradekit_cli.demo.books import reading

DATABASE = "trading_service.db"
BOOK = "paper_exchange.db"
DONE = 1
_FILLED = re.compile(rf"\A✅ {ACCOUNT} [^\0]*\border ([0-9a-f]{{8}})")
_line = msgspec.json.Decoder(LogLine)
_UNSETTLED = "('submitted', 'unknown', 'pending_cancel')"


def copy_of(data: Path, to: Path) -> Path:
    """Both databases as the kill left them. Opening the originals would already repair them."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for name in (DATABASE, BOOK):
        for part in (name, f"{name}-wal"):
            if (data / part).exists():
                shutil.copyfile(data / part, to / part)
    for name in (DATABASE, BOOK):
        if (to / name).exists():
            with closing(sqlite3.connect(to / name)) as db:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return to


@attrs.frozen
class Left:
    """What one run left to the next: the last number of everything, and what of it is not settled."""

    inbox_id: int
    outbox_id: int
    signal_id: int
    unsettled: tuple[str, ...] | None
    """Orders without the venue's word; None: all there are."""

    @classmethod
    def by(cls, database: Path) -> "Left":
        with reading(database) as db:
            last = [
                db.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0]
                for table, column in (("inbox", "inbox_id"), ("outbox", "outbox_id"), ("signals", "id"))
            ]
            unsettled = db.execute(f"SELECT client_order_id FROM orders WHERE is_open = 1 AND state IN {_UNSETTLED}").fetchall()
        return cls(*last, tuple(order_id for (order_id,) in unsettled))

    def waits(self, db: sqlite3.Connection) -> dict[str, int]:
        """How much of it is not settled yet."""
        counts = {
            "messages": ("SELECT count(*) FROM inbox WHERE state = 0 AND inbox_id <= ?", self.inbox_id),
            "replies": ("SELECT count(*) FROM outbox WHERE outbox_id <= ?", self.outbox_id),
            "signals": ("SELECT count(*) FROM signals WHERE done = 0 AND id <= ?", self.signal_id),
        }
        found = {what: db.execute(query, (most,)).fetchone()[0] for what, (query, most) in counts.items()}
        found["orders"] = len(self.orders(db))
        return {what: count for what, count in found.items() if count}

    def chats(self, db: sqlite3.Connection) -> set[str]:
        """Where replies wait to go."""
        return {address for (address,) in db.execute("SELECT DISTINCT address FROM outbox WHERE outbox_id <= ?", (self.outbox_id,))}

    def replies(self, db: sqlite3.Connection) -> list[tuple[str, str, int]]:
        """Chat, kind and age in ms of replies that wait."""
        query = "SELECT address, reply, created_ms FROM outbox WHERE outbox_id <= ? ORDER BY outbox_id LIMIT 5"
        now_ms = time.time_ns() // 1_000_000
        rows = db.execute(query, (self.outbox_id,))
        return [(address, msgspec.json.decode(reply)["key"], now_ms - created_ms) for address, reply, created_ms in rows]

    def orders(self, db: sqlite3.Connection) -> list[tuple[str, str]]:
        """Orders that wait for the venue's word, and their states."""
        found = db.execute(f"SELECT client_order_id, state FROM orders WHERE is_open = 1 AND state IN {_UNSETTLED}").fetchall()
        return [order for order in found if self.unsettled is None or order[0] in self.unsettled]

    def never_arrived(self, db: sqlite3.Connection) -> bool:
        """Whether one of its orders could be settled only by waiting for the venue's visibility window."""
        unsettled = self.unsettled or ()
        marks = ",".join("?" * len(unsettled))
        query = f"SELECT count(*) FROM orders WHERE reason = 'NOT_AT_VENUE' AND client_order_id IN ({marks})"
        return bool(db.execute(query, unsettled).fetchone()[0])


def everything(database: Path) -> dict[str, int]:
    """What waits now, whoever left it."""
    most = 2**62
    with reading(database) as db:
        return Left(most, most, most, None).waits(db)


@attrs.define
class Verdict:
    """What was found wrong: intents that came to nothing, intents that came to more than one effect."""

    lost: list[str] = attrs.field(factory=list)
    duplicated: list[str] = attrs.field(factory=list)
    orders: int = 0
    signals: int = 0
    deliveries: int = 0


def judge(memory: Memory, data: Path, bot_log: Path) -> Verdict:
    """Join what the people and the server remember with the database and the venue's book."""
    verdict = Verdict()
    with reading(data / DATABASE) as db, reading(data / BOOK) as book:
        chats = dict(db.execute("SELECT external_id, user_id FROM identities WHERE transport = 'telegram'"))
        lines = [_line.decode(line) for line in bot_log.read_bytes().splitlines()]
        _messages(memory, db, lines, verdict)
        _notices(lines, db, verdict)
        _orders(memory, db, chats, verdict)
        _signals(memory, db, chats, verdict)
        for key, count in book.execute("SELECT key, count(*) FROM orders GROUP BY key HAVING count(*) > 1"):
            verdict.duplicated.append(f"the venue got {count} orders under one id (key {key})")
        (users,) = db.execute("SELECT count(*) FROM users").fetchone()
        if users != len(chats):
            verdict.duplicated.append(f"{users} users for {len(chats)} chats")
        (verdict.orders,) = db.execute("SELECT count(*) FROM orders").fetchone()
        (verdict.deliveries,) = db.execute("SELECT count(*) FROM deliveries").fetchone()
    return verdict


def _messages(memory: Memory, db: sqlite3.Connection, lines: list[LogLine], verdict: Verdict) -> None:
    """Every update was answered; what was acknowledged to the server or sent is in the inbox, and done."""
    states = dict(db.execute("SELECT CAST(message_id AS INTEGER), state FROM inbox WHERE source = ?", (SOURCE,)))
    acknowledged = {line.update_id: line.text for line in lines if line.event == "acknowledged"}
    expected = acknowledged | {said.update_id: said.text for said in memory.said}
    for update_id, text in expected.items():
        if states.get(update_id or 0) != DONE:
            where = "was acknowledged and" if update_id in acknowledged else "was sent and"
            verdict.lost.append(f"update {update_id} ({text}) {where} is {'not stored' if update_id not in states else 'not done'}")
    for said in memory.unanswered():
        verdict.lost.append(f"update {said.update_id} of chat {said.chat_id} ({said.text}) was never answered")


def _notices(lines: list[LogLine], db: sqlite3.Connection, verdict: Verdict) -> None:
    """Every fill reached its chat."""
    told = {(str(line.chat_id), order) for line in lines if line.event == "message" for order in _FILLED.findall(line.text or "")}
    query = (
        "SELECT external_id, client_order_id FROM orders JOIN identities USING (user_id) WHERE transport = 'telegram' AND state = 'filled'"
    )
    for chat_id, order_id in db.execute(query):
        if (chat_id, order_id[:8]) not in told:
            verdict.lost.append(f"chat {chat_id} never heard that order {order_id} was filled")


def _orders(memory: Memory, db: sqlite3.Connection, chats: dict[str, int], verdict: Verdict) -> None:
    """Every confirmed order exists once; what was refused does not."""
    by_cause: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    by_size: Counter[tuple[int, str, str, Decimal]] = Counter()
    query = "SELECT user_id, cause, side, symbol, quantity, client_order_id FROM orders WHERE signal_id = ''"
    for user_id, cause, side, symbol, quantity, order_id in db.execute(query):
        by_cause[user_id, cause].append(order_id)
        by_size[user_id, side, symbol, Decimal(quantity)] += 1
    for attempt in memory.attempts:
        user_id = chats.get(str(attempt.chat_id), 0)
        made = by_cause.pop((user_id, f"{SOURCE}/{attempt.update_id}"), [])
        what = f"{attempt.side} {attempt.quantity} {attempt.symbol} of chat {attempt.chat_id} (update {attempt.update_id})"
        if attempt.outcome == "placed" and not made:
            verdict.lost.append(f"{what} was confirmed and does not exist")
        if len(made) > 1 or (attempt.side == "buy" and by_size[user_id, "buy", attempt.symbol, attempt.quantity] > 1):
            verdict.duplicated.append(f"{what} exists more than once")
        if attempt.outcome in {"gone", "denied"} and made:
            verdict.duplicated.append(f"{what} was answered as {attempt.outcome} and exists")
    for (user_id, cause), made in by_cause.items():
        verdict.duplicated.append(f"user {user_id}: {len(made)} orders because of {cause}, which nobody confirmed")


def _signals(memory: Memory, db: sqlite3.Connection, chats: dict[str, int], verdict: Verdict) -> None:
    """Every signal was published once and has one outcome for everybody who had subscribed before it was sent."""
    by_note: defaultdict[str, list[str]] = defaultdict(list)
    for signal_id, note in db.execute("SELECT signal_id, note FROM signals WHERE source LIKE 'provider:%'"):
        by_note[note].append(signal_id)
    outcomes = Counter(db.execute("SELECT signal_id, user_id FROM deliveries"))
    traded = Counter(db.execute("SELECT signal_id, user_id FROM orders WHERE signal_id <> ''"))
    followers = {user_id for (user_id,) in db.execute("SELECT user_id FROM subscriptions")}
    for note, sent_s in memory.signals.items():
        ids = by_note.pop(note, [])
        if len(ids) != 1:
            (verdict.duplicated if ids else verdict.lost).append(f"signal {note} was published {len(ids)} times")
            continue
        verdict.signals += 1
        due = {chats[str(chat_id)] for chat_id, since_s in memory.followers.items() if since_s < sent_s}
        for user_id in followers | due:
            count = outcomes[ids[0], user_id]
            if count != 1 and (count or user_id in due):
                (verdict.duplicated if count else verdict.lost).append(f"signal {note} has {count} outcomes for user {user_id}")
            if traded[ids[0], user_id] > 1:
                verdict.duplicated.append(f"signal {note} made {traded[ids[0], user_id]} orders for user {user_id}")
    for note, ids in by_note.items():
        verdict.duplicated.append(f"{len(ids)} signals with the note {note!r}, which nobody sent")
