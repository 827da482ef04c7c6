"""What every storage must do. Subclass it and provide the fixture ``storage``."""

from decimal import Decimal

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradekit.domain.changes import TABLES, Changes, state_changes, together
from tradekit.domain.credentials import CredentialStatus, DataKey
from tradekit.domain.errors import Busy, Duplicate, StorageFailed
from tradekit.domain.orders import OrderState, TradingMode
from tradekit.domain.sessions import SessionStatus, TradingSession
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Identity, UserSettings, UserStatus
from tradekit.ports.storage import Storage
from tradekit.testing.contracts.storage_reads import ReaderContract
from tradekit.testing.contracts.storage_support import ANSWER_S, Answers, a_rich_session, amounts, open_orders, register
from tradekit.testing.factories import (
    DAY_MS,
    NOW_MS,
    a_credential,
    a_custody,
    a_day,
    a_delivery,
    a_fill,
    a_ledger_entry,
    a_link,
    a_position,
    a_sample,
    a_signal,
    a_subscription,
    a_trade,
    a_user,
    an_account,
    an_audit_entry,
    an_identity,
    an_inbox_message,
    an_order,
    an_outgoing_message,
    an_unknown_session,
)

QUEUE_TRIES = 100_000
"""A queue that takes this many commits while nothing is written has no bound."""


class StorageContract(ReaderContract):
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
                Changes(audit=(an_audit_entry(detail=name),), positions=((1, 0, "paper", a_position(cost=Decimal(name))),)),
                answers.of(name),
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
        storage.submit(Changes(positions=((1, 0, "paper", first),), subscriptions=((1, 0, a_subscription()),)), answers.of("open"))
        storage.submit(Changes(positions_closed=((1, "paper", first.symbol),), unsubscriptions=((1, "ema-cross"),)), answers.of("close"))
        storage.submit(Changes(positions=((1, 0, "paper", last),)), answers.of("open again"))
        await answers.wait(3)
        assert answers.errors == {"open": None, "close": None, "open again": None}
        state = (await storage.sessions([1]))[1]
        assert state.positions == (last,)
        assert state.subscriptions == ()

    async def test_a_link_used_and_asked_for_again_in_one_group_is_there(self, storage: Storage) -> None:
        await register(storage, 1)
        answers = Answers()
        storage.submit(Changes(links=((1, 0, a_link()),), data_keys=((1, 0, DataKey(key_id="a", wrapped=b"1")),)), answers.of("first"))
        storage.submit(Changes(links_gone=(1,), data_keys_gone=(1,)), answers.of("used"))
        storage.submit(Changes(links=((1, 0, a_link(venue="kraken")),)), answers.of("again"))
        await answers.wait(3)
        custody = (await storage.sessions([1]))[1].custody
        assert custody.link == a_link(venue="kraken")
        assert custody.data_key is None

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
        await storage.commit(together(state_changes(an_unknown_session(state.user_id), state), Changes(orders=open_orders(state))))
        assert await storage.sessions([state.user_id]) == {state.user_id: state}

    async def test_changes_of_a_session_come_back_too(self, storage: Storage) -> None:
        old = a_rich_session()
        await storage.commit(together(state_changes(an_unknown_session(old.user_id), old), Changes(orders=open_orders(old))))
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
            shelf=(msgspec.structs.replace(old.shelf[0], session=TradingSession(cash=Decimal(1)), positions=()),),
            rules=(),
            subscriptions=old.subscriptions[:1],
            custody=a_custody(
                old.user_id,
                data_key=None,
                credentials=(a_credential(version=2, status=CredentialStatus.REVOKED, ciphertext=b""), old.custody.credentials[1]),
                accounts=(an_account(mode=TradingMode.PAPER), old.custody.accounts[1]),
                link=None,
            ),
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
        await storage.commit(Changes(users=(a_user(),), positions=((1, 0, "paper", position),), sessions=((1, 0, "paper", session),)))
        loaded = (await storage.sessions([1]))[1]
        assert loaded.positions == (position,)
        assert loaded.session == session

    async def test_no_question_sees_half_a_commit(self, storage: Storage) -> None:
        await register(storage, 1)
        answers = Answers()
        writing = 60
        for number in range(1, writing + 1):
            cost = Decimal(number)
            half, other = (
                Changes(sessions=((1, 0, "paper", TradingSession(cash=cost)),)),
                Changes(positions=((1, 0, "paper", a_position(cost=cost)),)),
            )
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
    "data_keys", "data_keys_gone", "credentials", "accounts", "links", "links_gone",
    "signals_done", "deliveries", "delivery_updates", "orders", "order_updates", "fills", "positions", "positions_closed", "trades",
    "ledger", "discrepancies", "rules", "rules_gone", "controls", "audit", "performance",
    "outbox", "outbox_done", "inbox_done", "dead_letters", "metrics", "alerts",
}  # fmt: skip
