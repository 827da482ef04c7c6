"""A planted bug in the handling of orders, fills and balances is noticed."""

import pytest

from tests.simulation.hunting import OF_TRADING, hunted


@pytest.mark.parametrize("name", OF_TRADING)
def test_a_planted_bug_is_caught(name: str) -> None:
    assert hunted(name) == ""
