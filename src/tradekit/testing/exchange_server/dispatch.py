"""From a request to its answer: weights, keys, signatures, faults. Used by REST and by the websocket API."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from decimal import ROUND_DOWN
from typing import Any

import attrs
import msgspec

from tradekit.testing.exchange_server import trading
from tradekit.testing.exchange_server.accounts import Account
from tradekit.testing.exchange_server.errors import VenueError, maintenance, outside_recv_window
from tradekit.testing.exchange_server.faults import Fault
from tradekit.testing.exchange_server.limits import banned, too_many_requests
from tradekit.testing.exchange_server.parameters import Parameters
from tradekit.testing.exchange_server.rest import (
    ENDPOINTS,
    PLACES_ORDERS,
    Public,
    Signed,
    check_permission,
    check_signature,
    key_owner,
    weight_of,
)
from tradekit.testing.exchange_server.venue import Venue

_encode = msgspec.json.Encoder().encode
Respond = Callable[[int, bytes, tuple[tuple[str, str], ...]], None]


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that was answered."""

    request: str
    """Such as ``GET /api/v3/order``."""
    account: str
    """Empty if unsigned."""
    parameters: dict[str, str]
    status: int
    """0: the connection was closed instead."""
    code: int
    """Of the refusal; 0: none."""
    time_ms: int


@attrs.define(kw_only=True)
class Incoming:
    """A request, however it came."""

    request: str
    peer: str
    parameters: Parameters
    key: str | None
    signed_text: str
    signature: str | None
    respond: Respond
    drop: Callable[[], None]


class Dispatcher:
    """Answers requests and keeps the last ones."""

    def __init__(self, venue: Venue, calls_kept: int) -> None:
        self._venue = venue
        self.calls: deque[Call] = deque(maxlen=calls_kept)
        self.counts: Counter[str] = Counter()

    def handle(self, incoming: Incoming) -> None:
        venue = self._venue
        owner = venue.by_key.get(incoming.key or "")
        fault = venue.faults.draw(incoming.request, owner.name if owner is not None else None)
        if fault is not None and fault.kind == "drop_before":
            self._record(incoming, owner, 0, 0)
            incoming.drop()
            return
        headers: tuple[tuple[str, str], ...] = ()
        code = 0
        try:
            headers = self._admit(incoming)
            body, count = self._answer(incoming, fault)
            status = 200
            if count:
                headers += (("x-mbx-order-count-10s", str(count[0])), ("x-mbx-order-count-1d", str(count[1])))
        except VenueError as error:
            status, code, body = error.status, error.code, error.body()
            if error.retry_after_s is not None:
                headers += (("retry-after", str(error.retry_after_s)),)
        if fault is not None and fault.kind == "drop_after":
            self._record(incoming, owner, 0, code)
            incoming.drop()
            return
        self._record(incoming, owner, status, code)
        payload = _encode(body)
        if fault is not None and fault.kind == "delay":
            asyncio.get_running_loop().call_later(fault.delay_s, incoming.respond, status, payload, headers)
        else:
            incoming.respond(status, payload, headers)

    def _admit(self, incoming: Incoming) -> tuple[tuple[str, str], ...]:
        venue, endpoint = self._venue, ENDPOINTS.get(incoming.request)
        weight = weight_of(endpoint, incoming.parameters) if endpoint is not None else 1
        venue.weights.admit(incoming.peer, weight, venue.monotonic_s(), venue.now_ms())
        used = str(venue.weights.used(incoming.peer))
        return (("x-mbx-used-weight", used), ("x-mbx-used-weight-1m", used))

    def _answer(self, incoming: Incoming, fault: Fault | None) -> tuple[Any, tuple[int, int] | None]:
        venue = self._venue
        if venue.maintenance and incoming.request != "GET /sapi/v1/system/status":
            raise maintenance()
        refusal = self._refusal(fault)
        if refusal is not None:
            if fault is not None and fault.act:
                self._act(incoming, None)
            raise refusal
        return self._act(incoming, fault)

    def _refusal(self, fault: Fault | None) -> VenueError | None:
        if fault is None:
            return None
        if fault.kind == "error":
            return VenueError(fault.error_code, fault.message, fault.status)
        if fault.kind == "rate_limit":
            return too_many_requests(fault.delay_s)
        if fault.kind == "ban":
            return banned(fault.delay_s, self._venue.now_ms())
        if fault.kind == "clock":
            return outside_recv_window()
        return maintenance() if fault.kind == "maintenance" else None

    def _act(self, incoming: Incoming, fault: Fault | None) -> tuple[Any, tuple[int, int] | None]:
        venue, parameters = self._venue, incoming.parameters
        endpoint = ENDPOINTS.get(incoming.request)
        if endpoint is None:
            raise VenueError(-1000, f"There is no {incoming.request}.", 404)
        if isinstance(endpoint, Public):
            return endpoint.handler(venue, parameters), None
        owner = self._signer(incoming, endpoint)
        count = venue.order_counts.admit(owner.name, venue.monotonic_s()) if incoming.request in PLACES_ORDERS else None
        if fault is not None and fault.kind in {"partial", "invisible"}:
            manners = trading.Manners(
                fraction=fault.fraction if fault.kind == "partial" else None,
                invisible_s=fault.delay_s if fault.kind == "invisible" else 0.0,
            )
            return trading.place(venue, owner, parameters, manners), count
        if fault is not None and fault.kind == "no_trades":
            return [], count
        body = endpoint.handler(venue, owner, parameters)
        if fault is not None and fault.kind == "late_fill":
            self._fill_later(int(body["orderId"]), fault)
        return body, count

    def _signer(self, incoming: Incoming, endpoint: Signed) -> Account:
        key = incoming.key or ""
        owner = key_owner(self._venue, key)
        check_signature(self._venue, owner, key, incoming.signed_text, incoming.signature, incoming.parameters)
        check_permission(owner, key, endpoint)
        incoming.parameters.values["_key"] = key
        return owner

    def _fill_later(self, order_id: int, fault: Fault) -> None:
        order = self._venue.orders[order_id]
        step = order.market.spec.step_size
        quantity = max(step, (order.left * fault.fraction / step).to_integral_value(ROUND_DOWN) * step)
        asyncio.get_running_loop().call_later(fault.delay_s, self._venue.engine.fill, order, quantity)

    def _record(self, incoming: Incoming, owner: Account | None, status: int, code: int) -> None:
        self.counts[incoming.request] += 1
        self.calls.append(
            Call(
                request=incoming.request,
                account=owner.name if owner is not None else "",
                parameters={
                    name: value for name, value in incoming.parameters.values.items() if name not in {"_key", "apiKey", "signature"}
                },
                status=status,
                code=code,
                time_ms=self._venue.now_ms(),
            )
        )
