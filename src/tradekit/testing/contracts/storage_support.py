"""What the contract of the storage needs: completions that record, sessions in which every field is set."""

from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
from hypothesis import strategies as st

from tradekit.domain.changes import state_changes, together
from tradekit.domain.orders import Order, OrderState, OrderType, Side, TakeProfit, TimeInForce, TradingMode
from tradekit.domain.rules import UserRule
from tradekit.domain.sessions import Book, ClosedTrade, Guard, LockKind, SessionState, SessionStatus, TradingLock, TradingSession, books
from tradekit.domain.tiers import TierName
from tradekit.domain.usage import MinuteUsage
from tradekit.domain.users import Identity, Role, Sizing, UserSettings, UserStatus, partition_of
from tradekit.ports.storage import Storage
from tradekit.testing.factories import (
    DAY_MS,
    NOW_MS,
    PARTITIONS,
    a_custody,
    a_day,
    a_position,
    a_session,
    a_subscription,
    a_user,
    an_identity,
    an_order,
    an_unknown_session,
)

ANSWER_S = 30
"""Nothing here takes a second; a storage that never answers fails instead of hanging."""

amounts = st.builds(
    lambda digits, exponent, sign: Decimal((sign, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=28),
    st.integers(-28, 6),
    st.integers(0, 1),
)
"""Every amount a Decimal of the default context carries: up to 28 digits, of any sign and scale."""


class Answers:
    """Completions that record: ``answers.of("first")`` makes one."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.errors: dict[str, Exception | None] = {}
        self._changed = anyio.Event()

    def of(self, name: str) -> Any:
        def done(error: Exception | None) -> None:
            self.order.append(name)
            self.errors[name] = error
            self._changed.set()

        return done

    async def wait(self, count: int) -> None:
        with anyio.fail_after(ANSWER_S):
            while len(self.order) < count:
                await self._changed.wait()
                self._changed = anyio.Event()


async def register(storage: Storage, *user_ids: int) -> list[SessionState]:
    """Commit a session for each."""
    states = [a_session(user_id=user_id) for user_id in user_ids]
    await storage.commit(together(*(state_changes(an_unknown_session(state.user_id), state) for state in states)))
    return states


def a_whole_order(**values: Any) -> Any:
    """Every field differs from its default."""
    defaults = {
        "type": OrderType.LIMIT,
        "side": Side.SELL,
        "price": Decimal("40000.5"),
        "time_in_force": TimeInForce.GTD,
        "post_only": True,
        "reduce_only": True,
        "mode": TradingMode.TESTNET,
        "state": OrderState.PARTIALLY_FILLED,
        "reason": "WHY",
        "venue_order_id": "V1",
        "signal_id": "s",
        "reserved": Decimal("400.8"),
        "quota_day": "2023-11-14",
        "cum_qty": Decimal("0.004"),
        "cum_quote": Decimal(160),
        "cum_fee": Decimal("0.16"),
        "updated_ms": NOW_MS + 1,
    }
    return an_order("whole", **{**defaults, **values})


def a_rich_session(user_id: int = 1) -> SessionState:
    """Every field differs from its default, in the order in which a storage returns them."""
    partition = partition_of(user_id, PARTITIONS)
    chosen = UserSettings(
        language="es",
        time_zone="America/Bogota",
        symbols=("BTC/USDT", "ETH/USDT"),
        sizing=Sizing.RISK_PERCENT,
        size=Decimal("2.5"),
        risk_per_trade_pct=Decimal("1.5"),
        max_exposure_pct=Decimal(80),
        stop_loss_pct=Decimal("3.25"),
        take_profit_pct=Decimal(9),
        max_daily_loss_pct=Decimal(4),
        max_drawdown_pct=Decimal(21),
        cooldown_s=60,
        notify_fills=False,
        notify_signals=False,
        trailing_stop_pct=Decimal("2.5"),
        take_profits=(TakeProfit(Decimal(3), Decimal(50)), TakeProfit(Decimal(6))),
        time_exit_s=60,
        stop_guard_losses=3,
        guard_window_s=7,
        guard_lock_s=8,
        low_profit_pct=Decimal("-1.5"),
    )
    session = TradingSession(
        status=SessionStatus.PAUSED,
        cash=Decimal("9999.12345678"),
        realized_today=Decimal("-12.5"),
        day_start_equity=Decimal(10_000),
        peak_equity=Decimal("10000.01"),
        day_ends_ms=NOW_MS + 1,
        flattening=True,
        guard=Guard(
            locks=(TradingLock(kind=LockKind.LOW_PROFIT, until_ms=NOW_MS + 1, symbol="BTC/USDT", source="ema-cross"),),
            frozen=("ETH/USDT",),
            recent=(
                ClosedTrade(symbol="BTC/USDT", source="", pnl=Decimal("-1.5"), pnl_pct=Decimal("-0.1"), stopped=True, closed_ms=NOW_MS - 1),
            ),
        ),
        api=MinuteUsage(minute=NOW_MS // 60_000, calls=7),
    )
    user = a_user(
        user_id=user_id,
        tier=TierName.ENTERPRISE,
        role=Role.PROVIDER,
        status=UserStatus.ACTIVE,
        display_name="Zoë 🦉",
        reachable=False,
    )
    return SessionState(
        user_id=user_id,
        partition=partition,
        user=user,
        identities=(an_identity(user_id), Identity("api", "k1")),
        settings=chosen,
        session=session,
        usage=(a_day(starts_ms=NOW_MS - DAY_MS, ends_ms=NOW_MS, used=1, reserved=1), a_day(starts_ms=NOW_MS, used=2, reserved=1)),
        positions=(
            a_position(symbol="ETH/USDT", opened_ms=1, received=Decimal(3), entry_orders=2),
            a_position(symbol="BTC/USDT", opened_ms=2, quantity=Decimal("0.123456789012345678901234567")),
        ),
        orders=(a_whole_order(user_id=user_id), an_order("second", user_id=user_id)),
        subscriptions=(a_subscription(symbols=("BTC/USDT",), size=Decimal("0.5"), since_ms=1), a_subscription(source="rsi", since_ms=2)),
        custody=a_custody(user_id),
        rules=(UserRule(name="dip", text="buy when rsi(14) < 30", created_ms=1),),
        shelf=(
            Book(
                account="binance:live",
                session=TradingSession(cash=Decimal("12.5"), status=SessionStatus.REDUCING),
                positions=(a_position(symbol="BTC/USDT", quantity=Decimal("0.5")),),
                orders=(an_order("live one", user_id=user_id, account="binance:live", mode=TradingMode.LIVE),),
            ),
        ),
    )


def open_orders(state: SessionState) -> tuple[Order, ...]:
    """The open orders of all of a user's accounts."""
    return tuple(order for book in books(state) for order in book.orders)
