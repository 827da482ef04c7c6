"""What the operator limits, and what losses lock, in the running engine: at once, durable, and only for whom it is meant."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.engine_support import Running, Wrapped, running, until
from tradekit.api.controls import ControlsApi
from tradekit.domain.changes import Changes
from tradekit.domain.controls import Control, GlobalState
from tradekit.domain.errors import BadInput, StorageFailed
from tradekit.domain.instruments import Quote
from tradekit.domain.orders import OrderState, Side
from tradekit.domain.sessions import SessionState
from tradekit.domain.users import Role
from tradekit.engine.lanes import Completed
from tradekit.ports.storage import Storage
from tradekit.services.decisions import Handler
from tradekit.services.users import set_role

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTC/USDT"
HALTED, REDUCING, NORMAL = GlobalState.HALTED, GlobalState.REDUCING, GlobalState.NORMAL


def price(run: Running, factor: str = "1") -> Decimal:
    quote = run.service.market.quote(BTC)
    assert quote is not None
    return (quote.price * D(factor)).quantize(D("0.01"))


async def state(run: Running, name: str = "ada") -> SessionState:
    user_id = run.user_id(name)
    return (await run.storage.sessions([user_id]))[user_id]


async def do(run: Running, handler: Handler, name: str = "ada") -> Completed:
    return await run.service.orchestrator.call(run.user_id(name), handler, cause=run.service.token(8))


async def open_buys(run: Running, name: str = "ada") -> list[OrderState]:
    return [order.state for order in (await state(run, name)).orders if order.side is Side.BUY]


async def answers(run: Running, name: str, text: str) -> list[str]:
    """The keys of all that is said to somebody after a line of theirs."""
    before = len(run.messenger.keys(name))
    return (await run.say(name, text))[before:]


def denied(keys: list[str]) -> list[str]:
    return [key for key in keys if key.startswith("denied")]


async def trader(run: Running, name: str = "ada") -> None:
    """A position with a stop, a resting buy far below the market and a resting sell far above it."""
    await run.say(
        name,
        "/start",
        "/buy BTC/USDT 0.01 sl=5%",
        f"/buy BTC/USDT 0.001 {price(run, '0.9')}",
        f"/sell BTC/USDT 0.001 {price(run, '1.1')}",
    )
    orders = (await state(run, name)).orders
    assert sorted((order.side, order.state) for order in orders) == [
        (Side.BUY, OrderState.ACCEPTED),
        (Side.SELL, OrderState.ACCEPTED),
        (Side.SELL, OrderState.INITIALIZED),
    ]


async def test_a_halt_takes_resting_entries_back_refuses_new_ones_and_lets_stops_sell(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await trader(run)
        controls = ControlsApi(run.service)
        assert await controls.set("all", HALTED, reason="a rehearsal") == "all"
        await until(lambda: not any(o.side is Side.BUY for s in run.service.sessions.loaded() for o in s.orders))
        assert [(each.scope, each.state, each.by) for each in controls.list()] == [("all", HALTED, "library")]
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.001")) == ["denied.HALTED"]
        assert len((await state(run)).orders) == 2, "the sell at the venue and the stop here"
        run.service.market.take(Quote(symbol=BTC, price=price(run, "0.94"), time_ms=run.service.clock.now_ms()))
        await until(lambda: not run.service.triggers)
        await run.quiet()
        assert (await state(run)).positions == ()
        await controls.set("all", NORMAL)
        assert controls.list() == ()
        await run.say("ada", "/buy BTC/USDT 0.001")
        assert (await state(run)).position(BTC) is not None


async def test_reducing_leaves_resting_orders_and_refuses_entries(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await trader(run)
        await ControlsApi(run.service).set("paper", REDUCING)
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.001")) == ["denied.REDUCING_ONLY"]
        assert await open_buys(run) == [OrderState.ACCEPTED]
        await run.say("ada", "/close BTC/USDT")
        held = (await state(run)).position(BTC)
        assert held is not None
        assert held.quantity == D("0.001"), "what the resting sell has promised"


async def test_a_limit_of_one_user_is_not_that_of_another(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await trader(run)
        await trader(run, "bob")
        await ControlsApi(run.service).set(str(run.user_id("ada")), HALTED)
        await until(lambda: run.service.telemetry.counts["controls.swept"] == 2)
        await run.quiet()
        assert await open_buys(run) == []
        assert await open_buys(run, "bob") == [OrderState.ACCEPTED]
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.001")) == ["denied.HALTED"]
        assert denied(await answers(run, "bob", "/buy BTC/USDT 0.001")) == []


async def test_it_holds_after_a_restart_and_what_was_not_taken_back_is_then(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await trader(run)
        # As after a crash right behind the commit: it is durable, and nothing else has happened.
        control = Control(scope="all", state=HALTED, reason="before the crash", by="cli", changed_ms=run.service.clock.now_ms())
        await run.storage.commit(Changes(controls=(control,)))
        assert await open_buys(run) == [OrderState.ACCEPTED]
    async with running(tmp_path) as run:
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.001")) == ["denied.HALTED"]
        await until(lambda: run.service.telemetry.counts["controls.swept"] == 1)
        await run.quiet()
        assert await open_buys(run) == []
        assert [each.reason for each in ControlsApi(run.service).list()] == ["before the crash"]
        await ControlsApi(run.service).set("all", NORMAL)
    async with running(tmp_path) as run:
        assert ControlsApi(run.service).list() == ()
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.001")) == []


async def test_an_unknown_scope_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        with pytest.raises(BadInput, match="neither a venue nor a user"):
            await ControlsApi(run.service).set("mtgox", HALTED)
        assert await run.storage.controls() == []


async def test_an_admin_halts_from_a_chat_and_others_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await trader(run)
        await run.say("bob", "/start")
        assert "error.not_permitted" in await answers(run, "bob", "/halt paper")
        await do(run, lambda now, ctx: set_role(now, Role.ADMIN, "operator", ctx), "bob")
        assert "control.set" in await answers(run, "bob", "/halt paper too fast")
        await until(lambda: run.service.telemetry.counts["controls.swept"] == 1)
        await run.quiet()
        assert await open_buys(run) == []
        (kept,) = await run.storage.controls()
        assert (kept.scope, kept.state, kept.reason) == ("paper", HALTED, "too fast")
        assert kept.by.startswith("admin:")


async def test_a_signal_under_a_halt_has_an_outcome_for_every_follower(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("provider", "/start")
        await do(run, lambda now, ctx: set_role(now, Role.PROVIDER, "operator", ctx), "provider")
        source = f"provider:{run.user_id('provider')}"
        for name in ("ada", "bob"):
            await run.say(name, "/start", f"/subscribe {source}", "/settings size 20")
        await ControlsApi(run.service).set(str(run.user_id("ada")), HALTED)
        await run.say("provider", "/signal buy BTC/USDT")
        found = {name: [(each.outcome, each.reason) for each in await run.storage.deliveries(run.user_id(name))] for name in ("ada", "bob")}
        assert found == {"ada": [("skipped", "HALTED")], "bob": [("executed", "")]}
        assert "signal.skipped" in run.messenger.keys("ada")


class Failing(Wrapped):
    """A storage that cannot say who has open orders when told so."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.fails = self.asked = 0

    async def users_with_open_orders(self) -> list[int]:
        self.asked += 1
        if self.fails:
            self.fails -= 1
            raise StorageFailed(reason="disk")
        ask: Callable[[], object] = super().__getattr__("users_with_open_orders")  # type: ignore[assignment]
        return await ask()  # type: ignore[misc, no-any-return]


