"""Whatever is typed or pressed: an answer, never an exception, never an order that the user did not word."""

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.chat_support import ADA, Chat, replace
from tradekit.chat.conversation import Conversation
from tradekit.chat.parsing import parse_line
from tradekit.chat.registry import COMMANDS, lane_class
from tradekit.chat.render import DATA_MAX, TEXT_MAX, render, units
from tradekit.domain.inbox import LaneClass
from tradekit.domain.replies import Reply
from tradekit.domain.users import Role
from tradekit.services.decisions import Decision

NASTY = [
    "1e999",
    "NaN",
    "-1",
    "9" * 40,
    "0.01\u200f",
    "\u200f0.01",
    "inf",
    "0x10",
    "1_000",
    "١٢٣",
    "½",
    "0",
    ".",
    "",
    "'; DROP TABLE users",
    "{symbol}",
]
USUAL = [
    "BTC/USDT",
    "btc",
    "eth",
    "0.01",
    "39000",
    "post",
    "ioc",
    "fok",
    "all",
    "50%",
    "buy",
    "ema-cross",
    "time_zone",
    "UTC",
    "off",
    "size",
]
word = st.sampled_from(NASTY + USUAL) | st.text(max_size=12)
command_line = st.builds(
    lambda slash, name, words: f"{slash}{name} {' '.join(words)}",
    st.sampled_from(["/", "!cmd:/", "\u200f/", "", "!", "!sub:", "!ok:", "!no:"]),
    st.sampled_from(sorted(COMMANDS)),
    st.lists(word, max_size=6),
)
anything = command_line | st.text(max_size=300)


def check_rendering(reply: Reply) -> None:
    shown = render(reply)
    assert shown.text.strip()
    assert units(shown.text) <= TEXT_MAX
    shown.text.encode()
    assert all(button.label and len(button.data) <= DATA_MAX for row in shown.buttons for button in row)


@given(st.lists(anything, max_size=6), st.booleans(), st.booleans(), st.sampled_from(Role))
@example(["/buy btc 1e999", "/buy btc NaN", "/buy btc -1", "/buy btc " + "9" * 40, "/buy btc 0.01\u200f"], True, True, Role.USER)
def test_any_text_gets_at_least_one_reply(lines: list[str], confirm: bool, started: bool, role: Role) -> None:
    chat = Chat(confirm=confirm, started=started)
    if chat.state.user is not None:
        chat.state = replace(chat.state, user=replace(chat.state.user, role=role))
    for line in lines:
        chat.later(7).says(line)
        for reply in chat.decision.replies:
            check_rendering(reply)
        assert not (confirm and chat.decision.submit)
        lane_class(line)


@given(st.lists(st.tuples(command_line, st.integers(0, 8)), max_size=8))
def test_every_button_that_is_offered_does_something(steps: list[tuple[str, int]]) -> None:
    chat = Chat(confirm=True).holds("BTC/USDT", "0.01").holds("ETH/USDT", "0.1")
    for line, choice in steps:
        chat.later(20).says(line)
        buttons = [button for row in render(chat.reply).buttons for button in row]
        if buttons:
            chat.later(20).says("!" + buttons[choice % len(buttons)].data)
            assert chat.keys != ["unknown"]


@given(anything)
def test_the_same_message_is_read_the_same_way_twice(text: str) -> None:
    assert parse_line(text) == parse_line(text)
    command = COMMANDS.get(parse_line(text).name)
    assert (lane_class(text) is LaneClass.CONTROL) == (command is not None and command.lane is LaneClass.CONTROL)


@given(command_line)
def test_deciding_twice_on_the_same_state_gives_the_same_decision(text: str) -> None:
    """A commit whose answer is lost is decided again: same orders, same ids."""
    chat = Chat()
    handler = chat.conversation.handle(text, ADA, "Ada")
    ctx = chat.ctx()
    once, twice = handler(chat.state, ctx), handler(chat.state, ctx)
    if isinstance(once, Decision):
        assert isinstance(twice, Decision)
        assert once.submit == twice.submit


def test_half_a_surrogate_pair_goes_no_further_than_the_parser() -> None:
    assert parse_line("/why \ud800").args == ("?",)
    assert "“?”" in Chat().says("/why \ud800")


def test_a_fault_is_not_swallowed_but_reaches_the_supervisor() -> None:
    def fails(request: object) -> Decision:
        raise ZeroDivisionError

    chat = Chat()
    chat.conversation = Conversation({**COMMANDS, "plan": attrs.evolve(COMMANDS["plan"], run=fails)})
    with pytest.raises(ZeroDivisionError):
        chat.says("/plan")
