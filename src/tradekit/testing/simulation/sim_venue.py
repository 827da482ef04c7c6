"""A live venue as it is by itself: accounts with balances, a book, fees in several currencies. What goes wrong on the way is elsewhere."""

import random
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, Decimal

import attrs
import msgspec

from tradekit.adapters.feeds.simulated import START_PRICES
from tradekit.domain.amounts import ZERO, money
from tradekit.domain.instruments import Instrument, Quote, Symbol, instrument_for
from tradekit.domain.matching import MatchingModel, execute, fill_resting
from tradekit.domain.orders import Fill, Order, OrderReport, OrderState, OrderType, Side
from tradekit.ports.clock import Clock
from tradekit.ports.exchange import Balance, Snapshot, VenueOrder

replace = msgspec.structs.replace

VENUE = "binance"
ACCOUNT = "binance:live"
CASH = "USDT"
OPENING = Decimal(10_000)
OWN_COINS = {"BTC": Decimal("0.2"), "ETH": Decimal(4), "SOL": Decimal(80)}
"""What every second customer holds besides: the service must never touch it."""
COIN_PLACES = Decimal("0.00000001")
MODEL = MatchingModel(level_quote=Decimal(400), depth_quote=Decimal(40_000))
"""A thin book: orders fill in several parts."""
OPEN_STATES = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


class Taken(Exception):
    """An open order has this client id."""


