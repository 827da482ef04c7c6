"""Errors carry facts, a stable code, and survive the way between processes."""

import pickle

import pytest

from tradekit.domain import errors
from tradekit.domain.errors import Busy, OrderDenied, TradekitError


def test_the_code_is_the_name_of_the_kind_or_of_the_check() -> None:
    assert Busy(queue="lane", limit=64).code == "BUSY"
    assert errors.DataDirectoryInUse(directory="d", holder="h").code == "DATA_DIRECTORY_IN_USE"
    assert OrderDenied(check="MAX_POSITIONS").code == "MAX_POSITIONS"


@pytest.mark.parametrize("error", [Busy(queue="lane", limit=64), OrderDenied(check="QTY_MIN", detail={"minimum": "1"})])
def test_an_error_survives_the_way_between_processes(error: TradekitError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert again.facts == error.facts
    assert str(again) == str(error)
