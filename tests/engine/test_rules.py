"""Rules in the running engine: once for all who wrote the same, only while somebody follows, over restarts, and never in anybody's way."""

import logging
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.engine_support import Running, running, until
from tradekit.domain.changes import Changes
from tradekit.domain.health import HealthStatus
from tradekit.domain.instruments import Bar
from tradekit.domain.orders import Side
from tradekit.domain.rules import rule_source
from tradekit.domain.tiers import TierName
from tradekit.engine import strategies as runner_module
from tradekit.services.decisions import Handler
from tradekit.services.rules import add
from tradekit.services.users import set_tier
from tradekit.testing.factories import a_rule

pytestmark = pytest.mark.anyio

RISE = "buy when close > 10; sell when close < 10"
SOURCE = rule_source(RISE)


class Bars:
    """Closed bars of one minute, one after the other."""

    def __init__(self, run: Running) -> None:
        self._market, self._index = run.service.market, 0

    def close(self, *closes: int, symbol: str = "BTC/USDT") -> None:
        for close in closes:
            self._index += 1
            price = Decimal(close)
            self._market.take(
                Bar(
                    symbol=symbol,
                    timeframe_ms=60_000,
                    open_ms=self._index * 60_000,
                    open=price,
                    high=price,
                    low=price,
                    close=price,
                    volume=Decimal(1),
                )
            )


async def enterprise(run: Running, *names: str) -> None:
    for name in names:
        await run.say(name, "/start")
        await run.service.orchestrator.call(
            run.user_id(name), lambda state, ctx: set_tier(state, TierName.ENTERPRISE, "admin", ctx), cause=f"tier/{name}"
        )


async def signals_of(run: Running, source: str, count: int) -> list[tuple[str, Side]]:
    await until(lambda: not run.service.strategies.busy)
    await run.quiet()
    found = [signal for signal in await run.storage.signals(1000) if signal.source == source]
    assert len(found) == count
    return [(signal.symbol, signal.side) for signal in reversed(found)]


