"""What an application holds: one service, its users, orders, signals and conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

import anyio
import msgspec

from tradekit.bootstrap import Background, Parts, open_parts, open_vault
from tradekit.config import Settings
from tradekit.domain.controls import Control, GlobalState
from tradekit.domain.credentials import ConnectLink, Credential, VenueKey
from tradekit.domain.discrepancies import Discrepancy
from tradekit.domain.errors import TradekitError, UnknownUser
from tradekit.domain.health import HealthReport
from tradekit.domain.inbox import LaneClass
from tradekit.domain.instruments import Symbol
from tradekit.domain.orders import Order, Side, account_name
from tradekit.domain.portfolio import Position
from tradekit.domain.replies import Reply
from tradekit.domain.risk import OrderRequest
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Delivery, Signal
from tradekit.domain.tiers import Limits, Tier, TierName
from tradekit.domain.users import Identity, Role, User, UserSettings
from tradekit.engine.custody import Rechecked, Rotation
from tradekit.engine.lanes import Completed, Envelope
from tradekit.engine.probes import flat_metrics, statistics
from tradekit.engine.service import Service
from tradekit.ports.storage import Overview, Reader
from tradekit.ports.strategy import Strategy
from tradekit.services import controls as control_cases
from tradekit.services import signals as signal_cases
from tradekit.services import trading as trading_cases
from tradekit.services import users as user_cases
from tradekit.services.decisions import Handler, unchanged
from tradekit.services.reconciliation import Reconciled

Who = Identity | int
"""An identity of a transport, or a user number."""
ACCOUNTS_PAGE = 500
COMPARISONS_AT_ONCE_MAX = 32


class Account:
    """A registered user with what their plan allows."""

    def __init__(self, user: User, tier: Tier) -> None:
        self.user, self.tier = user, tier

    @property
    def limits(self) -> Limits:
        """What the plan allows."""
        return self.tier.limits


class _Api:
    """Shared by the parts of the API: one way into the user's lane."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def _call(self, who: Who, handler: Handler, *, key: str = "", lane_class: LaneClass = LaneClass.COMMAND) -> Completed:
        service = self._service
        user_id = who if isinstance(who, int) else service.directory.find(who)
        if user_id is None:
            raise UnknownUser(who=str(who))
        cause = f"api/{key}" if key else f"api/{service.token(16)}"
        return await service.orchestrator.call(user_id, handler, cause=cause, lane_class=lane_class)


class UsersApi(_Api):
    """Registration, plans, roles and settings."""

    async def register(self, identity: Identity, display_name: str = "") -> Account:
        """Register, or find who is registered already: idempotent. A new user has a paper account and default settings."""
        slot = self._service.intake.slot_of(identity)
        completed = await self._call(slot.user_id, lambda state, ctx: user_cases.register(state, identity, display_name, ctx))
        return self._account(cast("User", completed.result))

    async def get(self, who: Who) -> Account:
        """A registered user.

        :raises UnknownUser: nobody registered under this identity.
        """
        return self._account((await self.state(who)).user)

    async def state(self, who: Who) -> SessionState:
        """Everything about a user that decisions depend on, as it is now."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state))
        state = cast("SessionState", completed.result)
        user_cases.need_user(state)
        return state

    def _account(self, user: User | None) -> Account:
        assert user is not None
        return Account(user, self._service.options.tiers[user.tier])

    async def set_tier(self, who: Who, tier: TierName, *, actor: str = "admin") -> Account:
        """Move a user to another plan; open positions are kept."""
        completed = await self._call(who, lambda state, ctx: user_cases.set_tier(state, tier, actor, ctx))
        return self._account(completed.result)

    async def set_role(self, who: Who, role: Role, *, actor: str = "admin") -> Account:
        """Give a user another role, such as provider."""
        completed = await self._call(who, lambda state, ctx: user_cases.set_role(state, role, actor, ctx))
        return self._account(completed.result)

    async def change_settings(self, who: Who, values: Mapping[str, str]) -> UserSettings:
        """Set some settings from text, all or none.

        :raises BadInput: a value cannot be read; names the setting.
        """
        completed = await self._call(who, lambda state, ctx: user_cases.change_settings(state, values, ctx))
        return cast("UserSettings", completed.result)

    async def pause(self, who: Who) -> None:
        """Stop entries; exits stay possible."""
        await self._call(who, user_cases.pause, lane_class=LaneClass.CONTROL)

    async def resume(self, who: Who) -> None:
        """Allow entries again."""
        await self._call(who, user_cases.resume)


class TradingApi(_Api):
    """Orders and positions."""

    async def place(self, who: Who, request: OrderRequest, *, idempotency_key: str = "") -> Order:
        """Check an order, store it and send it. Returns it as stored (SUBMITTED); what the venue says follows on its own.

        :raises OrderDenied: a pre-trade check refused it; ``check`` says which.
        :raises Duplicate: the idempotency key already made an order.
        """
        completed = await self._call(who, lambda state, ctx: trading_cases.place(state, request, ctx), key=idempotency_key)
        return cast("Order", completed.result)

    async def cancel(self, who: Who, order_id: str) -> tuple[Order, ...]:
        """Ask for an open order, or ``all``, to be canceled."""
        completed = await self._call(who, lambda state, ctx: trading_cases.cancel(state, order_id, ctx), lane_class=LaneClass.CONTROL)
        return cast("tuple[Order, ...]", completed.result)

    async def close(self, who: Who, symbol: Symbol, fraction: Decimal = Decimal(1)) -> Order:
        """Sell a fraction of a position at market; never blocked by quota, pause, maintenance or downgrade."""
        completed = await self._call(
            who, lambda state, ctx: trading_cases.close(state, symbol, fraction, ctx), lane_class=LaneClass.CONTROL
        )
        return cast("Order", completed.result)

    async def panic(self, who: Who) -> None:
        """Pause, cancel every order and sell every position."""
        await self._call(who, trading_cases.panic, lane_class=LaneClass.CONTROL)

    async def positions(self, who: Who) -> tuple[Position, ...]:
        """What a user holds."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state.positions))
        return cast("tuple[Position, ...]", completed.result)

    async def orders(self, who: Who) -> tuple[Order, ...]:
        """A user's open orders."""
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state.orders))
        return cast("tuple[Order, ...]", completed.result)


