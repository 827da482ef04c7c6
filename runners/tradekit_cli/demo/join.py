"""Nothing lost, nothing twice: the load process's log against the database."""

import re
from collections import Counter, defaultdict
from decimal import Decimal

import attrs

from tradekit.domain.orders import client_order_id
from tradekit_cli.demo.evidence import Evidence, Findings, Row

PENDING, DONE = 0, 1
"""States of an inbox row; what is beyond was given up."""
LEGS_MAX = 25
"""Orders that one message may make: /panic sells every position."""

_ORDER = re.compile(r"\b[Oo]rder ([0-9a-f]{8})\b")
_CONFIRMED = re.compile(r"ok:(buy|sell|close):")
_PUBLISHED = re.compile(r"^Signal ([0-9a-f]{16}) by ", re.MULTILINE)


@attrs.define
class Answers:
    """How the people's messages were answered."""

    seen: int = 0
    """By a message that the loopback server received for it."""
    late: int = 0
    """Delivered after its person had given up."""
    coalesced: int = 0
    """Replaced by a newer one of its topic, or said by its card already."""
    expired: int = 0
    pending: int = 0


def compare(evidence: Evidence) -> tuple[Findings, Answers]:
    """Every rule; see the functions."""
    findings = Findings()
    inbox = inbox_rows(evidence, findings)
    answers = every_update_is_answered(evidence, inbox, findings)
    every_send_arrived_once(evidence, findings)
    every_order_has_one_cause(evidence, findings)
    every_order_spoken_of_exists(evidence, findings)
    every_signal_reached_its_followers(evidence, findings)
    the_books_add_up(evidence, findings)
    return findings, answers


def inbox_rows(evidence: Evidence, findings: Findings) -> dict[int, Row]:
    """Every acknowledged update is in the inbox exactly once, and done; nothing else is. By update: (update, inbox id, state, why)."""
    rows = evidence.database.grouped("SELECT message_id, inbox_id, state, given_up || problem, source FROM inbox")
    found: dict[int, Row] = {}
    for message_id, same in rows.items():
        if len(same) > 1:
            findings.duplicated.append(f"update {message_id} is in the inbox {len(same)} times")
        _, inbox_id, state, why, source = same[0]
        if source != evidence.source or int(message_id) not in evidence.log.handed_out:
            findings.errors.append(f"inbox row {inbox_id} of {source}/{message_id} was never handed out")
            continue
        found[int(message_id)] = same[0]
        if state == PENDING:
            findings.errors.append(f"update {message_id} was not finished")
        elif state != DONE:
            findings.errors.append(f"update {message_id} was given up: {why}")
    findings.lost.extend(
        f"update {update_id} ({evidence.log.handed_out[update_id].text}) was acknowledged and is not in the inbox"
        for update_id in sorted(evidence.log.acknowledged)
        if update_id not in found
    )
    return found


def every_update_is_answered(evidence: Evidence, inbox: dict[int, Row], findings: Findings) -> Answers:
    """Each update has a reply: one the server received, or one that waits, or was replaced by a newer one, or came too late."""
    answers = Answers()
    waiting = {row[0] for row in evidence.database.rows("SELECT outbox_id FROM outbox")}
    newest = evidence.journal.newest_of_topic()
    last_ms = max((message.time_ms for message in evidence.log.messages), default=0)
    for update_id, row in inbox.items():
        if update_id in evidence.log.answers:
            answers.seen += 1
            continue
        replies = evidence.journal.replies.get(row[1], ())
        chat = str(evidence.log.handed_out[update_id].chat_id)
        words = f"update {update_id} ({evidence.log.handed_out[update_id].text})"
        if not replies:
            findings.errors.append(f"{words} has no reply")
        elif any(reply.outbox_id in evidence.journal.sent for reply in replies):
            if evidence.log.unchanged[chat]:
                answers.coalesced += 1
            else:
                answers.late += 1
        elif any(reply.outbox_id in waiting for reply in replies):
            answers.pending += 1
        elif any(reply.topic and newest[reply.address, reply.topic] > reply.outbox_id for reply in replies):
            answers.coalesced += 1
        elif all(reply.expires_ms <= last_ms for reply in replies):
            answers.expired += 1
        else:
            findings.lost.append(f"the reply to {words} was never sent")
    return answers


