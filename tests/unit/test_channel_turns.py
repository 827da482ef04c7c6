"""Fills of a signal that reached many do not keep those waiting who just asked something."""

from tests.unit.test_channel import channel, message, run
from tradekit.domain.replies import Priority


def test_alerts_and_replies_take_turns_and_signals_come_after_both() -> None:
    waiting = channel(overall_per_s=10)
    classes = [Priority.SIGNAL] * 2 + [Priority.ALERT] * 4 + [Priority.REPLY] * 2
    for number, priority in enumerate(classes):
        waiting.put(message(number, address=str(number), priority=priority), 0.0)
    order = [classes[number] for _, number in run(waiting, 10)]
    assert order == [Priority.ALERT, Priority.REPLY, Priority.ALERT, Priority.REPLY, *[Priority.ALERT] * 2, *[Priority.SIGNAL] * 2]


def test_who_waits_for_a_reply_gets_the_alert_before_it_among_the_replies() -> None:
    waiting = channel(overall_per_s=10)
    for number in range(5):
        waiting.put(message(number, address=str(number), priority=Priority.ALERT), 0.0)
    waiting.put(message(10, address="4"), 0.0)
    assert [number for _, number in run(waiting, 10)] == [0, 4, 1, 10, 2, 3]


def test_no_more_sends_are_under_way_than_the_pace_needs_once_the_transport_answers_quickly() -> None:
    waiting = channel(overall_per_s=1000, in_flight_max=64)
    for number in range(100):
        waiting.put(message(number, address=str(number)), 0.0)
    first = waiting.take(0.0)
    assert first is not None
    waiting.settle(first, 0.002, sent=True)
    under_way = 0
    while waiting.take(0.01) is not None:
        under_way += 1
    assert under_way == 8