class SignalsApi(_Api):
    """Following sources and publishing signals."""

    async def subscribe(self, who: Who, source: str, symbols: tuple[Symbol, ...] = ()) -> None:
        """Follow a source, for all instruments or some."""
        await self._call(who, lambda state, ctx: signal_cases.subscribe(state, source, symbols, ctx))

    async def unsubscribe(self, who: Who, source: str) -> None:
        """Stop following a source, or ``all``."""
        await self._call(who, lambda state, ctx: signal_cases.unsubscribe(state, source, ctx))

    async def publish(self, who: Who, symbol: Symbol, side: str, *, note: str = "", idempotency_key: str = "") -> Signal:
        """A provider's signal at the market's price; it goes out to every follower.

        :raises NotPermitted: the user is not a provider.
        """
        completed = await self._call(
            who, lambda state, ctx: signal_cases.publish(state, symbol, Side(side), ctx, note), key=idempotency_key
        )
        return cast("Signal", completed.result)

    async def why(self, who: Who, signal_id: str) -> Delivery | None:
        """What became of a signal for a user, with the coded reason; None when it never reached them."""
        state = await UsersApi(self._service).state(who)
        return await self._service.storage.delivery(signal_id, state.user_id)


class ChatApi(_Api):
    """The conversation, for bots that bring their own transport."""

    async def handle(self, identity: Identity, text: str, display_name: str = "") -> list[Reply]:
        """Answer one line or ``!data`` of a pressed button; the replies are returned, not sent."""
        service = self._service
        slot = service.intake.slot_of(identity)
        finished = anyio.Event()
        outcome: list[Completed] = []

        def done(completed: Completed) -> None:
            outcome.append(completed)
            finished.set()

        service.orchestrator.post(
            Envelope(
                user_id=slot.user_id,
                lane_class=service.lane_class(text),
                handler=service.handler(text, identity, display_name),
                cause=f"chat/{service.token(16)}",
                posted_s=service.clock.monotonic(),
                confirm_orders=service.confirms(identity),
                done=done,
            ),
            slot,
        )
        await finished.wait()
        if outcome[0].error is not None and not outcome[0].replies:
            raise outcome[0].error
        return list(outcome[0].replies)


class StrategiesApi(_Api):
    """Strategies whose signals users can follow."""

    def add(self, strategy: Strategy) -> None:
        """Run a strategy from the next bar on.

        :raises Duplicate: another strategy has this name.
        """
        self._service.strategies.add(strategy)
        self._service.sources_changed()