def every_send_arrived_once(evidence: Evidence, findings: Findings) -> None:
    """What the service counts as sent to a chat is what the server received there."""
    arrived = Counter(str(message.chat_id) for message in evidence.log.messages) + evidence.log.unchanged
    sent = Counter(send.address for send in evidence.journal.sent.values())
    for chat in sorted(arrived.keys() | sent.keys()):
        if arrived[chat] < sent[chat]:
            findings.lost.extend([f"chat {chat}: {sent[chat]} messages were sent, {arrived[chat]} arrived"] * (sent[chat] - arrived[chat]))
        elif arrived[chat] > sent[chat]:
            extra = arrived[chat] - sent[chat]
            findings.duplicated.extend([f"chat {chat}: {sent[chat]} messages were sent, {arrived[chat]} arrived"] * extra)


def every_order_has_one_cause(evidence: Evidence, findings: Findings) -> None:
    """An order carries the id that its cause gives, and its cause is a message of the log or a signal: never two orders for one."""
    people = {row[0]: row[1] for row in evidence.database.rows("SELECT user_id, external_id FROM identities WHERE transport = 'telegram'")}
    signals = {row[0] for row in evidence.database.rows("SELECT signal_id FROM signals")}
    orders = evidence.database.rows("SELECT client_order_id, user_id, cause FROM orders")
    known = {order[0] for order in orders}
    causes = {f"{evidence.source}/{update_id}": str(line.chat_id) for update_id, line in evidence.log.handed_out.items()}
    for order_id, user_id, cause in orders:
        if order_id not in {client_order_id(user_id, cause, leg) for leg in range(LEGS_MAX)}:
            findings.duplicated.append(f"order {order_id} of user {user_id} is not the one that {cause} makes")
        elif cause in causes:
            if causes[cause] != people.get(user_id):
                findings.errors.append(f"order {order_id} of user {user_id} comes from another person's message {cause}")
        elif cause.removeprefix("signal/").partition("/")[0] not in signals and cause.removesuffix("/flatten") not in known:
            findings.duplicated.append(f"order {order_id} of user {user_id} has no cause: {cause}")


def every_order_spoken_of_exists(evidence: Evidence, findings: Findings) -> None:
    """An order that the bot named to a person is stored for that person; one that a person confirmed is the one of that press."""
    stored: dict[str, set[str]] = defaultdict(set)
    users: dict[str, int] = {}
    for chat, user_id, order_id in evidence.database.rows(
        "SELECT i.external_id, o.user_id, o.client_order_id FROM orders o JOIN identities i ON i.user_id = o.user_id"
    ):
        stored[chat].add(order_id[:8])
        users[chat] = user_id
    for message in evidence.log.messages:
        chat = str(message.chat_id)
        named = _ORDER.findall(message.text or "")
        findings.lost.extend(f"chat {chat} was told of order {order}, which is not stored" for order in named if order not in stored[chat])
        update = evidence.log.handed_out.get(message.answers_update_id or 0)
        if named and update is not None and _CONFIRMED.match(update.text or "") and chat in users:
            expected = client_order_id(users[chat], f"{evidence.source}/{update.update_id}")[:8]
            if expected not in stored[chat]:
                findings.lost.append(f"update {update.update_id} was confirmed as order {named[0]}, and its order {expected} is not stored")


def every_signal_reached_its_followers(evidence: Evidence, findings: Findings) -> None:
    """Each follower has one outcome of each signal, an executed one has its order, and nobody else has any."""
    database = evidence.database
    signals = database.rows("SELECT signal_id, source, created_ms, done FROM signals")
    delivered = database.grouped("SELECT signal_id, user_id, outcome, client_order_id, time_ms FROM deliveries")
    orders = {row[0] for row in database.rows("SELECT client_order_id FROM orders")}
    per_signal = Counter(
        (row[1], row[2]) for row in database.rows("SELECT client_order_id, user_id, signal_id FROM orders WHERE signal_id != ''")
    )
    histories = _histories(evidence)
    for signal_id, source, created_ms, done in signals:
        if not done:
            findings.errors.append(f"signal {signal_id} was not delivered to everyone")
        outcomes = {row[1]: row for row in delivered.get(signal_id, [])}
        last_ms = max((row[4] for row in outcomes.values()), default=created_ms)
        for user_id, history in histories.get(source, {}).items():
            if user_id not in outcomes and _followed_throughout(history, created_ms, last_ms):
                findings.lost.append(f"user {user_id} follows {source} and has no outcome of signal {signal_id}")
        for user_id, row in outcomes.items():
            history = histories.get(source, {}).get(user_id, [])
            if not any(follows and time_ms <= row[4] for time_ms, follows in history):
                findings.duplicated.append(f"user {user_id} never followed {source} and has an outcome of signal {signal_id}")
            if row[2] == "executed" and row[3] not in orders:
                findings.lost.append(f"signal {signal_id} was executed for user {user_id}, and its order {row[3]} is not stored")
    findings.duplicated.extend(
        f"user {user_id} has {count} orders by signal {signal_id}" for (user_id, signal_id), count in per_signal.items() if count > 1
    )
    known = {row[0] for row in signals}
    for message in evidence.log.messages:
        findings.lost.extend(
            f"signal {each} was published and is not stored" for each in _PUBLISHED.findall(message.text or "") if each not in known
        )


