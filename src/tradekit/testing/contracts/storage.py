"""What every storage must do. Subclass it and provide the fixture ``storage``."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradekit.domain.audit import GENESIS, link
from tradekit.domain.changes import TABLES, Changes, state_changes, together
from tradekit.domain.errors import Busy, Duplicate, StorageFailed
from tradekit.domain.inbox import InboxMessage
from tradekit.domain.orders import Liquidity, OrderState, OrderType, Side, TimeInForce, TradingMode
from tradekit.domain.performance import DayPerformance
from tradekit.domain.portfolio import LedgerKind
from tradekit.domain.sessions import SessionState, SessionStatus, TradingSession
from tradekit.domain.signals import Outcome
from tradekit.domain.tiers import TierName
from tradekit.domain.usage import MinuteUsage
from tradekit.domain.users import Identity, Role, Sizing, UserSettings, UserStatus, partition_of
from tradekit.ports.storage import Sequences, Storage
from tradekit.testing.factories import (
    DAY_MS,
    NOW_MS,
    PARTITIONS,
    a_day,
    a_delivery,
    a_fill,
    a_ledger_entry,
    a_performance,
    a_position,
    a_sample,
    a_session,
    a_signal,
    a_subscription,
    a_trade,
    a_user,
    an_alert,
    an_audit_entry,
    an_identity,
    an_inbox_message,
    an_instrument,
    an_order,
    an_outgoing_message,
    an_unknown_session,
)

ANSWER_S = 30
"""Nothing here takes a second; a storage that never answers fails instead of hanging."""

QUEUE_TRIES = 100_000
"""A queue that takes this many commits while nothing is written has no bound."""

amounts = st.builds(
    lambda digits, exponent, sign: Decimal((sign, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=28),
    st.integers(-28, 6),
    st.integers(0, 1),
)
"""Every amount a Decimal of the default context carries: up to 28 digits, of any sign and scale."""


class Answers:
    """Completions that record: ``answers.of("first")`` makes one."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.errors: dict[str, Exception | None] = {}
        self._changed = anyio.Event()

    def of(self, name: str) -> Any:
        def done(error: Exception | None) -> None:
            self.order.append(name)
            self.errors[name] = error
            self._changed.set()

        return done

    async def wait(self, count: int) -> None:
        with anyio.fail_after(ANSWER_S):
            while len(self.order) < count:
                await self._changed.wait()
                self._changed = anyio.Event()


async def register(storage: Storage, *user_ids: int) -> list[SessionState]:
    """Commit a session for each."""
    states = [a_session(user_id=user_id) for user_id in user_ids]
    await storage.commit(together(*(state_changes(an_unknown_session(state.user_id), state) for state in states)))
    return states