async def test_a_storage_that_does_not_answer_delays_the_sweep_and_ends_nothing(tmp_path: Path) -> None:
    storages: list[Failing] = []

    def wrap(storage: Storage) -> Storage:
        storages.append(Failing(storage))
        return storages[0]  # type: ignore[return-value]

    async with running(tmp_path, wrap_storage=wrap) as run:
        await trader(run)
        storages[0].fails = 1
        await ControlsApi(run.service).set("all", HALTED)
        await until(lambda: run.service.telemetry.counts["controls.swept"] == 1)
        await run.quiet()
        assert await open_buys(run) == []


async def test_a_halt_while_the_service_is_stopping_ends_nothing_and_waits_for_the_next_start(tmp_path: Path) -> None:
    storages: list[Failing] = []

    def wrap(storage: Storage) -> Storage:
        storages.append(Failing(storage))
        return storages[0]  # type: ignore[return-value]

    async with running(tmp_path, wrap_storage=wrap) as run:
        await trader(run)
        asked = storages[0].asked
        run.service.orchestrator.stop_accepting()
        await ControlsApi(run.service).set("all", HALTED)
        await until(lambda: storages[0].asked > asked + 1)
        assert await run.service.drain(5)
        assert run.service.telemetry.counts["controls.swept"] == 0
    async with running(tmp_path) as run:
        await until(lambda: run.service.telemetry.counts["controls.swept"] == 1)
        await run.quiet()
        assert await open_buys(run) == []


async def test_a_lock_after_a_loss_outlives_a_restart_and_is_its_users_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("bob", "/start")
        await run.say("ada", "/start", "/risk cooldown_s 3600", "/buy BTC/USDT 0.01", "/close BTC/USDT")
        (trade,) = await run.storage.trades(run.user_id("ada"))
        assert trade.pnl < 0, "fees and the spread"
        (lock,) = (await state(run)).session.guard.locks
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.01")) == ["denied.LOCKED"]
    async with running(tmp_path) as run:
        assert (await state(run)).session.guard.locks == (lock,)
        assert denied(await answers(run, "ada", "/buy BTC/USDT 0.01")) == ["denied.LOCKED"]
        assert denied(await answers(run, "bob", "/buy BTC/USDT 0.001")) == []
