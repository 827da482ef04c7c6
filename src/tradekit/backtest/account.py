"""One trader on paper: the service's own use cases, each decision in force at once."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs
import msgspec

from tradekit.backtest.ledger import Book
from tradekit.backtest.market import BarMarket
from tradekit.backtest.venue import BarVenue
from tradekit.domain.errors import BadInput
from tradekit.domain.orders import Order, OrderReport
from tradekit.domain.risk import OrderRequest, TradingPolicy
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Outcome, Signal
from tradekit.domain.tiers import Limits, Tier, TierName, Tiers
from tradekit.domain.users import Identity
from tradekit.services import reports, signals, trading, triggers, users
from tradekit.services.decisions import Context, Decision, Source

NO_LIMIT = 10**9

UNLIMITED: Tiers = {
    name: Tier(
        name=name,
        title="Backtest",
        weight=1,
        limits=Limits(
            daily_trades=NO_LIMIT,
            max_positions=NO_LIMIT,
            api_calls_per_minute=NO_LIMIT,
            advanced_signals=True,
            custom_strategies=True,
            priority_support=True,
        ),
    )
    for name in TierName
}
"""Quotas belong to plans, not to strategies."""

QUIET = {"notify_fills": "off", "notify_signals": "off"}


@attrs.define
class _Counter:
    """Tokens that count up: nothing of a backtest is random."""

    made: int = 0

    def token(self, size: int) -> str:
        self.made += 1
        return f"{self.made:0{2 * size}x}"

    def uniform(self) -> float:
        return 0.5


class Account:
    """A registered user who follows one source, trading at a :class:`BarVenue`.

    :raises BadInput: a setting is unknown or cannot be read.
    """

    def __init__(
        self,
        market: BarMarket,
        venue: BarVenue,
        source: Source,
        *,
        cash: Decimal,
        settings: Mapping[str, str],
        policy: TradingPolicy,
        now_ms: int,
    ) -> None:
        self.market, self.venue, self.book = market, venue, Book()
        self._ctx = Context(
            now_ms=now_ms,
            cause="backtest",
            market=market,
            tiers=UNLIMITED,
            policy=policy,
            entropy=_Counter(),
            sources=(source,),
            initial_cash=cash,
        )
        self.state = SessionState(user_id=1, partition=0)
        self._decided(users.register(self.state, Identity("backtest", "1"), "", self._ctx))
        self._decided(users.change_settings(self.state, QUIET | dict(settings), self._ctx))
        self._decided(signals.subscribe(self.state, source.name, (), self._ctx))

    def hear(self, signal: Signal) -> None:
        """Act on a signal as every subscriber of the service does: an order, or a coded reason why not."""
        decision = signals.deliver(self.state, signal, self._at(signal.created_ms, signal.signal_id))
        self._took(decision)
        outcome = decision.changes.deliveries[0]
        if outcome.outcome is not Outcome.EXECUTED:
            self.book.skip(outcome.reason)

    def place(self, request: OrderRequest, now_ms: int, cause: str) -> Order:
        """Send an order of any type; it meets the market at its instrument's next price.

        :raises OrderDenied: a pre-trade check refused it.
        """
        order = self._decided(trading.place(self.state, request, self._at(now_ms, cause)))
        assert isinstance(order, Order)
        return order

    def cancel(self, order_id_prefix: str, now_ms: int) -> None:
        """Take open orders back, or ``all``.

        :raises NotFound: no open order has such an id.
        """
        self._decided(trading.cancel(self.state, order_id_prefix, self._at(now_ms, "cancel")))

    def fire(self, order: Order, now_ms: int) -> None:
        """A held order's trigger was reached."""
        self._took(triggers.fire(self.state, order.client_order_id, self._at(now_ms, f"fire/{order.client_order_id}")))

    def trail(self, order: Order, trigger: Decimal, now_ms: int) -> None:
        """A trailing stop moved on."""
        self._took(triggers.trail(self.state, order.client_order_id, trigger, self._at(now_ms, f"trail/{order.client_order_id}")))

    @property
    def waits(self) -> bool:
        """Whether orders are held for a trigger."""
        orders = self.state.orders
        return bool(orders) and any(order.held for order in orders)

    def hear_reports(self, told: Iterable[OrderReport]) -> None:
        """Apply what the venue says, in the order it says it."""
        for report in told:
            decision = reports.apply_report(self.state, report, self._at(report.time_ms, report.client_order_id))
            assert isinstance(decision, Decision), "the venue reports on open orders only"
            self._took(decision)

    def _at(self, now_ms: int, cause: str) -> Context:
        return msgspec.structs.replace(self._ctx, now_ms=now_ms, cause=cause)

    def _decided(self, decision: Decision) -> object:
        self._took(decision)
        if decision.error is not None:
            raise decision.error
        return decision.result

    def _took(self, decision: Decision) -> None:
        """The state advances here; nothing is stored."""
        self.state = decision.state
        if decision.submit:
            for order in decision.submit:
                self.venue.submit(order)
            self.book.orders += len(decision.submit)
        if decision.cancel:
            for order in decision.cancel:
                # The venue's word comes at once: nothing else happens at this price.
                report = self.venue.cancel(order, order.updated_ms)
                if report is not None:
                    self.hear_reports((report,))
        changes = decision.changes
        if changes.fills:
            self.book.take(changes.fills, changes.trades)


def parsed_settings(values: Mapping[str, str]) -> dict[str, str]:
    """Settings under the names of the service; those that only matter to people are refused.

    :raises BadInput: the setting has no meaning here.
    """
    for name in values:
        if name in {"language", *QUIET}:
            raise BadInput(field="setting", value=name, problem="has no effect on a backtest", hint="sizes and limits have, as in size=250")
    return dict(values)
