"""What an operator says of others: halt, reduce, allow, controls, roles, reconcile; to a service at work and without one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.runners.cli_process import Up, tradekit, up
from tradekit_cli import commands, errors
from tradekit_cli.main import app

commands.register(app)


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", str(data)])


def told(data: Path, *arguments: str) -> Any:
    """The JSON a command printed."""
    done = run(data, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def chat(data: Path, name: str, *lines: str) -> str:
    """What the service at work answers somebody."""
    done = CliRunner().invoke(app, ["chat", "--as", name, "--data", str(data)], input="\n".join(lines) + "\n")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("operator") / "data") as running:
        chat(running.data, "ada", "/start")
        yield running


def test_a_scope_is_limited_listed_and_allowed_again(service: Up) -> None:
    data = service.data
    assert "Nothing is limited." in run(data, "controls").stdout
    assert told(data, "halt", "paper", "--reason", "a rehearsal") == {"scope": "paper", "state": "halted"}
    assert told(data, "reduce", "user:1") == {"scope": "user:1", "state": "reducing"}
    found = {each["scope"]: each for each in told(data, "controls")}
    assert {scope: (each["state"], each["reason"], each["by"]) for scope, each in found.items()} == {
        "paper": ("halted", "a rehearsal", "cli"),
        "user:1": ("reducing", "", "cli"),
    }
    shown = run(data, "controls").stdout
    assert "paper" in shown
    assert "a rehearsal" in shown
    said = chat(data, "ada", "/buy BTC/USDT 0.001", "/status")
    assert "halted by the operator (venue)" in said
    for scope in ("paper", "1"):
        assert run(data, "allow", scope).exit_code == 0
    assert told(data, "controls") == []
    assert "filled" in chat(data, "ada", "/buy BTC/USDT 0.001")


def test_everything_is_what_is_meant_without_a_scope(service: Up) -> None:
    done = run(service.data, "halt")
    assert (done.exit_code, done.stdout) == (0, "all: halted\n")
    assert "(service)" in chat(service.data, "ada", "/buy BTC/USDT 0.001")
    assert run(service.data, "allow").stdout == "all: normal\n"


@pytest.mark.parametrize("scope", ["mtgox", "user:ada", "BTC/USDT"])
def test_an_unknown_scope_ends_with_1_and_what_there_is(service: Up, scope: str) -> None:
    done = run(service.data, "halt", scope)
    assert (done.exit_code, done.stdout) == (errors.FAILURE, "")
    assert f"'{scope}' is neither a venue nor a user" in done.stderr
    assert "all, paper" in done.stderr
    assert told(service.data, "controls") == []


def test_a_plan_is_given_and_shown(service: Up) -> None:
    assert told(service.data, "users", "tier", "terminal:ada", "Enterprise") == {"user_id": 1, "tier": "enterprise"}
    assert told(service.data, "users", "list")[0]["user"]["tier"] == "enterprise"
    assert "Enterprise" in chat(service.data, "ada", "/plan")
    assert run(service.data, "users", "tier", "1", "free").stdout == "User 1 has the plan free now.\n"
    refused = run(service.data, "users", "tier", "1", "gold")
    assert refused.exit_code == errors.USAGE
    assert "gold is no plan; one of free, premium, enterprise" in refused.output


def test_a_role_is_given_and_shown(service: Up) -> None:
    assert told(service.data, "users", "role", "terminal:ada", "admin") == {"user_id": 1, "role": "admin"}
    assert told(service.data, "users", "list")[0]["user"]["role"] == "admin"
    assert "paper: halted" in chat(service.data, "ada", "/halt paper", "/allow paper")
    assert "There is no user “999”" in chat(service.data, "ada", "/halt 999")
    assert run(service.data, "users", "role", "1", "USER").stdout == "User 1 is user now.\n"
    assert "You may not use /halt: it needs the role admin or owner." in chat(service.data, "ada", "/halt paper")


@pytest.mark.parametrize(
    ("who", "role", "code", "words"),
    [
        ("terminal:ada", "king", errors.USAGE, "king is no role; one of user, provider"),
        ("terminal:nobody", "admin", errors.FAILURE, "nobody is registered"),
        ("4711", "admin", errors.FAILURE, "nobody is registered"),
        ("ada", "admin", errors.FAILURE, "neither a number nor an identity"),
    ],
)
def test_a_role_that_cannot_be_given_is_refused_with_the_reason(service: Up, who: str, role: str, code: int, words: str) -> None:
    done = run(service.data, "users", "role", who, role)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.replace("│", " ").split())


def test_on_paper_there_is_nothing_to_reconcile(service: Up) -> None:
    for arguments in (["reconcile"], ["reconcile", "--user", "terminal:ada"], ["reconcile", "--user", "1"]):
        facts = told(service.data, *arguments)
        assert (facts["accounts"], facts["agreed"], facts["failed"], facts["problems"]) == (0, 0, 0, [])
    assert "0 accounts compared" in run(service.data, "reconcile").stdout
    assert told(service.data, "reconcile", "--last") == []
    assert "Nothing that did not agree" in run(service.data, "reconcile", "--last").stdout


@pytest.mark.parametrize("who", ["terminal:nobody", "4711"])
def test_somebody_unknown_is_not_reconciled(service: Up, who: str) -> None:
    done = run(service.data, "reconcile", "--user", who)
    assert done.exit_code == errors.FAILURE
    assert "nobody is registered" in done.stderr


def test_without_a_service_a_halt_is_kept_for_the_next_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run(data, "halt", "all", "--reason", "before the first start").exit_code == 0
    assert [each["scope"] for each in told(data, "controls")] == ["all"]
    said = tradekit("chat", "--as", "ada", "--data", data, cwd=tmp_path, stdin="/start\n/buy BTC/USDT 0.001\n")
    assert "halted by the operator (service)" in said.stdout
    assert told(data, "allow", "all") == {"scope": "all", "state": "normal"}
    assert told(data, "controls") == []


@pytest.mark.parametrize("arguments", [["controls"], ["reconcile", "--last"]])
def test_where_there_is_no_database_reading_says_so(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path / "nothing", *arguments)
    assert (done.exit_code, done.stdout) == (errors.CONFIGURATION, "")
    assert len(done.stderr.splitlines()) == 1
    assert "trading_service.db" in done.stderr


def test_trading_is_halted_without_a_service_while_no_venue_answers(tmp_path: Path) -> None:
    # TRADEKIT_FEED=ccxt would ask the venue first, and MOCK_TRADING=false refuses prices that are not live.
    settings = {"MOCK_TRADING": "false", "TRADEKIT_VENUES": "binance", "TRADEKIT_FEED": "ccxt:binance"}
    done = tradekit("halt", "binance", "--data", tmp_path / "data", cwd=tmp_path, **settings)
    assert (done.returncode, done.stdout) == (0, "binance: halted\n"), done.stderr
    assert "alert" not in done.stderr
    listed = tradekit("controls", "--json", "--data", tmp_path / "data", cwd=tmp_path, **settings)
    assert [each["scope"] for each in json.loads(listed.stdout)] == ["binance"]


def test_a_user_is_halted_by_identity_and_a_number_of_nobody_is_refused(service: Up) -> None:
    assert told(service.data, "halt", "terminal:ada") == {"scope": "user:1", "state": "halted"}
    assert told(service.data, "allow", "1") == {"scope": "user:1", "state": "normal"}
    for nobody in ("999", "user:999", "terminal:nobody"):
        done = run(service.data, "halt", nobody)
        assert (done.exit_code, done.stdout) == (errors.FAILURE, ""), done.output
        assert "nobody" in done.stderr.lower()
    assert told(service.data, "controls") == []
