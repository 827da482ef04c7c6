"""Values to rows and back, in the column order of ``tables.py``.

Plain strings, ints and bytes only: anything else (an enum, a bool) takes the slow path of sqlite3's binding.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from tradekit.domain.alerts import Alert, MetricSample, Severity
from tradekit.domain.amounts import decimal_of, text_of
from tradekit.domain.audit import AuditEntry
from tradekit.domain.controls import Control, GlobalState
from tradekit.domain.credentials import ConnectLink, Credential, CredentialStatus, DataKey, ExchangeAccount, Permissions
from tradekit.domain.discrepancies import Discrepancy, DiscrepancyKind
from tradekit.domain.inbox import InboxMessage
from tradekit.domain.instruments import Instrument
from tradekit.domain.orders import PLAIN, Fill, Liquidity, Order, OrderState, OrderType, Side, TakeProfit, Terms, TimeInForce, TradingMode
from tradekit.domain.performance import DayPerformance
from tradekit.domain.portfolio import LedgerEntry, LedgerKind, Position, Trade
from tradekit.domain.replies import OutgoingMessage, Reply
from tradekit.domain.rules import UserRule
from tradekit.domain.sessions import NO_GUARD, Guard, SessionStatus, TradingSession
from tradekit.domain.signals import Delivery, Outcome, Signal, Subscription
from tradekit.domain.tiers import TierName
from tradekit.domain.usage import DayUsage, MinuteUsage
from tradekit.domain.users import Identity, Role, Sizing, User, UserSettings, UserStatus

Row = tuple[Any, ...]

_json = msgspec.json.Encoder()
_reply = msgspec.json.Decoder(Reply)
_names = msgspec.json.Decoder(tuple[str, ...])
_permissions = msgspec.json.Decoder(Permissions)
_terms = msgspec.json.Decoder(Terms)
_guard = msgspec.json.Decoder(Guard)

# The users of one fan-out trade at the same price and often the same size: most amounts repeat. Equal decimals have equal text.
_text = lru_cache(maxsize=8192)(text_of)
_decimal = lru_cache(maxsize=8192)(decimal_of)

_E = TypeVar("_E", bound=StrEnum)


def _by_value(kind: type[_E]) -> Callable[[str], _E]:
    """Three times cheaper than calling the enum."""
    return {member.value: member for member in kind}.__getitem__


_side, _order_type, _tif = _by_value(Side), _by_value(OrderType), _by_value(TimeInForce)
_mode, _order_state, _liquidity = _by_value(TradingMode), _by_value(OrderState), _by_value(Liquidity)
_tier, _role, _user_status, _sizing = _by_value(TierName), _by_value(Role), _by_value(UserStatus), _by_value(Sizing)
_session_status, _ledger_kind = _by_value(SessionStatus), _by_value(LedgerKind)
_outcome, _severity, _credential_status = _by_value(Outcome), _by_value(Severity), _by_value(CredentialStatus)


def _maybe(value: Decimal | None) -> str | None:
    return None if value is None else _text(value)


def _amount_or_none(text: str | None) -> Decimal | None:
    return None if text is None else _decimal(text)


def _list(names: tuple[str, ...]) -> str:
    return _json.encode(names).decode() if names else "[]"


def _tuple(text: str) -> tuple[str, ...]:
    return () if text == "[]" else _names.decode(text)


class _Exits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a user's settings is kept as one value, because most users have none of it."""

    trailing_stop_pct: Decimal | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    time_exit_s: int = 0
    stop_guard_losses: int = 0
    guard_window_s: int = 86_400
    guard_lock_s: int = 3_600
    low_profit_pct: Decimal | None = None


_exits = msgspec.json.Decoder(_Exits)
_NO_EXITS = _Exits()


def _exits_text(s: UserSettings) -> str:
    held = _Exits(**{name: getattr(s, name) for name in _Exits.__struct_fields__})
    return "" if held == _NO_EXITS else _json.encode(held).decode()


def user_row(u: User) -> Row:
    return (
        u.user_id, u.partition, u.tier.value, u.role.value, u.status.value, u.display_name, u.created_ms, u.disclosure_ms,
        int(u.reachable), u.audit_subject,
    )  # fmt: skip


