"""Positions, round trips and the ledger, derived from fills and from nothing else."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from tradekit.domain.amounts import ZERO, money
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import BUY, PAPER, Fill


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user holds of one instrument. Cost and quantity are kept; the average is derived."""

    symbol: Symbol
    quantity: Decimal
    """Base currency held."""
    cost: Decimal
    """Quote currency paid for it, entry fees included."""
    opened_ms: int
    bought: Decimal
    """Base currency bought in this round trip."""
    spent: Decimal
    """Quote currency paid in this round trip, fees included."""
    received: Decimal = ZERO
    """Quote currency received in this round trip, fees deducted."""
    fees: Decimal = ZERO
    entry_orders: int = 1
    source: str = ""
    """Source of the signal that opened it, or empty."""

    @property
    def average_price(self) -> Decimal:
        """Cost per unit, fees included."""
        return self.cost / self.quantity


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A round trip: from flat to flat."""

    user_id: int
    partition: int
    symbol: Symbol
    quantity: Decimal
    entry_price: Decimal
    """Average over all entries, fees included."""
    exit_price: Decimal
    """Average over all exits, fees deducted."""
    pnl: Decimal
    """Quote currency won or lost, fees included."""
    fees: Decimal
    opened_ms: int
    closed_ms: int
    closing_order: str
    """client_order_id of the order that closed it; one trade per closing order."""
    account: str = PAPER


class LedgerKind(StrEnum):
    """Why cash moved."""

    DEPOSIT = "deposit"
    BUY = "buy"
    SELL = "sell"
    ADJUSTMENT = "adjustment"
    """The venue's balance differed from ours and was taken over: a deposit or withdrawal there, or a discrepancy."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One flow of quote currency; the sum of a user's amounts is their cash."""

    user_id: int
    partition: int
    kind: LedgerKind
    amount: Decimal
    """Signed, in quote currency, the fee included: negative leaves the account."""
    fee: Decimal = ZERO
    """Of the amount, what the venue kept."""
    balance: Decimal
    """Cash after it."""
    reference: str
    """Trade id of the fill, or the cause of a deposit."""
    time_ms: int
    account: str = PAPER


class Booked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one fill does to an account."""

    flow: Decimal
    """Price times quantity, in quote currency."""
    fee: Decimal
    """What the fee was worth in quote currency, whatever it was paid in."""
    cash: Decimal
    position: Position | None
    """None: flat now."""
    ledger: LedgerEntry
    realized: Decimal
    trade: Trade | None


def book(fill: Fill, cash: Decimal, position: Position | None, account: str = PAPER, source: str = "") -> Booked:
    """Apply a fill: cash moves by the cost flow and the fee, each rounded once; the position follows.

    A sale releases cost in proportion to the quantity sold, so what is left keeps its average. What is sold beyond the position (the
    user's own coins, by an order of theirs) moves cash alone. A fee in base currency changes the
    position instead of the cash; one in a third currency neither. What it was worth counts in the round trip's result all the same,
    except of a buy in base currency: there the same money bought less.

    :param source: of the signal that opens the position, if it does.
    """
    flow, worth = money(fill.quantity * fill.price), money(fill.fee)
    buying = fill.side is BUY
    foreign = bool(fill.fee_paid)
    from_cash = ZERO if foreign else worth
    fee = ZERO if foreign and fill.net_quantity != fill.quantity else worth
    amount = -flow - from_cash if buying else flow - from_cash
    entry = LedgerEntry(
        user_id=fill.user_id,
        partition=fill.partition,
        kind=LedgerKind.BUY if buying else LedgerKind.SELL,
        amount=amount,
        fee=from_cash,
        balance=cash + amount,
        reference=fill.trade_id,
        time_ms=fill.time_ms,
        account=account,
    )
    after, realized, trade = (_bought(fill, flow, fee, position, source), ZERO, None) if buying else _sold(fill, flow, fee, position)
    return Booked(flow=flow, fee=worth, cash=entry.balance, position=after, ledger=entry, realized=realized, trade=trade)


def _bought(fill: Fill, flow: Decimal, fee: Decimal, held: Position | None, source: str) -> Position:
    paid, gained = flow + fee, fill.net_quantity
    if held is None:
        return Position(
            symbol=fill.symbol, quantity=gained, cost=paid, opened_ms=fill.time_ms, bought=gained, spent=paid, fees=fee, source=source
        )
    return msgspec.structs.replace(
        held,
        quantity=held.quantity + gained,
        cost=held.cost + paid,
        bought=held.bought + gained,
        spent=held.spent + paid,
        fees=held.fees + fee,
        entry_orders=held.entry_orders + 1,
    )


def _sold(fill: Fill, flow: Decimal, fee: Decimal, held: Position | None) -> tuple[Position | None, Decimal, Trade | None]:
    if held is None:
        return None, ZERO, None
    given = min(fill.net_quantity, held.quantity)
    proceeds = flow - fee
    if given < fill.net_quantity:
        proceeds = money(proceeds * given / fill.net_quantity)
    if given < held.quantity:
        released = money(held.cost * given / held.quantity)
        left = msgspec.structs.replace(
            held,
            quantity=held.quantity - given,
            cost=held.cost - released,
            received=held.received + proceeds,
            fees=held.fees + fee,
        )
        return left, proceeds - released, None
    received = held.received + proceeds
    trade = Trade(
        user_id=fill.user_id,
        partition=fill.partition,
        symbol=fill.symbol,
        quantity=held.bought,
        entry_price=held.spent / held.bought,
        exit_price=received / held.bought,
        pnl=received - held.spent,
        fees=held.fees + fee,
        opened_ms=held.opened_ms,
        closed_ms=fill.time_ms,
        closing_order=fill.client_order_id,
    )
    return None, proceeds - held.cost, trade
