"""The loopback exchange server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import msgspec

from tradekit.testing.exchange_server.accounts import Account, Permissions
from tradekit.testing.exchange_server.control import Control
from tradekit.testing.exchange_server.dispatch import Call, Dispatcher, Incoming
from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.faults import FaultPlan
from tradekit.testing.exchange_server.limits import Limits
from tradekit.testing.exchange_server.markets import DEFAULT_MARKETS, Level, MarketSpec
from tradekit.testing.exchange_server.orders import VenueOrder
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.rest import key_owner, without_signature
from tradekit.testing.exchange_server.streams import MarketStreams, UserStreams
from tradekit.testing.exchange_server.venue import Venue
from tradekit.testing.exchange_server.websocket_api import WebSocketApi
from tradekit.testing.loopback.http import HttpServer, Request
from tradekit.testing.loopback.websocket import WebSocket

_encode = msgspec.json.Encoder().encode
_LISTEN_KEY = "/api/v3/userDataStream"


class ExchangeServer:
    """Binance's spot API, as far as ccxt's unmodified `binance` class needs it, over real HTTP and websocket on 127.0.0.1.

    ```python
    async with ExchangeServer() as server:
        account = server.account("ada")
        exchange = ccxt.pro.binance({"apiKey": account.key.key, "secret": account.key.secret})
        configure(exchange, server.url)
        await exchange.create_order("BTC/USDT", "market", "buy", 0.01)
        server.trade("BTCUSDT", Decimal(39_000))
    ```

    Prices stand until `trade` moves them; orders of the accounts do not. Weights and bans are always on (see `Limits`). Needs an asyncio
    loop.
    """

    def __init__(
        self,
        *,
        markets: Iterable[MarketSpec] = DEFAULT_MARKETS,
        limits: Limits | None = None,
        port: int = 0,
        seed: int = 0,
        calls_kept: int = 10_000,
    ) -> None:
        """
        :param port: 0 takes a free one.
        :param seed: of the faults that have a probability.
        :param calls_kept: how many of the last requests `calls` holds.
        """
        self.venue = Venue(markets, limits or Limits(), seed)
        self.users = UserStreams(self.venue)
        self.market_streams = MarketStreams(self.venue)
        self._dispatcher = Dispatcher(self.venue, calls_kept)
        self._api = WebSocketApi(self.venue, self._dispatcher, self.users)
        self._control = Control(self.venue, self._dispatcher, self.users, self.market_streams)
        self._http = HttpServer(self._handle, "127.0.0.1", port, upgrade=self._upgrade)
        self.port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """
        :raises OSError: the port is taken.
        """
        self.port = await self._http.start()

    async def stop(self) -> None:
        self.users.close()
        self.market_streams.close()
        await self._http.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def faults(self) -> FaultPlan:
        return self.venue.faults

    @property
    def calls(self) -> list[Call]:
        """The last requests, oldest first."""
        return list(self._dispatcher.calls)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many requests of each kind came, such as ``GET /api/v3/order``."""
        return self._dispatcher.counts

    def account(self, name: str, balances: Mapping[str, Decimal] | None = None, permissions: Permissions | None = None) -> Account:
        """The account of this name; made on first use, with a key that may read and trade unless said otherwise."""
        return self.venue.account(name, balances, permissions)

    def trade(self, symbol: str, price: Decimal, quantity: Decimal | None = None) -> None:
        """Somebody trades at this price: see `Engine.trade_at`. :param symbol: as the venue writes it, such as ``BTCUSDT``."""
        self.venue.trade(symbol, price, quantity)

    def set_book(self, symbol: str, *, bids: Iterable[Level] | None = None, asks: Iterable[Level] | None = None) -> None:
        """Let the house offer these levels until they are taken; None: again without end at the touch."""
        self.venue.set_book(symbol, bids=bids, asks=asks)

    def halt(self, symbol: str, status: str = "BREAK") -> None:
        """Stop trading in a market, or start it again with ``TRADING``."""
        self.venue.halt(symbol, status)

    def fill(self, order: VenueOrder, quantity: Decimal, price: Decimal | None = None) -> None:
        """Execute a part of an order, even one that is over."""
        self.venue.engine.fill(order, quantity, price)

    def orders(self, name: str, client_order_id: str | None = None) -> list[VenueOrder]:
        """Every order of an account, oldest first; or those under one client order id."""
        return self.venue.orders_under(name, client_order_id)

    def _handle(self, request: Request) -> None:
        try:
            if request.path.startswith("/control/"):
                self._control.handle(request)
            elif request.path == _LISTEN_KEY:
                self._listen_key(request)
            else:
                self._dispatcher.handle(self._incoming(request))
        except VenueError as error:
            request.respond(error.status, _encode(error.body()))
        except Exception as error:  # noqa: BLE001  a bug here must not leave the client waiting
            request.respond(500, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}')
            asyncio.get_running_loop().call_exception_handler({"message": f"request {request.path} failed", "exception": error})

    def _incoming(self, request: Request) -> Incoming:
        query, in_query = without_signature(request.query)
        body, in_body = without_signature(request.body.decode("latin-1"))
        return Incoming(
            request=f"{request.verb} {request.path}",
            peer=request.peer,
            parameters=Parameters.parse(query, body),
            key=request.headers.get("x-mbx-apikey"),
            signed_text=query + body,
            signature=in_query or in_body,
            respond=request.respond,
            drop=request.drop,
        )

    def _listen_key(self, request: Request) -> None:
        owner = key_owner(self.venue, request.headers.get("x-mbx-apikey"))
        body: dict[str, Any] = {}
        parameters = Parameters.parse(request.query, request.body.decode("latin-1"))
        if request.verb == "POST":
            body = {"listenKey": self.users.new_listen_key(owner)}
        elif self.users.listen_keys.get(parameters.text("listenKey")) is not owner:
            raise VenueError(-1125, "This listenKey does not exist.")
        elif request.verb == "DELETE":
            del self.users.listen_keys[parameters.text("listenKey")]
        request.respond(200, _encode(body))

    def _upgrade(self, request: Request, socket: WebSocket) -> bool:
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] == ["ws-api"]:
            self._api.attach(socket, request.peer)
            return True
        if parts[:1] not in (["ws"], ["stream"]):
            return False
        owner = self.users.listen_keys.get(parts[1]) if len(parts) > 1 else None
        if owner is not None:
            self.users.subscribe(owner, socket, wrapped=False)
            socket.on_closed = lambda: self.users.unsubscribe(socket)
            return True
        named = [name for name in parts[1:] if "@" in name]
        for pair in request.query.split("&"):
            if pair.startswith("streams="):
                named += pair.removeprefix("streams=").split("/")
        self.market_streams.attach(socket, named, wrapped=parts[0] == "stream")
        return True
