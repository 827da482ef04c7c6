"""An operator compares accounts with a loopback venue, and reads what did not agree, as text and JSON."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from typer.testing import CliRunner

from tests.acceptance.test_live_trading import LIVE, Ada, at_work, by_hand
from tradekit.domain.errors import UnknownUser
from tradekit.testing.exchange_server import ExchangeServer
from tradekit_cli import commands, errors, wire
from tradekit_cli.key_desk import KeyDesk
from tradekit_cli.main import app

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio
commands.register(app)


async def reconcile(ada: Ada, who: str = "") -> dict[str, Any]:
    desk = KeyDesk(ada.tk, ada.tk.settings)
    return dict((await desk.operate(wire.ReconcileAccounts(who=who))).facts)


def last(data: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["reconcile", "--last", *arguments, "--data", str(data)])
    assert done.exit_code == errors.OK, done.output
    return done.stdout


async def test_what_does_not_agree_is_counted_listed_and_mended(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        facts = await reconcile(ada)
        assert (facts["accounts"], facts["agreed"], facts["adjusted"], facts["frozen"], facts["failed"]) == (1, 1, 0, 0, 0)
        account = server.account("ada")
        account.free["BTC"] = Decimal(0)
        await ada.confirms("/buy BTC/USDT 0.01")
        await ada.until_over(1)
        await by_hand(server, "BUY", "0.01", "20000")
        account.free["BTC"] -= Decimal("0.005")
        account.free["USDT"] += 7
        facts = await reconcile(ada, "telegram:4711")
        assert (facts["accounts"], facts["agreed"], facts["adjusted"], facts["frozen"], facts["foreign"]) == (1, 0, 1, 1, 1)
        assert facts["under_way"] == facts["failed"] == 0
        assert facts["users_per_minute"] > 0
        again = await reconcile(ada)
        assert (again["adjusted"], again["frozen"], again["foreign"]) == (0, 1, 1), "what is known is not found a second time"
        found = json.loads(await to_thread.run_sync(last, tmp_path, "--json"))
        assert sorted((each["kind"], bool(each["resolved_ms"])) for each in found) == [
            ("cash", True),
            ("foreign_order", False),
            ("position_short", False),
        ]
        assert {each["account"] for each in found} == {LIVE}
        shown = await to_thread.run_sync(last, tmp_path)
        assert "position_short" in shown
        assert "open" in shown
        with pytest.raises(UnknownUser):
            await reconcile(ada, "4711")


async def test_a_venue_that_does_not_answer_is_a_problem_with_a_name(tmp_path: Path) -> None:
    async with ExchangeServer() as server, at_work(tmp_path, server) as ada:
        await ada.goes_live()
        await ada.says("/disconnect binance")
        await ada.says("!" + next(button.data for button in ada.buttons if "Confirm" in button.label))
        facts = await reconcile(ada)
        assert (facts["accounts"], facts["failed"], facts["agreed"]) == (1, 1, 0)
        (problem,) = facts["problems"]
        assert LIVE in problem
        assert "binance" in problem
