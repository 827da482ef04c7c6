"""What the order path asks of a venue."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tradekit.domain.orders import Order, OrderReport

ReportHandler = Callable[[OrderReport], None]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do, as far as the order path must know."""

    venue: str
    visibility_window_s: float
    """After this long without an order in :meth:`Exchange.find`, "not found" means that it never arrived."""
    answer_timeout_s: float
    """No answer within this counts as none."""


class Exchange(Protocol):
    """A venue that takes orders and reports what became of them.

    Implementations must pass :class:`tradekit.testing.contracts.exchange.ExchangeContract`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Constant over the adapter's life."""

    async def submit(self, order: Order) -> OrderReport:
        """Send the order once and return what the venue said.

        Callers submit an id once. A venue need not refuse a repeated id.

        :raises ExchangeUnavailable: no answer came; the order may exist. Ask :meth:`find`, never submit again.
        """

    async def submit_many(self, orders: Sequence[Order]) -> list[OrderReport | BaseException]:
        """Like :meth:`submit` for many users' orders at once; one outcome per order, in order."""

    async def cancel(self, order: Order) -> OrderReport:
        """Ask for the rest of the order to be canceled; the report says what it has become (it may be FILLED instead).

        :raises ExchangeUnavailable: no answer came; the cancel may have happened.
        """

    async def find(self, order: Order) -> OrderReport | None:
        """What the venue knows of the order, with every fill; None when it knows nothing of it.

        :raises ExchangeUnavailable: no answer came, which is not "not found".
        """

    def listen(self, handler: ReportHandler) -> None:
        """Call ``handler`` with every later report (fills of resting orders, expiries), on the event loop. At least once each."""
