"""What every storage answers: start, reports, audit."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tradekit.domain.audit import GENESIS, link
from tradekit.domain.changes import Changes
from tradekit.domain.controls import GlobalState
from tradekit.domain.credentials import DataKey
from tradekit.domain.errors import Duplicate
from tradekit.domain.inbox import InboxMessage
from tradekit.domain.orders import Liquidity, OrderState, Side, TradingMode
from tradekit.domain.performance import DayPerformance
from tradekit.domain.portfolio import LedgerKind
from tradekit.domain.signals import Outcome
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Identity, Role, partition_of
from tradekit.ports.storage import Sequences, Storage
from tradekit.testing.contracts.storage_support import a_whole_order, register
from tradekit.testing.factories import (
    DAY_MS,
    NOW_MS,
    PARTITIONS,
    a_control,
    a_delivery,
    a_discrepancy,
    a_fill,
    a_ledger_entry,
    a_performance,
    a_position,
    a_rule,
    a_sample,
    a_signal,
    a_subscription,
    a_trade,
    a_user,
    an_account,
    an_alert,
    an_audit_entry,
    an_identity,
    an_inbox_message,
    an_instrument,
    an_order,
    an_outgoing_message,
)


class ReaderContract:
    """The promises of :class:`tradekit.ports.storage.Reader`, one test each; part of the contract of a storage."""

    pytestmark = pytest.mark.anyio

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

    async def test_users_with_keys_are_paged_by_number(self, storage: Storage) -> None:
        keys = tuple((user_id, 0, DataKey(key_id="k", wrapped=b"w")) for user_id in (3, 1, 2))
        await storage.commit(Changes(data_keys=keys))
        assert await storage.users_with_keys() == [1, 2, 3]
        assert await storage.users_with_keys(after_id=1, limit=1) == [2]
        await storage.commit(Changes(data_keys_gone=(2,)))
        assert await storage.users_with_keys() == [1, 3]

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
        (day,) = await storage.performance_between(1, "2023-11-14", starts, ends)
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
        assert await storage.performance_between(1, "2023-11-01", 0, 1) == []
        assert await storage.performance_between(2, "2023-11-14", starts, ends) == []

    async def test_the_overview_counts(self, storage: Storage) -> None:
        await register(storage, 1, 2)
        more = Changes(
            users=(a_user(user_id=3, tier=TierName.PREMIUM, role=Role.ADMIN, created_ms=NOW_MS - 10),),
            orders=(an_order("a"), an_order("b", state=OrderState.REJECTED)),
            fills=(a_fill(user_id=2, time_ms=NOW_MS - 1), a_fill(user_id=1, time_ms=NOW_MS)),
            positions=((1, 0, "paper", a_position()), (2, 0, "paper", a_position())),
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
        second = (await storage.audit(2))[1]
        assert [row.seq for row in await storage.audit(2, after_id=second.id, limit=3)] == [3, 4, 5]

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

    async def test_discrepancies_are_kept_once_and_closed(self, storage: Storage) -> None:
        first, other = a_discrepancy(), a_discrepancy(user_id=2, raised_ms=NOW_MS + 1)
        await storage.commit(Changes(discrepancies=(first, other)))
        closed = msgspec.structs.replace(first, resolved_ms=NOW_MS + 5)
        await storage.commit(Changes(discrepancies=(closed,)))
        assert await storage.discrepancies() == [other, closed]
        assert await storage.discrepancies(1) == [closed]
        assert await storage.discrepancies(limit=1) == [other]

    async def test_rules_come_and_go(self, storage: Storage) -> None:
        await register(storage, 1)
        await storage.commit(Changes(rules=((1, 0, a_rule()), (1, 0, a_rule(name="other")))))
        await storage.commit(Changes(rules_gone=((1, "dip"),)))
        assert await storage.rules() == [(1, a_rule(name="other"))]
        assert (await storage.sessions([1]))[1].rules == (a_rule(name="other"),)

    async def test_the_last_word_on_a_scope_counts(self, storage: Storage) -> None:
        await storage.commit(Changes(controls=(a_control(), a_control(scope="binance"))))
        await storage.commit(Changes(controls=(a_control(state=GlobalState.NORMAL),)))
        assert sorted(await storage.controls(), key=lambda each: each.scope) == [
            a_control(state=GlobalState.NORMAL),
            a_control(scope="binance"),
        ]

    async def test_accounts_that_are_not_on_paper_are_found(self, storage: Storage) -> None:
        await register(storage, 1, 2)
        accounts = ((1, 0, an_account(mode=TradingMode.LIVE)), (2, 0, an_account(mode=TradingMode.PAPER)))
        await storage.commit(Changes(accounts=accounts))
        assert await storage.users_with_accounts() == [1]
