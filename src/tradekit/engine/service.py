"""The engine put together: ports in, one running service out."""

import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import anyio
import anyio.abc
import attrs
import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.credentials import KeyPolicy
from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import account_name
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.sessions import SessionState, books
from tradekit.domain.signals import Signal
from tradekit.domain.tiers import DEFAULT_TIERS, Tiers
from tradekit.domain.users import Identity
from tradekit.engine.controls import ControlBoard
from tradekit.engine.custody import KeyCustodian, concerns_keys
from tradekit.engine.directory import Directory
from tradekit.engine.fanout import Fanout
from tradekit.engine.gateway import Gateway
from tradekit.engine.health import HealthMonitor
from tradekit.engine.housekeeping import Housekeeping
from tradekit.engine.intake import Intake, MakeHandler
from tradekit.engine.lanes import Completed, Envelope, Lanes, Slot
from tradekit.engine.market import Market
from tradekit.engine.numbers import Numbers
from tradekit.engine.orchestrator import Orchestrator
from tradekit.engine.outbox import Outbox
from tradekit.engine.probes import add_checks, flat_metrics
from tradekit.engine.reconciler import Reconciler
from tradekit.engine.rules import RuleBoard
from tradekit.engine.sessions import Sessions
from tradekit.engine.strategies import StrategyRunner
from tradekit.engine.telemetry import Telemetry
from tradekit.engine.triggers import Triggers
from tradekit.engine.venues import Venues
from tradekit.ports.accounts import KeyCheck
from tradekit.ports.clock import Clock
from tradekit.ports.entropy import Entropy
from tradekit.ports.exchange import Exchange
from tradekit.ports.host import HostProbe
from tradekit.ports.indicators import IndicatorLibrary
from tradekit.ports.storage import Storage
from tradekit.ports.vault import Vault
from tradekit.services.decisions import Context, Decision, Handler, Read, Source
from tradekit.services.signals import provider_source
from tradekit.services.users import set_reachable

log = logging.getLogger(__name__)

DRAIN_S = 8.0
USERS_PAGE = 1000


@attrs.frozen(kw_only=True)
class Options:
    """What an operator may choose of the engine."""

    tiers: Tiers = attrs.field(factory=lambda: dict(DEFAULT_TIERS))
    policy: TradingPolicy = attrs.field(factory=TradingPolicy)
    initial_cash: Decimal = Decimal(10_000)
    partitions: int = 256
    max_concurrent_users: int = 1000
    lane_size_max: int = 64
    outbox_size_max: int = 100_000
    signal_ttl_s: int = 300
    transports_without_confirmation: frozenset[str] = frozenset({"terminal"})
    mock_trading: bool = True
    venues: tuple[str, ...] = ()
    """Venues whose keys are taken."""
    reconcile_every_s: float = 900.0
    """Accounts at venues are compared with them this often."""
    adopt_foreign_orders: bool = False
    """Orders that users place at their venue themselves become orders here; otherwise they are noted and left alone."""
    public_url: str = ""
    """Where browsers reach the server; empty: whoever listens says so with :meth:`Service.reached_at`."""


