"""The outbox's order and pace, on a clock of the test's own."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.replies import OutgoingMessage, Priority, Reply
from tradekit.engine.channel import Channel
from tradekit.engine.pacing import Pacer
from tradekit.ports.messenger import Pace, SendOutcome, SendResult


class Silent:
    transport = "test"

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    async def send(self, message: OutgoingMessage) -> SendResult:
        return SendResult(outcome=SendOutcome.SENT)


def channel(overall_per_s: float = 0, chat_per_s: float = 0, **pace: object) -> Channel:
    return Channel(Silent(Pace(overall_per_s=overall_per_s, chat_per_s=chat_per_s, **pace)))  # type: ignore[arg-type]


def message(number: int, address: str = "1", priority: Priority = Priority.REPLY, topic: str = "") -> OutgoingMessage:
    return OutgoingMessage(
        outbox_id=number,
        user_id=1,
        partition=0,
        transport="test",
        address=address,
        reply=Reply(key="x", priority=priority, topic=topic),
        language="en",
        created_ms=0,
        expires_ms=10**15,
    )


def run(waiting: Channel, until: float, took: float = 0.0) -> list[tuple[float, int]]:
    """Send everything that may be sent until then; the clock jumps from one possibility to the next."""
    now, sent = 0.0, []
    while now <= until:
        while (taken := waiting.take(now)) is not None:
            sent.append((now, taken.outbox_id))
            now += took
            waiting.settle(taken, now, sent=True)
        due = waiting.next_at(now)
        if due is None:
            break
        now = max(due, now + 1e-9)
    return sent


def test_the_best_priority_goes_first() -> None:
    waiting = channel()
    for number, priority in enumerate([Priority.DIGEST, Priority.SIGNAL, Priority.REPLY, Priority.ALERT]):
        waiting.put(message(number, address=str(number), priority=priority), 0.0)
    assert [number for _, number in run(waiting, 1)] == [3, 2, 1, 0]


def test_within_a_chat_a_fill_overtakes_a_signal() -> None:
    waiting = channel()
    waiting.put(message(1, priority=Priority.SIGNAL), 0.0)
    waiting.put(message(2, priority=Priority.ALERT), 0.0)
    assert [number for _, number in run(waiting, 1)] == [2, 1]


def test_of_a_topic_the_newest_goes_even_if_an_older_one_arrives_later() -> None:
    waiting = channel()
    unknown, filled, older = message(1, topic="order"), message(2, topic="order"), message(0, topic="order")
    assert waiting.put(unknown, 0.0) is None
    assert waiting.put(filled, 0.0) is unknown
    assert waiting.put(older, 0.0) is older
    assert waiting.waiting == 1
    assert [number for _, number in run(waiting, 1)] == [2]


def test_a_chat_gets_its_burst_and_then_one_a_second_counted_from_the_answer() -> None:
    waiting = channel(chat_per_s=1, chat_burst=3)
    for number in range(6):
        waiting.put(message(number), 0.0)
    times = [when for when, _ in run(waiting, 60, took=0.1)]
    assert len(times) == 6
    assert all(later + 0.1 - earlier >= 1 - 1e-6 for earlier, later in pairwise(times[2:]))


@given(st.integers(1, 40), st.integers(5, 200), st.lists(st.sampled_from(list(Priority)), min_size=200, max_size=200))
def test_the_overall_pace_is_never_exceeded(per_s: int, messages: int, priorities: list[Priority]) -> None:
    waiting = channel(overall_per_s=per_s)
    for number in range(messages):
        waiting.put(message(number, address=str(number), priority=priorities[number]), 0.0)
    sent = run(waiting, 3600)
    assert sorted(number for _, number in sent) == list(range(messages))
    window = [when for when, _ in sent]
    for index, start in enumerate(window):
        within = sum(1 for when in window[index:] if when < start + 1)
        assert within <= per_s + max(1, per_s / 10) + 1


def test_signals_leave_a_reserve_for_alerts() -> None:
    waiting = channel(overall_per_s=10, reserve=0.2)
    for number in range(100):
        waiting.put(message(number, address=str(number), priority=Priority.SIGNAL), 0.0)
    sent = run(waiting, 10)
    assert len(sent) <= 0.8 * 10 * 10 + 2


def test_the_newest_of_a_topic_replaces_what_waits() -> None:
    waiting = channel()
    first = message(1, topic="price")
    assert waiting.put(first, 0.0) is None
    assert waiting.put(message(2, topic="price"), 0.0) == first
    assert [number for _, number in run(waiting, 1)] == [2]


def test_a_message_to_repeat_keeps_its_place_unless_a_newer_one_of_its_topic_waits() -> None:
    waiting = channel()
    waiting.put(message(1, topic="t"), 0.0)
    taken = waiting.take(0.0)
    assert taken is not None
    assert waiting.settle(taken, 0.0, sent=True, wait_s=5, again=True)
    assert waiting.take(1.0) is None
    again = waiting.take(5.0)
    assert again is not None
    assert again.outbox_id == 1
    waiting.put(message(2, topic="t"), 5.0)
    assert not waiting.settle(again, 5.0, sent=True, wait_s=1, again=True)
    last = waiting.take(6.0)
    assert last is not None
    assert last.outbox_id == 2


def test_one_chats_wait_stops_only_that_chat() -> None:
    waiting = channel()
    waiting.put(message(1, address="a"), 0.0)
    taken = waiting.take(0.0)
    assert taken is not None
    waiting.settle(taken, 0.0, sent=True, wait_s=30, again=True)
    waiting.put(message(2, address="b"), 0.0)
    assert waiting.take(0.0) == message(2, address="b")


def test_dropping_a_chat_returns_everything_that_waited() -> None:
    waiting = channel()
    for number in range(3):
        waiting.put(message(number, topic="t" if number < 2 else ""), 0.0)
    assert [dropped.outbox_id for dropped in waiting.drop_chat("1")] == [1, 2]
    assert waiting.waiting == 0
    assert waiting.take(0.0) is None


@given(st.lists(st.floats(0, 2), max_size=60), st.floats(0.5, 20), st.integers(1, 5))
def test_a_pacer_admits_at_most_the_burst_and_the_rate(gaps: list[float], per_s: float, burst: int) -> None:
    pacer, now, admitted = Pacer(per_s, burst), 0.0, []
    for gap in gaps:
        now += gap
        if pacer.wait(now) == 0:
            pacer.spend(now)
            admitted.append(now)
    for index, start in enumerate(admitted):
        for end_index in range(index, len(admitted)):
            count, span = end_index - index + 1, admitted[end_index] - start
            assert count <= burst + span * per_s + 1e-6
