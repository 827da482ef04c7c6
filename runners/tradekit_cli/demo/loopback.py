"""A venue on this machine: what goes wrong there, how the service reaches it, and how people come to trade there for real."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from tradekit.app import Tradekit
from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import BadInput
from tradekit.domain.users import Identity
from tradekit.testing.exchange_server import Fault, configure

VENUE = "binance"
ACCOUNT = "binance:live"
VISIBILITY_WINDOW_S = 1.0
FUNDS: Mapping[str, str] = MappingProxyType({"USDT": "1000000"})
MARKETS: Mapping[str, str] = MappingProxyType({"BTC/USDT": "65000", "ETH/USDT": "3200", "SOL/USDT": "150"})
"""Where the simulated market starts, and where the venue stays."""
WEIGHT_MAX = 10_000_000
"""A minute, at either side: all accounts are compared at every start, and the venue's own limit would be most of what is measured."""
REQUEST_TIMEOUT_S = 2.0
LOST_ANSWERS = 0.2

_ORDERS = ("POST /api/v3/order", "DELETE /api/v3/order", "GET /api/v3/order", "GET /api/v3/myTrades")
_SIGNED = (*_ORDERS, "GET /api/v3/account", "GET /api/v3/openOrders")

_KINDS: Mapping[str, Fault] = MappingProxyType(
    {
        "lost-answer": Fault(kind="drop_after", requests=_SIGNED, probability=LOST_ANSWERS),
        "lost-request": Fault(kind="drop_before", requests=_SIGNED, probability=0.02),
        "error-after": Fault(kind="error", requests=_SIGNED, probability=0.02, act=True),
        "error-before": Fault(kind="error", requests=_SIGNED, probability=0.02, status=503),
        "delay": Fault(kind="delay", requests=_ORDERS, probability=0.03, delay_s=0.3),
        "clock": Fault(kind="clock", requests=_SIGNED, probability=0.005),
        "rate-limit": Fault(kind="rate_limit", requests=_ORDERS, probability=0.0005, delay_s=0.2),
        "invisible": Fault(kind="invisible", probability=0.1, delay_s=VISIBILITY_WINDOW_S / 2),
        "partial": Fault(kind="partial", probability=0.1, fraction=Decimal("0.4")),
        "late-fill": Fault(kind="late_fill", probability=0.2, delay_s=0.2),
        "late-trades": Fault(kind="no_trades", probability=0.05),
        "event-twice": Fault(kind="duplicate", probability=0.1),
        "event-swapped": Fault(kind="reorder", probability=0.1, delay_s=0.1),
        "event-lost": Fault(kind="lose", probability=0.1),
        "stream-cut": Fault(kind="disconnect", probability=0.01),
    }
)
FAULTS: Mapping[str, Fault] = MappingProxyType({name: msgspec.structs.replace(fault, name=name) for name, fault in _KINDS.items()})
"""By the name on the command line. One answer in five to a signed request is lost after the venue has acted; the rest is rarer."""
HANG = "hang"
"""The name of what only a demo does: every call of one user hangs for a while."""
_HANGS_S = 60.0


def chosen(names: str) -> tuple[Fault, ...]:
    """``all``, ``none``, or names with commas between; :data:`HANG` is left to :func:`hangs`.

    :raises BadInput: there is no such fault.
    """
    if names in {"all", "none"}:
        return tuple(FAULTS.values()) if names == "all" else ()
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in FAULTS and name != HANG:
            raise BadInput(field="--faults", value=name, problem=f"is not one of all, none, {', '.join(FAULTS)}, {HANG}")
    return tuple(FAULTS[name] for name in wanted if name != HANG)


def hangs(names: str) -> bool:
    """Whether :data:`HANG` is among them."""
    return names == "all" or HANG in {name.strip() for name in names.split(",")}


def hang_of(account: str) -> Fault:
    """No signed request of this account is answered."""
    return Fault(kind="delay", requests=_SIGNED, account=account, delay_s=_HANGS_S, name=HANG)


def server_command() -> list[str]:
    """Arguments of ``python -m tradekit.testing.exchange_server``."""
    markets = [word for symbol, price in MARKETS.items() for word in ("--market", f"{symbol}={price}")]
    return ["--weight-max", str(WEIGHT_MAX), *markets]


def venue_options(url: str) -> dict[str, dict[str, Any]]:
    """What makes the service trade there, for ``Parts``; everything else is as shipped."""

    def prepare(ccxt: Any) -> Any:
        return configure(ccxt, url)

    options = {
        "prepare": prepare,
        "weight_max": WEIGHT_MAX,
        "visibility_window_s": VISIBILITY_WINDOW_S,
        "request_timeout_s": REQUEST_TIMEOUT_S,
    }
    return {VENUE: options}


class LoopbackVenue:
    """The server's process, driven from here."""

    def __init__(self, url: str, session: Any) -> None:
        """:param session: an open ``aiohttp.ClientSession``."""
        self.url, self._session = url, session

    async def control(self, action: str, **body: Any) -> Any:
        """
        :raises RuntimeError: it refuses.
        """
        async with self._session.post(f"{self.url}/control/{action}", json=body) as response:
            if response.status != 200:
                raise RuntimeError(f"{action}: {response.status} {await response.text()}")
            return await response.json()

    async def customer(self, name: str) -> VenueKey:
        """A funded account, and its key, which may read and trade."""
        made = await self.control("account", name=name, balances=dict(FUNDS))
        return VenueKey(api_key=made["key"], secret=made["secret"])

    async def begin(self, faults: Sequence[Fault]) -> None:
        """Let things go wrong from now on."""
        for fault in faults:
            await self.control("fault", **msgspec.to_builtins(fault))

    async def end(self) -> None:
        """Let nothing go wrong any more."""
        await self.control("clear_faults")

    async def dip(self, symbol: str, low: str) -> None:
        """The price falls for a moment: orders that rest above are filled, whether anybody listens or not."""
        for price in (low, MARKETS[symbol]):
            await self.control("trade", symbol=symbol.replace("/", ""), price=price)


async def go_live(tk: Tradekit, venue: LoopbackVenue, who: Identity) -> None:
    """Fund an account at the venue, connect its key, and choose it for orders, as the person would: the last with a confirmation.

    :raises RuntimeError: the service did not take it.
    """
    await tk.keys.add(who, VENUE, await venue.customer(who.external_id))
    said = await tk.chat.handle(who, f"/mode {VENUE} live")
    for button in (button for reply in said for row in reply.buttons for button in row if button.label == "button.confirm"):
        await tk.chat.handle(who, f"!{button.data}")
    if (await tk.users.state(who)).account != ACCOUNT:
        raise RuntimeError(f"{who} does not trade at the venue: {said}")
