"""Our books of one account against the venue's: what agrees, what is taken over, what is frozen."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import ZERO, money
from tradekit.domain.changes import Changes
from tradekit.domain.discrepancies import Discrepancy, DiscrepancyKind, discrepancy_key
from tradekit.domain.errors import BadInput
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import PAPER, Order, OrderState, OrderType, Side, Terms, client_order_id, mode_of
from tradekit.domain.portfolio import LedgerEntry, LedgerKind
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.sessions import SessionState, SessionStatus, find_order, on_account, replace_order
from tradekit.ports.exchange import Snapshot, VenueOrder
from tradekit.ports.storage import Reader
from tradekit.services.decisions import Context, Decision, Read, refused
from tradekit.services.quotas import begin_day
from tradekit.services.users import audit

replace = msgspec.structs.replace

IN_FLIGHT = frozenset({OrderState.SUBMITTED, OrderState.PENDING_CANCEL, OrderState.UNKNOWN})
"""Orders of which the venue may know more than we do at any moment."""
AT_VENUE = frozenset({OrderState.ACCEPTED, OrderState.TRIGGERED, OrderState.PARTIALLY_FILLED})
KNOWN_MAX = 1000
"""Differences of one user that are looked at."""
ID_LENGTH_MIN = 20
"""Characters of a client id by which it is ours: some venues keep fewer than we send."""
FIRST_BALANCE = "venue balance"
"""Reference of the ledger entry that took an account over."""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of comparing an account with its venue."""

    account: str
    settled: bool
    """Everything could be compared; otherwise something is under way, and it must be asked again."""
    missing: tuple[Order, ...] = ()
    """Orders that we think rest at the venue and that it does not list: to be asked about."""
    orders_wanted: bool = False
    """The balances say that orders rest which we do not know, or the other way round: ask for the list of orders."""
    adjusted: Decimal = ZERO
    """Quote currency by which our cash was moved."""
    frozen: tuple[Symbol, ...] = ()
    foreign: tuple[str, ...] = ()
    """Venue ids of orders that somebody else placed."""
    undead: tuple[Order, ...] = ()
    """Orders of ours that are over in our books and rest at the venue all the same: to be canceled."""

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to look at."""
        return self.settled and not self.frozen and not self.missing


def reconcile(state: SessionState, account: str, snapshot: Snapshot, checked: frozenset[str], ctx: Context, *, adopt_foreign: bool) -> Read:
    """Compare an account with what the venue says. The result is :class:`Reconciled`.

    Money and positions are judged only when nothing is in flight and nothing was booked since the question was put: what is under way
    would look like a difference. A difference of cash is taken over by a ledger entry, for the venue is right about it; a position that
    the venue does not hold freezes entries in that instrument, for somebody must look. Doing it again changes nothing.

    :param checked: client_order_ids whose fills were asked for after the snapshot's question.
    """

    async def query(reader: Reader) -> tuple[list[Discrepancy], dict[str, Order]]:
        known = await reader.discrepancies(state.user_id, KNOWN_MAX)
        told = [each.client_order_id for each in snapshot.orders or () if find_order(state, each.client_order_id) is None]
        stored = [await reader.order(client_id) for client_id in told if client_id]
        return known, {order.client_order_id: order for order in stored if order is not None and order.user_id == state.user_id}

    def then(answer: tuple[list[Discrepancy], dict[str, Order]], later: Context) -> Decision:
        known = [each for each in answer[0] if each.account == account]
        work = _Work(begin_day(on_account(state, account), later), account, snapshot, later, known, answer[1])
        if snapshot.orders is not None:
            work.compare_orders(snapshot.orders, adopt_foreign=adopt_foreign)
        else:
            work.compare_locked()
        work.settled = not work.under_way(checked) and not work.orders_wanted
        if work.settled:
            work.compare_cash()
            work.compare_positions()
        decision = work.decision()
        return replace(decision, state=on_account(decision.state, state.account))

    return Read(query=query, then=then)


class _Work:
    """One comparison, step by step."""

    def __init__(
        self,
        state: SessionState,
        account: str,
        snapshot: Snapshot,
        ctx: Context,
        known: list[Discrepancy],
        stored: dict[str, Order],
    ) -> None:
        self.state, self.account, self.snapshot, self.ctx, self.stored = state, account, snapshot, ctx, stored
        self.known = {each.key: each for each in known if not each.resolved_ms}
        self.mended = {each.key for each in known if each.resolved_ms}
        self.settled = True
        self.orders_wanted = False
        self.missing: list[Order] = []
        self.undead: list[Order] = []
        self.foreign: list[VenueOrder] = []
        self.adopted: list[Order] = []
        self.adjusted = ZERO
        self.frozen: list[Symbol] = []
        self.found: list[Discrepancy] = []
        self.ledger: list[LedgerEntry] = []
        self.notices: list[Reply] = []

    def under_way(self, checked: frozenset[str]) -> bool:
        """Whether the balances may tell of something that the books do not, or the other way round."""
        if self.missing or self.undead or self.state.session.booked_ms >= self.snapshot.time_ms:
            return True
        listed = self.snapshot.orders is not None
        return any(
            order.state in IN_FLIGHT or (order.state in AT_VENUE and not listed and order.client_order_id not in checked)
            for order in self.state.orders
        )

    def compare_orders(self, listed: tuple[VenueOrder, ...], *, adopt_foreign: bool) -> None:
        """Ours that are not there are asked about; theirs that are not ours are noted, or adopted."""
        open_here = [order for order in self.state.orders if not order.held]
        for order in open_here:
            there = next((each for each in listed if _same(order, each)), None)
            if order.state in AT_VENUE and (there is None or there.cum_qty != order.cum_qty):
                self.missing.append(order)
        others = [each for each in listed if not any(_same(order, each) for order in open_here)]
        self.undead = [self.stored[each.client_order_id] for each in others if each.client_order_id in self.stored]
        theirs = [each for each in others if each.client_order_id not in self.stored]
        for each in theirs:
            self._foreign(each, adopt=adopt_foreign)
        for order in self.undead:
            detail = f"order={order.client_order_id} ours={order.state} venue=open"
            self._note(DiscrepancyKind.UNKNOWN_ORDER, order.client_order_id, order.symbol, detail, resolved=True)
        self._close(DiscrepancyKind.FOREIGN_ORDER, [each.venue_order_id for each in theirs])

    def _foreign(self, order: VenueOrder, *, adopt: bool) -> None:
        self.foreign.append(order)
        of_ours = order.symbol.partition("/")[2] == self._quote()
        adopted = adopt and of_ours and order.type in {OrderType.LIMIT, OrderType.MARKET}
        detail = f"order={order.venue_order_id} side={order.side} quantity={order.quantity:f} adopted={'yes' if adopted else 'no'}"
        self._note(DiscrepancyKind.FOREIGN_ORDER, order.venue_order_id, order.symbol, detail, resolved=adopted)
        if adopted:
            self._adopt(order)

    def _adopt(self, order: VenueOrder) -> None:
        """Keep the order as one of the user's own: no quota, but what it may spend is set aside. Its fills are found by asking."""
        cause, now_ms = f"foreign/{self.account}/{order.venue_order_id}", self.ctx.now_ms
        instrument = self.ctx.instrument(self.state, order.symbol)
        fee = instrument.taker_fee if instrument is not None else ZERO
        spends = order.side is Side.BUY and order.price is not None
        kept = Order(
            client_order_id=order.client_order_id or client_order_id(self.state.user_id, cause),
            user_id=self.state.user_id,
            partition=self.state.partition,
            cause=cause,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=order.quantity,
            price=order.price,
            reduce_only=order.side is Side.SELL,
            mode=mode_of(self.account),
            account=self.account,
            terms=Terms(foreign=True),
            state=OrderState.ACCEPTED,
            venue_order_id=order.venue_order_id,
            reserved=money(order.quantity * (order.price or ZERO) * (1 + fee)) if spends else ZERO,
            created_ms=min(order.created_ms, now_ms),
            updated_ms=now_ms,
        )
        self.adopted.append(kept)
        self.state = replace(self.state, orders=replace_order(self.state.orders, kept))

    def compare_locked(self) -> None:
        """What the venue has set aside for orders, against what ours there should have: cheaper than asking for the list."""
        expected = {_spent_by(order) for order in self.state.orders if not order.held}
        locked = {balance.currency for balance in self.snapshot.balances if balance.locked > 0}
        self.orders_wanted = locked != expected

    def compare_cash(self) -> None:
        """The venue's balance of the quote currency is the truth about cash."""
        quote = self._quote()
        if quote is None:
            return
        theirs, session = self.snapshot.balance(quote).total, self.state.session
        starting = session.status is SessionStatus.STARTING
        # Also of an account that its user paused before it was ever compared.
        first = starting or not session.peak_equity
        self.adjusted = theirs - session.cash
        if not self.adjusted and not starting:
            return
        if self.adjusted:
            self.ledger.append(self._flow(theirs, first))
        # Money that came or went is neither profit nor loss.
        moved = replace(
            session,
            status=SessionStatus.RUNNING if starting else session.status,
            cash=theirs,
            day_start_equity=max(ZERO, session.day_start_equity + self.adjusted),
            peak_equity=max(ZERO, session.peak_equity + self.adjusted),
        )
        self.state = replace(self.state, session=moved)
        args = {"mode": self.account, "quote": quote, "cash": f"{theirs:f}", "difference": f"{self.adjusted:f}"}
        args["running"] = "yes" if moved.status is SessionStatus.RUNNING else ""
        self.notices.append(Reply(key="reconcile.taken_over" if first else "reconcile.cash", args=args, priority=Priority.ALERT))
        if not first:
            detail = f"ours={session.cash:f} venue={theirs:f} currency={quote}"
            self._note(DiscrepancyKind.CASH, f"{quote}/{self.snapshot.time_ms}", "", detail, resolved=True)

    def _flow(self, balance: Decimal, first: bool) -> LedgerEntry:
        return LedgerEntry(
            user_id=self.state.user_id,
            partition=self.state.partition,
            kind=LedgerKind.DEPOSIT if first else LedgerKind.ADJUSTMENT,
            amount=self.adjusted,
            balance=balance,
            reference=FIRST_BALANCE if first else f"reconciled/{self.snapshot.time_ms}",
            time_ms=self.ctx.now_ms,
            account=self.account,
        )

    def compare_positions(self) -> None:
        """A position that the venue does not hold freezes its instrument; what it holds besides is the user's own business."""
        frozen = set(self.state.session.guard.frozen)
        for position in self.state.positions:
            symbol, theirs = position.symbol, self.snapshot.balance(position.symbol.partition("/")[0]).total
            instrument = self.ctx.instrument(self.state, symbol)
            dust = instrument.step_size if instrument is not None else ZERO
            if position.quantity - theirs <= dust:
                continue
            self.frozen.append(symbol)
            numbers = {"ours": f"{position.quantity:f}", "venue": f"{theirs:f}"}
            self._note(DiscrepancyKind.POSITION_SHORT, symbol, symbol, f"ours={numbers['ours']} venue={numbers['venue']}", resolved=False)
            if symbol not in frozen:
                args = {"mode": self.account, "symbol": symbol} | numbers
                self.notices.append(Reply(key="reconcile.frozen", args=args, priority=Priority.ALERT))
        self._close(DiscrepancyKind.POSITION_SHORT, self.frozen)
        if frozen != set(self.frozen):
            guard = replace(self.state.session.guard, frozen=tuple(sorted(self.frozen)))
            self.state = replace(self.state, session=replace(self.state.session, guard=guard))

    def decision(self) -> Decision:
        result = Reconciled(
            account=self.account,
            settled=self.settled,
            missing=tuple(self.missing),
            orders_wanted=self.orders_wanted,
            adjusted=self.adjusted,
            frozen=tuple(self.frozen),
            foreign=tuple(each.venue_order_id for each in self.foreign),
            undead=tuple(self.undead),
        )
        changes = Changes(orders=tuple(self.adopted), ledger=tuple(self.ledger), discrepancies=tuple(self.found))
        if not changes and not self.notices:
            return Decision(state=self.state, result=result)
        rows = tuple(
            audit(self.state, self.ctx, "system", f"discrepancy.{each.kind}", f"{self.account} {each.symbol} {each.detail}")
            for each in self.found
        )
        if self.ledger:
            detail = f"{self.account} amount={self.ledger[0].amount:f} balance={self.ledger[0].balance:f}"
            rows = (*rows, audit(self.state, self.ctx, "system", f"account.{self.ledger[0].kind}", detail))
        return Decision(state=self.state, changes=replace(changes, audit=rows), notices=tuple(self.notices), result=result)

    def _quote(self) -> str | None:
        """The currency of cash: that of the instruments traded here. Accounts hold one."""
        symbols = [*self.ctx.market.symbols(), *(position.symbol for position in self.state.positions)]
        symbols += [order.symbol for order in self.state.orders]
        return next((symbol.partition("/")[2] for symbol in symbols), None)

    def _key(self, kind: DiscrepancyKind, reference: str) -> str:
        return discrepancy_key(self.state.user_id, self.account, kind, reference)

    def _note(self, kind: DiscrepancyKind, reference: str, symbol: Symbol, detail: str, *, resolved: bool) -> None:
        """Put a difference on record, unless it is there already."""
        key, now_ms = self._key(kind, reference), self.ctx.now_ms
        if key in self.known or (resolved and key in self.mended):
            return
        self.found.append(
            Discrepancy(
                key=key,
                user_id=self.state.user_id,
                partition=self.state.partition,
                account=self.account,
                kind=kind,
                symbol=symbol,
                detail=detail,
                raised_ms=now_ms,
                resolved_ms=now_ms if resolved else 0,
            )
        )

    def _close(self, kind: DiscrepancyKind, still: list[str]) -> None:
        """Resolve the differences of this kind that are not there any more."""
        keys = {self._key(kind, reference) for reference in still}
        self.found += [
            replace(each, resolved_ms=self.ctx.now_ms) for each in self.known.values() if each.kind is kind and each.key not in keys
        ]


