"""The venue's state: markets, accounts, orders and their history."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradekit.testing.exchange_server.accounts import Account, Permissions
from tradekit.testing.exchange_server.errors import bad_symbol
from tradekit.testing.exchange_server.faults import FaultPlan
from tradekit.testing.exchange_server.klines import Candles
from tradekit.testing.exchange_server.limits import Limits, OrderCounts, Weights
from tradekit.testing.exchange_server.markets import Level, Market, MarketSpec
from tradekit.testing.exchange_server.matching import Engine, Listeners
from tradekit.testing.exchange_server.orders import OrderList, Trade, VenueOrder

RECENT_TRADES_MAX = 1_000
DEFAULT_BALANCES = {"USDT": Decimal(1_000_000), "BTC": Decimal(100), "ETH": Decimal(1_000), "BNB": Decimal(100)}


class Venue:
    """Everything but the network."""

    def __init__(self, markets: Iterable[MarketSpec], limits: Limits, seed: int) -> None:
        self.markets = {spec.symbol: Market(spec) for spec in markets}
        self.candles = {symbol: Candles() for symbol in self.markets}
        self.recent: dict[str, list[tuple[int, Decimal, Decimal, int, bool]]] = {symbol: [] for symbol in self.markets}
        """Trade id, price, quantity, time in milliseconds, whether the buyer was the maker."""
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.faults = FaultPlan(seed)
        self.weights = Weights(limits)
        self.order_counts = OrderCounts(limits)
        self.maintenance = False
        self.clock_skew_ms = 0
        """The venue's clock is this far ahead of the machine's."""
        self.listeners = Listeners()
        self.engine = Engine(self.markets, self.listeners, self.now_ms)
        self.orders: dict[int, VenueOrder] = {}
        self.lists: dict[int, OrderList] = {}
        self._by_client_id: dict[tuple[int, str], list[VenueOrder]] = {}
        self._by_account: dict[int, list[VenueOrder]] = {}
        self.submissions = 0
        """New orders taken, in all."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_skew_ms

    @staticmethod
    def monotonic_s() -> float:
        return time.monotonic()

    def market(self, symbol: str) -> Market:
        """
        :raises VenueError: -1121.
        """
        market = self.markets.get(symbol)
        if market is None:
            raise bad_symbol()
        return market

    def add_market(self, spec: MarketSpec) -> Market:
        market = Market(spec)
        self.markets[spec.symbol] = market
        self.candles[spec.symbol] = Candles()
        self.recent[spec.symbol] = []
        self.engine.add_market(market)
        return market

    def trade(self, symbol: str, price: Decimal, quantity: Decimal | None = None) -> None:
        """Somebody trades at this price: see `Engine.trade_at`."""
        self.engine.trade_at(self.market(symbol), price, quantity)

    def set_book(self, symbol: str, *, bids: Iterable[Level] | None = None, asks: Iterable[Level] | None = None) -> None:
        """Let the house offer these levels until they are taken; None: again without end at the touch."""
        market = self.market(symbol)
        market.bids = sorted(bids, reverse=True) if bids is not None else None
        market.asks = sorted(asks) if asks is not None else None

    def halt(self, symbol: str, status: str = "BREAK") -> None:
        """Stop trading in a market, or start it again with ``TRADING``."""
        self.market(symbol).status = status

    def orders_under(self, name: str, client_order_id: str | None = None) -> list[VenueOrder]:
        """Every order of an account, oldest first; or those under one client order id."""
        account = self.accounts[name]
        if client_order_id is not None:
            return self.by_client_id(account, client_order_id)
        return self.orders_of(account, all_of_them=True)

    def account(self, name: str, balances: Mapping[str, Decimal] | None = None, permissions: Permissions | None = None) -> Account:
        """The account of this name; made with these balances and a first key if it does not exist."""
        account = self.accounts.get(name)
        if account is None:
            account = Account(name, len(self.accounts) + 1, balances if balances is not None else DEFAULT_BALANCES)
            self.accounts[name] = account
            self.register_key(account, permissions)
        return account

    def register_key(self, account: Account, permissions: Permissions | None = None) -> str:
        """A further key of the account."""
        key = account.new_key(self.now_ms(), permissions)
        self.by_key[key.key] = account
        return key.key

    def revoke_key(self, key: str) -> None:
        account = self.by_key.pop(key)
        del account.keys[key]

    def next_order_id(self) -> int:
        return len(self.orders) + 1

    def record(self, order: VenueOrder) -> None:
        """Keep a taken order in the history."""
        self.orders[order.order_id] = order
        number = order.account.number
        self._by_client_id.setdefault((number, order.client_order_id), []).append(order)
        self._by_account.setdefault(number, []).append(order)
        self.submissions += 1

    def orders_of(self, account: Account, symbol: str | None = None, *, all_of_them: bool = False) -> list[VenueOrder]:
        """Oldest first. :param all_of_them: also those that queries do not know yet."""
        now_s = self.monotonic_s()
        return [
            order
            for order in self._by_account.get(account.number, ())
            if (symbol is None or order.market.symbol == symbol) and (all_of_them or order.visible_from_s <= now_s)
        ]

    def by_client_id(self, account: Account, client_order_id: str) -> list[VenueOrder]:
        """Every order taken under this id, oldest first: an id is free again once its order is over."""
        return list(self._by_client_id.get((account.number, client_order_id), ()))

    def find(self, account: Account, symbol: str, order_id: int | None, client_order_id: str | None) -> VenueOrder | None:
        """The order that a query means, and that it may know yet."""
        if order_id is not None:
            order = self.orders.get(order_id)
            found = [order] if order is not None and order.account is account else []
        else:
            found = self.by_client_id(account, client_order_id or "")
        now_s = self.monotonic_s()
        known = [order for order in found if order.market.symbol == symbol and order.visible_from_s <= now_s]
        return known[-1] if known else None

    def note_trade(self, market: Market, price: Decimal, quantity: Decimal, buyer_is_maker: bool) -> None:
        """Keep a trade for trades, candles and tickers. The last price stays what the test has set: orders do not move it."""
        recent, now_ms = self.recent[market.symbol], self.now_ms()
        market.trade_id += 0 if recent and recent[-1][0] < market.trade_id else 1
        recent.append((market.trade_id, price, quantity, now_ms, buyer_is_maker))
        if len(recent) > 2 * RECENT_TRADES_MAX:
            del recent[:-RECENT_TRADES_MAX]
        self.candles[market.symbol].add(price, quantity, now_ms)

    def trades_of(self, account: Account, symbol: str) -> list[tuple[VenueOrder, Trade]]:
        """By trade id."""
        pairs = [(order, trade) for order in self.orders_of(account, symbol) for trade in order.trades]
        return sorted(pairs, key=lambda pair: pair[1].trade_id)
