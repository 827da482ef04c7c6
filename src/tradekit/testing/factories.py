"""Values with what a test does not care about filled in: ``an_order(user_id=7)``.

Every number is that of user 1 on 14 November 2023, 22:13:20 UTC, unless said otherwise.
"""

from decimal import Decimal
from typing import Any

from tradekit.domain.alerts import Alert, MetricSample, Severity
from tradekit.domain.audit import AuditEntry
from tradekit.domain.controls import Control, GlobalState
from tradekit.domain.credentials import ConnectLink, Credential, CredentialStatus, Custody, DataKey, ExchangeAccount, Permissions
from tradekit.domain.discrepancies import Discrepancy, DiscrepancyKind, discrepancy_key
from tradekit.domain.inbox import InboxMessage
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import Fill, Order, OrderState, OrderType, Side, TradingMode, client_order_id
from tradekit.domain.performance import DayPerformance
from tradekit.domain.portfolio import LedgerEntry, LedgerKind, Position, Trade
from tradekit.domain.replies import Button, OutgoingMessage, Reply
from tradekit.domain.rules import UserRule
from tradekit.domain.sessions import SessionState, TradingSession
from tradekit.domain.signals import Delivery, Outcome, Signal, Subscription, signal_id
from tradekit.domain.usage import DayUsage, day_at
from tradekit.domain.users import Identity, User, UserSettings, partition_of

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
SYMBOL = "BTC/USDT"
PARTITIONS = 256


