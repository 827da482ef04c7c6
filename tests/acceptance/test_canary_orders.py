"""A key of a user who trades through everything that goes wrong at a venue: it is found nowhere but at the venue."""

import logging
import sqlite3
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.test_live_trading import ADA, Ada, at_work, until
from tradekit.domain.orders import OrderState
from tradekit.domain.tiers import TierName
from tradekit.testing.exchange_server import ExchangeServer, Fault

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
ORDERS = ("POST /api/v3/order", "DELETE /api/v3/order")
TROUBLE = (
    Fault(kind="drop_after", requests=ORDERS, count=1),
    Fault(kind="drop_before", requests=ORDERS, count=1),
    Fault(kind="error", requests=ORDERS, count=1, status=502, message="<html>bad gateway</html>"),
    Fault(kind="error", requests=ORDERS, count=1, status=400, error_code=-1022, message="Signature for this request is not valid."),
    Fault(kind="clock", requests=ORDERS, count=1),
    Fault(kind="rate_limit", requests=ORDERS, count=1, delay_s=0.1),
    Fault(kind="error", requests=ORDERS, count=1, status=401, error_code=-2015, message="Invalid API-key, IP, or permissions for action."),
)


async def answered(ada: Ada, count: int) -> bool:
    """Whether so many orders were made, and the venue's word on each is known."""
    orders = await ada.orders()
    return len(orders) == count and not any(order.state in {OrderState.SUBMITTED, OrderState.UNKNOWN} for order in orders)


async def test_a_key_that_signs_through_every_trouble_is_seen_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    data, said = tmp_path / "data", ""
    async with ExchangeServer() as server:
        async with at_work(data, server) as ada:
            await ada.goes_live()
            await ada.tk.users.set_tier(ADA, TierName.ENTERPRISE)
            key = server.account("ada").key
            for number, fault in enumerate(TROUBLE, 1):
                server.faults.add(fault)
                said += await ada.confirms("/buy ETH/USDT 0.1" if number % 2 else "/buy BTC/USDT 0.001 55000")
                await until(partial(answered, ada, number))
                server.faults.clear()
            said += await ada.says("/orders") + await ada.says("/history") + await ada.says("/accounts") + await ada.says("/status")
            said += repr(await ada.state()) + repr(await ada.orders()) + repr(ada.tk.stats()) + repr(ada.tk.health())
            said += repr(await ada.tk.accounts.reconcile_all())
            copied = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file()}
            with sqlite3.connect(data / "trading_service.db") as database, sqlite3.connect(tmp_path / "backup.db") as backup:
                database.backup(backup)
        signed = [call for call in server.calls if call.account == "ada"]
    assert signed, "the venue saw no signed request, so this shows nothing"
    assert server.faults.injected.total() >= len(TROUBLE)
    captured = capfd.readouterr()
    said += captured.out + captured.err + caplog.text + repr([vars(record) for record in caplog.records])
    files = copied | {f"{path.name} later": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"trading_service.db", "backup.db later"} <= files.keys()
    for canary in (key.key, key.secret):
        for spelled in (canary, quote(canary, safe="")):
            assert spelled not in said
            assert not [name for name, content in files.items() if spelled.encode() in content]