async def test_users_who_wrote_the_same_share_one_rule_and_one_signal(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await enterprise(run, "ada", "bob")
        await run.say("ada", f"/rule add rise {RISE}")
        await run.say("bob", "/rule add up BUY when close>10 ; SELL when close<10.0")
        assert run.service.strategies.running == (0, 1)
        Bars(run).close(9, 11)
        await signals_of(run, SOURCE, 1)
        for name in ("ada", "bob"):
            (delivery,) = await run.storage.deliveries(run.user_id(name), 10)
            assert (delivery.outcome, delivery.reason) == ("executed", "")
        assert run.service.sources() == ()


async def test_a_rule_runs_until_its_last_follower_has_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        bars = Bars(run)
        await enterprise(run, "ada", "bob")
        await run.say("ada", f"/rule add rise {RISE}")
        await run.say("bob", f"/rule add rise {RISE}")
        await run.say("ada", "/rule remove rise")
        bars.close(9, 11)
        await signals_of(run, SOURCE, 1)
        await run.say("bob", "/unsubscribe rule:rise")
        assert run.service.strategies.running == (0, 0)
        bars.close(9, 11)
        await signals_of(run, SOURCE, 1)
        await run.say("bob", "/subscribe rule:rise")
        bars.close(9, 11, 9)
        assert await signals_of(run, SOURCE, 3) == [("BTC/USDT", Side.BUY), ("BTC/USDT", Side.BUY), ("BTC/USDT", Side.SELL)]


async def test_a_rule_is_asked_about_instruments_that_it_names_or_is_followed_for(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        bars = Bars(run)
        await enterprise(run, "ada", "bob")
        await run.say("ada", f"/rule add rise {RISE}", "/subscribe rule:rise ETH/USDT")
        bars.close(9, 11)
        bars.close(9, 11, symbol="ETH/USDT")
        assert await signals_of(run, SOURCE, 1) == [("ETH/USDT", Side.BUY)]
        await run.say("bob", f"/rule add rise {RISE}", "/subscribe rule:rise btc")
        bars.close(9, 11)
        bars.close(9, 11, symbol="SOL/USDT")
        assert (await signals_of(run, SOURCE, 2))[1:] == [("BTC/USDT", Side.BUY)]
        named = "buy when close > 10; on SOL/USDT"
        await run.say("ada", f"/rule add sol {named}")
        bars.close(9, 11, symbol="SOL/USDT")
        bars.close(9, 11)
        assert await signals_of(run, rule_source(named), 1) == [("SOL/USDT", Side.BUY)]


async def test_rules_survive_a_restart_and_a_removed_one_does_not(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await enterprise(run, "ada")
        await run.say("ada", f"/rule add rise {RISE}", "/rule add other buy when close > 500", "/rule remove other")
    async with running(tmp_path) as run:
        assert run.service.strategies.running == (0, 1)
        Bars(run).close(9, 11)
        await signals_of(run, SOURCE, 1)
        (delivery,) = await run.storage.deliveries(run.user_id("ada"), 10)
        assert delivery.outcome == "executed"
        await run.say("ada", "/rule remove rise")
        assert run.service.strategies.running == (0, 0)
    async with running(tmp_path) as run:
        assert run.service.strategies.running == (0, 0)


async def test_a_restart_trades_nothing_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await enterprise(run, "ada")
        await run.say("ada", f"/rule add rise {RISE}")
    async with running(tmp_path) as run:
        bars = Bars(run)
        bars.close(11, 12)
        await signals_of(run, SOURCE, 0)
        bars.close(9, 11)
        await signals_of(run, SOURCE, 2)


async def test_a_stored_rule_that_cannot_run_is_told_and_holds_up_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as run:
        await enterprise(run, "ada")
        await run.say("ada", f"/rule add rise {RISE}", "/rule add old buy when close > 1")
        state = (await run.storage.sessions([run.user_id("ada")]))[run.user_id("ada")]
        broken = a_rule(name="old", text="buy when moon(3) > 1")
        await run.storage.commit(Changes(rules=((state.user_id, state.partition, broken),)))
        for wish in state.subscriptions:
            if wish.source != SOURCE:
                moved = type(wish)(source=rule_source(broken.text), symbols=wish.symbols, since_ms=wish.since_ms)
                await run.storage.commit(Changes(subscriptions=((state.user_id, state.partition, moved),)))
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path) as run:
            assert run.service.strategies.running == (0, 1)
            assert "there is no indicator moon" in caplog.text
            report = await run.service.health.check()
            assert report.checks["strategies"].status is HealthStatus.DEGRADED
            assert "moon" in report.checks["strategies"].detail
            await run.say("ada", "/rule remove old")
            report = await run.service.health.check()
            assert report.checks["strategies"].status is HealthStatus.HEALTHY
            assert report.checks["strategies"].detail == "0 strategies and 1 rules run"


async def test_rules_are_asked_in_slices_and_none_is_left_out_when_bars_come_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "SLICE_RULES", 3)
    async with running(tmp_path) as run:
        await enterprise(run, "ada")
        for number in range(8):
            await run.service.orchestrator.call(
                run.user_id("ada"), _adding(f"r{number}", f"buy when close > {number + 10}"), cause=f"add/{number}"
            )
        asked: list[int] = []
        real = run.service.strategies._ask_one

        def watched(strategy: object, *rest: object) -> None:
            asked.append(len(asked))
            real(strategy, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(run.service.strategies, "_ask_one", watched)
        bars = Bars(run)
        bars.close(9)
        assert asked == []
        bars.close(99)
        assert len(asked) == 8
        await until(lambda: len(asked) == 16 and not run.service.strategies.busy)
        await run.quiet()
        made = {signal.source for signal in await run.storage.signals(100)}
        assert made == {rule_source(f"buy when close > {number + 10}") for number in range(8)}


def _adding(name: str, text: str) -> Handler:
    return lambda state, ctx: add(state, name, text, ctx)


class Failing:
    name, title, advanced = "failing", "Fails on every other bar", False

    def __init__(self) -> None:
        self.count = 0

    def evaluator(self, symbol: str) -> "Failing":
        return self

    def on_bar(self, bar: Bar) -> Side | None:
        self.count += 1
        if self.count == 2:
            raise ZeroDivisionError("no bars")
        return Side.BUY


async def test_a_strategy_that_fails_is_told_in_the_health_and_the_others_go_on(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        bars, failing = Bars(run), Failing()
        run.service.strategies.add(failing)
        await enterprise(run, "ada")
        await run.say("ada", f"/rule add rise {RISE}")
        bars.close(9, 11)
        await signals_of(run, SOURCE, 1)
        finding = (await run.service.health.check()).checks["strategies"]
        assert finding.status is HealthStatus.DEGRADED
        assert "failing fails: ZeroDivisionError('no bars')" in finding.detail
        bars.close(12)
        assert (await run.service.health.check()).checks["strategies"].status is HealthStatus.HEALTHY
        await signals_of(run, "failing", 2)


async def test_a_rule_can_be_tried_on_the_bars_that_passed(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await enterprise(run, "ada")
        Bars(run).close(9, 11, 9, 11)
        await run.say("ada", f"/rule check {RISE}")
        reply = run.messenger.sent[-1].reply
        assert (reply.key, reply.args["bars"], reply.args["count"]) == ("rule.checked", "4", "3")
