"""`/control/...`: the server driven from another process. POST JSON, get JSON. Amounts are texts.

| path | body | answer |
|---|---|---|
| `account` | `name, balances?, permissions?` | `key, secret` |
| `balances` | `name` | free and locked per asset |
| `revoke_key` | `key` | `true` |
| `trade` | `symbol, price, quantity?` | `true` |
| `book` | `symbol, bids?, asks?` (lists of price and quantity) | `true` |
| `halt` | `symbol, status?` | `true` |
| `fill` | `order_id, quantity, price?` | `true` |
| `orders` | `name, client_order_id?` | orders as GET order has them, with their trades |
| `fault` | a `Fault` | `true` |
| `clear_faults`, `pardon` | - | `true` |
| `maintenance` | `on` | `true` |
| `clock_skew` | `ms` | `true` |
| `disconnect` | `name?` (a user's streams; else those of market data) | `true` |
| `calls` | `request?, last?` | list of calls |
| `stats` | - | `requests, submissions, refused, injected, orders` |
| `duplicates` | - | client order ids that were taken more than once: `account, client_order_id, orders` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tradekit.testing.exchange_server.accounts import Permissions
from tradekit.testing.exchange_server.dispatch import Dispatcher
from tradekit.testing.exchange_server.errors import VenueError
from tradekit.testing.exchange_server.faults import Fault
from tradekit.testing.exchange_server.streams import MarketStreams, UserStreams
from tradekit.testing.exchange_server.venue import Venue
from tradekit.testing.loopback.http import Request

_encode = msgspec.json.Encoder().encode
Body = dict[str, Any]


class Control:
    """Answers control requests."""

    def __init__(self, venue: Venue, dispatcher: Dispatcher, users: UserStreams, markets: MarketStreams) -> None:
        self._venue, self._dispatcher, self._users, self._markets = venue, dispatcher, users, markets
        self._actions: dict[str, Callable[[Body], Any]] = {
            "account": self._account,
            "balances": self._balances,
            "revoke_key": lambda body: venue.revoke_key(str(body["key"])),
            "trade": lambda body: venue.trade(str(body["symbol"]), Decimal(body["price"]), _maybe_amount(body, "quantity")),
            "book": self._book,
            "halt": lambda body: venue.halt(str(body["symbol"]), str(body.get("status", "BREAK"))),
            "fill": self._fill,
            "orders": self._orders,
            "fault": lambda body: venue.faults.add(msgspec.convert(body, Fault)),
            "clear_faults": lambda body: venue.faults.clear(),
            "pardon": lambda body: venue.weights.pardon(),
            "maintenance": self._maintenance,
            "clock_skew": self._clock_skew,
            "disconnect": self._disconnect,
            "calls": self._calls,
            "stats": self._stats,
            "duplicates": self._duplicates,
        }

    def handle(self, request: Request) -> None:
        """
        :raises VenueError: unknown action or unusable body.
        """
        name = request.path.removeprefix("/control/")
        perform = self._actions.get(name)
        if perform is None:
            raise VenueError(404, f"no control action {name!r}", 404)
        try:
            body = msgspec.json.decode(request.body) if request.body else {}
            if not isinstance(body, dict):
                raise ValueError("a JSON object is expected")
            answer = perform(body)
            request.respond(200, _encode(True if answer is None else answer))
        except LookupError as error:
            raise VenueError(404, f"not found: {error}", 404) from error
        except (msgspec.MsgspecError, TypeError, ValueError, InvalidOperation) as error:
            raise VenueError(400, str(error)) from error

    def _account(self, body: Body) -> Any:
        balances = {str(asset): Decimal(amount) for asset, amount in body["balances"].items()} if "balances" in body else None
        permissions = msgspec.convert(body["permissions"], Permissions) if "permissions" in body else None
        key = self._venue.account(str(body["name"]), balances, permissions).key
        return {"key": key.key, "secret": key.secret}

    def _balances(self, body: Body) -> Any:
        account = self._venue.accounts[str(body["name"])]
        return {
            asset: {"free": str(account.free.get(asset, Decimal(0))), "locked": str(account.locked.get(asset, Decimal(0)))}
            for asset in account.assets()
        }

    def _book(self, body: Body) -> None:
        sides = {
            side: [(Decimal(price), Decimal(quantity)) for price, quantity in body[side]] if side in body else None
            for side in ("bids", "asks")
        }
        self._venue.set_book(str(body["symbol"]), bids=sides["bids"], asks=sides["asks"])

    def _fill(self, body: Body) -> None:
        self._venue.engine.fill(self._venue.orders[int(body["order_id"])], Decimal(body["quantity"]), _maybe_amount(body, "price"))

    def _orders(self, body: Body) -> Any:
        return [
            order.describe() | {"trades": [order.describe_trade(trade) for trade in order.trades]}
            for order in self._venue.orders_under(str(body["name"]), body.get("client_order_id"))
        ]

    def _maintenance(self, body: Body) -> None:
        self._venue.maintenance = bool(body["on"])

    def _clock_skew(self, body: Body) -> None:
        self._venue.clock_skew_ms = int(body["ms"])

    def _disconnect(self, body: Body) -> None:
        if "name" in body:
            self._users.disconnect(self._venue.accounts[str(body["name"])])
        else:
            self._markets.disconnect()

    def _calls(self, body: Body) -> Any:
        wanted = body.get("request")
        calls = [call for call in self._dispatcher.calls if wanted is None or call.request == wanted]
        return calls[-int(body.get("last", len(calls) or 1)) :]

    def _stats(self, body: Body) -> Any:
        venue = self._venue
        return {
            "requests": sum(self._dispatcher.counts.values()),
            "submissions": venue.submissions,
            "refused": venue.weights.refused,
            "injected": venue.faults.injected,
            "orders": Counter(order.status for order in venue.orders.values()),
        }

    def _duplicates(self, body: Body) -> Any:
        taken = Counter((order.account.name, order.client_order_id) for order in self._venue.orders.values())
        return [{"account": name, "client_order_id": client_id, "orders": count} for (name, client_id), count in taken.items() if count > 1]


def _maybe_amount(body: Body, name: str) -> Decimal | None:
    return Decimal(body[name]) if name in body else None
