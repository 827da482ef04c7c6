"""The websocket API: ``/ws-api/v3``. The user's stream by signature, and the REST requests under their other names."""

from __future__ import annotations

from typing import Any

import msgspec

from tradekit.testing.exchange_server.dispatch import Dispatcher, Incoming
from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.rest import Signed, check_permission, check_signature, key_owner
from tradekit.testing.exchange_server.streams import UserStreams
from tradekit.testing.exchange_server.venue import Venue
from tradekit.testing.loopback.websocket import WebSocket

_encode = msgspec.json.Encoder().encode
_REQUESTS = {
    "ping": "GET /api/v3/ping",
    "time": "GET /api/v3/time",
    "exchangeInfo": "GET /api/v3/exchangeInfo",
    "depth": "GET /api/v3/depth",
    "klines": "GET /api/v3/klines",
    "ticker.price": "GET /api/v3/ticker/price",
    "ticker.24hr": "GET /api/v3/ticker/24hr",
    "order.place": "POST /api/v3/order",
    "order.cancel": "DELETE /api/v3/order",
    "order.status": "GET /api/v3/order",
    "order.cancelReplace": "POST /api/v3/order/cancelReplace",
    "openOrders.status": "GET /api/v3/openOrders",
    "openOrders.cancelAll": "DELETE /api/v3/openOrders",
    "allOrders": "GET /api/v3/allOrders",
    "myTrades": "GET /api/v3/myTrades",
    "account.status": "GET /api/v3/account",
}
_STREAM = Signed(lambda venue, owner, parameters: None, 2)


class WebSocketApi:
    """Answers what comes over one kind of socket."""

    def __init__(self, venue: Venue, dispatcher: Dispatcher, users: UserStreams) -> None:
        self._venue, self._dispatcher, self._users = venue, dispatcher, users
        self._sockets: set[WebSocket] = set()

    def attach(self, socket: WebSocket, peer: str) -> None:
        self._sockets.add(socket)
        socket.on_text = lambda text: self._on_request(socket, peer, text)
        socket.on_closed = lambda: self._gone(socket)

    def _gone(self, socket: WebSocket) -> None:
        self._sockets.discard(socket)
        self._users.unsubscribe(socket)

    def _on_request(self, socket: WebSocket, peer: str, text: bytes) -> None:
        try:
            request = msgspec.json.decode(text)
            number, method = request["id"], str(request["method"])
            values = {str(name): _text(value) for name, value in (request.get("params") or {}).items()}
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            socket.send(_encode({"id": None, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}}))
            return
        parameters = Parameters(values)
        key, signature = values.get("apiKey"), values.get("signature")
        signed = "&".join(f"{name}={value}" for name, value in sorted(values.items()) if name != "signature")
        if method.startswith("userDataStream."):
            self._stream(socket, number, method, parameters, key, signed, signature)
        elif method in _REQUESTS:
            self._dispatcher.handle(
                Incoming(
                    request=_REQUESTS[method],
                    peer=peer,
                    parameters=parameters,
                    key=key,
                    signed_text=signed,
                    signature=signature,
                    respond=lambda status, body, headers: _respond(socket, number, status, body),
                    drop=socket.abort,
                )
            )
        else:
            _respond(socket, number, 400, _encode(VenueError(-1000, f"There is no method {method}.").body()))

    def _stream(
        self, socket: WebSocket, number: Any, method: str, parameters: Parameters, key: str | None, signed: str, signature: str | None
    ) -> None:
        try:
            if method == "userDataStream.unsubscribe":
                self._users.unsubscribe(socket)
                result: dict[str, int] = {}
            elif method == "userDataStream.subscribe.signature":
                owner = key_owner(self._venue, key)
                check_signature(self._venue, owner, key or "", signed, signature, parameters)
                check_permission(owner, key or "", _STREAM)
                result = {"subscriptionId": self._users.subscribe(owner, socket, wrapped=True)}
            else:
                raise VenueError(-1000, f"There is no method {method}.")
        except VenueError as error:
            _respond(socket, number, error.status, _encode(error.body()))
        else:
            _respond(socket, number, 200, _encode(result))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _respond(socket: WebSocket, number: Any, status: int, body: bytes) -> None:
    part = b"result" if status == 200 else b"error"
    socket.send(b'{"id":%s,"status":%d,"%s":%s,"rateLimits":[]}' % (_encode(number), status, part, body))
