import sqlite3
from pathlib import Path

import pytest

from tradekit.adapters.sql import open_storage
from tradekit.adapters.sql.database import open_reader
from tradekit.domain.changes import Changes
from tradekit.domain.errors import DataError
from tradekit.domain.sessions import TradingSession
from tradekit.testing.factories import NOW_MS, FixedClock, a_day, a_user, an_inbox_message, an_order

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("damage", "problem"),
    [("UPDATE users SET tier = 'gold'", "gold"), ("UPDATE trading_sessions SET cash = 'a lot'", "a lot")],
    ids=["enum", "amount"],
)
async def test_a_stored_value_that_is_none_is_an_error_not_a_guess(tmp_path: Path, damage: str, problem: str) -> None:
    path = tmp_path / "tradekit.db"
    async with open_storage(path, clock=FixedClock()) as storage:
        await storage.commit(Changes(users=(a_user(),), sessions=((1, 0, "paper", TradingSession()),)))
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    async with open_storage(path, clock=FixedClock()) as storage:
        with pytest.raises(DataError, match=problem) as refused:
            await storage.sessions([1])
        assert refused.value.path == str(path)
        await storage.ping()


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "tradekit.db"
    async with open_storage(path, clock=FixedClock()):
        db = open_reader(str(path))
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM users")
        db.close()


@pytest.mark.parametrize("inline", [False, True])
async def test_a_path_with_odd_characters_is_a_path(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "a?b#c %41 é" / "trade kit.db"
    async with open_storage(path, clock=FixedClock(), inline=inline) as storage:
        await storage.commit(Changes(users=(a_user(),)))
        assert await storage.user(1) is not None
    assert path.is_file()


async def test_forgetting_walks_past_a_thousand_rows_that_stay() -> None:
    """Waiting and dead rows do not hide the finished ones behind them."""
    async with open_storage(":memory:", clock=FixedClock(), inline=True) as storage:
        await storage.commit(Changes(inbox=tuple(an_inbox_message(number) for number in range(1, 3001))))
        await storage.commit(Changes(inbox_done=tuple(range(1501, 2501))))
        assert await storage.forget(0, NOW_MS) == 0
        assert await storage.forget(0, NOW_MS + 1) == 1000
        assert len(await storage.pending_inbox(limit=5000)) == 2000


async def test_a_long_history_is_not_loaded_with_a_session() -> None:
    async with open_storage(":memory:", clock=FixedClock(), inline=True) as storage:
        days = tuple((1, 0, a_day(day=f"day {number}", starts_ms=number, ends_ms=number + 1)) for number in range(400))
        await storage.commit(Changes(users=(a_user(),), usage=days, orders=(an_order(),)))
        state = (await storage.sessions([1]))[1]
        assert [day.day for day in state.usage] == ["day 399"]
        assert state.orders == (an_order(),)