@attrs.define(eq=False)
class Listed:
    """An order at the venue."""

    order: Order
    """As it was sent; of a stranger's order what it would be."""
    seq: int
    state: OrderState
    reason: str
    time_ms: int
    fills: tuple[Fill, ...] = ()
    hidden_until_s: float = 0.0
    """Questions do not see it before."""
    late: bool = False
    """It filled after it was over."""
    foreign: bool = False
    """Placed by the customer, not through us."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def cum_qty(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def leaves_qty(self) -> Decimal:
        return self.order.quantity - self.cum_qty if self.is_open else ZERO

    def report(self) -> OrderReport:
        """What the venue says of it."""
        return OrderReport(
            client_order_id=self.order.client_order_id,
            user_id=self.order.user_id,
            state=self.state,
            venue_order_id=str(self.seq),
            fills=self.fills,
            reason=self.reason,
            time_ms=self.time_ms,
        )

    def listed(self) -> VenueOrder:
        """What a list of open orders says of it."""
        order = self.order
        return VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=str(self.seq),
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=order.quantity,
            price=order.price,
            cum_qty=self.cum_qty,
            state=self.state,
            created_ms=order.created_ms,
        )


@attrs.define(eq=False)
class Customer:
    """An account at the venue."""

    totals: dict[str, Decimal]
    fees: str
    """``base``: of what is bought; ``BNB``: in a third currency; ``quote``."""
    behind: list[Decimal]
    """What every movement that is not an order of ours has added up to, in quote currency, the opening balance included."""
    orders: dict[int, Listed] = attrs.field(factory=dict)
    """Open ones, by number."""
    late: bool = False
    """An order of this customer filled after it was over: nobody who missed that event can tell."""

    def locked(self, currency: str) -> Decimal:
        """Set aside for open orders."""
        found = ZERO
        for listed in self.orders.values():
            order = listed.order
            base, _, quote = order.symbol.partition("/")
            if order.side is Side.SELL and base == currency:
                found += listed.leaves_qty
            elif order.side is Side.BUY and quote == currency:
                assert order.price is not None, "only limit orders rest"
                found += listed.leaves_qty * order.price
        return found

    def free(self, currency: str) -> Decimal:
        """What a new order may spend."""
        return self.totals.get(currency, ZERO) - self.locked(currency)

    def moved(self, amount: Decimal) -> None:
        """Money came or went without an order of ours."""
        self.totals[CASH] += amount
        self.behind.append(self.behind[-1] + amount)


class SimVenue:
    """One venue for the whole simulation: it goes on while the service is down. Nothing here waits or fails."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._random = random.Random(f"{seed}/venue")
        self._quotes: dict[Symbol, Quote] = {}
        self._instruments = {symbol: instrument_for(symbol, price) for symbol, price in START_PRICES.items()}
        self._customers: dict[int, Customer] = {}
        self._sides: defaultdict[tuple[Symbol, Side], list[tuple[Decimal, int]]] = defaultdict(list)
        self._open: dict[int, Listed] = {}
        self.orders: dict[tuple[int, str], list[Listed]] = {}
        """By user and client id: an id may come again once its order is over."""
        self._seq = 0
        self.still = False
        """Nothing trades any more."""
        self.tell: Callable[[OrderReport], None] = lambda report: None
        """Events of the customers' streams; whoever is connected listens."""

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """Steps and limits."""
        return self._instruments.get(symbol)

    def customer(self, user_id: int) -> Customer:
        """The account; opened when first asked for."""
        known = self._customers.get(user_id)
        if known is None:
            own = OWN_COINS if user_id % 2 else {}
            fees = ("base", "quote", "BNB", "base")[user_id % 4]
            known = self._customers[user_id] = Customer({CASH: OPENING, **own}, fees, [OPENING])
        return known

    def customers(self) -> Iterator[tuple[int, Customer]]:
        """Every account."""
        return iter(self._customers.items())

    # Orders

    def take(self, order: Order, *, share: Decimal | None = None, hidden_s: float = 0.0, foreign: bool = False) -> Listed:
        """Take an order in and match it.

        :param share: of what would fill at once only so much does.
        :raises Taken: the id is that of an open order.
        """
        known = self.orders.setdefault((order.user_id, order.client_order_id), [])
        if known and known[-1].is_open:
            raise Taken
        customer, now_ms = self.customer(order.user_id), self._clock.now_ms()
        instrument = self._instruments.get(order.symbol)
        report = execute(order, self._quotes.get(order.symbol), instrument, MODEL, now_ms)
        if report.state is not OrderState.REJECTED and not self._affords(customer, order, report):
            report = replace(report, state=OrderState.REJECTED, fills=(), reason="INSUFFICIENT_BALANCE")
        if share is not None and report.fills and not order.post_only:
            report = self._cut(order, report, share)
        self._seq += 1
        listed = Listed(order, self._seq, report.state, report.reason, now_ms, foreign=foreign)
        listed.hidden_until_s = self._clock.monotonic() + hidden_s if hidden_s else 0.0
        known.append(listed)
        if listed.is_open:
            self._rest(listed, customer)
        for fill in report.fills:
            self._book(listed, customer, fill)
        return listed

    @staticmethod
    def _affords(customer: Customer, order: Order, report: OrderReport) -> bool:
        base, _, quote = order.symbol.partition("/")
        if order.side is Side.SELL:
            return customer.free(base) >= order.quantity
        if order.price is not None:
            return customer.free(quote) >= order.quantity * order.price
        # With room for the fee.
        return customer.free(quote) >= sum((fill.quantity * fill.price for fill in report.fills), ZERO) * Decimal("1.002")

    def _cut(self, order: Order, report: OrderReport, share: Decimal) -> OrderReport:
        instrument = self._instruments[order.symbol]
        left = (order.quantity * share / instrument.step_size).to_integral_value(ROUND_DOWN) * instrument.step_size
        fills: list[Fill] = []
        for fill in report.fills:
            part = min(fill.quantity, left)
            if part > 0:
                fills.append(replace(fill, quantity=part, fee=money(fill.fee * part / fill.quantity)))
                left -= part
        if report.state is OrderState.FILLED and order.time_in_force == "FOK":
            return report
        rests = order.type is OrderType.LIMIT and order.time_in_force == "GTC"
        if rests:
            return replace(report, fills=tuple(fills), state=OrderState.PARTIALLY_FILLED if fills else OrderState.ACCEPTED)
        return replace(report, fills=tuple(fills), state=OrderState.CANCELED, reason="NO_LIQUIDITY")

    def _rest(self, listed: Listed, customer: Customer) -> None:
        self._open[listed.seq] = customer.orders[listed.seq] = listed
        insort(self._sides[listed.order.symbol, listed.order.side], _key(listed))

    def _remove(self, listed: Listed, customer: Customer) -> None:
        if self._open.pop(listed.seq, None) is not None:
            del customer.orders[listed.seq]
            keys = self._sides[listed.order.symbol, listed.order.side]
            del keys[bisect_left(keys, _key(listed))]

    def _book(self, listed: Listed, customer: Customer, fill: Fill) -> None:
        """Money and coins change hands."""
        base, _, quote = fill.symbol.partition("/")
        worth = money(fill.quantity * fill.price)
        fill = replace(fill, trade_id=f"{listed.seq}-{len(listed.fills) + 1}", account=ACCOUNT)
        if customer.fees == "base" and fill.side is Side.BUY:
            rate = fill.fee / worth if worth else ZERO
            fill = replace(fill, fee_currency=base, fee_paid=(fill.quantity * rate).quantize(COIN_PLACES, ROUND_DOWN))
        elif customer.fees == "BNB":
            fill = replace(fill, fee_currency="BNB", fee_paid=(fill.fee / 600).quantize(COIN_PLACES, ROUND_DOWN))
        if not fill.fee_paid:
            fill = replace(fill, fee_currency="")
        before = customer.totals[CASH]
        buying = fill.side is Side.BUY
        paid = fill.fee_paid if fill.fee_currency == base else ZERO
        coins = fill.quantity - paid if buying else -fill.quantity - paid
        customer.totals[base] = customer.totals.get(base, ZERO) + coins
        customer.totals[quote] += (-worth if buying else worth) - (ZERO if fill.fee_paid else money(fill.fee))
        if listed.foreign:
            customer.behind.append(customer.behind[-1] + customer.totals[CASH] - before)
        listed.fills = (*listed.fills, fill)
        listed.time_ms = self._clock.now_ms()
        if listed.is_open:
            whole = listed.cum_qty >= listed.order.quantity
            listed.state = OrderState.FILLED if whole else OrderState.PARTIALLY_FILLED
            if whole:
                self._remove(listed, customer)

    def on_quote(self, quote: Quote) -> None:
        """Match what rests with a price."""
        self._quotes[quote.symbol] = quote
        if self.still:
            return
        for side, bound in ((Side.BUY, -quote.price), (Side.SELL, quote.price)):
            keys = self._sides.get((quote.symbol, side), [])
            reached = [self._open[seq] for price, seq in keys[: bisect_left(keys, (bound, self._seq + 1))]]
            for listed in reached:
                order = replace(listed.order, cum_qty=listed.cum_qty)
                fill = fill_resting(order, quote.price, self._instruments[quote.symbol], MODEL, self._clock.now_ms(), len(listed.fills))
                if fill is not None:
                    self._book(listed, self.customer(order.user_id), fill)
                    self.tell(listed.report())

    def cancel(self, user_id: int, client_order_id: str) -> Listed | None:
        """Take an open order off the book; None for an id that is not known."""
        listed = self.look_up(user_id, client_order_id)
        if listed is not None and listed.is_open:
            self._remove(listed, self.customer(user_id))
            listed.state, listed.reason, listed.time_ms = OrderState.CANCELED, "CANCELED_BY_USER", self._clock.now_ms()
        return listed

    def fill_late(self, listed: Listed, share: Decimal) -> None:
        """An order that was canceled had filled in part after all."""
        instrument = self._instruments[listed.order.symbol]
        left = listed.order.quantity - listed.cum_qty
        quantity = (left * share / instrument.step_size).to_integral_value(ROUND_DOWN) * instrument.step_size
        price, customer = listed.order.price, self.customer(listed.order.user_id)
        if listed.state is not OrderState.CANCELED or price is None or quantity <= 0:
            return
        base, _, quote = listed.order.symbol.partition("/")
        needed, currency = (quantity, base) if listed.order.side is Side.SELL else (quantity * price * Decimal("1.002"), quote)
        if customer.free(currency) < needed:
            return
        fill = fill_resting(
            replace(listed.order, quantity=quantity, cum_qty=ZERO), price, instrument, MODEL, self._clock.now_ms(), len(listed.fills)
        )
        if fill is not None:
            listed.late = customer.late = True
            self._book(listed, customer, fill)
            self.tell(listed.report())

    # Questions

    def look_up(self, user_id: int, client_order_id: str) -> Listed | None:
        """The newest order under this id, unless it does not show yet."""
        found = self.orders.get((user_id, client_order_id))
        return found[-1] if found and found[-1].hidden_until_s <= self._clock.monotonic() else None

    def snapshot(self, user_id: int, *, with_orders: bool, time_ms: int) -> Snapshot:
        """Balances, and what rests if asked for."""
        customer, now = self.customer(user_id), self._clock.monotonic()
        balances = tuple(
            Balance(currency=currency, total=total, locked=customer.locked(currency))
            for currency, total in customer.totals.items()
            if total
        )
        listed = tuple(each.listed() for each in customer.orders.values() if each.hidden_until_s <= now) if with_orders else None
        return Snapshot(balances=balances, orders=listed, time_ms=time_ms)

    # What customers do here without us

    def transfer(self, user_id: int) -> None:
        """Money comes or goes, or coins."""
        customer = self.customer(user_id)
        if self._random.random() < 0.2:
            own = customer.totals.get("SOL", ZERO)
            customer.totals["SOL"] = own / 2 if own > customer.locked("SOL") * 2 else own + 1
            return
        amount = Decimal(self._random.randrange(-20_000, 40_000)) / 100
        if customer.free(CASH) + amount > 100:
            customer.moved(amount)

    def place_foreign(self, user_id: int) -> bool:
        """An order that the customer types in at the venue; False without a price."""
        symbol = self._random.choice(list(self._instruments))
        quote, instrument = self._quotes.get(symbol), self._instruments[symbol]
        if quote is None:
            return False
        side = self._random.choice((Side.BUY, Side.SELL))
        away = Decimal(self._random.randrange(5, 60)) / 10_000
        exact = quote.price * (1 - away if side is Side.BUY else 1 + away)
        price = (exact / instrument.tick_size).to_integral_value(ROUND_DOWN) * instrument.tick_size
        quantity = (Decimal(40) / price / instrument.step_size).to_integral_value(ROUND_DOWN) * instrument.step_size
        now_ms = self._clock.now_ms()
        order = Order(
            client_order_id=f"web_{self._seq + 1}",
            user_id=user_id,
            partition=0,
            cause="",
            symbol=symbol,
            side=side,
            type=OrderType.LIMIT,
            quantity=quantity,
            price=price,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        return self.take(order, foreign=True).state is not OrderState.REJECTED

    def cancel_foreign(self, user_id: int) -> bool:
        """The customer takes one of those orders back; False when there is none."""
        mine = [listed for listed in self.customer(user_id).orders.values() if listed.foreign]
        if not mine:
            return False
        self.cancel(user_id, mine[0].order.client_order_id)
        self.tell(mine[0].report())
        return True


def _key(listed: Listed) -> tuple[Decimal, int]:
    assert listed.order.price is not None, "only limit orders rest"
    return (-listed.order.price if listed.order.side is Side.BUY else listed.order.price), listed.seq
