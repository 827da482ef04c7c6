import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.amounts import decimal_of, is_multiple, money, parse_amount, round_down, text_of
from tradekit.domain.errors import BadInput

decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(lambda d: len(d.as_tuple().digits) <= 28)


@given(decimals)
def test_canonical_text_loses_nothing(value: Decimal) -> None:
    assert decimal_of(text_of(value)) == value
    assert "E" not in text_of(value)


@given(st.decimals(min_value=0, max_value=10**12, places=8), st.sampled_from(["0.00000001", "0.01", "1", "0.5"]))
def test_rounding_down_gives_the_largest_multiple_not_above(value: Decimal, step_text: str) -> None:
    step = Decimal(step_text)
    rounded = round_down(value, step)
    assert rounded <= value < rounded + step
    assert is_multiple(rounded, step)


@pytest.mark.parametrize(
    "text", ["1e999", "NaN", "-1", "+1", "Infinity", "0", "0.0", "", ".", "1_000", "1" * 40, "\u202e1", "١٢", "1,5", "0x10", "1 2"]
)
def test_anything_but_a_plain_positive_number_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_amount(text, "quantity")
    assert caught.value.field == "quantity"
    assert "as in" in caught.value.hint


@given(st.text())
def test_reading_never_fails_in_another_way(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert parse_amount(text) > 0


@pytest.mark.parametrize(("text", "value"), [("0.01", "0.01"), (" 5 ", "5"), (".5", "0.5"), ("3.", "3")])
def test_plain_numbers_are_read(text: str, value: str) -> None:
    assert parse_amount(text) == Decimal(value)


def test_flows_are_rounded_half_to_even_once() -> None:
    assert money(Decimal("1.000000005")) == Decimal("1.00000000")
    assert money(Decimal("1.000000015")) == Decimal("1.00000002")


def test_stored_text_must_be_finite() -> None:
    for text in ("NaN", "Infinity", "x"):
        with pytest.raises(ValueError, match="decimal"):
            decimal_of(text)
