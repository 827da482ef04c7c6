"""What the commands print, where, and with which exit code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from tradekit import __version__
from tradekit.domain.errors import BadInput, Busy, ConfigurationError, DataDirectoryInUse, StorageFailed
from tradekit_cli import commands, errors
from tradekit_cli.main import app
from tradekit_cli.output import table

commands.register(app)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TELEGRAM_BOT_TOKEN", "ENVIRONMENT", "LOG_LEVEL", "TRADEKIT_DATA", "MAX_CONCURRENT_USERS", "MOCK_TRADING", "WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return invoke


def test_every_command_says_what_it_does_and_takes_a_data_directory(run) -> None:
    for words in (
        "up",
        "chat",
        "demo",
        "doctor",
        "simulate",
        "version",
        "users list",
        "users show",
        "config show",
        "db migrate",
        "db check",
        "keys generate",
        "keys add",
        "keys list",
        "keys rotate",
        "keys revoke-all",
    ):
        shown = run(*words.split(), "--help")
        assert shown.exit_code == 0, words
        assert len(shown.stdout.splitlines()[2].strip()) > 10, words
        if words not in {"version", "demo", "simulate"}:
            assert "--data DIR" in shown.stdout, words


def leaves(command: object, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    if not isinstance(command, TyperGroup):
        yield words
        return
    for name, below in command.commands.items():
        yield from leaves(below, *words, name)


def test_help_names_what_an_option_takes_in_a_word_of_people(run) -> None:
    named = list(leaves(typer.main.get_command(app)))
    assert {("backtest",), ("users", "list")} <= set(named)
    for words in named:
        shown = run(*words, "--help").stdout
        assert not re.findall(r"^ +(--[\w-]+ (?:<(?:int|float|str|path)\b.*|TEXT|INTEGER|FLOAT|PATH))", shown, re.MULTILINE), words
        assert not re.findall(r"^Usage: .*\b[a-z]+[\]}]", shown), words


def test_version_as_text_and_json(run) -> None:
    assert run("version").stdout == run("--version").stdout == f"tradekit {__version__}\n"
    assert json.loads(run("version", "--json").stdout) == {"version": __version__}


@pytest.mark.parametrize(
    "arguments", [["fly"], ["up", "--port", "x"], ["up", "--port", "70000"], ["chat"], ["chat", "--as", "a b"], ["users", "show"]]
)
def test_wrong_usage_ends_with_2_and_prints_no_result(run, arguments: list[str]) -> None:
    wrong = run(*arguments)
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "Error" in wrong.stderr


def test_config_show_names_values_and_origins(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "123:verysecret")
    Path(".env").write_text("TRADEKIT_PORT=81\n")
    shown = run("config", "show", "--origin")
    assert shown.exit_code == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "81" in lines["port"]
    assert ".env line 1" in lines["port"]
    assert "verysecret" not in shown.output
    rows = {row["name"]: row for row in json.loads(run("config", "show", "--origin", "--json").stdout)}
    assert (rows["telegram_bot_token"]["value"], rows["telegram_bot_token"]["origin"]) == ("***", "environment variable TELEGRAM_BOT_TOKEN")


def test_each_wrong_setting_is_one_line_on_stderr(run) -> None:
    Path(".env").write_text("TRADEKIT_PORT=x\nTRADEKIT_HOTS=y\n")
    wrong = run("config", "show")
    assert (wrong.exit_code, wrong.stdout) == (errors.CONFIGURATION, "")
    assert len(wrong.stderr.splitlines()) == 2
    assert all(line.startswith("tradekit: ") and ".env line" in line for line in wrong.stderr.splitlines())


def test_the_database_is_made_checked_and_listed(run) -> None:
    assert run("users", "list").exit_code == errors.CONFIGURATION
    assert "none yet" in run("db", "check").stdout
    made = run("db", "migrate", "--json")
    assert json.loads(made.stdout) == {"before": None, "after": "0001"}
    assert run("db", "migrate").stdout == "revision 0001: nothing to do\n"
    checked = run("db", "check", "--json")
    assert checked.exit_code == 0
    assert {finding["status"] for finding in json.loads(checked.stdout).values()} == {"healthy"}
    assert run("users", "list").stdout == "Nobody has registered yet.\n"
    assert json.loads(run("users", "list", "--json").stdout) == []
    unknown = run("users", "show", "ada")
    assert (unknown.exit_code, unknown.stderr) == (
        errors.FAILURE,
        "tradekit: nobody is registered as ada. `tradekit users list` shows everybody.\n",
    )


def test_a_damaged_database_is_unhealthy(run) -> None:
    run("db", "migrate")
    path = Path("data/trading_service.db")
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xa5" * (len(content) - 12288)
    path.write_bytes(content)
    assert run("db", "check").exit_code in {errors.UNHEALTHY, errors.CONFIGURATION}
    assert run("doctor").exit_code == errors.UNHEALTHY


def test_a_table_that_differs_is_found(run) -> None:
    import sqlite3
    from contextlib import closing

    run("db", "migrate")
    with closing(sqlite3.connect("data/trading_service.db")) as db:
        db.execute("ALTER TABLE users ADD COLUMN surprise TEXT")
        db.commit()
    drifted = run("db", "check")
    assert drifted.exit_code == errors.UNHEALTHY
    assert "surprise" in drifted.stdout


def test_doctor_finds_a_sound_directory_well(run) -> None:
    run("db", "migrate")
    examined = run("doctor", "--json")
    report = json.loads(examined.stdout)
    assert report["healthy"], report
    assert examined.exit_code == 0
    found = {row["check"]: row["status"] for row in report["checks"]}
    assert found["telegram"] == "disabled"
    assert found["database integrity"] == "healthy"
    assert found.keys() >= {"python", "data directory", "disk space", "disk sync", "clock", "open files"}


def test_doctor_says_what_is_wrong_and_what_to_do(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "123:abcdef")
    monkeypatch.setenv("TRADEKIT_TELEGRAM_API_URL", "http://127.0.0.1:1")
    examined = run("doctor")
    assert examined.exit_code == errors.UNHEALTHY
    assert "✗  telegram" in examined.stdout
    assert "TRADEKIT_TELEGRAM_API_URL" in examined.stdout


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            ConfigurationError(setting="x", origin="file y line 3", problem="is wrong", fix="write z"),
            4,
            "x: is wrong (file y line 3). Write z.",
        ),
        (
            DataDirectoryInUse(directory="d", holder="pid=7"),
            4,
            "d is in use by pid=7. Stop that process, or name another directory with --data.",
        ),
        (StorageFailed(reason="disk full"), 1, "the database failed: disk full. `tradekit doctor` finds out more."),
        (Busy(queue="inbox", limit=3), 1, "busy: inbox holds 3 already. Try again."),
        (BadInput(field="amount", value="-1", problem="is not a number", hint="use 1"), 2, "amount '-1' is not a number. Use 1."),
    ],
)
def test_errors_in_words(error: ConfigurationError, code: int, text: str) -> None:
    assert (errors.exit_code(error), errors.words(error)) == (code, text)


def test_columns_line_up_whatever_the_width_of_the_letters() -> None:
    lines = table(("A", "B"), [("日本", "x"), ("e\N{COMBINING ACUTE ACCENT}", "y")]).splitlines()
    assert lines == ["A     B", "日本  x", "e\N{COMBINING ACUTE ACCENT}     y"]
