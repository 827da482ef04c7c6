"""Websockets: users' events and market data.

Users' events come over the websocket API (``/ws-api/v3``: a signed subscription) or over a listen key (``/ws/KEY``). Market data over
``/ws`` and ``/stream`` with SUBSCRIBE: trade, aggTrade, kline, ticker, miniTicker and bookTicker.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec

from tradekit.testing.exchange_server import queries
from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.faults import Fault
from tradekit.testing.exchange_server.klines import INTERVALS_MS
from tradekit.testing.exchange_server.markets import Market, format_amount
from tradekit.testing.exchange_server.orders import Trade, VenueOrder
from tradekit.testing.exchange_server.venue import Venue
from tradekit.testing.loopback.websocket import WebSocket

_encode = msgspec.json.Encoder().encode
_REORDER_S = 0.1
_KLINE_EVERY_S = 0.25


class UserStreams:
    """Who listens to whose events. Faults lose, repeat and reorder them."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._sockets: defaultdict[int, dict[WebSocket, int | None]] = defaultdict(dict)
        self._held: dict[int, tuple[str, bytes, asyncio.TimerHandle]] = {}
        self._subscriptions = 0
        self.listen_keys: dict[str, Account] = {}
        venue.listeners.execution = self._on_execution

    def listeners(self, account: Account) -> int:
        return len(self._sockets[account.number])

    def subscribe(self, account: Account, socket: WebSocket, *, wrapped: bool) -> int:
        """:param wrapped: as the websocket API has it: ``{"subscriptionId": 0, "event": {...}}``."""
        number = self._subscriptions
        self._subscriptions += 1
        self._sockets[account.number][socket] = number if wrapped else None
        return number

    def unsubscribe(self, socket: WebSocket) -> None:
        for sockets in self._sockets.values():
            sockets.pop(socket, None)

    def disconnect(self, account: Account) -> None:
        """Cut every socket that listens to this account."""
        for socket in list(self._sockets[account.number]):
            socket.abort()

    def new_listen_key(self, account: Account) -> str:
        for key, owner in self.listen_keys.items():
            if owner is account:
                return key
        key = uuid4().hex + uuid4().hex
        self.listen_keys[key] = account
        return key

    def close(self) -> None:
        for _, _, timer in self._held.values():
            timer.cancel()
        self._held.clear()

    def _on_execution(self, order: VenueOrder, execution: str, trade: Trade | None) -> None:
        account = order.account
        if not self._sockets[account.number]:
            return
        now_ms = self._venue.now_ms()
        request_id = uuid4().hex[:22] if execution == "CANCELED" else ""
        self._push(account, order.event(execution, now_ms, trade=trade, request_id=request_id))
        self._push(account, self._position(account, order.market, now_ms))

    def _position(self, account: Account, market: Market, now_ms: int) -> dict[str, Any]:
        zero = Decimal(0)
        rows = [(asset, account.free.get(asset, zero), account.locked.get(asset, zero)) for asset in (market.spec.base, market.spec.quote)]
        balances = [{"a": asset, "f": format_amount(free), "l": format_amount(locked)} for asset, free, locked in rows]
        return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances}

    def _push(self, account: Account, event: dict[str, Any]) -> None:
        kind = str(event["e"])
        fault = self._venue.faults.draw_event(kind, account.name)
        if fault is not None and fault.kind == "lose":
            return
        if fault is not None and fault.kind == "disconnect":
            self.disconnect(account)
            return
        body = _encode(event)
        if fault is not None and fault.kind == "reorder" and account.number not in self._held:
            self._hold(account, kind, body, fault)
            return
        self._send(account, body)
        if fault is not None and fault.kind == "duplicate":
            self._send(account, body)
        held = self._held.get(account.number)
        if held is not None and held[0] == kind:
            self._let_go(account)

    def _hold(self, account: Account, kind: str, body: bytes, fault: Fault) -> None:
        timer = asyncio.get_running_loop().call_later(fault.delay_s or _REORDER_S, self._let_go, account)
        self._held[account.number] = (kind, body, timer)

    def _let_go(self, account: Account) -> None:
        held = self._held.pop(account.number, None)
        if held is not None:
            held[2].cancel()
            self._send(account, held[1])

    def _send(self, account: Account, body: bytes) -> None:
        for socket, number in list(self._sockets[account.number].items()):
            socket.send(body if number is None else b'{"subscriptionId":%d,"event":%s}' % (number, body))


