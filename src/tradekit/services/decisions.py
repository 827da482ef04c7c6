"""What a use case is given, and what it answers."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec

from tradekit.domain.changes import NOTHING, Changes
from tradekit.domain.credentials import KeyPolicy
from tradekit.domain.errors import TradekitError
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import PAPER, Order
from tradekit.domain.replies import Reply
from tradekit.domain.risk import TradingPolicy, equity_of
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Signal
from tradekit.domain.tiers import Limits, Tiers
from tradekit.ports.entropy import Entropy
from tradekit.ports.exchange import AccountsView
from tradekit.ports.indicators import RecentBars
from tradekit.ports.market import MarketView
from tradekit.ports.storage import Reader


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy or provider that can be followed."""

    name: str
    title: str
    advanced: bool = False


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision may know besides the user's session. Cheap to make: one per message."""

    now_ms: int
    cause: str
    """Id of the message that asks; ids of orders derive from it."""
    market: MarketView
    tiers: Tiers
    policy: TradingPolicy
    entropy: Entropy
    sources: tuple[Source, ...] = ()
    """What can be subscribed to."""
    confirm_orders: bool = True
    """Whether this conversation asks before an order; a terminal on paper does not."""
    initial_cash: Decimal = Decimal(10_000)
    """Deposit of a new paper account, in quote currency."""
    partitions: int = 256
    signal_ttl_s: int = 300
    keys: KeyPolicy = KeyPolicy()
    accounts: AccountsView | None = None
    """The venues behind the users' accounts; None: there is paper only."""
    bars: RecentBars | None = None
    """What rules can be tried on; None: nothing here runs them."""

    def instrument(self, state: SessionState, symbol: str) -> Instrument | None:
        """Steps and limits where the account in use trades."""
        if self.accounts is None or state.account == PAPER:
            return self.market.instrument(symbol)
        return self.accounts.instrument(state.account, symbol)

    def settled(self, state: SessionState) -> bool:
        """Whether the account in use agrees with its venue."""
        return self.accounts is None or self.accounts.settled(state.user_id, state.account)

    def limits(self, state: SessionState) -> Limits:
        """What the user's tier allows."""
        assert state.user is not None
        return self.tiers[state.user.tier].limits

    def equity(self, state: SessionState) -> Decimal:
        """Cash plus positions at market, in quote currency."""
        return equity_of(state.session.cash, state.positions, self.price)

    def price(self, symbol: str) -> Decimal | None:
        """Last price in quote currency, or None before the first."""
        quote = self.market.quote(symbol)
        return None if quote is None else quote.price


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a use case. Nothing of it has happened yet: the engine commits, then acts."""

    state: SessionState
    """The session as it will be once the commit is durable."""
    changes: Changes = NOTHING
    """History rows; rows of current state are derived from ``state`` by the engine."""
    submit: tuple[Order, ...] = ()
    """Orders to send to the venue after the commit."""
    cancel: tuple[Order, ...] = ()
    """Orders to ask the venue to cancel after the commit."""
    reconcile: tuple[str, ...] = ()
    """The user's accounts to compare with their venue after the commit; what comes of it is told."""
    publish: tuple[Signal, ...] = ()
    """Signals to fan out after the commit (their rows are in ``changes``)."""
    replies: tuple[Reply, ...] = ()
    """What the asking conversation is told."""
    notices: tuple[Reply, ...] = ()
    """What the user is told wherever they can be reached."""
    result: Any = None
    """What an awaiting caller gets."""
    error: TradekitError | None = None
    """What an awaiting caller gets raised instead; the changes are committed all the same."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A use case that must ask the storage first: the lane stays held, ``then`` decides on the answer."""

    query: Callable[[Reader], Awaitable[Any]]
    then: Callable[[Any, Context], Decision]


Handler = Callable[[SessionState, Context], Decision | Read]
"""A use case bound to its arguments: what a lane runs."""


def unchanged(state: SessionState, *replies: Reply, result: Any = None) -> Decision:
    """An answer that changes nothing."""
    return Decision(state=state, replies=replies, result=result)


def refused(state: SessionState, error: TradekitError, *replies: Reply) -> Decision:
    """A refusal that changes nothing."""
    return Decision(state=state, replies=replies, error=error)