class StorageContract:
    """The promises of :class:`tradekit.ports.storage.Storage`, one test each."""

    pytestmark = pytest.mark.anyio

    # Commits.

    async def test_nothing_of_a_refused_commit_is_kept(self, storage: Storage) -> None:
        order = an_order()
        await storage.commit(Changes(orders=(order,)))
        refused = Changes(
            inbox=(an_inbox_message(),),
            users=(a_user(),),
            orders=(an_order("other"), order),
            ledger=(a_ledger_entry(),),
            audit=(an_audit_entry(),),
            outbox=(an_outgoing_message(),),
        )
        with pytest.raises(Duplicate):
            await storage.commit(refused)
        assert await storage.orders(1) == [order]
        assert await storage.user(1) is None
        assert await storage.pending_inbox() == []
        assert await storage.pending_outbox() == []
        assert await storage.ledger(1) == []
        assert await storage.audit(0) == []

    @pytest.mark.parametrize(
        ("changes", "kind"),
        [
            (Changes(inbox=(an_inbox_message(),)), "inbox"),
            (Changes(identities=((an_identity(), 1, 0),)), "identities"),
            (Changes(signals=(a_signal(),)), "signals"),
            (Changes(deliveries=(a_delivery(),)), "deliveries"),
            (Changes(orders=(an_order(),)), "orders"),
            (Changes(fills=(a_fill(),)), "fills"),
            (Changes(trades=(a_trade(),)), "user_trades"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_what_must_be_new_is_refused_when_it_exists(self, storage: Storage, changes: Changes, kind: str) -> None:
        await storage.commit(changes)
        with pytest.raises(Duplicate) as refused:
            await storage.commit(changes)
        assert refused.value.kind == kind
        assert refused.value.name

    async def test_a_message_is_recognised_by_source_and_number_not_by_our_id(self, storage: Storage) -> None:
        await storage.commit(Changes(inbox=(an_inbox_message(1, source="telegram:1", message_id="7"),)))
        await storage.commit(Changes(inbox=(an_inbox_message(2, source="telegram:2", message_id="7"),)))
        with pytest.raises(Duplicate):
            await storage.commit(Changes(inbox=(an_inbox_message(3, source="telegram:1", message_id="7"),)))
        assert await storage.recent_message_keys(10) == [("telegram:2", "7"), ("telegram:1", "7")]

    async def test_one_trade_id_may_belong_to_two_users(self, storage: Storage) -> None:
        fills = [a_fill(user_id=1, trade_id="T1"), a_fill(user_id=2, trade_id="T1")]
        for fill in fills:
            await storage.commit(Changes(fills=(fill,)))
        assert [await storage.fills(1), await storage.fills(2)] == [[fills[0]], [fills[1]]]

    async def test_the_guilty_commit_of_a_group_fails_alone(self, storage: Storage) -> None:
        known = an_order("known")
        await storage.commit(Changes(orders=(known,)))
        answers = Answers()
        for number in range(40):
            order = known if number in {3, 17, 18} else an_order(f"cause/{number}")
            storage.submit(Changes(orders=(order,), audit=(an_audit_entry(detail=str(number)),)), answers.of(str(number)))
        await answers.wait(40)
        refused = {name for name, error in answers.errors.items() if error is not None}
        assert refused == {"3", "17", "18"}
        assert all(isinstance(answers.errors[name], Duplicate) for name in refused)
        assert len(await storage.orders(1, limit=100)) == 38
        details = [row.entry.detail for row in await storage.audit(0)]
        assert details == [str(number) for number in range(40) if str(number) not in refused]

    @pytest.mark.parametrize(
        "unwritable",
        [
            Changes(order_updates=(an_order("never stored"),)),
            Changes(delivery_updates=(a_delivery(user_id=99),)),
            Changes(users=(a_user(display_name="\ud800"),)),
            Changes(users=(a_user(user_id=1, created_ms=2**63),)),
        ],
        ids=["order that does not exist", "delivery that does not exist", "half a character", "number too large"],
    )
    async def test_what_cannot_be_written_fails_and_harms_nobody_else(self, storage: Storage, unwritable: Changes) -> None:
        answers = Answers()
        storage.submit(Changes(orders=(an_order("before"),)), answers.of("before"))
        storage.submit(unwritable, answers.of("unwritable"))
        storage.submit(Changes(orders=(an_order("after"),)), answers.of("after"))
        await answers.wait(3)
        assert isinstance(answers.errors["unwritable"], StorageFailed)
        assert answers.errors["before"] is answers.errors["after"] is None
        assert [order.cause for order in await storage.orders(1)] == ["after", "before"]

    async def test_commits_of_one_caller_are_answered_and_numbered_in_order(self, storage: Storage) -> None:
        answers = Answers()
        names = [str(number) for number in range(200)]
        for name in names:
            storage.submit(
                Changes(audit=(an_audit_entry(detail=name),), positions=((1, 0, a_position(cost=Decimal(name))),)), answers.of(name)
            )
        assert storage.queued == 200
        await answers.wait(200)
        assert storage.queued == 0
        assert answers.order == names
        assert [row.entry.detail for row in await storage.audit(0)] == names

    async def test_commands_are_written_before_bulk(self, storage: Storage) -> None:
        answers = Answers()
        for number in range(5):
            storage.submit(Changes(audit=(an_audit_entry(detail=f"bulk {number}"),)), answers.of(f"bulk {number}"), bulk=True)
        for number in range(5):
            storage.submit(Changes(audit=(an_audit_entry(detail=f"command {number}"),)), answers.of(f"command {number}"))
        await answers.wait(10)
        expected = [f"command {number}" for number in range(5)] + [f"bulk {number}" for number in range(5)]
        assert answers.order == expected
        assert [row.entry.detail for row in await storage.audit(0)] == expected

    async def test_a_position_closed_and_opened_again_in_one_group_is_open(self, storage: Storage) -> None:
        await register(storage, 1)
        answers = Answers()
        first, last = a_position(cost=Decimal(1)), a_position(cost=Decimal(3))
        storage.submit(Changes(positions=((1, 0, first),), subscriptions=((1, 0, a_subscription()),)), answers.of("open"))
        storage.submit(Changes(positions_closed=((1, first.symbol),), unsubscriptions=((1, "ema-cross"),)), answers.of("close"))
        storage.submit(Changes(positions=((1, 0, last),)), answers.of("open again"))
        await answers.wait(3)
        assert answers.errors == {"open": None, "close": None, "open again": None}
        state = (await storage.sessions([1]))[1]
        assert state.positions == (last,)
        assert state.subscriptions == ()

    async def test_nothing_to_write_is_answered_all_the_same(self, storage: Storage) -> None:
        with anyio.fail_after(ANSWER_S):
            await storage.commit(Changes())

    async def test_a_failing_completion_stops_neither_the_others_nor_the_writer(self, storage: Storage) -> None:
        def broken(error: Exception | None) -> None:
            raise RuntimeError("a completion of the test")

        answers = Answers()
        storage.submit(Changes(users=(a_user(user_id=1),)), broken)
        storage.submit(Changes(users=(a_user(user_id=2),)), answers.of("second"))
        await answers.wait(1)
        await storage.commit(Changes(users=(a_user(user_id=3),)))
        assert [listed.user.user_id for listed in await storage.users()] == [1, 2, 3]

    async def test_a_full_queue_refuses_and_loses_nothing(self, storage: Storage) -> None:
        answers = Answers()
        accepted = 0
        with pytest.raises(Busy):
            while accepted < QUEUE_TRIES:
                storage.submit(Changes(metrics=(a_sample(time_ms=accepted),)), answers.of(str(accepted)))
                accepted += 1
        await answers.wait(accepted)
        assert answers.order == [str(number) for number in range(accepted)]
        assert len(await storage.metrics("latency_ms_p95", 0)) == accepted
        await storage.commit(Changes(users=(a_user(),)))

    async def test_a_caller_that_stops_waiting_harms_nobody(self, storage: Storage) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(storage.commit, Changes(users=(a_user(user_id=1),)))
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await storage.commit(Changes(users=(a_user(user_id=2),)))
        assert 2 in {listed.user.user_id for listed in await storage.users()}

    # Sessions.

    async def test_a_session_comes_back_as_it_was_committed(self, storage: Storage) -> None:
        state = a_rich_session()
        await storage.commit(together(state_changes(an_unknown_session(state.user_id), state), Changes(orders=state.orders)))
        assert await storage.sessions([state.user_id]) == {state.user_id: state}

    async def test_changes_of_a_session_come_back_too(self, storage: Storage) -> None:
        old = a_rich_session()
        await storage.commit(together(state_changes(an_unknown_session(old.user_id), old), Changes(orders=old.orders)))
        assert old.user is not None
        filled = msgspec.structs.replace(old.orders[0], state=OrderState.FILLED, reserved=Decimal(0), quota_day="")
        new = msgspec.structs.replace(
            old,
            user=msgspec.structs.replace(old.user, tier=TierName.FREE, status=UserStatus.SUSPENDED, reachable=True),
            identities=(*old.identities, Identity("terminal", "ada")),
            settings=UserSettings(language="de"),
            session=TradingSession(status=SessionStatus.HALTED, cash=Decimal("1.5")),
            usage=(msgspec.structs.replace(old.usage[-1], used=9, reserved=0),),
            positions=old.positions[1:],
            orders=old.orders[1:],
            subscriptions=old.subscriptions[:1],
        )
        yesterday = (old.user_id, old.partition, msgspec.structs.replace(old.usage[0], reserved=0))
        await storage.commit(together(state_changes(old, new), Changes(order_updates=(filled,), usage=(yesterday,))))
        assert await storage.sessions([old.user_id]) == {old.user_id: new}
        assert await storage.order(filled.client_order_id) == filled

    async def test_only_registered_users_have_sessions(self, storage: Storage) -> None:
        states = await register(storage, 1, 2, 3)
        assert await storage.sessions([3, 1, 99]) == {1: states[0], 3: states[2]}
        assert await storage.sessions([]) == {}

    async def test_the_current_day_is_the_one_that_began_last(self, storage: Storage) -> None:
        await register(storage, 1)
        days = [a_day(starts_ms=NOW_MS + n * DAY_MS, ends_ms=NOW_MS + (n + 1) * DAY_MS, used=n, reserved=n == 2) for n in range(6)]
        for day in days:
            await storage.commit(Changes(usage=((1, 0, day),)))
        assert (await storage.sessions([1]))[1].usage == (days[2], days[5])

    @given(values=st.lists(amounts, min_size=8, max_size=8))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_decimals_of_28_digits_come_back_exactly(self, storage: Storage, values: list[Decimal]) -> None:
        position = a_position(**dict(zip(("quantity", "cost", "bought", "spent", "received", "fees"), values, strict=False)))
        session = TradingSession(cash=values[6], realized_today=values[7])
        await storage.commit(Changes(users=(a_user(),), positions=((1, 0, position),), sessions=((1, 0, session),)))
        loaded = (await storage.sessions([1]))[1]
        assert loaded.positions == (position,)
        assert loaded.session == session

    # What is asked for at start.

    async def test_an_empty_storage_answers_every_question(self, storage: Storage) -> None:
        await storage.ping()
        assert await storage.sequences() == Sequences()
        answers: list[Any] = [
            await storage.directory(),
            await storage.followers(),
            await storage.instruments(),
            await storage.pending_inbox(),
            await storage.pending_outbox(),
            await storage.pending_signals(),
            await storage.users_with_open_orders(),
            await storage.users(),
            await storage.traders_since(0),
        ]
        assert answers == [[]] * 9
        assert await storage.delivered("none") == set()
        assert await storage.order("none") is None
        assert await storage.signal("none") is None
        assert await storage.delivery("none", 1) is None
        assert await storage.user(1) is None
        overview = await storage.overview(0)
        assert (overview.users, overview.by_tier, overview.orders, overview.fills) == (0, {}, 0, 0)

    async def test_sequences_are_the_largest_numbers(self, storage: Storage) -> None:
        rows = Changes(
            users=(a_user(user_id=7), a_user(user_id=5)),
            inbox=(an_inbox_message(41), an_inbox_message(40)),
            outbox=(an_outgoing_message(31),),
            alerts=(an_alert(21),),
        )
        await storage.commit(rows)
        assert await storage.sequences() == Sequences(user_id=7, inbox_id=41, outbox_id=31, alert_id=21)

    async def test_directory_and_followers_name_everybody(self, storage: Storage) -> None:
        await register(storage, 1, 2)
        await storage.commit(
            Changes(subscriptions=((1, 0, a_subscription()), (2, 0, a_subscription()), (2, 0, a_subscription(source="rsi"))))
        )
        assert await storage.directory() == [(an_identity(1), 1), (an_identity(2), 2)]
        assert sorted(await storage.followers()) == [("ema-cross", 1), ("ema-cross", 2), ("rsi", 2)]
        await storage.commit(Changes(unsubscriptions=((2, "ema-cross"),)))
        assert sorted(await storage.followers()) == [("ema-cross", 1), ("rsi", 2)]

    async def test_the_inbox_gives_what_is_neither_done_nor_dead(self, storage: Storage) -> None:
        messages = [an_inbox_message(number) for number in range(1, 7)]
        messages[4] = an_inbox_message(5, identity=None, text="", raw=b"\x00\xff{", problem="not JSON", display_name="Ada")
        await storage.commit(Changes(inbox=tuple(messages)))
        await storage.commit(Changes(inbox_done=(1, 4), dead_letters=((2, "five tries"),)))
        waiting = [messages[2], messages[4], messages[5]]
        assert await storage.pending_inbox() == waiting
        assert await storage.pending_inbox(after_id=3, limit=1) == [messages[4]]
        assert len(await storage.recent_message_keys(100)) == 6
        assert await storage.recent_message_keys(2) == [("terminal", "6"), ("terminal", "5")]

    async def test_a_message_may_be_received_and_done_in_one_commit(self, storage: Storage) -> None:
        await storage.commit(Changes(inbox=(an_inbox_message(1),), inbox_done=(1,)))
        assert await storage.pending_inbox() == []
        with pytest.raises(Duplicate):
            await storage.commit(Changes(inbox=(an_inbox_message(2, message_id="1"),)))

    async def test_the_outbox_gives_what_is_not_sent(self, storage: Storage) -> None:
        messages = [an_outgoing_message(number, tries=number) for number in range(1, 6)]
        await storage.commit(Changes(outbox=tuple(messages)))
        await storage.commit(Changes(outbox_done=(1, 3)))
        assert await storage.pending_outbox() == [messages[1], messages[3], messages[4]]
        assert await storage.pending_outbox(after_id=2, limit=1) == [messages[3]]
        again = msgspec.structs.replace(messages[4], tries=6)
        await storage.commit(Changes(outbox=(again,)))
        assert (await storage.pending_outbox())[-1] == again

    async def test_signals_wait_until_their_fan_out_is_complete(self, storage: Storage) -> None:
        signals = [a_signal(bar_ms=number, advanced=number == 2, note="n", side=Side.SELL) for number in range(3)]
        await storage.commit(Changes(signals=tuple(signals)))
        await storage.commit(Changes(signals_done=(signals[1].signal_id,)))
        assert await storage.pending_signals() == [signals[0], signals[2]]
        assert await storage.signals(limit=2) == [signals[2], signals[1]]
        assert await storage.signal(signals[1].signal_id) == signals[1]

    async def test_deliveries_tell_what_became_of_a_signal(self, storage: Storage) -> None:
        first, second = a_signal(bar_ms=1), a_signal(bar_ms=2)
        failed = a_delivery(first, user_id=1, outcome=Outcome.FAILED, reason="LOCKED", detail="until_ms=1", client_order_id="c", time_ms=1)
        others = (a_delivery(first, user_id=2), a_delivery(second, user_id=1, time_ms=2))
        await storage.commit(Changes(deliveries=(failed, *others)))
        assert await storage.delivered(first.signal_id) == {1, 2}
        assert await storage.delivery(first.signal_id, 1) == failed
        assert await storage.deliveries(1) == [others[1], failed]
        executed = msgspec.structs.replace(failed, outcome=Outcome.EXECUTED, reason="", detail="")
        await storage.commit(Changes(delivery_updates=(executed,)))
        assert await storage.deliveries(1, limit=9) == [others[1], executed]

    async def test_users_with_open_orders_are_found_until_the_last_is_over(self, storage: Storage) -> None:
        orders = [an_order("a", user_id=1), an_order("b", user_id=1), an_order("c", user_id=2, state=OrderState.FILLED)]
        await storage.commit(Changes(orders=tuple(orders)))
        assert await storage.users_with_open_orders() == [1]
        over = tuple(msgspec.structs.replace(order, state=OrderState.CANCELED) for order in orders[:2])
        await storage.commit(Changes(order_updates=over[:1]))
        assert await storage.users_with_open_orders() == [1]
        assert await storage.orders(1, open_only=True) == [orders[1]]
        await storage.commit(Changes(order_updates=over[1:]))
        assert await storage.users_with_open_orders() == []

    # Reports.

    async def test_instruments_are_replaced_by_symbol(self, storage: Storage) -> None:
        btc, eth = an_instrument(), an_instrument("ETH/USDT", tick_size=Decimal("0.000000001"), tradable=False)
        await storage.commit(Changes(instruments=(btc, eth)))
        changed = msgspec.structs.replace(btc, taker_fee=Decimal("0.00075"))
        await storage.commit(Changes(instruments=(changed,)))
        assert sorted(await storage.instruments(), key=lambda i: i.symbol) == [changed, eth]

    async def test_users_are_paged_by_number(self, storage: Storage) -> None:
        states = await register(storage, 3, 1, 2)
        await storage.commit(Changes(identities=((Identity("terminal", "ada"), 2, states[2].partition),)))
        page = await storage.users(after_id=1, limit=2)
        assert [listed.user for listed in page] == [states[2].user, states[0].user]
        assert page[0].identities == (an_identity(2), Identity("terminal", "ada"))
        listed = await storage.user(2)
        assert listed == page[0]

    async def test_orders_come_back_whole_newest_first(self, storage: Storage) -> None:
        order = a_whole_order()
        await storage.commit(Changes(orders=(order,)))
        await storage.commit(Changes(orders=(an_order("newer"),)))
        assert await storage.order(order.client_order_id) == order
        assert await storage.orders(1) == [an_order("newer"), order]
        assert await storage.orders(1, limit=1) == [an_order("newer")]
        progress = msgspec.structs.replace(
            order,
            state=OrderState.FILLED,
            reason="late",
            venue_order_id="V2",
            reserved=Decimal(0),
            quota_day="",
            cum_qty=Decimal("1.25"),
            cum_quote=Decimal(7),
            cum_fee=Decimal("0.07"),
            updated_ms=NOW_MS + 5,
        )
        await storage.commit(Changes(order_updates=(progress,)))
        assert await storage.order(order.client_order_id) == progress

    async def test_history_comes_back_whole_newest_first(self, storage: Storage) -> None:
        fills = [a_fill(trade_id=str(n), time_ms=NOW_MS + n, liquidity=Liquidity.MAKER, side=Side.SELL) for n in range(3)]
        trades = [a_trade(closing_order=str(n), closed_ms=NOW_MS + n, pnl=Decimal(-n)) for n in range(3)]
        ledger = [a_ledger_entry(kind=kind, amount=Decimal("-0.1"), reference=kind.value) for kind in LedgerKind]
        days = [a_performance(day=f"2023-11-1{n}", pnl=Decimal(-n)) for n in range(3)]
        await storage.commit(Changes(fills=tuple(fills), trades=tuple(trades), ledger=tuple(ledger), performance=tuple(days)))
        assert await storage.fills(1) == fills[::-1]
        assert await storage.fills(1, limit=1) == fills[-1:]
        assert await storage.trades(1, limit=2) == trades[:0:-1]
        assert await storage.ledger(1) == ledger[::-1]
        assert await storage.performance(1, limit=2) == days[:0:-1]
        others: list[Any] = [await storage.fills(2), await storage.trades(2), await storage.ledger(2), await storage.performance(2)]
        assert others == [[]] * 4
        await storage.commit(Changes(performance=(msgspec.structs.replace(days[0], wins=5),)))
        assert (await storage.performance(1))[-1].wins == 5

    async def test_a_day_is_computed_from_its_fills_and_round_trips(self, storage: Storage) -> None:
        starts, ends = NOW_MS, NOW_MS + DAY_MS
        inside = [
            a_fill(trade_id="1", time_ms=starts),
            a_fill(trade_id="2", time_ms=ends - 1, quantity=Decimal("0.5"), price=Decimal("0.1")),
        ]
        outside = [a_fill(trade_id="3", time_ms=starts - 1), a_fill(trade_id="4", time_ms=ends)]
        trades = [
            a_trade(closing_order="1", closed_ms=starts, pnl=Decimal("-2.5")),
            a_trade(closing_order="2", closed_ms=ends - 1, pnl=Decimal(4)),
            a_trade(closing_order="3", closed_ms=ends, pnl=Decimal(100)),
        ]
        await storage.commit(Changes(fills=(*inside, *outside), trades=tuple(trades)))
        day = await storage.performance_between(1, "2023-11-14", starts, ends)
        assert day == DayPerformance(
            user_id=1,
            partition=partition_of(1, PARTITIONS),
            day="2023-11-14",
            fills=2,
            trades=2,
            wins=1,
            volume=Decimal("400.05"),
            fees=Decimal("0.8"),
            pnl=Decimal("1.5"),
        )
        assert await storage.performance_between(1, "2023-11-01", 0, 1) is None
        assert await storage.performance_between(2, "2023-11-14", starts, ends) is None

    async def test_the_overview_counts(self, storage: Storage) -> None:
        await register(storage, 1, 2)
        more = Changes(
            users=(a_user(user_id=3, tier=TierName.PREMIUM, role=Role.ADMIN, created_ms=NOW_MS - 10),),
            orders=(an_order("a"), an_order("b", state=OrderState.REJECTED)),
            fills=(a_fill(user_id=2, time_ms=NOW_MS - 1), a_fill(user_id=1, time_ms=NOW_MS)),
            positions=((1, 0, a_position()), (2, 0, a_position())),
        )
        await storage.commit(more)
        overview = await storage.overview(NOW_MS)
        assert (overview.users, overview.by_tier, overview.by_role) == (3, {"free": 2, "premium": 1}, {"user": 2, "admin": 1})
        assert (overview.registered_since, overview.traded_since) == (2, 1)
        assert (overview.open_orders, overview.open_positions, overview.orders, overview.fills) == (1, 2, 2, 2)
        assert await storage.traders_since(NOW_MS) == [1]
        assert await storage.traders_since(0) == [1, 2]

    async def test_alerts_are_open_until_resolved(self, storage: Storage) -> None:
        first, second = an_alert(1), an_alert(2, rule="outbox.age")
        await storage.commit(Changes(alerts=(first, second)))
        resolved = msgspec.structs.replace(first, resolved_ms=NOW_MS + 1, detail="answers again")
        await storage.commit(Changes(alerts=(resolved,)))
        assert await storage.alerts() == [second, resolved]
        assert await storage.alerts(limit=1) == [second]
        assert await storage.alerts(open_only=True) == [second]

    async def test_metrics_are_read_by_name_oldest_first(self, storage: Storage) -> None:
        samples = [a_sample(time_ms=NOW_MS + n, value=n / 3) for n in range(4)]
        await storage.commit(Changes(metrics=(*samples[::-1], a_sample(name="other"))))
        assert await storage.metrics("latency_ms_p95", NOW_MS + 1) == samples[1:]

    async def test_the_audit_chain_verifies_per_partition(self, storage: Storage) -> None:
        for number in range(6):
            entries = (an_audit_entry(partition=number % 2, detail=f"détail {number}"), an_audit_entry(partition=2))
            await storage.commit(Changes(audit=entries))
        for partition, expected in ((0, 3), (1, 3), (2, 6)):
            rows = await storage.audit(partition)
            assert [row.seq for row in rows] == list(range(1, expected + 1))
            head = GENESIS
            for row in rows:
                assert row.entry.partition == partition
                head = link(head, row.seq, row.entry)
                assert row.hash == head
        assert [row.seq for row in await storage.audit(2, after_seq=2, limit=3)] == [3, 4, 5]

    async def test_forgetting_takes_old_samples_and_finished_messages_only(self, storage: Storage) -> None:
        messages: Sequence[InboxMessage] = [an_inbox_message(n, received_ms=NOW_MS + n) for n in range(1, 6)]
        samples = tuple(a_sample(time_ms=NOW_MS + n) for n in range(2500))
        await storage.commit(Changes(inbox=tuple(messages), metrics=samples))
        await storage.commit(Changes(inbox_done=(1, 3, 5), dead_letters=((2, "why"),)))
        assert await storage.forget(NOW_MS + 2400, NOW_MS + 5) == 2400 + 2
        assert len(await storage.metrics("latency_ms_p95", 0)) == 100
        assert [key for _, key in await storage.recent_message_keys(10)] == ["5", "4", "2"]
        assert await storage.pending_inbox() == [messages[3]]
        assert await storage.forget(NOW_MS + 2400, NOW_MS + 5) == 0

    async def test_no_question_sees_half_a_commit(self, storage: Storage) -> None:
        await register(storage, 1)
        answers = Answers()
        writing = 60
        for number in range(1, writing + 1):
            cost = Decimal(number)
            half, other = Changes(sessions=((1, 0, TradingSession(cash=cost)),)), Changes(positions=((1, 0, a_position(cost=cost)),))
            storage.submit(together(half, other), answers.of(str(number)))
            state = (await storage.sessions([1]))[1]
            assert not state.positions or state.positions[0].cost == state.session.cash
        await answers.wait(writing)
        assert (await storage.sessions([1]))[1].session.cash == writing

    async def test_what_is_answered_is_visible_to_the_next_question(self, storage: Storage) -> None:
        for number in range(1, 30):
            await storage.commit(Changes(users=(a_user(user_id=number),)))
            assert (await storage.sequences()).user_id == number

    def test_every_table_of_changes_is_covered(self) -> None:
        """A new kind of row needs a test above."""
        assert set(TABLES) == _COVERED


_COVERED = {
    "inbox", "instruments", "users", "identities", "settings", "sessions", "usage", "subscriptions", "unsubscriptions", "signals",
    "signals_done", "deliveries", "delivery_updates", "orders", "order_updates", "fills", "positions", "positions_closed", "trades",
    "ledger", "audit", "performance", "outbox", "outbox_done", "inbox_done", "dead_letters", "metrics", "alerts",
}  # fmt: skip


def a_whole_order(**values: Any) -> Any:
    """Every field differs from its default."""
    defaults = {
        "type": OrderType.LIMIT,
        "side": Side.SELL,
        "price": Decimal("40000.5"),
        "time_in_force": TimeInForce.GTD,
        "post_only": True,
        "reduce_only": True,
        "mode": TradingMode.TESTNET,
        "state": OrderState.PARTIALLY_FILLED,
        "reason": "WHY",
        "venue_order_id": "V1",
        "signal_id": "s",
        "reserved": Decimal("400.8"),
        "quota_day": "2023-11-14",
        "cum_qty": Decimal("0.004"),
        "cum_quote": Decimal(160),
        "cum_fee": Decimal("0.16"),
        "updated_ms": NOW_MS + 1,
    }
    return an_order("whole", **{**defaults, **values})


def a_rich_session(user_id: int = 1) -> SessionState:
    """Every field differs from its default, in the order in which a storage returns them."""
    partition = partition_of(user_id, PARTITIONS)
    chosen = UserSettings(
        language="es",
        time_zone="America/Bogota",
        symbols=("BTC/USDT", "ETH/USDT"),
        sizing=Sizing.RISK_PERCENT,
        size=Decimal("2.5"),
        risk_per_trade_pct=Decimal("1.5"),
        max_exposure_pct=Decimal(80),
        stop_loss_pct=Decimal("3.25"),
        take_profit_pct=Decimal(9),
        max_daily_loss_pct=Decimal(4),
        max_drawdown_pct=Decimal(21),
        cooldown_s=60,
        notify_fills=False,
        notify_signals=False,
    )
    session = TradingSession(
        status=SessionStatus.PAUSED,
        cash=Decimal("9999.12345678"),
        realized_today=Decimal("-12.5"),
        day_start_equity=Decimal(10_000),
        peak_equity=Decimal("10000.01"),
        locked_until_ms=NOW_MS + 1,
        api=MinuteUsage(minute=NOW_MS // 60_000, calls=7),
    )
    user = a_user(
        user_id=user_id,
        tier=TierName.ENTERPRISE,
        role=Role.PROVIDER,
        status=UserStatus.ACTIVE,
        display_name="Zoë 🦉",
        reachable=False,
    )
    return SessionState(
        user_id=user_id,
        partition=partition,
        user=user,
        identities=(an_identity(user_id), Identity("api", "k1")),
        settings=chosen,
        session=session,
        usage=(a_day(starts_ms=NOW_MS - DAY_MS, ends_ms=NOW_MS, used=1, reserved=1), a_day(starts_ms=NOW_MS, used=2, reserved=1)),
        positions=(
            a_position(symbol="ETH/USDT", opened_ms=1, received=Decimal(3), entry_orders=2),
            a_position(symbol="BTC/USDT", opened_ms=2, quantity=Decimal("0.123456789012345678901234567")),
        ),
        orders=(a_whole_order(user_id=user_id), an_order("second", user_id=user_id)),
        subscriptions=(a_subscription(symbols=("BTC/USDT",), size=Decimal("0.5"), since_ms=1), a_subscription(source="rsi", since_ms=2)),
    )
