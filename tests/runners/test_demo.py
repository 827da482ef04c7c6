"""`tradekit demo`: a short run of the whole service, and that its comparison sees what is planted."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tradekit.domain.errors import ConfigurationError
from tradekit.domain.orders import client_order_id
from tradekit_cli.demo.evidence import DATABASE, LOG, Evidence, Findings
from tradekit_cli.demo.join import compare
from tradekit_cli.demo.plan import Demand
from tradekit_cli.demo.runner import SOURCE, run

SECONDS, USERS = 4, 20
KEYS = {
    "users", "duration_s", "updates", "replies", "orders", "fills", "errors", "error_rate", "latency_ms", "end_to_end_ms", "coalesced",
    "expired", "pending", "lost", "duplicated", "rss_mib", "cpu_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo run once as a user would run it: its directory and its result."""
    directory = tmp_path_factory.mktemp("demo") / "kept"
    command = ["demo", "--users", str(USERS), "--seconds", str(SECONDS), "--seed", "7", "--keep", str(directory), "--json"]
    code = f"from tradekit_cli.main import main; import sys; sys.argv = {['tradekit', *command]!r}; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return directory, json.loads(done.stdout)


@pytest.fixture
def copy(kept: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """What that demo left, to tamper with."""
    shutil.copytree(kept[0], tmp_path / "copy")
    return tmp_path / "copy"


def judged(directory: Path) -> Findings:
    return compare(Evidence.read(directory, SOURCE))[0]


def change(directory: Path, sql: str, *values: object) -> int:
    with closing(sqlite3.connect(directory / DATABASE)) as db, db:
        return db.execute(sql, values).rowcount


def ask(directory: Path, sql: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(directory / DATABASE)) as db:
        found = db.execute(sql).fetchone()
    assert found is not None
    return tuple(found)


def log_lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / LOG).read_bytes().splitlines()]