class FixedClock:
    """Stands still until told to move. Implements :class:`tradekit.ports.clock.Clock`."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._now_ms / 1000

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now_ms += round(seconds * 1000)


def _of_user(values: dict[str, Any]) -> dict[str, Any]:
    """User and partition, consistent unless both are given."""
    user_id = values.get("user_id", 1)
    return {"user_id": user_id, "partition": partition_of(user_id, PARTITIONS)}


def a_user(**values: Any) -> User:
    made = _of_user(values)
    defaults = {"created_ms": NOW_MS, "disclosure_ms": NOW_MS, "display_name": "Ada", "audit_subject": f"subject-{made['user_id']}"}
    return User(**{**made, **defaults, **values})


def an_identity(user_id: int = 1, transport: str = "telegram") -> Identity:
    return Identity.of(transport, 1_000_000 + user_id)


def a_day(**values: Any) -> DayUsage:
    day = day_at(values.get("starts_ms", NOW_MS), "UTC")
    defaults = {"day": day.day, "zone": day.zone, "starts_ms": day.starts_ms, "ends_ms": day.ends_ms}
    return DayUsage(**{**defaults, **values})


def a_session(**values: Any) -> SessionState:
    """A registered user with ten thousand in cash and nothing else."""
    made = _of_user(values)
    user_id = made["user_id"]
    defaults = {
        "user": a_user(user_id=user_id),
        "identities": (an_identity(user_id),),
        "settings": UserSettings(),
        "session": TradingSession(cash=Decimal(10_000), day_start_equity=Decimal(10_000), peak_equity=Decimal(10_000)),
        "usage": (a_day(),),
    }
    return SessionState(**{**made, **defaults, **values})


def an_unknown_session(user_id: int = 1) -> SessionState:
    """The session before ``/start``: the old side of :func:`~tradekit.domain.changes.state_changes`."""
    return SessionState(**_of_user({"user_id": user_id}))


def an_instrument(symbol: str = SYMBOL, **values: Any) -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(**{"symbol": symbol, "base": base, "quote": quote, **values})


def an_order(cause: str = "terminal/1", **values: Any) -> Order:
    """A market buy of 0.01 BTC, sent; its id follows from user and cause."""
    made = _of_user(values)
    defaults = {
        "client_order_id": client_order_id(made["user_id"], cause),
        "cause": cause,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "quantity": Decimal("0.01"),
        "state": OrderState.SUBMITTED,
        "created_ms": NOW_MS,
        "updated_ms": NOW_MS,
    }
    return Order(**{**made, **defaults, **values})


def a_fill(order: Order | None = None, **values: Any) -> Fill:
    """All of an order at 40,000 with a fee of 0.1 %."""
    order = order or an_order(user_id=values.get("user_id", 1))
    defaults = {
        "trade_id": f"T-{order.client_order_id[:8]}",
        "client_order_id": order.client_order_id,
        "user_id": order.user_id,
        "partition": order.partition,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": order.quantity,
        "price": Decimal(40_000),
        "fee": Decimal("0.4"),
        "time_ms": NOW_MS,
    }
    return Fill(**{**defaults, **values})


def a_position(**values: Any) -> Position:
    defaults = {
        "symbol": SYMBOL,
        "quantity": Decimal("0.01"),
        "cost": Decimal("400.4"),
        "opened_ms": NOW_MS,
        "bought": Decimal("0.01"),
        "spent": Decimal("400.4"),
        "fees": Decimal("0.4"),
    }
    return Position(**{**defaults, **values})


def a_trade(**values: Any) -> Trade:
    made = _of_user(values)
    defaults = {
        "symbol": SYMBOL,
        "quantity": Decimal("0.01"),
        "entry_price": Decimal(40_040),
        "exit_price": Decimal(41_000),
        "pnl": Decimal("9.6"),
        "fees": Decimal("0.8"),
        "opened_ms": NOW_MS - 60_000,
        "closed_ms": NOW_MS,
        "closing_order": client_order_id(made["user_id"], "terminal/2"),
    }
    return Trade(**{**made, **defaults, **values})


def a_ledger_entry(**values: Any) -> LedgerEntry:
    defaults = {
        "kind": LedgerKind.DEPOSIT,
        "amount": Decimal(10_000),
        "fee": Decimal(0),
        "balance": Decimal(10_000),
        "reference": "registration",
        "time_ms": NOW_MS,
    }
    return LedgerEntry(**{**_of_user(values), **defaults, **values})


def a_signal(source: str = "ema-cross", **values: Any) -> Signal:
    symbol, side, bar_ms = values.get("symbol", SYMBOL), values.get("side", Side.BUY), values.get("bar_ms", NOW_MS)
    defaults = {
        "signal_id": signal_id(source, symbol, bar_ms, side),
        "source": source,
        "symbol": symbol,
        "side": side,
        "price": Decimal(40_000),
        "bar_ms": bar_ms,
        "created_ms": NOW_MS,
        "expires_ms": NOW_MS + 300_000,
    }
    return Signal(**{**defaults, **values})


def a_subscription(**values: Any) -> Subscription:
    return Subscription(**{"source": "ema-cross", "since_ms": NOW_MS, **values})


def a_credential(**values: Any) -> Credential:
    """A verified key of Binance that may read and trade; its ciphertext is not one."""
    defaults = {
        "venue": "binance",
        "version": 1,
        "ciphertext": b"\x00sealed\xff",
        "permissions": Permissions(read=True, trade=True, withdraw=False, address_bound=True),
        "status": CredentialStatus.VERIFIED,
        "created_ms": NOW_MS,
        "verified_ms": NOW_MS,
    }
    return Credential(**{**_of_user(values), **defaults, **values})


def an_account(**values: Any) -> ExchangeAccount:
    return ExchangeAccount(**{"venue": "binance", "mode": TradingMode.LIVE, "changed_ms": NOW_MS, **values})


def a_link(**values: Any) -> ConnectLink:
    defaults = {"token_hash": b"\x01" * 32, "venue": "binance", "sandbox": False, "expires_ms": NOW_MS + 600_000}
    return ConnectLink(**{**defaults, **values})


def a_custody(user_id: int = 1, **values: Any) -> Custody:
    """A data key, two keys, an account that is live, and a link."""
    defaults = {
        "data_key": DataKey(key_id="k1", wrapped=b"\x00wrapped\xff"),
        "credentials": (
            a_credential(user_id=user_id),
            a_credential(
                user_id=user_id,
                venue="okx",
                version=3,
                sandbox=True,
                permissions=Permissions(),
                status=CredentialStatus.REFUSED,
                reason="KEY_CAN_WITHDRAW",
                ciphertext=b"",
                verified_ms=0,
            ),
        ),
        "accounts": (an_account(), an_account(venue="okx", mode=TradingMode.TESTNET)),
        "link": a_link(venue="okx", sandbox=True),
    }
    return Custody(**{**defaults, **values})


def a_delivery(signal: Signal | None = None, **values: Any) -> Delivery:
    defaults = {"signal_id": (signal or a_signal()).signal_id, "outcome": Outcome.EXECUTED, "time_ms": NOW_MS}
    return Delivery(**{**_of_user(values), **defaults, **values})


def an_audit_entry(**values: Any) -> AuditEntry:
    defaults = {
        "partition": 0,
        "subject": "subject-1",
        "actor": "user",
        "action": "order.submitted",
        "detail": "buy 0.01 BTC/USDT",
        "time_ms": NOW_MS,
    }
    return AuditEntry(**{**defaults, **values})


def a_performance(**values: Any) -> DayPerformance:
    defaults = {
        "day": "2023-11-14",
        "fills": 2,
        "trades": 1,
        "wins": 1,
        "volume": Decimal(810),
        "fees": Decimal("0.8"),
        "pnl": Decimal("9.6"),
    }
    return DayPerformance(**{**_of_user(values), **defaults, **values})


def a_discrepancy(**values: Any) -> Discrepancy:
    """A late fill, booked."""
    filled_in: dict[str, Any] = {"account": "binance:live", "kind": DiscrepancyKind.LATE_FILL, "symbol": SYMBOL, "detail": "order=a"}
    made: dict[str, Any] = _of_user(values) | filled_in | values
    key = discrepancy_key(made["user_id"], made["account"], made["kind"], made["symbol"])
    return Discrepancy(**({"raised_ms": NOW_MS} | made | {"key": key}))


def a_rule(**values: Any) -> UserRule:
    """A rule of three words."""
    made: dict[str, Any] = {"name": "dip", "text": "buy when rsi(14) < 30", "created_ms": NOW_MS}
    return UserRule(**(made | values))


def a_control(**values: Any) -> Control:
    """Exits only, everywhere."""
    made: dict[str, Any] = {"scope": "all", "state": GlobalState.REDUCING, "reason": "test", "by": "cli", "changed_ms": NOW_MS}
    return Control(**(made | values))


def an_inbox_message(inbox_id: int = 1, **values: Any) -> InboxMessage:
    defaults = {
        "source": "terminal",
        "message_id": str(inbox_id),
        "identity": an_identity(),
        "text": "/start",
        "received_ms": NOW_MS,
        "partition": partition_of(1, PARTITIONS),
    }
    return InboxMessage(**{"inbox_id": inbox_id, **defaults, **values})


def an_outgoing_message(outbox_id: int = 1, **values: Any) -> OutgoingMessage:
    defaults = {
        "transport": "telegram",
        "address": "1000001",
        "reply": Reply(key="order.filled", args={"symbol": SYMBOL}, buttons=((Button("button.close", "close:BTC/USDT"),),)),
        "language": "en",
        "created_ms": NOW_MS,
        "expires_ms": NOW_MS + DAY_MS,
    }
    return OutgoingMessage(**{**_of_user(values), "outbox_id": outbox_id, **defaults, **values})


def an_alert(alert_id: int = 1, **values: Any) -> Alert:
    defaults = {"rule": "health.database", "severity": Severity.CRITICAL, "detail": "no answer", "raised_ms": NOW_MS}
    return Alert(**{"alert_id": alert_id, **defaults, **values})


def a_sample(**values: Any) -> MetricSample:
    return MetricSample(**{"time_ms": NOW_MS, "name": "latency_ms_p95", "value": 2.5, **values})
