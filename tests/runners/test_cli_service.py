"""`tradekit up` and `tradekit chat` as processes, as people use them."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runners.cli_process import COMMAND, Terminal, Up, bot_api, environment, tradekit, up
from tradekit_cli import wire

FIRST_TRADE = "/start\n/buy BTC/USDT 0.01\n/positions\n/usage\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def service(data: Path) -> Iterator[Up]:
    with up(data) as running:
        yield running


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


def check_first_trade(text: str) -> None:
    assert re.search(r"filled at .*USDT", text), text
    assert re.search(r"0\.01 BTC.*worth", text), text
    assert "1 of 5 trades used" in text, text


def test_up_serves_health_and_drains_on_sigterm(service: Up) -> None:
    status, body = get(service.url + "/health")
    assert status == 200
    health = json.loads(body)
    assert health["overall_status"] == "healthy"
    assert health["metrics"].keys() >= {"cpu_usage", "memory_usage", "active_users"}
    assert health["checks"]["bot"]["status"] == "disabled"
    service.signal(signal.SIGTERM)
    code, out, err = service.end()
    assert (code, out) == (0, "")
    assert "drained" in err
    assert not wire.socket_path(service.data).exists()


def test_ctrl_c_drains_and_exits_0(service: Up) -> None:
    service.signal(signal.SIGINT)
    assert service.end()[0] == 0


def test_the_log_is_json_lines_when_nobody_watches(service: Up) -> None:
    service.signal(signal.SIGTERM)
    _, _, err = service.end()
    assert all({"event", "level", "timestamp"} <= json.loads(line).keys() for line in err.splitlines())


def test_chat_through_a_pipe_shows_a_fill_the_position_and_the_use_of_the_day(service: Up, tmp_path: Path) -> None:
    chat = tradekit("chat", "--as", "ada", "--data", service.data, cwd=tmp_path, stdin=FIRST_TRADE)
    assert (chat.returncode, chat.stderr) == (0, "")
    check_first_trade(chat.stdout)
    shown = tradekit("users", "show", "terminal:ada", "--data", service.data, "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["positions"][0]["quantity"] == "0.01"
    assert "terminal:ada" in tradekit("users", "list", "--data", service.data, cwd=tmp_path).stdout


def test_chat_opens_the_directory_itself_when_no_service_runs(data: Path, tmp_path: Path) -> None:
    chat = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin=FIRST_TRADE)
    assert (chat.returncode, chat.stderr) == (0, "")
    check_first_trade(chat.stdout)
    again = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin="/positions\n")
    assert "0.01 BTC" in again.stdout


def test_a_number_presses_the_button(data: Path, tmp_path: Path) -> None:
    start = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin="/start\n")
    number = re.search(r"\[(\d+)\] Buy 0.01 BTC/USDT", start.stdout)
    assert number, start.stdout
    chat = tradekit("chat", "--as", "eve", "--data", data, cwd=tmp_path, stdin=f"/start\n{number[1]}\n")
    assert "filled at" in chat.stdout


def test_a_pipe_may_hold_anything(data: Path, tmp_path: Path) -> None:
    nonsense = ["/start", "", "1e999", "/buy BTC/USDT NaN", "\u202e/buy", "99", "!ok:buy:1", "x" * 100_000, "\udcff\udcfe", "/usage"]
    chat = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin="\n".join(nonsense) + "\n")
    assert (chat.returncode, chat.stderr) == (0, "")
    assert "0 of 5 trades used" in chat.stdout


def test_who_reads_only_the_beginning_of_a_result_sees_no_traceback(data: Path, tmp_path: Path) -> None:
    shell = f"{shlex.join(COMMAND)} config show | head -n 1"
    done = subprocess.run(
        ["/bin/sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_the_prompt_answers_and_ends_with_ctrl_d(data: Path, tmp_path: Path) -> None:
    terminal = Terminal("chat", "--as", "ada", "--data", data, cwd=tmp_path)
    try:
        terminal.expect("ada> ")
        terminal.type("/start\n")
        terminal.expect("Welcome, ada")
        terminal.expect("ada> ")
        terminal.type("/nonsense\n")
        assert "/help" in terminal.expect("ada> ")
        terminal.type("\x04")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()


def test_ctrl_c_at_the_prompt_is_quiet(data: Path, tmp_path: Path) -> None:
    terminal = Terminal("chat", "--as", "ada", "--data", data, cwd=tmp_path)
    try:
        terminal.expect("ada> ")
        # Between the prompt on the screen and the wait for a key, readline does not look at signals; a person presses again as well.
        for _ in range(10):
            os.kill(terminal.process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert terminal.process.wait(6) == 130
                break
        with contextlib.suppress(AssertionError):
            assert "Traceback" not in terminal.expect("Traceback")
    finally:
        terminal.close()


def test_a_data_directory_too_deep_for_a_socket_s_address_works(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 30) / ("down" * 20)
    data.mkdir(parents=True)
    with up(data) as service:
        chat = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin=FIRST_TRADE)
        check_first_trade(chat.stdout)
        service.signal(signal.SIGTERM)
        assert service.end()[0] == 0


def test_socket_and_directory_are_the_owner_s_alone(service: Up) -> None:
    assert stat.S_IMODE(wire.socket_path(service.data).stat().st_mode) == 0o600
    assert stat.S_IMODE(service.data.stat().st_mode) & 0o007 == 0


def test_a_second_service_is_refused_and_told_who_holds_the_directory(service: Up, tmp_path: Path) -> None:
    second = tradekit("up", "--port", "0", "--data", service.data, cwd=tmp_path)
    assert (second.returncode, second.stdout) == (4, "")
    assert f"pid={service.process.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert tradekit("db", "migrate", "--data", service.data, cwd=tmp_path).returncode == 4


def test_a_socket_left_behind_by_a_killed_service_is_in_nobody_s_way(service: Up, tmp_path: Path) -> None:
    service.process.kill()
    service.end()
    assert wire.socket_path(service.data).exists()
    chat = tradekit("chat", "--as", "ada", "--data", service.data, cwd=tmp_path, stdin=FIRST_TRADE)
    check_first_trade(chat.stdout)
    with up(service.data) as again:
        again.signal(signal.SIGTERM)
        assert again.end()[0] == 0


def test_what_could_not_be_shown_waits_until_its_user_is_back(service: Up) -> None:
    leaving = wire.connect(wire.socket_path(service.data))
    assert leaving is not None
    leaving.sendall(wire.line_of(wire.Hello(name="bob")) + wire.line_of(wire.Say(text="/start")))
    leaving.shutdown(socket.SHUT_RDWR)
    leaving.close()
    back = wire.connect(wire.socket_path(service.data), timeout_s=30)
    assert back is not None
    with back, back.makefile("rb") as lines:
        back.sendall(wire.line_of(wire.Hello(name="bob")))
        assert isinstance(wire.events.decode(lines.readline()), wire.Welcome)
        back.sendall(wire.line_of(wire.Say(text="/positions")))
        texts = []
        while not isinstance(event := wire.events.decode(lines.readline()), wire.Quiet):
            assert isinstance(event, wire.Message)
            texts.append(event.text)
        assert event.quiet
        # Whether the first line was read before the connection broke is chance; if it was, its answer is here.
        assert sum("Welcome" in text or "/start" in text for text in texts) >= 1


def test_the_end_of_the_service_ends_a_chat_with_a_failure(service: Up, tmp_path: Path) -> None:
    terminal = Terminal("chat", "--as", "ada", "--data", service.data, cwd=tmp_path)
    try:
        terminal.expect("ada> ")
        service.signal(signal.SIGTERM)
        assert service.end()[0] == 0
        terminal.type("/start\n")
        terminal.expect("The service ended the conversation.")
        assert terminal.process.wait(60) == 1
    finally:
        terminal.close()


def test_recorded_prices_are_served(data: Path, tmp_path: Path) -> None:
    bars = tmp_path / "EUR-USDT-1h.csv"
    rows = ["time,open,high,low,close,volume"]
    rows += [f"{1_700_000_000 + 3600 * n},{100 + n},{101 + n},{99 + n},{100 + n},5" for n in range(50)]
    bars.write_text("\n".join(rows) + "\n")
    with up(data, "--feed", f"replay:{bars}") as service:
        assert get(service.url + "/")[0] == 200
        chat = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin="/start\n/buy EUR/USDT 1\n")
        assert "filled at" in chat.stdout, chat.stdout


@pytest.mark.parametrize(
    ("arguments", "values", "words"),
    [
        (["--feed", "replay:/nowhere/BTC-USDT.csv"], {}, ["--feed", "/nowhere/BTC-USDT.csv"]),
        (["--feed", "live"], {}, ["feed", "flag --feed", "simulated"]),
        ([], {"TELEGRAM_BOT_TOKEN": "your_telegram_bot_token"}, ["TELEGRAM_BOT_TOKEN", "@BotFather"]),
        ([], {"TRADEKIT_HOTS": "x"}, ["TRADEKIT_HOTS", "did you mean TRADEKIT_HOST?"]),
        ([], {"MAX_CONCURRENT_USERS": "many"}, ["MAX_CONCURRENT_USERS", "'many'", "1000"]),
    ],
)
def test_wrong_configuration_ends_with_4_naming_key_origin_and_fix(
    data: Path, tmp_path: Path, arguments: list[str], values: dict[str, str], words: list[str]
) -> None:
    wrong = tradekit("up", "--port", "0", "--data", data, *arguments, cwd=tmp_path, **values)
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert len(wrong.stderr.splitlines()) == 1
    assert all(word.lower() in wrong.stderr.lower() for word in words), wrong.stderr


def test_with_a_token_telegram_is_served_and_a_wrong_token_is_refused(data: Path, tmp_path: Path) -> None:
    token = "123456:a-token-of-the-loopback-bot-00000"
    with bot_api(token) as address:
        values = {"TRADEKIT_TELEGRAM_API_URL": address, "TELEGRAM_BOT_TOKEN": token}
        with up(data, **values) as service:
            bot = json.loads(get(service.url + "/health")[1])["checks"]["bot"]
            assert bot["status"] == "healthy", bot
            service.signal(signal.SIGTERM)
            code, _, log = service.end()
            assert code == 0
            assert token not in log
        doctor = tradekit("doctor", "--data", data, "--json", cwd=tmp_path, **values)
        assert "@" in next(row["detail"] for row in json.loads(doctor.stdout)["checks"] if row["check"] == "telegram")
        wrong = tradekit(
            "up", "--port", "0", "--data", data, cwd=tmp_path, **{**values, "TELEGRAM_BOT_TOKEN": "123456:another-token-000000000000000"}
        )
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert "environment variable TELEGRAM_BOT_TOKEN" in wrong.stderr
    assert "another-token" not in wrong.stderr


def test_a_port_in_use_is_refused_with_another_proposed(data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong = tradekit("up", "--port", str(port), "--data", data, cwd=tmp_path)
    assert wrong.returncode == 4
    assert f"127.0.0.1:{port} is in use" in wrong.stderr


def test_a_database_of_a_newer_schema_is_refused_untouched(data: Path, tmp_path: Path) -> None:
    assert tradekit("db", "migrate", "--data", data, cwd=tmp_path).returncode == 0
    path = data / "trading_service.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    before = path.read_bytes()
    for command in (["up", "--port", "0"], ["db", "migrate"], ["chat", "--as", "ada"], ["users", "list"]):
        refused = tradekit(*command, "--data", data, cwd=tmp_path)
        assert refused.returncode == 4, command
        assert "9999" in refused.stderr
    assert path.read_bytes() == before
    assert tradekit("db", "check", "--data", data, cwd=tmp_path).returncode == 3
