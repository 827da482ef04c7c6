"""A trailing stop nearer than one step of the price would fire at once: it is refused, with the smallest distance that works."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat_support import Chat, FixedMarket
from tradekit.domain.amounts import round_down
from tradekit.domain.orders import OrderType, Side
from tradekit.domain.triggers import is_below_a_tick, least_trail_pct, trigger_at, would_fire_at_once

ticks = st.sampled_from([Decimal(text) for text in ("1", "0.5", "0.01", "0.00001", "1e-8")])


@given(steps=st.integers(3, 10**9), tick=ticks, side=st.sampled_from(Side), off=st.decimals("0", "0.99", places=2))
def test_the_smallest_distance_works_and_what_is_below_a_tick_does_not(steps: int, tick: Decimal, side: Side, off: Decimal) -> None:
    price = (steps + off) * tick
    least = least_trail_pct(price, tick)
    assert not is_below_a_tick(least, price, tick)
    assert not would_fire_at_once(side, OrderType.TRAILING_STOP, trigger_at(side, least, price, tick), price)
    assert is_below_a_tick(least / 2, price, tick)
    on_a_tick = round_down(price, tick)
    assert would_fire_at_once(side, OrderType.TRAILING_STOP, trigger_at(side, least / 2, on_a_tick, tick), on_a_tick)


def smallest(text: str) -> str:
    found = re.search(r"smallest .*that works now is (\d+\.\d+)", text)
    assert found, text
    return found[1]


@pytest.mark.parametrize("line", ["/trail btc all {}%", "/trail buy btc 0.01 {}%", "/buy eth 0.1 trail={}%"])
def test_an_order_with_less_is_refused_and_with_the_smallest_accepted(line: str) -> None:
    chat = Chat().holds()
    before = chat.state.orders
    text = chat.says(line.format("0.0000001"))
    assert text.startswith("A trailing stop of 0.0000001% would fire at once: that is less than one step of the price of ")
    assert chat.state.orders == before
    chat.later(60).says(line.format(smallest(text)))
    assert chat.keys[0] in {"order.held", "order.submitted"}


def test_the_setting_is_refused_below_the_smallest_step_of_any_price() -> None:
    chat = Chat()
    for command in ("/settings", "/risk"):
        text = chat.says(f"{command} trailing_stop_pct 0.0000001")
        assert "would fire at once: it is less than one step of any price here.\nHint: the smallest that works now is 0.0000" in text
        assert chat.state.settings.trailing_stop_pct is None
        chat.says(f"{command} trailing_stop_pct {smallest(text)}")
        assert chat.keys == ["settings.changed"]
        chat.says(f"{command} trailing_stop_pct off")


def test_a_distance_that_only_some_instruments_take_is_asked_again_of_each_entry() -> None:
    chat = Chat(FixedMarket(BTC_USDT="99999", ETH_USDT="1001"))
    chat.says("/settings trailing_stop_pct 0.00005")
    assert chat.keys == ["settings.changed"]
    chat.says("/buy btc 0.001")
    assert chat.keys == ["order.submitted"]
    assert "one step of the price of ETH/USDT" in chat.says("/buy eth 0.1")


def test_without_a_price_any_distance_is_taken() -> None:
    chat = Chat()
    chat.market.prices.clear()
    chat.says("/settings trailing_stop_pct 0.0000001")
    assert chat.keys == ["settings.changed"]
