"""The loopback venue of a campaign: its process, what goes wrong there, people's accounts, and how the service reaches it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import msgspec

from tests.faults.processes import Process
from tradekit.adapters.ccxt.permissions import CcxtKeyCheck
from tradekit.adapters.ccxt.profiles import profile_for
from tradekit.adapters.system import SystemClock
from tradekit.app import Tradekit
from tradekit.bootstrap import Parts
from tradekit.domain.credentials import VenueKey
from tradekit.domain.users import Identity
from tradekit.testing.exchange_server import Fault, configure

ACCOUNT = "binance:live"
VISIBILITY_WINDOW_S = 1.0
FUNDS = {"USDT": "1000000"}
WEIGHT_MAX = 10_000_000
"""A minute: with a start every few seconds, each of which compares every account, the venue's own limit would be all that is tested."""
MARKETS = {"BTC/USDT": "65000", "ETH/USDT": "3200", "SOL/USDT": "150"}
"""Where the simulated market starts, and the loopback venue stays."""
REQUEST_TIMEOUT_S = 2.0

_PRIVATE = ("POST /api/v3/order", "DELETE /api/v3/order", "GET /api/v3/order", "GET /api/v3/myTrades", "GET /api/v3/account")
_ORDER = ("POST /api/v3/order",)

LOST_ANSWERS = 0.2
FAULTS: tuple[Fault, ...] = (
    Fault(kind="drop_after", requests=_PRIVATE, probability=LOST_ANSWERS),
    Fault(kind="drop_before", requests=_PRIVATE, probability=0.02),
    Fault(kind="error", requests=_PRIVATE, probability=0.02, act=True),
    Fault(kind="error", requests=_PRIVATE, probability=0.02, status=503),
    Fault(kind="delay", requests=_PRIVATE, probability=0.03, delay_s=0.3),
    Fault(kind="clock", requests=_PRIVATE, probability=0.005),
    Fault(kind="rate_limit", requests=_PRIVATE, probability=0.0005, delay_s=0.2),
    Fault(kind="invisible", probability=0.1, delay_s=VISIBILITY_WINDOW_S / 2),
    Fault(kind="partial", probability=0.1, fraction=Decimal("0.4")),
    Fault(kind="late_fill", probability=0.2, delay_s=0.2),
    Fault(kind="no_trades", probability=0.05),
    Fault(kind="duplicate", probability=0.1),
    Fault(kind="reorder", probability=0.1, delay_s=0.1),
    Fault(kind="lose", probability=0.1),
    Fault(kind="disconnect", probability=0.01),
)
"""One answer in five to a signed request is lost after the venue has acted; the others are there at lower shares."""


def parts(url: str) -> Parts:
    """What makes the service trade at the loopback venue; everything else is as shipped."""

    def prepare(ccxt: Any) -> Any:
        return configure(ccxt, url)

    options = {
        "prepare": prepare,
        "profile": attrs.evolve(profile_for("binance"), weight_max=WEIGHT_MAX),
        "visibility_window_s": VISIBILITY_WINDOW_S,
        "request_timeout_s": REQUEST_TIMEOUT_S,
    }
    return Parts(key_check=CcxtKeyCheck(SystemClock(), prepare=prepare), venue_options={"binance": options})


def settings(key: str) -> dict[str, str]:
    """Of the environment: orders go to the venue."""
    return {"MOCK_TRADING": "false", "TRADEKIT_VENUES": "binance", "TRADEKIT_KEY": key}


class Exchange:
    """The venue's process, driven from here."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def control(self, action: str, **body: Any) -> Any:
        async with self._session.post(f"{self.url}/control/{action}", json=body) as response:
            assert response.status == 200, f"{action}: {response.status} {await response.text()}"
            return await response.json()

    async def customer(self, name: str) -> VenueKey:
        """A funded account, and its key, which may read and trade."""
        made = await self.control("account", name=name, balances=FUNDS)
        return VenueKey(api_key=made["key"], secret=made["secret"])

    async def begin_faults(self) -> None:
        for fault in FAULTS:
            await self.control("fault", **msgspec.to_builtins(fault))

    async def swing(self, symbol: str, low: str) -> None:
        """The price falls for a moment: orders that rest above are filled, whether anybody listens or not."""
        pair = symbol.replace("/", "")
        await self.control("trade", symbol=pair, price=low)
        await self.control("trade", symbol=pair, price=MARKETS[symbol])


@asynccontextmanager
async def exchange(home: Path, session: aiohttp.ClientSession, seed: int) -> AsyncIterator[Exchange]:
    """The venue in a process of its own, which outlives every kill."""
    command = [sys.executable, "-m", "tradekit.testing.exchange_server", "--seed", str(seed), "--weight-max", str(WEIGHT_MAX)]
    command += [word for symbol, price in MARKETS.items() for word in ("--market", f"{symbol}={price}")]
    process = await Process.start(command, cwd=home, log=home / "exchange.log")
    try:
        address = await process.ready()
        assert address, f"the exchange server did not start: {home / 'exchange.log'}"
        yield Exchange(address, session)
    finally:
        await process.stop()


async def go_live(tk: Tradekit, exchange: Exchange, who: Identity) -> None:
    """Fund an account at the venue, connect its key, and choose it for orders, as the person would: the last with a confirmation.

    :raises AssertionError: the service did not take it.
    """
    await tk.keys.add(who, "binance", await exchange.customer(who.external_id))
    (question,) = await tk.chat.handle(who, "/mode binance live")
    (confirm,) = [button for row in question.buttons for button in row if button.key == "button.confirm"]
    await tk.chat.handle(who, f"!{confirm.data}")
    state = await tk.users.state(who)
    assert state.account == ACCOUNT, state.account