History = list[tuple[int, bool]]


def _histories(evidence: Evidence) -> dict[str, dict[int, History]]:
    """By source and user: when they began (True) and ceased to follow, from the audit log."""
    found: dict[str, dict[int, History]] = defaultdict(lambda: defaultdict(list))
    for user_id, action, detail, time_ms in evidence.database.rows(
        "SELECT u.user_id, a.action, a.detail, a.time_ms FROM audit a JOIN users u ON u.audit_subject = a.subject"
        " WHERE a.action IN ('signals.subscribed', 'signals.unsubscribed') ORDER BY a.partition, a.seq"
    ):
        words = detail.split()
        for source in words[:1] if action == "signals.subscribed" else words:
            found[source][user_id].append((time_ms, action == "signals.subscribed"))
    return found


def _followed_throughout(history: History, from_ms: int, to_ms: int) -> bool:
    before = [follows for time_ms, follows in history if time_ms < from_ms]
    return bool(before) and before[-1] and not any(not follows for time_ms, follows in history if from_ms <= time_ms <= to_ms)


def the_books_add_up(evidence: Evidence, findings: Findings) -> None:
    """Orders are the sum of their fills, positions of what was bought and sold, cash of the ledger; every fill was seen to commit."""
    database = evidence.database
    filled: dict[str, Decimal] = defaultdict(Decimal)
    held: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    query = "SELECT client_order_id, trade_id, user_id, account, symbol, side, quantity, fee_currency, fee_paid FROM fills"
    for order_id, trade_id, user_id, account, symbol, side, quantity, fee_currency, fee in database.rows(query):
        filled[order_id] += Decimal(quantity)
        # What a venue keeps as its fee in the coin itself never arrives.
        kept = Decimal(fee) if fee_currency == symbol.partition("/")[0] else Decimal(0)
        held[user_id, account, symbol] += (Decimal(quantity) if side == "buy" else -Decimal(quantity)) - kept
        if (order_id, trade_id) not in evidence.journal.fill_ms:
            findings.duplicated.append(f"fill {trade_id} of order {order_id} is stored and was never committed")
    orders = {row[0]: Decimal(row[1]) for row in database.rows("SELECT client_order_id, cum_qty FROM orders")}
    for order_id in sorted(filled.keys() | orders.keys()):
        if orders.get(order_id) != filled[order_id]:
            findings.lost.append(f"order {order_id} says {orders.get(order_id)} filled, its fills {filled[order_id]}")
    positions = {tuple(row[:3]): Decimal(row[3]) for row in database.rows("SELECT user_id, account, symbol, quantity FROM positions")}
    for key in sorted(held.keys() | positions.keys()):
        if positions.get(key, Decimal(0)) != held[key]:
            findings.errors.append(f"user {key[0]} holds {positions.get(key, 0)} of {key[2]} at {key[1]}, fills say {held[key]}")
    cash = {(row[0], row[1]): Decimal(row[2]) for row in database.rows("SELECT user_id, account, cash FROM trading_sessions")}
    ledger: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for user_id, account, amount in database.rows("SELECT user_id, account, amount FROM ledger"):
        ledger[user_id, account] += Decimal(amount)
    findings.errors.extend(
        f"user {who[0]} has {cash.get(who, 0)} in cash at {who[1]}, the ledger says {ledger[who]}"
        for who in sorted(cash.keys() | ledger.keys())
        if cash.get(who, Decimal(0)) != ledger[who]
    )
