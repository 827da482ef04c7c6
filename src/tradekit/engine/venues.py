"""Which exchange is behind which account."""

from collections.abc import Callable, Iterator

from tradekit.domain.instruments import Instrument, Symbol
from tradekit.domain.orders import PAPER, Order, OrderType
from tradekit.engine.market import Market
from tradekit.ports.exchange import Exchange


class Venues:
    """The paper exchange, and the venues that an operator opened for trading. Implements :class:`~tradekit.ports.exchange.AccountsView`."""

    def __init__(self, paper: Exchange, market: Market) -> None:
        self._market = market
        self._exchanges: dict[str, Exchange] = {PAPER: paper}
        self.is_settled: Callable[[int, str], bool] = lambda user_id, account: True
        """Whether a user's account has been reconciled since the start; whoever reconciles sets this."""

    def add(self, account: str, exchange: Exchange) -> None:
        """Send the orders of accounts of this name (``binance:live``) there."""
        self._exchanges[account] = exchange

    def __iter__(self) -> Iterator[tuple[str, Exchange]]:
        return iter(self._exchanges.items())

    def get(self, account: str) -> Exchange | None:
        """The exchange behind an account, or None when the operator does not trade there any more."""
        return self._exchanges.get(account)

    def of(self, order: Order) -> Exchange | None:
        """The exchange of an order."""
        return self._exchanges.get(order.account)

    def instrument(self, account: str, symbol: Symbol) -> Instrument | None:
        """Steps and limits where the account trades; of paper those of the market that prices it."""
        exchange = self._exchanges.get(account)
        if exchange is None or account == PAPER:
            return self._market.instrument(symbol)
        return exchange.instrument(symbol)

    def native(self, account: str) -> frozenset[OrderType]:
        """Conditional order types whose trigger the venue watches itself."""
        exchange = self._exchanges.get(account)
        return frozenset() if exchange is None else exchange.capabilities.native

    def problem(self, account: str) -> str:
        """Why nothing can be sent there now, or empty text."""
        exchange = self._exchanges.get(account)
        return "NOT_CONNECTED" if exchange is None else str(getattr(exchange, "problem", ""))

    def problems(self) -> dict[str, str]:
        """Venues that cannot be used now, by account, and why."""
        return {account: problem for account in self._exchanges if (problem := self.problem(account))}

    def settled(self, user_id: int, account: str) -> bool:
        """Whether the account's books agree with the venue's."""
        return self.is_settled(user_id, account)