def user_of(r: Row) -> User:
    return User(
        user_id=r[0], partition=r[1], tier=_tier(r[2]), role=_role(r[3]), status=_user_status(r[4]), display_name=r[5],
        created_ms=r[6], disclosure_ms=r[7], reachable=r[8] == 1, audit_subject=r[9],
    )  # fmt: skip


def identity_row(keyed: tuple[Identity, int, int]) -> Row:
    identity, user_id, partition = keyed
    return identity.transport, identity.external_id, user_id, partition


def settings_row(keyed: tuple[int, int, UserSettings]) -> Row:
    user_id, partition, s = keyed
    return (
        user_id, partition, s.language, s.time_zone, _list(s.symbols), s.sizing.value, _text(s.size), _text(s.risk_per_trade_pct),
        _text(s.max_exposure_pct), _maybe(s.stop_loss_pct), _maybe(s.take_profit_pct), _text(s.max_daily_loss_pct),
        _text(s.max_drawdown_pct), s.cooldown_s, int(s.notify_fills), int(s.notify_signals), s.account, _exits_text(s),
    )  # fmt: skip


def settings_of(r: Row) -> UserSettings:
    return UserSettings(
        language=r[2], time_zone=r[3], symbols=_tuple(r[4]), sizing=_sizing(r[5]), size=_decimal(r[6]),
        risk_per_trade_pct=_decimal(r[7]), max_exposure_pct=_decimal(r[8]), stop_loss_pct=_amount_or_none(r[9]),
        take_profit_pct=_amount_or_none(r[10]), max_daily_loss_pct=_decimal(r[11]), max_drawdown_pct=_decimal(r[12]),
        cooldown_s=r[13], notify_fills=r[14] == 1, notify_signals=r[15] == 1, account=r[16],
        **(msgspec.structs.asdict(_exits.decode(r[17])) if r[17] else {}),
    )  # fmt: skip


def session_row(keyed: tuple[int, int, str, TradingSession]) -> Row:
    user_id, partition, account, s = keyed
    guard = "" if s.guard == NO_GUARD else _json.encode(s.guard).decode()
    return (
        user_id, account, partition, s.status.value, _text(s.cash), _text(s.realized_today), _text(s.day_start_equity),
        _text(s.peak_equity), s.day_ends_ms, int(s.flattening), s.api.minute, s.api.calls, guard,
    )  # fmt: skip


def session_of(r: Row) -> TradingSession:
    return TradingSession(
        status=_session_status(r[3]), cash=_decimal(r[4]), realized_today=_decimal(r[5]), day_start_equity=_decimal(r[6]),
        peak_equity=_decimal(r[7]), day_ends_ms=r[8], flattening=r[9] == 1,
        api=MinuteUsage(minute=r[10], calls=r[11]), guard=_guard.decode(r[12]) if r[12] else NO_GUARD,
    )  # fmt: skip


def usage_row(keyed: tuple[int, int, DayUsage]) -> Row:
    user_id, partition, d = keyed
    return user_id, d.day, partition, d.zone, d.starts_ms, d.ends_ms, d.used, d.reserved


def usage_of(r: Row) -> DayUsage:
    return DayUsage(day=r[1], zone=r[3], starts_ms=r[4], ends_ms=r[5], used=r[6], reserved=r[7])


def subscription_row(keyed: tuple[int, int, Subscription]) -> Row:
    user_id, partition, s = keyed
    return user_id, s.source, partition, _list(s.symbols), _maybe(s.size), s.since_ms


def subscription_of(r: Row) -> Subscription:
    return Subscription(source=r[1], symbols=_tuple(r[3]), size=_amount_or_none(r[4]), since_ms=r[5])


def data_key_row(keyed: tuple[int, int, DataKey]) -> Row:
    user_id, partition, key = keyed
    return user_id, partition, key.key_id, key.wrapped


def data_key_of(r: Row) -> DataKey:
    return DataKey(key_id=r[2], wrapped=r[3])


