"""`tradekit demo --venue loopback`: people trade at a venue where things go wrong, and its books are held against ours."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradekit.domain.errors import BadInput, ConfigurationError
from tradekit_cli.demo import hang
from tradekit_cli.demo.books import Books, Said, compare
from tradekit_cli.demo.chaos import SAID
from tradekit_cli.demo.evidence import DATABASE
from tradekit_cli.demo.loopback import FAULTS, chosen, hangs
from tradekit_cli.demo.runner import run

pytest.importorskip("ccxt")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo run once as a user would run it: its directory and its result."""
    directory = tmp_path_factory.mktemp("demo") / "kept"
    command = ["demo", "--users", "16", "--seconds", "6", "--seed", "7", "--venue", "loopback", "--faults", "lost-answer,invisible,hang"]
    command += ["--keep", str(directory), "--json"]
    code = f"from tradekit_cli.main import main; import sys; sys.argv = {['tradekit', *command]!r}; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return directory, json.loads(done.stdout)


@pytest.fixture
def copy(kept: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """What that demo left, to tamper with."""
    shutil.copytree(kept[0], tmp_path / "copy")
    return tmp_path / "copy"


def judged(directory: Path, change: str = "") -> Books:
    """The books, after a change to ours."""
    if change:
        with closing(sqlite3.connect(directory / DATABASE)) as db, db:
            assert db.execute(change).rowcount
    return compare(msgspec.json.decode((directory / SAID).read_bytes(), type=dict[str, Said]), directory / DATABASE)


def test_at_a_venue_that_loses_answers_nothing_is_lost_or_done_twice(kept: tuple[Path, dict[str, Any]]) -> None:
    result = kept[1]
    assert (result["lost"], result["duplicated"], result["unknown_left"], result["findings"]) == (0, 0, 0, [])
    assert result["venue"] == "loopback"
    assert result["fills"] > 0
    assert result["faults_injected"]["lost-answer"] > 0
    assert result["faults_injected"].keys() <= {"lost-answer", "invisible", "hang"}
    assert result["hang"]["user"]
    assert result["hang"]["seconds"] == pytest.approx(1.8, abs=1)
    assert result["hang"].keys() >= {"p95_before_ms", "p95_during_ms", "ratio", "unmoved", "rule"}


def test_what_the_venue_did_and_we_do_not_know_is_lost(copy: Path) -> None:
    clean = judged(copy)
    assert (clean.lost, clean.duplicated, clean.violations, clean.unknown_left) == ([], [], [], 0)
    assert clean.venue_trades > 0
    books = judged(copy, "DELETE FROM fills WHERE id = (SELECT min(id) FROM fills WHERE account = 'binance:live')")
    assert len(books.lost) == 1


def test_an_order_of_the_venue_that_is_none_of_ours_is_duplicated(copy: Path) -> None:
    books = judged(copy, "DELETE FROM orders WHERE id = (SELECT max(id) FROM orders WHERE account = 'binance:live' AND state = 'filled')")
    assert len(books.duplicated) == 1


def test_two_orders_of_the_venue_for_one_of_ours_are_duplicated(copy: Path) -> None:
    said = msgspec.json.decode((copy / SAID).read_bytes(), type=dict[str, Said])
    name = next(name for name, account in said.items() if account.orders)
    said[name] = msgspec.structs.replace(said[name], orders=[*said[name].orders, said[name].orders[0]])
    assert len(compare(said, copy / DATABASE).duplicated) == 1


def test_money_and_coins_that_differ_from_the_venues_are_told(copy: Path) -> None:
    one = "(SELECT min(user_id) FROM positions WHERE account = 'binance:live')"
    coins = judged(copy, f"UPDATE positions SET quantity = '9' WHERE user_id = {one}").violations
    assert {line[:3] for line in coins} == {"I5:"}
    money = judged(copy, f"UPDATE trading_sessions SET cash = '1' WHERE account = 'binance:live' AND user_id = {one}").violations
    assert len(money) == len(coins) + 1
    assert money[0].startswith("I6:")


def test_an_order_whose_fate_nobody_knows_is_left_over(copy: Path) -> None:
    change = "UPDATE orders SET state = 'unknown', is_open = 1 WHERE id = (SELECT max(id) FROM orders WHERE account = 'binance:live')"
    assert judged(copy, change).unknown_left == 1


def test_faults_are_chosen_by_name_and_a_hang_is_one_of_all() -> None:
    assert chosen("all") == tuple(FAULTS.values())
    assert chosen("none") == chosen("hang") == ()
    assert [fault.name for fault in chosen("delay, hang,clock")] == ["delay", "clock"]
    assert [hangs(names) for names in ("all", "delay,hang", "none", "delay")] == [True, True, False, False]


def demo(tmp_path: Path, **options: Any) -> int:
    defaults: dict[str, Any] = {"users": 2, "seconds": 1, "seed": 1, "feed": None, "telegram_limit": 1000, "keep": tmp_path / "demo"}
    return run(**defaults | options, as_json=True)


def test_options_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="earthquake"):
        demo(tmp_path, venue="loopback", faults="delay,earthquake")
    with pytest.raises(ConfigurationError, match="needs a venue"):
        demo(tmp_path, faults="all")
    with pytest.raises(ConfigurationError, match="does not price"):
        demo(tmp_path, venue="loopback", feed="replay:bars.csv")
    assert not (tmp_path / "demo").exists()


def times(took_ms: float, *, from_ms: int, to_ms: int) -> list[tuple[int, float]]:
    return [(at_ms, took_ms) for at_ms in range(from_ms, to_ms, 10)]


def test_a_percentile_is_unmoved_within_the_noise_and_moved_beyond_it() -> None:
    steady = times(40, from_ms=0, to_ms=900)
    assert hang.compare([*steady, *times(59, from_ms=900, to_ms=1200)], 0, 900, 1200).unmoved is True
    moved = hang.compare([*steady, *times(61, from_ms=900, to_ms=1200)], 0, 900, 1200)
    assert (moved.unmoved, moved.ratio, moved.noise_ratio, moved.p95_before_ms, moved.p95_during_ms) == (False, 1.52, 1.0, 40, 61)
    noisy = [*times(40, from_ms=0, to_ms=600), *times(80, from_ms=600, to_ms=900)]
    assert hang.compare([*noisy, *times(150, from_ms=900, to_ms=1200)], 0, 900, 1200).unmoved is True
    assert hang.compare([*times(1, from_ms=0, to_ms=900), *times(11, from_ms=900, to_ms=1200)], 0, 900, 1200).unmoved is True
    assert hang.compare(steady, 0, 900, 1200).unmoved is None