def _spent_by(order: Order) -> str:
    """The currency that the venue sets aside for an order."""
    base, _, quote = order.symbol.partition("/")
    return quote if order.side is Side.BUY else base


def _same(order: Order, listed: VenueOrder) -> bool:
    told = listed.client_order_id
    ours = len(told) >= ID_LENGTH_MIN and order.client_order_id.startswith(told)
    return ours or (bool(order.venue_order_id) and order.venue_order_id == listed.venue_order_id)


def announce(state: SessionState, result: Reconciled, ctx: Context) -> Decision:
    """Tell the user what a comparison that they asked for has found."""
    args = {
        "mode": result.account,
        "adjusted": f"{result.adjusted:f}" if result.adjusted else "",
        "frozen": ", ".join(result.frozen),
        "foreign": str(len(result.foreign)) if result.foreign else "",
        "time_ms": str(ctx.now_ms),
        "zone": state.settings.time_zone,
    }
    return Decision(state=state, notices=(Reply(key="reconcile.done", args=args, priority=Priority.ALERT),))


def ask(state: SessionState) -> Decision:
    """Have the account in use compared with its venue. The result is its name; the error is BadInput on paper."""
    if state.account == PAPER:
        problem = "has no venue to compare with"
        return refused(state, BadInput(field="account", value=PAPER, problem=problem, hint="choose another with /account"))
    return Decision(state=state, reconcile=(state.account,), result=state.account)