def credential_row(c: Credential) -> Row:
    return (
        c.user_id, c.venue, c.partition, c.version, c.ciphertext, int(c.sandbox), _json.encode(c.permissions).decode(), c.status.value,
        c.reason, c.created_ms, c.verified_ms,
    )  # fmt: skip


def credential_of(r: Row) -> Credential:
    return Credential(
        user_id=r[0], venue=r[1], partition=r[2], version=r[3], ciphertext=r[4], sandbox=r[5] == 1, permissions=_permissions.decode(r[6]),
        status=_credential_status(r[7]), reason=r[8], created_ms=r[9], verified_ms=r[10],
    )  # fmt: skip


def account_row(keyed: tuple[int, int, ExchangeAccount]) -> Row:
    user_id, partition, account = keyed
    return user_id, account.venue, partition, account.mode.value, account.changed_ms


def account_of(r: Row) -> ExchangeAccount:
    return ExchangeAccount(venue=r[1], mode=_mode(r[3]), changed_ms=r[4])


def link_row(keyed: tuple[int, int, ConnectLink]) -> Row:
    user_id, partition, link = keyed
    return user_id, partition, link.token_hash, link.venue, int(link.sandbox), link.expires_ms


def link_of(r: Row) -> ConnectLink:
    return ConnectLink(token_hash=r[2], venue=r[3], sandbox=r[4] == 1, expires_ms=r[5])


def instrument_row(i: Instrument) -> Row:
    return (
        i.symbol, i.base, i.quote, _text(i.tick_size), _text(i.step_size), _text(i.min_qty), _text(i.max_qty), _text(i.min_notional),
        _text(i.max_notional), _text(i.maker_fee), _text(i.taker_fee), int(i.tradable),
    )  # fmt: skip


def instrument_of(r: Row) -> Instrument:
    return Instrument(
        symbol=r[0], base=r[1], quote=r[2], tick_size=_decimal(r[3]), step_size=_decimal(r[4]), min_qty=_decimal(r[5]),
        max_qty=_decimal(r[6]), min_notional=_decimal(r[7]), max_notional=_decimal(r[8]), maker_fee=_decimal(r[9]),
        taker_fee=_decimal(r[10]), tradable=r[11] == 1,
    )  # fmt: skip


def signal_row(s: Signal) -> Row:
    return (
        s.signal_id, s.source, s.symbol, s.side.value, _text(s.price), s.bar_ms, s.created_ms, s.expires_ms, int(s.advanced), s.note,
        _text(s.fraction),
    )  # fmt: skip


def signal_of(r: Row) -> Signal:
    return Signal(
        signal_id=r[0], source=r[1], symbol=r[2], side=_side(r[3]), price=_decimal(r[4]), bar_ms=r[5], created_ms=r[6],
        expires_ms=r[7], advanced=r[8] == 1, note=r[9], fraction=_decimal(r[10]),
    )  # fmt: skip


def delivery_row(d: Delivery) -> Row:
    return d.signal_id, d.user_id, d.partition, d.outcome.value, d.reason, d.detail, d.client_order_id, d.time_ms


def delivery_progress(d: Delivery) -> Row:
    """What may change of a delivery, then its key."""
    return d.outcome.value, d.reason, d.detail, d.client_order_id, d.time_ms, d.signal_id, d.user_id


def delivery_of(r: Row) -> Delivery:
    return Delivery(
        signal_id=r[0], user_id=r[1], partition=r[2], outcome=_outcome(r[3]), reason=r[4], detail=r[5], client_order_id=r[6], time_ms=r[7]
    )


def order_row(o: Order) -> Row:
    return (
        o.client_order_id, o.user_id, o.partition, o.cause, o.symbol, o.side.value, o.type.value, _text(o.quantity), _maybe(o.price),
        o.time_in_force.value, int(o.post_only), int(o.reduce_only), o.mode.value, o.account, o.state.value, o.reason,
        o.venue_order_id, o.signal_id, _text(o.reserved), o.quota_day, _text(o.cum_qty), _text(o.cum_quote), _text(o.cum_fee),
        _list(o.trade_ids), _terms_text(o.terms), o.created_ms, o.updated_ms, int(o.is_open),
    )  # fmt: skip