class MarketStreams:
    """Who listens to which market's data. Candles under way are repeated four times a second while somebody listens."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._sockets: dict[WebSocket, tuple[set[str], bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        venue.listeners.trade = self._on_trade

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def attach(self, socket: WebSocket, names: list[str], *, wrapped: bool) -> None:
        """:param wrapped: as ``/stream`` has it: ``{"stream": NAME, "data": {...}}``."""
        self._sockets[socket] = (set(names), wrapped)
        socket.on_text = lambda text: self._on_request(socket, text)
        socket.on_closed = lambda: self._sockets.pop(socket, None) and None
        self._keep_time()

    def disconnect(self) -> None:
        """Cut every socket."""
        for socket in list(self._sockets):
            socket.abort()

    @property
    def listening(self) -> set[str]:
        """Every stream that somebody listens to."""
        return set().union(*(names for names, _ in self._sockets.values())) if self._sockets else set()

    def _on_request(self, socket: WebSocket, text: bytes) -> None:
        try:
            request = msgspec.json.decode(text)
            method, names, number = str(request["method"]), [str(name) for name in request.get("params", [])], request.get("id")
        except (msgspec.DecodeError, KeyError, TypeError):
            socket.send(b'{"error":{"code":2,"msg":"Invalid request"},"id":null}')
            return
        mine = self._sockets[socket][0]
        result: Any = None
        if method == "SUBSCRIBE":
            mine.update(names)
        elif method == "UNSUBSCRIBE":
            mine.difference_update(names)
        elif method == "LIST_SUBSCRIPTIONS":
            result = sorted(mine)
        else:
            socket.send(_encode({"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, "id": number}))
            return
        socket.send(_encode({"result": result, "id": number}))
        if method == "SUBSCRIBE":
            self._greet(socket, names)
        self._keep_time()

    def _greet(self, socket: WebSocket, names: list[str]) -> None:
        """Tickers come at once, as the real ones come every second."""
        for name in names:
            symbol, _, channel = name.partition("@")
            market = self._venue.markets.get(symbol.upper())
            if market is not None and channel in _TICKERS:
                self._send_to(socket, name, _TICKERS[channel](self._venue, market))

    def _on_trade(self, market: Market, price: Decimal, quantity: Decimal, buyer_is_maker: bool) -> None:
        self._venue.note_trade(market, price, quantity, buyer_is_maker)
        if not self._sockets:
            return
        now_ms = self._venue.now_ms()
        event = {
            "e": "trade",
            "E": now_ms,
            "s": market.symbol,
            "t": market.trade_id,
            "p": format_amount(price),
            "q": format_amount(quantity),
            "T": now_ms,
            "m": buyer_is_maker,
            "M": True,
        }
        name = market.symbol.lower()
        self._publish(f"{name}@trade", lambda: event)
        self._publish(
            f"{name}@aggTrade", lambda: event | {"e": "aggTrade", "a": market.trade_id, "f": market.trade_id, "l": market.trade_id}
        )
        for channel, describe in _TICKERS.items():
            self._publish(f"{name}@{channel}", lambda describe=describe: describe(self._venue, market))  # type: ignore[misc]
        self._publish_candles()

    def _publish(self, name: str, describe: Callable[[], dict[str, Any]]) -> None:
        event: dict[str, Any] | None = None
        for socket, (names, _) in list(self._sockets.items()):
            if name in names:
                event = event or describe()
                self._send_to(socket, name, event)

    def _send_to(self, socket: WebSocket, name: str, event: dict[str, Any]) -> None:
        wrapped = self._sockets[socket][1]
        socket.send(_encode({"stream": name, "data": event} if wrapped else event))

    def _publish_candles(self) -> None:
        now_ms = self._venue.now_ms()
        for name in self.listening:
            symbol, _, channel = name.partition("@kline_")
            market = self._venue.markets.get(symbol.upper())
            if channel in INTERVALS_MS and market is not None:
                candle = self._venue.candles[market.symbol].last(channel, market.last, now_ms)
                event = candle.event(market.symbol, channel, now_ms)
                self._publish(name, lambda event=event: event)  # type: ignore[misc]

    def _keep_time(self) -> None:
        if self._timer is None and any("@kline_" in name for name in self.listening):
            self._timer = asyncio.get_running_loop().call_later(_KLINE_EVERY_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._publish_candles()
        self._keep_time()


def _ticker(venue: Venue, market: Market) -> dict[str, Any]:
    day = queries.day_ticker(venue, market)
    return {
        "e": "24hrTicker",
        "E": venue.now_ms(),
        "s": market.symbol,
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "x": day["prevClosePrice"],
        "c": day["lastPrice"],
        "Q": day["lastQty"],
        "b": day["bidPrice"],
        "B": day["bidQty"],
        "a": day["askPrice"],
        "A": day["askQty"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }


def _mini_ticker(venue: Venue, market: Market) -> dict[str, Any]:
    whole = _ticker(venue, market)
    return {name: whole[name] for name in ("E", "s", "c", "o", "h", "l", "v", "q")} | {"e": "24hrMiniTicker"}


def _book_ticker(venue: Venue, market: Market) -> dict[str, Any]:
    best = queries.book_ticker(venue, market)
    market.book_update_id += 1
    return {
        "u": market.book_update_id,
        "s": market.symbol,
        "b": best["bidPrice"],
        "B": best["bidQty"],
        "a": best["askPrice"],
        "A": best["askQty"],
    }


_TICKERS: dict[str, Callable[[Venue, Market], dict[str, Any]]] = {
    "ticker": _ticker,
    "miniTicker": _mini_ticker,
    "bookTicker": _book_ticker,
}