def write_log(directory: Path, lines: list[dict[str, Any]]) -> None:
    (directory / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_short_demo_trades_answers_everyone_and_finds_nothing_wrong(kept: tuple[Path, dict[str, Any]]) -> None:
    result = kept[1]
    assert result.keys() >= KEYS
    assert (result["lost"], result["duplicated"], result["errors"], result["findings"]) == (0, 0, 0, [])
    assert result["updates"] >= USERS
    assert result["replies"] == result["updates"]
    assert result["fills"] > 0
    assert result["deliveries"] > 0
    assert result["pending"] == result["limited"] == 0
    assert result["end_to_end_ms"]["p95"] > 0
    assert result["latency_ms"]["p50"] > 0
    assert result["health"] == "healthy"


def test_what_the_demo_kept_is_judged_the_same_again(copy: Path) -> None:
    assert list(judged(copy)) == []


def test_an_update_that_is_missing_in_the_inbox_is_lost(copy: Path) -> None:
    change(copy, "DELETE FROM inbox WHERE inbox_id = (SELECT max(inbox_id) FROM inbox)")
    assert len(judged(copy).lost) == 1


def test_an_update_stored_twice_is_duplicated(copy: Path) -> None:
    copy_row(copy, "inbox", "inbox_id = (SELECT min(inbox_id) FROM inbox)", inbox_id="-1", source="source || '/'")
    assert len(judged(copy).duplicated) == 1


def test_an_update_that_was_not_finished_is_an_error(copy: Path) -> None:
    change(copy, "UPDATE inbox SET state = 0 WHERE inbox_id = (SELECT max(inbox_id) FROM inbox)")
    assert len(judged(copy).errors) == 1


def test_a_reply_that_never_arrived_is_lost(copy: Path) -> None:
    lines = log_lines(copy)
    gone = next(line for line in lines if line["event"] == "message" and "answers_update_id" in line)
    write_log(copy, [line for line in lines if line is not gone])
    assert any(str(gone["chat_id"]) in found for found in judged(copy).lost)


def test_a_message_that_arrived_twice_is_duplicated(copy: Path) -> None:
    lines = log_lines(copy)
    write_log(copy, [*lines, next(line for line in lines if line["event"] == "message")])
    assert len(judged(copy).duplicated) == 1


def test_an_order_that_is_gone_is_lost(copy: Path) -> None:
    (order_id,) = ask(copy, "SELECT client_order_id FROM orders WHERE cum_qty != '0' ORDER BY id LIMIT 1")
    change(copy, "DELETE FROM orders WHERE client_order_id = ?", order_id)
    assert any(order_id in found for found in judged(copy).lost)


def test_a_second_order_of_the_same_cause_is_duplicated(copy: Path) -> None:
    order_id, user_id, cause = ask(copy, "SELECT client_order_id, user_id, cause FROM orders ORDER BY id LIMIT 1")
    again = "0" * 32
    assert again != client_order_id(user_id, cause)
    copy_row(copy, "orders", f"client_order_id = '{order_id}'", id="-1", client_order_id=f"'{again}'")
    assert any(again in found for found in judged(copy).duplicated)


def test_an_order_nobody_asked_for_is_duplicated(copy: Path) -> None:
    order_id, user_id = ask(copy, "SELECT client_order_id, user_id FROM orders ORDER BY id LIMIT 1")
    invented = f"{SOURCE}/999999999"
    again = client_order_id(user_id, invented)
    copy_row(copy, "orders", f"client_order_id = '{order_id}'", id="-1", client_order_id=f"'{again}'")
    change(copy, "UPDATE orders SET cause = ?, signal_id = '' WHERE client_order_id = ?", invented, again)
    assert any(again in found for found in judged(copy).duplicated)


def copy_row(directory: Path, table: str, where: str, **changed: str) -> None:
    """Insert a row once more, with some columns as these expressions say."""
    with closing(sqlite3.connect(directory / DATABASE)) as db, db:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(changed.get(name, name) for name in names)
        db.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE {where}")


def test_a_follower_without_an_outcome_is_lost(copy: Path) -> None:
    signal_id, user_id = ask(copy, "SELECT signal_id, user_id FROM deliveries ORDER BY time_ms LIMIT 1")
    change(copy, "DELETE FROM deliveries WHERE signal_id = ? AND user_id = ?", signal_id, user_id)
    assert any(signal_id in found for found in judged(copy).lost)


def test_an_outcome_for_somebody_who_never_followed_is_duplicated(copy: Path) -> None:
    (stranger,) = ask(copy, "SELECT max(user_id) + 1 FROM users")
    one = "(SELECT signal_id, user_id FROM deliveries LIMIT 1)"
    change(copy, f"UPDATE deliveries SET user_id = ? WHERE (signal_id, user_id) = {one}", stranger)
    assert any(f"user {stranger} never followed" in found for found in judged(copy).duplicated)


def test_a_fill_that_is_gone_is_lost_and_one_from_nowhere_is_duplicated(copy: Path) -> None:
    change(copy, "UPDATE fills SET trade_id = 'invented' WHERE id = (SELECT min(id) FROM fills)")
    assert len(judged(copy).duplicated) == 1
    change(copy, "DELETE FROM fills WHERE trade_id = 'invented'")
    assert len(judged(copy).lost) == 1


def test_money_that_the_ledger_does_not_explain_is_an_error(copy: Path) -> None:
    change(copy, "UPDATE trading_sessions SET cash = '1' WHERE user_id = (SELECT max(user_id) FROM trading_sessions)")
    assert len(judged(copy).errors) == 1


def test_a_directory_with_another_run_is_refused(copy: Path) -> None:
    with pytest.raises(ConfigurationError, match="another run"):
        run(users=2, seconds=1, seed=1, feed=None, telegram_limit=1000, keep=copy, as_json=True)


def test_where_the_limit_is_tight_commands_and_signals_come_less_often() -> None:
    wide, tight = (Demand(users=1000, seconds=60, seed=1, limit=limit) for limit in (1000, 30))
    assert wide.stretch == 1
    assert wide.registers_in_chat
    per_s = 1000 * (1 / 10 + 0.6 / 5) / tight.stretch
    assert per_s == pytest.approx(25)
    assert tight.ramp_s == 0