def _terms_text(terms: Terms) -> str:
    return "" if terms is PLAIN else _json.encode(terms).decode()


def order_progress(o: Order) -> Row:
    """What changes of an order after its insert, then its id."""
    return (
        _text(o.quantity), o.state.value, o.reason, o.venue_order_id, _text(o.reserved), o.quota_day, _text(o.cum_qty), _text(o.cum_quote),
        _text(o.cum_fee), _list(o.trade_ids), _terms_text(o.terms), o.updated_ms, int(o.is_open), o.client_order_id,
    )  # fmt: skip


def order_of(r: Row) -> Order:
    return Order(
        client_order_id=r[0], user_id=r[1], partition=r[2], cause=r[3], symbol=r[4], side=_side(r[5]), type=_order_type(r[6]),
        quantity=_decimal(r[7]), price=_amount_or_none(r[8]), time_in_force=_tif(r[9]), post_only=r[10] == 1, reduce_only=r[11] == 1,
        mode=_mode(r[12]), account=r[13], state=_order_state(r[14]), reason=r[15], venue_order_id=r[16], signal_id=r[17],
        reserved=_decimal(r[18]), quota_day=r[19], cum_qty=_decimal(r[20]), cum_quote=_decimal(r[21]), cum_fee=_decimal(r[22]),
        trade_ids=_tuple(r[23]), terms=_terms.decode(r[24]) if r[24] else PLAIN, created_ms=r[25], updated_ms=r[26],
    )  # fmt: skip


def fill_row(f: Fill) -> Row:
    return (
        f.trade_id, f.client_order_id, f.user_id, f.partition, f.symbol, f.side.value, _text(f.quantity), _text(f.price), _text(f.fee),
        f.liquidity.value, f.time_ms, f.account, f.fee_currency, _text(f.fee_paid),
    )  # fmt: skip


def fill_of(r: Row) -> Fill:
    return Fill(
        trade_id=r[0], client_order_id=r[1], user_id=r[2], partition=r[3], symbol=r[4], side=_side(r[5]), quantity=_decimal(r[6]),
        price=_decimal(r[7]), fee=_decimal(r[8]), liquidity=_liquidity(r[9]), time_ms=r[10], account=r[11], fee_currency=r[12],
        fee_paid=_decimal(r[13]),
    )  # fmt: skip


def position_row(keyed: tuple[int, int, str, Position]) -> Row:
    user_id, partition, account, p = keyed
    return (
        user_id, account, p.symbol, partition, _text(p.quantity), _text(p.cost), p.opened_ms, _text(p.bought), _text(p.spent),
        _text(p.received), _text(p.fees), p.entry_orders, p.source,
    )  # fmt: skip


def position_of(r: Row) -> Position:
    return Position(
        symbol=r[2], quantity=_decimal(r[4]), cost=_decimal(r[5]), opened_ms=r[6], bought=_decimal(r[7]), spent=_decimal(r[8]),
        received=_decimal(r[9]), fees=_decimal(r[10]), entry_orders=r[11], source=r[12],
    )  # fmt: skip


def trade_row(t: Trade) -> Row:
    return (
        t.user_id, t.partition, t.symbol, _text(t.quantity), _text(t.entry_price), _text(t.exit_price), _text(t.pnl), _text(t.fees),
        t.opened_ms, t.closed_ms, t.closing_order, t.account,
    )  # fmt: skip


def trade_of(r: Row) -> Trade:
    return Trade(
        user_id=r[0], partition=r[1], symbol=r[2], quantity=_decimal(r[3]), entry_price=_decimal(r[4]), exit_price=_decimal(r[5]),
        pnl=_decimal(r[6]), fees=_decimal(r[7]), opened_ms=r[8], closed_ms=r[9], closing_order=r[10], account=r[11],
    )  # fmt: skip


def ledger_row(e: LedgerEntry) -> Row:
    return e.user_id, e.partition, e.kind.value, _text(e.amount), _text(e.fee), _text(e.balance), e.reference, e.time_ms, e.account


