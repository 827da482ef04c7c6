"""Lanes: order within a user, classes and tier weights among users, bounds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.errors import Busy
from tradekit.domain.inbox import LaneClass
from tradekit.domain.sessions import SessionState
from tradekit.engine.lanes import Envelope, Lanes, Slot
from tradekit.services.decisions import unchanged


def slot(user_id: int, weight: int = 1) -> Slot:
    return Slot(user_id, SessionState(user_id=user_id, partition=0), weight)


def message(user_id: int, cause: str, lane_class: LaneClass = LaneClass.COMMAND) -> Envelope:
    return Envelope(user_id=user_id, lane_class=lane_class, handler=lambda state, ctx: unchanged(state), cause=cause, posted_s=0.0)


def drained(lanes: Lanes, released: Callable[[Slot], None] | None = None) -> list[tuple[int, str]]:
    seen = []
    while taken := lanes.take():
        seen.append((taken[0].user_id, taken[1].cause))
        (released or lanes.release)(taken[0])
    return seen


def test_a_users_messages_run_one_at_a_time_in_order() -> None:
    lanes, ada = Lanes(), slot(1)
    for number in range(3):
        lanes.offer(ada, message(1, str(number)))
    first = lanes.take()
    assert first is not None
    assert lanes.take() is None, "the lane is held"
    lanes.release(ada)
    assert drained(lanes) == [(1, "1"), (1, "2")]
    assert ada.lane is None


def test_higher_classes_go_first_among_users() -> None:
    lanes = Lanes()
    for user_id, lane_class in enumerate([LaneClass.BULK, LaneClass.SIGNAL, LaneClass.COMMAND, LaneClass.REPORT, LaneClass.CONTROL]):
        lanes.offer(slot(user_id), message(user_id, lane_class.name, lane_class))
    assert [cause for _, cause in drained(lanes)] == ["CONTROL", "REPORT", "COMMAND", "SIGNAL", "BULK"]


def test_control_overtakes_within_its_own_lane_but_not_earlier_control() -> None:
    lanes, ada = Lanes(), slot(1)
    lanes.offer(ada, message(1, "buy"))
    lanes.offer(ada, message(1, "panic", LaneClass.CONTROL))
    lanes.offer(ada, message(1, "cancel", LaneClass.CONTROL))
    assert [cause for _, cause in drained(lanes)] == ["panic", "cancel", "buy"]


def test_a_tier_of_weight_four_gets_four_turns_for_one() -> None:
    lanes = Lanes()
    for user_id in range(8):
        lanes.offer(slot(user_id, weight=4), message(user_id, "enterprise"))
    for user_id in range(100, 102):
        lanes.offer(slot(user_id, weight=1), message(user_id, "free"))
    causes = [cause for _, cause in drained(lanes)]
    assert causes[:5].count("free") == 1
    assert causes[5:10].count("free") == 1


def test_a_full_lane_says_busy_and_still_takes_control_and_reports() -> None:
    lanes, ada = Lanes(lane_size_max=2), slot(1)
    lanes.offer(ada, message(1, "a"))
    lanes.offer(ada, message(1, "b"))
    with pytest.raises(Busy):
        lanes.offer(ada, message(1, "c"))
    lanes.offer(ada, message(1, "panic", LaneClass.CONTROL))
    lanes.offer(ada, message(1, "fill", LaneClass.REPORT))
    assert lanes.waiting == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(LaneClass)), st.booleans()), max_size=200))
def test_nothing_is_lost_or_run_twice_under_any_interleaving(steps: list[tuple[int, LaneClass, bool]]) -> None:
    lanes = Lanes(lane_size_max=1000)
    slots = [slot(user_id, weight=1 + user_id % 3) for user_id in range(6)]
    offered: list[str] = []
    seen: list[tuple[int, str]] = []
    held: list[Slot] = []
    for number, (user_id, lane_class, take) in enumerate(steps):
        cause = f"{number}"
        lanes.offer(slots[user_id], message(user_id, cause, lane_class))
        offered.append(cause)
        if take and (taken := lanes.take()):
            seen.append((taken[0].user_id, taken[1].cause))
            held.append(taken[0])
            assert len({s.user_id for s in held}) == len(held), "one message of a user at a time"
        if len(held) > 2:
            lanes.release(held.pop(0))
    for waiting in held:
        lanes.release(waiting)
    seen += drained(lanes)
    assert sorted(cause for _, cause in seen) == sorted(offered)
    assert lanes.waiting == 0
    classes = {str(number): lane_class for number, (_, lane_class, _) in enumerate(steps)}
    for user_id in range(6):
        mine = [int(cause) for user, cause in seen if user == user_id and classes[cause] is not LaneClass.CONTROL]
        assert mine == sorted(mine), "messages of a class keep their order"
