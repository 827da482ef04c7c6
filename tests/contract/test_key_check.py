"""What ccxt's unmodified `binance` class finds out about keys on the loopback exchange server, and how other venues' answers are read."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tradekit.adapters.ccxt.permissions import SCOPES, CcxtKeyCheck
from tradekit.adapters.system import SystemClock
from tradekit.domain.credentials import Permissions, VenueKey
from tradekit.domain.errors import ExchangeUnavailable, KeyRefused
from tradekit.services.credentials import objection
from tradekit.testing.exchange_server import ExchangeServer, configure
from tradekit.testing.exchange_server import Permissions as Granted

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[ExchangeServer]:
    async with ExchangeServer() as server:
        yield server


@pytest.fixture
def check(server: ExchangeServer) -> CcxtKeyCheck:
    return CcxtKeyCheck(SystemClock(), prepare=lambda ccxt: configure(ccxt, server.url), request_timeout_s=5.0)


def key_of(server: ExchangeServer, name: str, granted: Granted | None = None) -> VenueKey:
    key = server.account(name, permissions=granted).key
    return VenueKey(api_key=key.key, secret=key.secret)


async def test_a_key_that_may_read_and_trade_is_taken(server: ExchangeServer, check: CcxtKeyCheck) -> None:
    found = await check.check("binance", key_of(server, "ada"), sandbox=False)
    assert found == Permissions(read=True, trade=True, withdraw=False, address_bound=True)
    assert objection(found, sandbox=False) == ""


@pytest.mark.parametrize(
    ("granted", "code"),
    [(Granted(withdrawals=True), "KEY_CAN_WITHDRAW"), (Granted(spot_trading=False), "KEY_CANNOT_TRADE")],
)
async def test_a_key_that_may_too_much_or_too_little_is_not(
    server: ExchangeServer, check: CcxtKeyCheck, granted: Granted, code: str
) -> None:
    found = await check.check("binance", key_of(server, "ada", granted), sandbox=False)
    assert objection(found, sandbox=False) == code


@pytest.mark.parametrize("wrong", ["secret", "key"])
async def test_a_wrong_key_is_rejected_and_not_repeated(server: ExchangeServer, check: CcxtKeyCheck, wrong: str) -> None:
    right, canary = key_of(server, "ada"), "c4n4ry" * 10 + "abcd"
    key = VenueKey(api_key=right.api_key if wrong == "secret" else canary, secret=canary if wrong == "secret" else right.secret)
    with pytest.raises(KeyRefused) as refused:
        await check.check("binance", key, sandbox=False)
    assert refused.value.check == "KEY_REJECTED"
    assert refused.value.__cause__ is None
    assert canary not in str(refused.value)


async def test_no_answer_is_no_verdict(server: ExchangeServer, check: CcxtKeyCheck) -> None:
    key = key_of(server, "ada")
    await server.stop()
    with pytest.raises(ExchangeUnavailable) as refused:
        await check.check("binance", key, sandbox=False)
    assert key.secret not in str(refused.value)
    assert key.api_key not in str(refused.value)


READABLE: list[tuple[str, Any, Permissions]] = [
    (
        "okx",
        {"data": [{"perm": "read_only,trade", "ip": "1.2.3.4"}]},
        Permissions(read=True, trade=True, withdraw=False, address_bound=True),
    ),
    ("okx", {"data": [{"perm": "read_only,withdraw", "ip": ""}]}, Permissions(read=True, trade=False, withdraw=True, address_bound=False)),
    (
        "bybit",
        {"result": {"readOnly": 0, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"]}, "ips": ["*"]}},
        Permissions(read=True, trade=True, withdraw=False, address_bound=False),
    ),
    (
        "bybit",
        {"result": {"readOnly": 0, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}, "ips": ["1.2.3.4"]}},
        Permissions(read=True, trade=True, withdraw=True, address_bound=True),
    ),
    ("binance", {"enableReading": True}, Permissions(read=True)),
]


@pytest.mark.parametrize(("venue", "answer", "expected"), READABLE)
def test_what_venues_say_is_read_strictly(venue: str, answer: Any, expected: Permissions) -> None:
    assert SCOPES[venue].read(answer) == expected


def test_a_scope_that_is_not_told_is_refused_for_real_money_only() -> None:
    assert objection(Permissions(read=True), sandbox=False) == "KEY_SCOPE_UNKNOWN"
    assert objection(Permissions(read=True, trade=True), sandbox=False) == "KEY_SCOPE_UNKNOWN"
    assert objection(Permissions(read=True), sandbox=True) == ""
    assert objection(Permissions(withdraw=True), sandbox=True) == "KEY_CAN_WITHDRAW"
