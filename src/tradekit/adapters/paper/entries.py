"""What the paper exchange keeps of an order: its compact row, and back."""

from decimal import Decimal
from hashlib import blake2b

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.orders import Fill, Liquidity, Order, OrderReport, OrderState, OrderType, Side, TimeInForce
from tradekit.ports.exchange import VenueOrder


class Execution(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fill, without what its order already says."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    maker: bool
    time_ms: int


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order in the book. Stored as a MessagePack array: new fields go to the end and need a default."""

    seq: int
    """Number of the submission, which is also the venue_order_id."""
    client_order_id: str
    user_id: int
    partition: int
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    state: OrderState
    reason: str
    time_ms: int
    executions: tuple[Execution, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it rests."""
        return self.state in _OPEN

    def report(self) -> OrderReport:
        """What the venue says of it, with every fill so far."""
        return OrderReport(
            client_order_id=self.client_order_id,
            user_id=self.user_id,
            state=self.state,
            venue_order_id=f"paper-{self.seq}",
            fills=tuple(self._fill(number, execution) for number, execution in enumerate(self.executions, 1)),
            reason=self.reason,
            time_ms=self.time_ms,
        )

    def order(self) -> Order:
        """The order as the matching model wants it."""
        return Order(
            client_order_id=self.client_order_id,
            user_id=self.user_id,
            partition=self.partition,
            cause="",
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            price=self.price,
            time_in_force=self.time_in_force,
            state=self.state,
            cum_qty=sum((execution.quantity for execution in self.executions), ZERO),
            created_ms=self.time_ms,
            updated_ms=self.time_ms,
        )

    def venue_order(self) -> VenueOrder:
        """The order as anybody who asks what is open sees it."""
        return VenueOrder(
            client_order_id=self.client_order_id,
            venue_order_id=f"paper-{self.seq}",
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            price=self.price,
            cum_qty=sum((execution.quantity for execution in self.executions), ZERO),
            state=self.state,
            created_ms=self.time_ms,
        )

    def filled(self, fill: Fill, now_ms: int) -> "Entry":
        """The entry after one more fill."""
        executions = (*self.executions, execution_of(fill))
        done = sum((execution.quantity for execution in executions), ZERO) >= self.quantity
        state = OrderState.FILLED if done else OrderState.PARTIALLY_FILLED
        return msgspec.structs.replace(self, state=state, executions=executions, time_ms=now_ms)

    def canceled(self, now_ms: int) -> "Entry":
        """The entry after the owner took it back."""
        return msgspec.structs.replace(self, state=OrderState.CANCELED, reason="CANCELED_BY_USER", time_ms=now_ms)

    def _fill(self, number: int, execution: Execution) -> Fill:
        return Fill(
            # With the submission's number: an order that was wrongly sent twice fills twice, under ids of its own.
            trade_id=f"{self.client_order_id}-{self.seq}-{number}",
            client_order_id=self.client_order_id,
            user_id=self.user_id,
            partition=self.partition,
            symbol=self.symbol,
            side=self.side,
            quantity=execution.quantity,
            price=execution.price,
            fee=execution.fee,
            liquidity=Liquidity.MAKER if execution.maker else Liquidity.TAKER,
            time_ms=execution.time_ms,
        )


_OPEN = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode


def entry_of(seq: int, order: Order, report: OrderReport) -> Entry:
    """The row of a submission and its outcome."""
    return Entry(
        seq,
        order.client_order_id,
        order.user_id,
        order.partition,
        order.symbol,
        order.side,
        order.type,
        order.quantity,
        order.price,
        order.time_in_force,
        report.state,
        report.reason,
        report.time_ms,
        tuple(execution_of(fill) for fill in report.fills),
    )


def execution_of(fill: Fill) -> Execution:
    """The compact form of a fill."""
    return Execution(fill.quantity, fill.price, fill.fee, fill.liquidity is Liquidity.MAKER, fill.time_ms)


def key_of(client_order_id: str) -> int:
    """A short key for the index; rows with equal keys are told apart by the id in the row."""
    return int.from_bytes(blake2b(client_order_id.encode(), digest_size=8).digest(), "big", signed=True)
