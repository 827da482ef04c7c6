"""The library as an embedder meets it."""

import runpy
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from tradekit import Identity, OrderRequest, Settings, Side, TierName, Tradekit
from tradekit.domain.errors import DataDirectoryInUse, Duplicate, NotPermitted, OrderDenied, UnknownUser
from tradekit.domain.users import Role

pytestmark = pytest.mark.anyio
ADA = Identity("app", "ada")
BUY = OrderRequest(symbol="BTC/USDT", side=Side.BUY, quantity=Decimal("0.001"))


def settings(directory: Path) -> Settings:
    return Settings.load(flags={"data": str(directory)}, environ={})


async def test_registering_twice_finds_the_same_user(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)) as tk:
        first = await tk.users.register(ADA, "Ada")
        again = await tk.users.register(ADA, "Someone else")
        assert again.user == first.user
        assert first.limits.daily_trades == 5


async def test_an_unknown_user_is_told_apart_from_an_empty_account(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)) as tk:
        with pytest.raises(UnknownUser):
            await tk.users.get(ADA)
        with pytest.raises(UnknownUser):
            await tk.trading.place(ADA, BUY)


async def test_an_idempotency_key_makes_one_order_even_after_a_restart(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)) as tk:
        await tk.users.register(ADA)
        order = await tk.trading.place(ADA, BUY, idempotency_key="k1")
        await tk.quiet(ADA, timeout_s=5)
        with pytest.raises(Duplicate):
            await tk.trading.place(ADA, BUY, idempotency_key="k1")
    async with Tradekit.open(settings(tmp_path)) as tk:
        with pytest.raises(Duplicate):
            await tk.trading.place(ADA, BUY, idempotency_key="k1")
        (position,) = await tk.trading.positions(ADA)
        assert position.quantity == order.quantity


async def test_concurrent_orders_never_pass_the_quota(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)) as tk:
        await tk.users.register(ADA)
        outcomes: list[str] = []

        async def place() -> None:
            try:
                await tk.trading.place(ADA, BUY)
            except OrderDenied as denied:
                outcomes.append(denied.check)
            else:
                outcomes.append("placed")

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(place)
        assert outcomes.count("placed") == 5
        assert outcomes.count("DAILY_TRADES_LIMIT") == 15
        await tk.quiet(ADA, timeout_s=5)
        closing = await tk.trading.close(ADA, "BTC/USDT")
        assert closing.side is Side.SELL


async def test_an_error_in_the_hosts_block_arrives_as_it_is(tmp_path: Path) -> None:
    async def host() -> None:
        async with Tradekit.open(settings(tmp_path)) as tk:
            await tk.users.register(ADA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await host()


async def test_a_plan_change_counts_at_once_and_publishing_needs_the_role(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)) as tk:
        await tk.users.register(ADA)
        assert (await tk.users.set_tier(ADA, TierName.PREMIUM)).limits.daily_trades == 25
        with pytest.raises(NotPermitted):
            await tk.signals.publish(ADA, "BTC/USDT", Side.BUY)
        await tk.users.set_role(ADA, Role.PROVIDER)
        signal = await tk.signals.publish(ADA, "BTC/USDT", Side.BUY)
        assert signal.symbol == "BTC/USDT"
        assert await tk.signals.why(ADA, signal.signal_id) is None


async def test_a_second_owner_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    async with Tradekit.open(settings(tmp_path)):
        with pytest.raises(DataDirectoryInUse) as caught:
            async with Tradekit.open(settings(tmp_path)):
                pass
        assert str(tmp_path) in caught.value.directory
        assert "pid" in caught.value.holder


async def test_start_and_stop_may_come_from_different_tasks(tmp_path: Path) -> None:
    hosted = Tradekit.hosted(settings(tmp_path))

    async def start() -> None:
        tk = await hosted.start()
        await tk.users.register(ADA)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
    assert hosted.tk.ready
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hosted.stop)
    async with Tradekit.open(settings(tmp_path)) as tk:
        assert (await tk.users.get(ADA)).user.created_ms


async def test_starting_in_a_directory_in_use_fails_and_can_be_tried_again(tmp_path: Path) -> None:
    hosted = Tradekit.hosted(settings(tmp_path))
    async with Tradekit.open(settings(tmp_path)):
        with pytest.raises(DataDirectoryInUse):
            await hosted.start()
    await hosted.start()
    await hosted.stop()


def test_the_example_script_runs(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "script.py"
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "BTC/USDT, paid" in done.stdout


async def test_the_example_bot_answers(tmp_path: Path) -> None:
    pytest.importorskip("telegram")
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "ptb_bot.py"))
    async with Tradekit.open(settings(tmp_path)) as tk:
        application = example["application_for"](tk, "1:abc")
        assert {command for handler in application.handlers[0] for command in handler.commands} >= {"start", "plan", "buy"}
