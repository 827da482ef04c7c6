"""A market that stands still and a context around it, for testing use cases without an engine."""

from decimal import Decimal
from typing import Any

from tradekit.domain.instruments import Instrument, Quote, Symbol, instrument_for
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.sessions import SessionState
from tradekit.domain.tiers import DEFAULT_TIERS
from tradekit.domain.users import Identity, partition_of
from tradekit.services.decisions import Context, Decision
from tradekit.services.users import register
from tradekit.testing.factories import NOW_MS, PARTITIONS


class FixedMarket:
    """Prices by symbol, changed by the test. Implements :class:`tradekit.ports.market.MarketView`."""

    source = origin = "simulated"

    def __init__(self, prices: dict[Symbol, str] | None = None, time_ms: int = NOW_MS) -> None:
        self._quotes: dict[Symbol, Quote] = {}
        self._instruments: dict[Symbol, Instrument] = {}
        for symbol, price in (prices or {"BTC/USDT": "50000", "ETH/USDT": "2500", "SOL/USDT": "100"}).items():
            self.set(symbol, price, time_ms)

    def set(self, symbol: Symbol, price: str, time_ms: int = NOW_MS) -> None:
        """Move a price."""
        value = Decimal(price)
        self._quotes[symbol] = Quote(symbol=symbol, price=value, time_ms=time_ms)
        self._instruments.setdefault(symbol, instrument_for(symbol, value))

    def define(self, instrument: Instrument) -> None:
        """Replace the steps and limits of an instrument."""
        self._instruments[instrument.symbol] = instrument

    def quote(self, symbol: Symbol) -> Quote | None:
        return self._quotes.get(symbol)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self._instruments.get(symbol)

    def symbols(self) -> tuple[Symbol, ...]:
        return tuple(self._quotes)


class CountingEntropy:
    """Tokens that count up. Implements :class:`tradekit.ports.entropy.Entropy`."""

    def __init__(self) -> None:
        self._count = 0

    def token(self, size: int) -> str:
        self._count += 1
        return f"{self._count:0{2 * size}x}"

    def uniform(self) -> float:
        return 0.5


def a_context(**values: Any) -> Context:
    """A context at :data:`NOW_MS` on a :class:`FixedMarket`."""
    defaults: dict[str, Any] = {
        "now_ms": NOW_MS,
        "cause": "test/1",
        "market": FixedMarket(),
        "tiers": DEFAULT_TIERS,
        "policy": TradingPolicy(),
        "entropy": CountingEntropy(),
    }
    return Context(**{**defaults, **values})


def a_registered_state(user_id: int = 1, ctx: Context | None = None) -> SessionState:
    """The session of somebody who has just registered."""
    state = SessionState(user_id=user_id, partition=partition_of(user_id, PARTITIONS))
    outcome = register(state, Identity.of("test", user_id), f"User {user_id}", ctx or a_context())
    assert isinstance(outcome, Decision)
    return outcome.state