def ledger_of(r: Row) -> LedgerEntry:
    return LedgerEntry(
        user_id=r[0], partition=r[1], kind=_ledger_kind(r[2]), amount=_decimal(r[3]), fee=_decimal(r[4]), balance=_decimal(r[5]),
        reference=r[6], time_ms=r[7], account=r[8],
    )  # fmt: skip


def discrepancy_row(d: Discrepancy) -> Row:
    return d.key, d.user_id, d.partition, d.account, d.kind.value, d.symbol, d.detail, d.raised_ms, d.resolved_ms


def discrepancy_of(r: Row) -> Discrepancy:
    return Discrepancy(
        key=r[0], user_id=r[1], partition=r[2], account=r[3], kind=DiscrepancyKind(r[4]), symbol=r[5], detail=r[6], raised_ms=r[7],
        resolved_ms=r[8],
    )  # fmt: skip


def rule_row(keyed: tuple[int, int, UserRule]) -> Row:
    user_id, partition, rule = keyed
    return user_id, rule.name, partition, rule.text, rule.created_ms


def rule_of(r: Row) -> UserRule:
    return UserRule(name=r[1], text=r[3], created_ms=r[4])


def control_row(c: Control) -> Row:
    return c.scope, c.state.value, c.reason, c.by, c.changed_ms


def control_of(r: Row) -> Control:
    return Control(scope=r[0], state=GlobalState(r[1]), reason=r[2], by=r[3], changed_ms=r[4])


def audit_of(r: Row) -> AuditEntry:
    """Of (partition, seq, subject, actor, action, detail, time_ms, hash)."""
    return AuditEntry(partition=r[0], subject=r[2], actor=r[3], action=r[4], detail=r[5], time_ms=r[6])


def performance_row(d: DayPerformance) -> Row:
    return d.user_id, d.account, d.day, d.partition, d.fills, d.trades, d.wins, _text(d.volume), _text(d.fees), _text(d.pnl)


def performance_of(r: Row) -> DayPerformance:
    return DayPerformance(
        user_id=r[0], account=r[1], day=r[2], partition=r[3], fills=r[4], trades=r[5], wins=r[6], volume=_decimal(r[7]),
        fees=_decimal(r[8]), pnl=_decimal(r[9]),
    )  # fmt: skip


def metric_row(m: MetricSample) -> Row:
    return m.name, m.time_ms, m.value


def metric_of(r: Row) -> MetricSample:
    return MetricSample(name=r[0], time_ms=r[1], value=r[2])


def alert_row(a: Alert) -> Row:
    return a.alert_id, a.rule, a.severity.value, a.detail, a.raised_ms, a.resolved_ms


def alert_of(r: Row) -> Alert:
    return Alert(alert_id=r[0], rule=r[1], severity=_severity(r[2]), detail=r[3], raised_ms=r[4], resolved_ms=r[5])


def inbox_row(m: InboxMessage) -> Row:
    who = m.identity
    transport, external_id = (None, None) if who is None else (who.transport, who.external_id)
    return (
        m.inbox_id, m.partition, m.source, m.message_id, transport, external_id, m.text, m.display_name, m.raw, m.received_ms, m.problem,
    )  # fmt: skip


def inbox_of(r: Row) -> InboxMessage:
    return InboxMessage(
        inbox_id=r[0], partition=r[1], source=r[2], message_id=r[3], identity=None if r[4] is None else Identity(r[4], r[5]), text=r[6],
        display_name=r[7], raw=r[8], received_ms=r[9], problem=r[10],
    )  # fmt: skip


def outbox_row(m: OutgoingMessage) -> Row:
    return (
        m.outbox_id, m.user_id, m.partition, m.transport, m.address, _json.encode(m.reply), m.language, m.created_ms, m.expires_ms, m.tries,
    )  # fmt: skip


def outbox_of(r: Row) -> OutgoingMessage:
    return OutgoingMessage(
        outbox_id=r[0], user_id=r[1], partition=r[2], transport=r[3], address=r[4], reply=_reply.decode(r[5]), language=r[6],
        created_ms=r[7], expires_ms=r[8], tries=r[9],
    )  # fmt: skip