class Service:
    """Everything that runs all day for one set of ports. :meth:`open` begins, :meth:`run_all_day` adds what the clock and the feed drive.

    The parts are public: applications reach them through :class:`tradekit.app.Tradekit`.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        exchange: Exchange,
        market: Market,
        clock: Clock,
        entropy: Entropy,
        host: HostProbe,
        handler: MakeHandler,
        lane_class: Callable[[str], LaneClass],
        options: Options,
        vault: Vault | None = None,
        key_check: KeyCheck | None = None,
        venues: Mapping[str, Exchange] | None = None,
        indicators: IndicatorLibrary | None = None,
    ) -> None:
        self.storage, self.exchange, self.market, self.clock = storage, exchange, market, clock
        self._entropy, self.handler, self.lane_class, self.options = entropy, handler, lane_class, options
        self.telemetry = Telemetry()
        self.directory = Directory()
        self.lanes = Lanes(options.lane_size_max)
        self.sessions = Sessions(
            reader=storage, lanes=self.lanes, tiers=options.tiers, partitions=options.partitions, size_max=options.max_concurrent_users
        )
        self.health = HealthMonitor(clock=clock, host=host, telemetry=self.telemetry, active_users=self.active_users)
        self.outbox = Outbox(storage=storage, clock=clock, telemetry=self.telemetry, size_max=options.outbox_size_max)
        self.strategies = StrategyRunner(
            storage=storage, clock=clock, publish=self._publish, ttl_s=options.signal_ttl_s, indicators=indicators
        )
        self.rules = RuleBoard(runner=self.strategies, reader=storage)
        self.venues = Venues(exchange, market)
        for account, venue in (venues or {}).items():
            self.venues.add(account, venue)
        self.gateway = Gateway(venues=self.venues, clock=clock, telemetry=self.telemetry, post=self._post, post_many=self._post_together)
        self.board = ControlBoard(policy=options.policy, reader=storage, clock=clock, telemetry=self.telemetry, post=self._post)
        self.triggers = Triggers(market=market, clock=clock, telemetry=self.telemetry, post=self._post)
        self.reconciler = Reconciler(
            venues=self.venues,
            gateway=self.gateway,
            clock=clock,
            telemetry=self.telemetry,
            call=self._reconciling,
            every_s=options.reconcile_every_s,
            adopt_foreign=options.adopt_foreign_orders,
        )
        self.custodian = KeyCustodian(
            vault=vault, check=key_check, reader=storage, clock=clock, call=self._call, mock_trading=options.mock_trading
        )
        self.key_policy = KeyPolicy(
            mock_trading=options.mock_trading, venues=options.venues, entry_url=options.public_url, ready=vault is not None
        )
        self.open_venue: Callable[[str], Exchange | None] = lambda account: None
        """Opens the venue behind accounts of a name when the first of them is used; set by whoever has adapters."""
        self._sources: tuple[Source, ...] | None = None
        self.started_ms = clock.now_ms()
        self.ready = False
        market.on_bar(self.strategies.on_bar)
        market.on_past(self.strategies.warm_up)

    async def open(self, tasks: anyio.abc.TaskGroup) -> None:
        """Number, wire and start the parts in ``tasks``, and take up what a former run left."""
        self.numbers = Numbers(await self.storage.sequences())
        self.orchestrator = Orchestrator(
            storage=self.storage,
            clock=self.clock,
            sessions=self.sessions,
            lanes=self.lanes,
            numbers=self.numbers,
            telemetry=self.telemetry,
            context=self._context_of,
            act=self._act,
            room=lambda: self.gateway.has_room,
        )
        self.fanout = Fanout(
            storage=self.storage,
            clock=self.clock,
            directory=self.directory,
            sessions=self.sessions,
            orchestrator=self.orchestrator,
            telemetry=self.telemetry,
            sessions_max=self.options.max_concurrent_users,
        )
        self.intake = Intake(
            storage=self.storage,
            clock=self.clock,
            numbers=self.numbers,
            directory=self.directory,
            sessions=self.sessions,
            orchestrator=self.orchestrator,
            telemetry=self.telemetry,
            partitions=self.options.partitions,
            handler=self._heard_from,
            lane_class=self.lane_class,
            offer=self.outbox.offer,
            confirm=self.confirms,
        )
        self.housekeeping = Housekeeping(
            storage=self.storage,
            clock=self.clock,
            health=self.health,
            numbers=self.numbers,
            sessions=self.sessions,
            orchestrator=self.orchestrator,
            metrics=lambda: flat_metrics(self),
            recheck_keys=self.custodian.recheck,
        )
        self.outbox.on_unreachable = self._unreachable
        self.sessions.on_loaded = self._loaded
        self.orchestrator.on_doubt = self._doubted
        self.intake.on_doubt = self.outbox.rescan
        self.strategies.on_doubt = self.fanout.rescan
        add_checks(self)
        self.health.add("strategies", self.rules.check)
        await self._remember()
        await self.board.load()
        await self.rules.load()
        for work in (self.sessions.run, self.orchestrator.run, self.gateway.run, self.outbox.run, self.fanout.run, self.intake.run):
            tasks.start_soon(work)
        tasks.start_soon(self.strategies.run)
        tasks.start_soon(self.reconciler.run)
        tasks.start_soon(self.triggers.run)
        tasks.start_soon(self.board.run)
        await self._recover()
        self.ready = True

    async def run_all_day(self) -> None:
        """Follow the market and the clock until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.market.run)
            tasks.start_soon(self.housekeeping.run)

    async def _remember(self) -> None:
        """Fill the indexes over all users, and the instruments of earlier runs."""
        self.directory.load(await self.storage.directory(), await self.storage.followers())
        after_id = 0
        while page := await self.storage.users(after_id=after_id, limit=USERS_PAGE):
            self.directory.note(Changes(users=tuple(listed.user for listed in page)))
            after_id = page[-1].user.user_id
        known = await self.storage.instruments()
        fresh = tuple(instrument for instrument in self.market.instruments() if instrument not in known)
        self.market.remember(known)
        if fresh:
            await self.storage.commit(Changes(instruments=fresh))

    async def _recover(self) -> None:
        """Open the venues in use, ask them about orders that were open, and take up messages that were not finished."""
        traders = await self.storage.users_with_accounts()
        for start in range(0, len(traders), USERS_PAGE):
            for state in (await self.storage.sessions(traders[start : start + USERS_PAGE])).values():
                for account in state.custody.real:
                    self.reach(account_name(account.venue, account.mode))
                self.reconciler.expect(state)
        users = await self.storage.users_with_open_orders()
        for start in range(0, len(users), USERS_PAGE):
            states = await self.storage.sessions(users[start : start + USERS_PAGE])
            for state in states.values():
                for book in books(state):
                    self.gateway.settle_after_restart(book.orders)
                    self.triggers.note(book.orders)
        again = await self.intake.recover()
        if users or again:
            log.info("taken up from the last run: %s users with open orders, %s messages", len(users), again)

    async def drain(self, deadline_s: float = DRAIN_S) -> bool:
        """Refuse what is new, finish what is accepted; False when the deadline came first (the rest is taken up by the next start)."""
        self.ready = False
        self.orchestrator.stop_accepting()
        with anyio.move_on_after(deadline_s) as scope:
            while self.orchestrator.at_work or self.gateway.waiting or self.storage.queued:  # noqa: ASYNC110 - three queues, one end
                await anyio.sleep(0.02)
        return not scope.cancelled_caught

    def quiet(self, identity: Identity) -> bool:
        """Whether nothing of this person waits: lane, orders under way, replies."""
        user_id = self.directory.find(identity)
        if user_id is None:
            return self.outbox.quiet(identity)
        return self.orchestrator.quiet(user_id) and self.gateway.quiet(user_id) and self.outbox.quiet(identity)

    def reach(self, account: str) -> None:
        """Trade at the venue behind accounts of this name (``binance:live``), if the operator does and it is not open yet."""
        if self.venues.get(account) is not None:
            return
        exchange = self.open_venue(account)
        if exchange is not None:
            self.venues.add(account, exchange)
            self.gateway.trade_at(account, exchange)

    def active_users(self) -> int:
        """Registered users in memory."""
        return sum(state.user is not None for state in self.sessions.loaded())

    def confirms(self, identity: Identity) -> bool:
        """Whether this transport asks before an order on paper."""
        return identity.transport not in self.options.transports_without_confirmation

    def sources(self) -> tuple[Source, ...]:
        """Strategies and providers that can be followed."""
        if self._sources is None:
            providers = tuple(
                Source(name=provider_source(user_id), title=f"Signals by {name or user_id}")
                for user_id, name in self.directory.providers().items()
            )
            self._sources = (*self.strategies.sources(), *providers)
        return self._sources

    def sources_changed(self) -> None:
        """A strategy was added."""
        self._sources = None

    def token(self, size: int) -> str:
        """Random hexadecimal text of ``size`` bytes."""
        return self._entropy.token(size)

    def context(self, cause: str, *, confirm_orders: bool = True) -> Context:
        """What a decision may know now."""
        return Context(
            now_ms=self.clock.now_ms(),
            cause=cause,
            market=self.market,
            tiers=self.options.tiers,
            policy=self.board.policy,
            entropy=self._entropy,
            sources=self.sources(),
            confirm_orders=confirm_orders,
            initial_cash=self.options.initial_cash,
            partitions=self.options.partitions,
            signal_ttl_s=self.options.signal_ttl_s,
            keys=self.key_policy,
            accounts=self.venues,
            bars=self.strategies,
        )

    def reached_at(self, url: str) -> None:
        """A server with the form for keys listens there; what the operator set goes before."""
        if not self.options.public_url:
            self.key_policy = msgspec.structs.replace(self.key_policy, entry_url=url)

    def _context_of(self, envelope: Envelope) -> Context:
        return self.context(envelope.cause, confirm_orders=envelope.confirm_orders)

    def _act(self, slot: Slot, decision: Decision, changes: Changes) -> None:
        """What a decision does to the world, now that it is durable."""
        del slot
        if changes.orders or changes.order_updates:
            self.triggers.note(changes.orders)
            self.triggers.note(changes.order_updates)
        if decision.submit:
            self.gateway.submit(decision.submit)
        if decision.cancel:
            self.gateway.cancel(decision.cancel)
        if changes.outbox:
            self.outbox.offer(changes.outbox)
        if changes.users or changes.identities or changes.subscriptions or changes.unsubscriptions:
            self.directory.note(changes)
            self._sources = None
        if changes.rules or changes.rules_gone or changes.subscriptions or changes.unsubscriptions:
            self.rules.refresh(decision.state)
        if changes.controls:
            self.board.note(changes.controls)
        if concerns_keys(changes):
            self.custodian.note(changes)
        for _, _, account in changes.accounts:
            self.reach(account_name(account.venue, account.mode))
        if changes.accounts:
            self.reconciler.expect(decision.state)
        for account_asked in decision.reconcile:
            self.reconciler.ask(decision.state.user_id, account_asked)
        for signal in decision.publish:
            self._publish(signal)
        self.telemetry.count("orders.submitted", len(decision.submit))
        self.telemetry.count("fills", len(changes.fills))
        self.telemetry.count("deliveries", len(changes.deliveries))
        if decision.error is not None:
            self.telemetry.count("decisions.refused")

    def _loaded(self, state: SessionState) -> None:
        """Catch up with what was committed for a user without our hearing of it."""
        if self.directory.refresh(state):
            self._sources = None
        self.rules.refresh(state)
        for book in books(state):
            self.gateway.adopt(book.orders)
            self.triggers.note(order for order in book.orders if order.held)

    def _doubted(self, changes: Changes) -> None:
        if changes.outbox:
            self.outbox.rescan()
        if changes.signals:
            self.fanout.rescan()
        if concerns_keys(changes):
            self.custodian.forget()

    def _publish(self, signal: Signal) -> None:
        self.telemetry.count("signals")
        self.fanout.publish(signal)

    async def _call(self, user_id: int, handler: Handler) -> Completed:
        return await self.orchestrator.call(user_id, handler, cause=f"keys/{self.token(16)}")

    async def _reconciling(self, user_id: int, handler: Handler) -> Completed:
        return await self.orchestrator.call(user_id, handler, cause=f"reconcile/{self.token(8)}", lane_class=LaneClass.REPORT)

    def _post(self, envelope: Envelope) -> None:
        self.orchestrator.post(envelope)

    def _post_together(self, envelopes: Sequence[Envelope]) -> None:
        self.orchestrator.post_together(envelopes)

    def _heard_from(self, text: str, identity: Identity, display_name: str) -> Handler:
        """The conversation, noting that somebody who could not be reached is back."""
        inner = self.handler(text, identity, display_name)

        def handler(state: SessionState, ctx: Context) -> Decision | Read:
            if state.user is not None and not state.user.reachable:
                state = msgspec.structs.replace(state, user=msgspec.structs.replace(state.user, reachable=True))
            return inner(state, ctx)

        return handler

    def _unreachable(self, user_id: int) -> None:
        self._post(
            Envelope(
                user_id=user_id,
                lane_class=LaneClass.REPORT,
                handler=lambda state, ctx: Decision(state=state) if state.user is None else set_reachable(state, False, ctx),
                cause=f"unreachable/{user_id}",
                posted_s=self.clock.monotonic(),
            )
        )