class KeysApi(_Api):
    """Keys of venues: sealed at rest, checked for what they may do, never shown again."""

    async def add(self, who: Who, venue: str, key: VenueKey, *, sandbox: bool = False, actor: str = "user") -> Credential:
        """Ask the venue what the key may do, and keep it. One that the venue could not answer for is kept UNVERIFIED and cannot trade.

        :raises KeyRefused: it may withdraw, its scope is unknown, or the venue does not know it; the code says which. Nothing is kept.
        :raises BadInput: the venue is not available here, or a field cannot be part of a key.
        :raises ConfigurationError: TRADEKIT_KEY is not set.
        """
        return await self._service.custodian.add(self._user_id(who), venue, key, sandbox=sandbox, actor=actor)

    async def link(self, token: str) -> ConnectLink:
        """What a one-time link of ``/connect`` is for.

        :raises KeyRefused: ``LINK_GONE``: used, too old, or never given out.
        """
        return await self._service.custodian.link(token)

    async def redeem(self, token: str, key: VenueKey) -> Credential:
        """Keep the key that was entered at a one-time link, and use the link up.

        :raises KeyRefused: ``LINK_GONE``, or as :meth:`add`; the link of a refused key may be used again while it lasts.
        """
        return await self._service.custodian.redeem(token, key)

    def entered_at(self, url: str) -> None:
        """A server with the form for keys listens at this address; TRADEKIT_PUBLIC_URL goes before."""
        self._service.reached_at(url)

    async def revoke(self, who: Who, venue: str, *, actor: str = "user") -> None:
        """Make a key unreadable.

        :raises KeyRefused: ``KEY_MISSING``.
        """
        await self._service.custodian.revoke(self._user_id(who), venue, actor=actor)

    async def revoke_all(self, *, actor: str = "operator") -> int:
        """Make every key of every user unreadable and destroy the data keys; returns how many keys there were."""
        return await self._service.custodian.revoke_all(actor=actor)

    async def rotate(self, settings: Settings | None = None) -> Rotation:
        """Wrap every user's data key with the first key of the key file; works while orders are signed.

        :param settings: with a newer key file than the service was opened with.
        :raises ConfigurationError: the key file lacks a key that is in use.
        """
        return await self._service.custodian.rotate(open_vault(settings) if settings else None)

    async def recheck(self, older_than_s: float = 86_400) -> Rechecked:
        """Ask the venues again about keys they did not confirm for so long; meant to be called daily."""
        return await self._service.custodian.recheck(older_than_s)

    def _user_id(self, who: Who) -> int:
        user_id = who if isinstance(who, int) else self._service.directory.find(who)
        if user_id is None:
            raise UnknownUser(who=str(who))
        return user_id


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What came of comparing one account with its venue."""

    user_id: int
    account: str
    result: Reconciled | None = None
    problem: str = ""
    """Why it could not be compared."""


class AccountsApi(_Api):
    """Accounts at venues."""

    async def reconcile_user(self, who: Who) -> list[Comparison]:
        """Compare a user's accounts with their venues now; one entry per account.

        :raises UnknownUser: nobody registered under this identity.
        """
        completed = await self._call(who, lambda state, ctx: unchanged(state, result=state))
        return await self._compare([cast("SessionState", completed.result)])

    async def reconcile_all(self) -> list[Comparison]:
        """Compare every account that is not on paper."""
        traders = await self._service.storage.users_with_accounts()
        found: list[Comparison] = []
        for start in range(0, len(traders), ACCOUNTS_PAGE):
            states = await self._service.storage.sessions(traders[start : start + ACCOUNTS_PAGE])
            found += await self._compare(list(states.values()))
        return found

    async def discrepancies(self, who: Who | None = None, limit: int = 50) -> list[Discrepancy]:
        """What did not agree, newest first."""
        user_id = None if who is None else who if isinstance(who, int) else self._service.directory.find(who)
        return await self._service.storage.discrepancies(user_id, limit)

    async def _compare(self, states: list[SessionState]) -> list[Comparison]:
        outcomes: list[Comparison] = []
        slots = anyio.CapacityLimiter(COMPARISONS_AT_ONCE_MAX)

        async def compare(user_id: int, account: str) -> None:
            async with slots:
                try:
                    result = await self._service.reconciler.now(user_id, account)
                except TradekitError as error:
                    outcomes.append(Comparison(user_id=user_id, account=account, problem=str(error)))
                else:
                    outcomes.append(Comparison(user_id=user_id, account=account, result=result))

        async with anyio.create_task_group() as tasks:
            for state in states:
                for venue in state.custody.real:
                    tasks.start_soon(compare, state.user_id, account_name(venue.venue, venue.mode))
        return outcomes


class ControlsApi(_Api):
    """What the operator allows: entries everywhere, at a venue, for a user."""

    async def set(self, scope: str, state: GlobalState, *, reason: str = "", by: str = "library") -> str:
        """Halt, limit or allow; in force for the next decision, and kept over restarts. Returns the scope.

        :param scope: ``all``, ``paper``, a venue, or a user's number.
        :raises BadInput: the scope is none of these.
        """
        service = self._service
        scope = control_cases.read_scope(scope, service.context("controls"))
        changes = control_cases.control(scope, state, reason, by, service.clock.now_ms())
        await service.storage.commit(changes)
        service.board.note(changes.controls)
        return scope

    def list(self) -> tuple[Control, ...]:
        """What is limited."""
        return tuple(self._service.board.controls.values())


class Tradekit:
    """One running service. Made by :meth:`open`; :meth:`serve` does the all-day work until cancelled."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.users = UsersApi(service)
        self.trading = TradingApi(service)
        self.signals = SignalsApi(service)
        self.chat = ChatApi(service)
        self.keys = KeysApi(service)
        self.accounts = AccountsApi(service)
        self.controls = ControlsApi(service)
        self.strategies = StrategiesApi(service)
        self.intake = service.intake
        self.outbox = service.outbox
        self.market = service.market
        self.clock = service.clock
        self.health_monitor = service.health

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings | None = None, *, parts: Parts | None = None) -> AsyncIterator[Tradekit]:
        """Open the data directory, start the writer and the lanes, and take up what a former run left.

        ``parts`` replaces adapters (storage, exchange, feed, clock ...), for tests and hosts with their own.

        :raises DataDirectoryInUse: another process owns the directory.
        :raises SchemaMismatch: a newer release wrote the database; it is left untouched.
        """
        settings = settings or Settings.load()
        failed: Exception | None = None
        async with open_parts(settings, parts) as service, anyio.create_task_group() as tasks:
            try:
                await service.open(tasks)
                yield cls(service, settings)
            except Exception as error:  # noqa: BLE001 - raised below as it is: the task group would wrap it
                failed = error
            finally:
                # Also when the host is cancelled, as Ctrl-C does it: what was accepted is finished.
                with anyio.CancelScope(shield=True):
                    await service.drain()
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def serve(self) -> None:
        """Follow the market and the clock: strategies, health, metrics, alerts, performance. Returns when cancelled."""
        await self.service.run_all_day()

    @staticmethod
    def hosted(settings: Settings | None = None, *, parts: Parts | None = None) -> Hosted:
        """For hosts with start and stop hooks that may run in different tasks."""
        return Hosted(settings, parts)

    @property
    def reader(self) -> Reader:
        """Questions to the storage."""
        return self.service.storage

    @property
    def ready(self) -> bool:
        """Whether new commands are accepted."""
        return self.service.ready

    @property
    def started_ms(self) -> int:
        """When this service started, Unix milliseconds."""
        return self.service.started_ms

    def health(self) -> HealthReport:
        """The last round of health checks; costs nothing."""
        return self.service.health.report

    @property
    def active_alerts(self) -> int:
        """Unresolved alerts."""
        return self.service.housekeeping.active_alerts

    @property
    def critical_alerts(self) -> int:
        """Unresolved critical alerts."""
        return self.service.housekeeping.critical_alerts

    def stats(self) -> dict[str, Any]:
        """Statistics by subject, plain values."""
        return statistics(self.service)

    def metrics(self) -> dict[str, float]:
        """The same as flat numbers."""
        return flat_metrics(self.service)

    async def overview(self, since_ms: int) -> Overview:
        """Counts of users, orders and positions."""
        return await self.service.storage.overview(since_ms)

    async def quiet(self, identity: Identity, timeout_s: float) -> bool:
        """Wait until nothing of this person waits: lane, orders under way, replies. False when the time is up first."""
        with anyio.move_on_after(timeout_s) as scope:
            while not self.service.quiet(identity):  # noqa: ASYNC110 - lanes, gateway and outbox settle one after the other
                await anyio.sleep(0.005)
        return not scope.cancelled_caught


class Hosted:
    """A service with :meth:`start` and :meth:`stop`; ``tk`` is the open Tradekit in between."""

    def __init__(self, settings: Settings | None, parts: Parts | None) -> None:
        self._settings, self._parts = settings, parts
        self._background = Background(self._live)
        self._tk: Tradekit | None = None

    @property
    def tk(self) -> Tradekit:
        """The open service.

        :raises RuntimeError: not started.
        """
        if self._tk is None:
            raise RuntimeError("not started")
        return self._tk

    async def _live(self, ready: Callable[[], None]) -> None:
        async with Tradekit.open(self._settings, parts=self._parts) as self._tk:
            ready()
            await self._tk.serve()

    async def start(self) -> Tradekit:
        """Open and serve in a task of its own; returns once commands are accepted."""
        await self._background.start()
        return self.tk

    async def stop(self) -> None:
        """Drain and close."""
        await self._background.stop()
        self._tk = None
