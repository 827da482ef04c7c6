"""The engine's promises, on the real storage and the real paper exchange."""

import asyncio
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tradekit.domain.changes import Changes
from tradekit.domain.errors import ExchangeUnavailable, StorageFailed
from tradekit.domain.orders import Order, OrderReport, OrderState, Side, client_order_id
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Outcome, Signal
from tradekit.domain.users import Identity, Role
from tradekit.engine import fanout
from tradekit.engine.intake import Inbound
from tradekit.engine.service import Options
from tradekit.ports.exchange import ReportHandler
from tradekit.ports.messenger import SendOutcome, SendResult
from tradekit.ports.storage import Done
from tradekit.services import signals, users
from tradekit.services.decisions import Context, Decision

from .engine_support import Running, Wrapped, running, until

pytestmark = pytest.mark.anyio


async def test_a_chat_message_becomes_a_filled_order(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        keys = await run.say("ada", "/start", "/buy BTC/USDT 0.01")
        assert keys[-1] == "order.filled"
        state = run.service.sessions.get(run.user_id("ada")).state  # type: ignore[union-attr]
        assert state is not None
        assert state.position("BTC/USDT").quantity == Decimal("0.01")  # type: ignore[union-attr]
        stored = (await run.storage.sessions([state.user_id]))[state.user_id]
        assert stored.session == state.session
        assert stored.positions == state.positions
        assert stored.usage == state.usage


async def test_what_was_accepted_before_a_crash_is_answered_after_it(tmp_path: Path) -> None:
    class Stuck(Wrapped):
        def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
            if changes.inbox_done:
                return  # the process dies before this commit
            self._inner.submit(changes, done, bulk=bulk)  # type: ignore[attr-defined]

    async with running(tmp_path, wrap_storage=Stuck) as run:  # type: ignore[arg-type]
        await run.accept("ada", "/start")
        assert run.messenger.sent == []
    async with running(tmp_path) as run:
        await run.quiet()
        assert run.messenger.keys("ada") == ["welcome"] or len(run.messenger.keys("ada")) == 1
        assert await run.storage.pending_inbox() == []


async def test_a_repeated_update_has_one_effect(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start")
        for _ in range(3):
            await run.accept("ada", "/buy BTC/USDT 0.01", number=10**15)
        await run.quiet()
        assert run.messenger.keys("ada").count("order.filled") == 1
    async with running(tmp_path) as run:
        await run.accept("ada", "/buy BTC/USDT 0.01", number=10**15)
        await run.quiet()
        assert run.messenger.sent == []
        assert len(await run.storage.orders(run.user_id("ada"))) == 1


async def test_a_repeat_that_overtakes_its_original_waits_for_the_disk(tmp_path: Path) -> None:
    held: list[tuple[Changes, Done]] = []

    class Slow(Wrapped):
        def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
            held.append((changes, done))

    async with running(tmp_path, wrap_storage=Slow) as run:  # type: ignore[arg-type]
        accepted: list[int] = []

        async def take(copy: int) -> None:
            await run.accept("ada", "/start", number=5)
            accepted.append(copy)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, 1)
            tasks.start_soon(take, 2)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert accepted == []
            (inbox,) = [done for changes, done in held if changes.inbox]
            inbox(None)
        assert sorted(accepted) == [1, 2]


async def test_a_lost_answer_of_the_venue_is_settled_by_asking_never_by_sending_again(tmp_path: Path) -> None:
    class Forgetful(Wrapped):
        async def submit_many(self, orders: list[Order]) -> list[OrderReport | BaseException]:
            await self._inner.submit_many(orders)  # type: ignore[attr-defined]
            return [ExchangeUnavailable(venue="paper", reason="answer lost") for _ in orders]

    async with running(tmp_path, wrap_exchange=Forgetful) as run:  # type: ignore[arg-type]
        keys = await run.say("ada", "/start", "/buy BTC/USDT 0.01")
        assert "order.unknown" in keys
        assert keys[-1] == "order.filled"
        (order,) = await run.storage.orders(run.user_id("ada"))
        assert order.state is OrderState.FILLED
        assert await run.paper.submissions(order.client_order_id) == 1


async def test_an_event_older_than_the_question_does_not_answer_it(tmp_path: Path) -> None:
    """That the venue took the order is heard at last; the event that it was filled is lost. Only asking tells."""

    class Late(Wrapped):
        def listen(self, handler: ReportHandler) -> None:
            self.tell = handler
            self._inner.listen(handler)  # type: ignore[attr-defined]

        async def submit_many(self, orders: list[Order]) -> list[OrderReport | BaseException]:
            await self._inner.submit_many(orders)  # type: ignore[attr-defined]
            return [ExchangeUnavailable(venue="paper", reason="answer lost") for _ in orders]

        async def find(self, order: Order) -> OrderReport | None:
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 1:
                # Booked while the question is still open.
                self.tell(OrderReport(client_order_id=order.client_order_id, user_id=order.user_id, state=OrderState.ACCEPTED, time_ms=1))
                raise ExchangeUnavailable(venue="paper", reason="answer lost")
            found: OrderReport | None = await self._inner.find(order)  # type: ignore[attr-defined]
            return found

    async with running(tmp_path, wrap_exchange=Late) as run:  # type: ignore[arg-type]
        keys = await run.say("ada", "/start", "/buy BTC/USDT 0.01")
        assert keys[-1] == "order.filled"
        (order,) = await run.storage.orders(run.user_id("ada"))
        assert order.state is OrderState.FILLED


async def test_an_order_the_venue_never_saw_ends_after_the_visibility_window(tmp_path: Path) -> None:
    class Deaf(Wrapped):
        async def submit_many(self, orders: list[Order]) -> list[OrderReport | BaseException]:
            return [ExchangeUnavailable(venue="paper", reason="never arrived") for _ in orders]

    async with running(tmp_path, wrap_exchange=Deaf) as run:  # type: ignore[arg-type]
        await run.say("ada", "/start", "/buy BTC/USDT 0.01")
        (order,) = await run.storage.orders(run.user_id("ada"))
        assert order.state is OrderState.REJECTED
        assert order.reason == "NOT_AT_VENUE"
        state = (await run.storage.sessions([order.user_id]))[order.user_id]
        assert state.free == Decimal(10_000)
        assert state.today.used == state.today.reserved == 0


async def test_a_failed_commit_reloads_the_session_and_the_message_is_tried_again(tmp_path: Path) -> None:
    class FailsOnce(Wrapped):
        failures = 1

        def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
            if changes.orders and self.failures:
                FailsOnce.failures -= 1
                done(StorageFailed(reason="disk full"))
                return
            self._inner.submit(changes, done, bulk=bulk)  # type: ignore[attr-defined]

    async with running(tmp_path, wrap_storage=FailsOnce) as run:  # type: ignore[arg-type]
        await run.say("ada", "/start")
        await run.accept("ada", "/buy BTC/USDT 0.01")
        await until(lambda: "order.filled" in run.messenger.keys("ada"))
        await run.quiet()
        (order,) = await run.storage.orders(run.user_id("ada"))
        assert order.state is OrderState.FILLED
        assert await run.storage.pending_inbox() == []


async def test_a_message_whose_storing_was_denied_twice_and_took_place_once_is_handled_once(tmp_path: Path) -> None:
    class Unsure(Wrapped):
        tries = 0

        def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
            if not changes.inbox or changes.inbox[0].text != "/buy BTC/USDT 0.01":
                self._inner.submit(changes, done, bulk=bulk)  # type: ignore[attr-defined]
                return
            Unsure.tries += 1
            denied = partial(done, StorageFailed(reason="no answer"))
            if self.tries == 2:
                asyncio.get_running_loop().call_soon(denied)
                return
            self._inner.submit(changes, (lambda _: denied()) if self.tries == 1 else done, bulk=bulk)  # type: ignore[attr-defined]

    async with running(tmp_path, wrap_storage=Unsure) as run:  # type: ignore[arg-type]
        await run.say("ada", "/start")
        # Without a number the message waits for the storage's word before it is worked on.
        message = Inbound(
            source="test", message_id="a", identity=Identity("terminal", "ada"), text="/buy BTC/USDT 0.01", display_name="ada"
        )
        for _ in range(2):
            with pytest.raises(StorageFailed):
                await run.service.intake.accept([message])
        await run.service.intake.accept([message])
        await until(lambda: "order.filled" in run.messenger.keys("ada"))
        await run.quiet()
        assert len(await run.storage.orders(run.user_id("ada"))) == 1
        assert await run.storage.pending_inbox() == []


async def test_a_handler_that_always_fails_ends_in_the_dead_letters_and_delays_only_its_user(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        inner = run.service.intake._handler

        def poisoned(text: str, identity: Identity, name: str) -> Any:
            def fail(state: object, ctx: object) -> Any:
                raise ZeroDivisionError(text)

            return fail if text == "/poison" else inner(text, identity, name)

        run.service.intake._handler = poisoned
        await run.say("ada", "/start")
        await run.accept("ada", "/poison")
        await run.accept("ada", "/help")
        await run.say("bob", "/start")
        await run.quiet()
        assert run.messenger.keys("ada").count("error.internal") == 1
        assert len(run.messenger.keys("ada")) == 3
        assert await run.storage.pending_inbox() == []


async def test_a_flooding_user_hears_busy_and_nothing_is_dropped_silently(tmp_path: Path) -> None:
    async with running(tmp_path, options=Options(lane_size_max=4)) as run:
        await run.say("ada", "/start")
        flood = [
            Inbound(source="test", message_id=f"{2 * 10**15 + n}", identity=Identity("terminal", "ada"), text="/help") for n in range(50)
        ]
        await run.service.intake.accept(flood)
        await run.say("bob", "/start")
        await run.quiet()
        keys = run.messenger.keys("ada")
        assert "error.busy" in keys
        counts = run.service.telemetry.counts
        assert counts["messages.busy"] + counts["outbox.coalesced"] >= 1
        assert len(keys) + counts["outbox.coalesced"] == 51
        assert run.messenger.keys("bob")


async def publish(run: Running, name: str, side: Side, cause: str) -> str:
    completed = await run.service.orchestrator.call(
        run.user_id(name), lambda state, ctx: signals.publish(state, "BTC/USDT", side, ctx), cause=cause
    )
    return str(completed.result.signal_id)


async def make_provider(run: Running, name: str) -> str:
    await run.say(name, "/start")
    await run.service.orchestrator.call(
        run.user_id(name), lambda state, ctx: users.set_role(state, Role.PROVIDER, "test", ctx), cause=f"role/{name}"
    )
    return f"provider:{run.user_id(name)}"


async def test_a_signal_reaches_every_subscriber_once_with_few_sessions_in_memory(tmp_path: Path) -> None:
    async with running(tmp_path, options=Options(max_concurrent_users=5)) as run:
        source = await make_provider(run, "guru")
        names = [f"user{number}" for number in range(25)]
        for name in names:
            await run.say(name, "/start", f"/subscribe {source}")
        signal_id = await publish(run, "guru", Side.BUY, "signal-1")
        await run.quiet()
        for name in names:
            delivery = await run.storage.delivery(signal_id, run.user_id(name))
            assert delivery is not None
            assert delivery.outcome is Outcome.EXECUTED
            order = await run.storage.order(client_order_id(run.user_id(name), f"signal/{signal_id}/{source}"))
            assert order is not None
            assert order.state is OrderState.FILLED
        await run.say("guru", "/help")
        assert len(run.service.sessions) <= 5
        assert await run.storage.pending_signals() == []


async def test_a_fan_out_cut_off_by_a_crash_goes_on_where_nothing_is_stored(tmp_path: Path) -> None:
    class StopsAfterOneBatch(Wrapped):
        batches = 0

        def submit(self, changes: Changes, done: Done, *, bulk: bool = False) -> None:
            if changes.deliveries:
                StopsAfterOneBatch.batches += 1
                if StopsAfterOneBatch.batches > 1:
                    return
            self._inner.submit(changes, done, bulk=bulk)  # type: ignore[attr-defined]

    names = [f"user{number}" for number in range(12)]
    options = Options(max_concurrent_users=16)
    async with running(tmp_path, options=options) as run:
        source = await make_provider(run, "guru")
        for name in names:
            await run.say(name, "/start", f"/subscribe {source}")
    async with running(tmp_path, options=options, wrap_storage=StopsAfterOneBatch) as run:  # type: ignore[arg-type]
        await run.quiet()
        signal_id = await publish(run, "guru", Side.BUY, "signal-1")
        await until(lambda: StopsAfterOneBatch.batches > 1)
        ids = {run.user_id(name) for name in names}
        first = await run.storage.delivered(signal_id)
        assert first < ids
    async with running(tmp_path, options=options) as run:
        await run.quiet()
        await until(lambda: run.service.telemetry.counts["signals.done"] == 1)
        await run.quiet()
        assert await run.storage.delivered(signal_id) == ids
        for user_id in ids:
            assert len(await run.storage.orders(user_id)) == 1


async def test_a_signal_that_cannot_be_taken_says_why(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        source = await make_provider(run, "guru")
        await run.say("ada", "/start", f"/subscribe {source}", "/pause")
        signal_id = await publish(run, "guru", Side.BUY, "s1")
        await run.quiet()
        delivery = await run.storage.delivery(signal_id, run.user_id("ada"))
        assert delivery is not None
        assert (delivery.outcome, delivery.reason) == (Outcome.SKIPPED, "SESSION_NOT_ACTIVE")


async def test_a_signal_whose_decision_always_fails_still_has_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        source = await make_provider(run, "guru")
        await run.say("ada", "/start", f"/subscribe {source}")
        await run.say("bob", "/start", f"/subscribe {source}")
        ada, inner = run.user_id("ada"), fanout.deliver

        def fails_for_ada(state: SessionState, signal: Signal, ctx: Context) -> Decision:
            if state.user_id == ada:
                raise RuntimeError("planted")
            return inner(state, signal, ctx)

        monkeypatch.setattr(fanout, "deliver", fails_for_ada)
        signal_id = await publish(run, "guru", Side.BUY, "s1")
        await run.quiet()
        outcomes = {name: await run.storage.delivery(signal_id, run.user_id(name)) for name in ("ada", "bob")}
        assert outcomes["ada"] is not None
        assert (outcomes["ada"].outcome, outcomes["ada"].reason) == (Outcome.FAILED, "INTERNAL_ERROR")
        assert outcomes["bob"] is not None
        assert outcomes["bob"].outcome is Outcome.EXECUTED
        assert await run.storage.pending_signals() == []


async def test_a_message_the_transport_refused_for_now_is_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        run.messenger.results = [SendResult(outcome=SendOutcome.RETRY, retry_after_s=0.01)] * 2
        assert len(await run.say("ada", "/start")) == 1
        assert run.service.telemetry.counts["outbox.retried"] == 2


async def test_a_user_who_blocked_the_bot_is_left_alone_until_they_write_again(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        source = await make_provider(run, "guru")
        await run.say("ada", "/start", f"/subscribe {source}")
        run.messenger.results = [SendResult(outcome=SendOutcome.UNREACHABLE)]
        before = len(await run.say("ada", "/help"))
        await publish(run, "guru", Side.BUY, "s1")
        await run.quiet()
        assert len(run.messenger.keys("ada")) == before
        user = await run.storage.user(run.user_id("ada"))
        assert user is not None
        assert not user.user.reachable
        assert len(await run.say("ada", "/help")) == before + 1
        user = await run.storage.user(run.user_id("ada"))
        assert user is not None
        assert user.user.reachable


async def test_messages_wait_in_the_storage_until_their_transport_is_there(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        identity = Identity("elsewhere", "7")
        await run.service.intake.accept([Inbound(source="x", message_id="1", identity=identity, text="/start")])
        await until(lambda: not run.service.orchestrator.at_work)
        (waiting,) = await run.storage.pending_outbox()
        assert waiting.transport == "elsewhere"
        late = type(run.messenger)()
        late.transport = "elsewhere"
        run.service.outbox.attach(late)
        await until(lambda: len(late.sent) == 1)


async def test_a_drain_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.say("ada", "/start")
        await run.accept("ada", "/buy BTC/USDT 0.01")
        assert await run.service.drain()
        (order,) = await run.storage.orders(run.user_id("ada"))
        assert order.state is OrderState.FILLED
        await run.accept("ada", "/help")
        assert len(await run.storage.pending_inbox()) == 1


async def test_an_answer_for_more_users_than_fit_in_memory_books_every_fill_once(tmp_path: Path) -> None:
    """Making room for one report's user must not evict another whose report is being decided."""
    names = [f"user{number}" for number in range(12)]
    async with running(tmp_path, options=Options(max_concurrent_users=16)) as run:
        source = await make_provider(run, "guru")
        for name in names:
            await run.say(name, "/start", f"/subscribe {source}")
    async with running(tmp_path, options=Options(max_concurrent_users=2)) as run:
        for round_number, side in enumerate([Side.BUY, Side.SELL, Side.BUY]):
            await publish(run, "guru", side, f"signal-{round_number}")
            await run.quiet()
        for name in names:
            user_id = run.user_id(name)
            assert len(await run.storage.fills(user_id)) == 3
            state = (await run.storage.sessions([user_id]))[user_id]
            assert state.today.used == 2
            assert not state.orders
        assert not run.service.telemetry.counts["messages.failed"]
