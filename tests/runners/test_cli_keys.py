"""`tradekit keys` as operators use it: with a service at work and without; no key in an argument, an output, a log or a file."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.runners.cli_process import Terminal, tradekit, up
from tradekit.adapters.crypto import generate_key, read_keys
from tradekit_cli import wire
from tradekit_cli.key_desk import who_of

CANARIES = (
    "kCANARY0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU",
    "sCANARY9876543210zyxwvutsrqponmlkjihgfedcbaZYXWVU",
    "pCANARY55",
)
ENTERED = "\n".join(CANARIES) + "\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a key file and with data in which ada is user 1."""
    directory = tmp_path_factory.mktemp("keys")
    generated = tradekit("keys", "generate", cwd=directory)
    assert (generated.returncode, generated.stderr) == (0, "")
    (directory / "kek").write_text(generated.stdout)
    assert tradekit("chat", "--as", "ada", "--data", "data", cwd=directory, stdin="/start\n").returncode == 0
    return directory


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "data"


@pytest.fixture
def key_file(data: Path) -> Path:
    return data.parent / "kek"


def leaks(directory: Path, *texts: str) -> list[str]:
    found = [str(path) for path in directory.rglob("*") if path.is_file() and any(word.encode() in path.read_bytes() for word in CANARIES)]
    return found + [text[:200] for text in texts if any(word in text for word in CANARIES)]


def run(data: Path, key_file: Path | None, *arguments: str, stdin: str = "", **values: str) -> Any:
    """The JSON a command printed."""
    variables = {"TRADEKIT_KEY_FILE": str(key_file), **values} if key_file else values
    done = tradekit("keys", *arguments, "--data", data, "--json", cwd=data.parent, stdin=stdin, **variables)
    assert done.returncode == 0, done.stderr
    assert leaks(data, done.stdout, done.stderr) == []
    return json.loads(done.stdout)


def test_a_key_is_added_listed_rotated_and_revoked_without_a_service(data: Path, key_file: Path) -> None:
    assert run(data, key_file, "list") == []
    added = run(data, key_file, "add", "binance", "--as", "ada", stdin=ENTERED)
    assert added == {"venue": "binance", "version": 1, "status": "unverified", "testnet": False}, "MOCK_TRADING reaches no venue"
    assert run(data, key_file, "add", "okx", "--user", "terminal:ada", "--testnet", stdin=ENTERED)["testnet"] is True
    (old,) = read_keys(key_file.read_text())
    listed = run(data, None, "list")
    assert [(key["user_id"], key["venue"], key["status"], key["mode"], key["key_id"]) for key in listed] == [
        (1, "binance", "unverified", "paper", old.key_id),
        (1, "okx", "unverified", "paper", old.key_id),
    ]
    key_file.write_text(generate_key() + "\n" + key_file.read_text())
    new = read_keys(key_file.read_text())[0]
    assert run(data, key_file, "rotate") == {"key_id": new.key_id, "rewrapped": 1, "already": 0, "left": 0}
    assert {key["key_id"] for key in run(data, None, "list")} == {new.key_id}
    assert run(data, key_file, "revoke-all", "--yes") == {"revoked": 2}
    assert run(data, None, "list") == []


def test_a_running_service_takes_keys_and_reads_the_key_file_anew(data: Path, key_file: Path) -> None:
    with up(data, TRADEKIT_KEY_FILE=str(key_file), LOG_LEVEL="DEBUG") as service:
        assert run(data, None, "add", "binance", "--as", "ada", stdin=ENTERED)["status"] == "unverified"
        key_file.write_text(generate_key() + "\n" + key_file.read_text())
        assert run(data, None, "rotate")["rewrapped"] == 1
        only_new = key_file.read_text().split()[0]
        key_file.write_text(only_new)
        assert run(data, None, "rotate") == {"key_id": read_keys(only_new)[0].key_id, "rewrapped": 0, "already": 1, "left": 0}
        key_file.write_text(generate_key())
        refused = tradekit("keys", "rotate", "--data", data, cwd=data.parent)
        assert refused.returncode == 1
        assert "which still wraps users' data keys" in refused.stderr
        told = tradekit(
            "chat", "--as", "ada", "--data", data, cwd=data.parent, stdin="/connect binance\n/accounts\n" + CANARIES[0] + "\n"
        ).stdout
        assert "tradekit keys add binance --as ada" in told
        assert "binance: PAPER, key not confirmed" in told
        assert "looked like a key" in told
        assert leaks(data, told) == []
        service.signal(signal.SIGTERM)
        code, out, err = service.end()
        assert code == 0
        assert leaks(data, out, err) == []
        assert only_new not in err


def test_at_a_terminal_the_key_is_asked_for_unseen(data: Path, key_file: Path) -> None:
    (data.parent / ".env").write_text(f"TRADEKIT_KEY_FILE={key_file}\n")
    terminal = Terminal("keys", "add", "binance", "--as", "ada", "--data", data, cwd=data.parent)
    try:
        seen = terminal.expect("API key: ")
        for word, then in zip(CANARIES, ("Secret: ", "Passphrase (empty if there is none): ", "is kept, sealed: unverified"), strict=True):
            terminal.type(word + "\r")
            seen += terminal.expect(then)
        assert leaks(data, seen) == []
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        (["add", "binance"], ENTERED, 2, "say whose key it is"),
        (["add", "binance", "--as", "ada", "--user", "1"], ENTERED, 2, "say whose key it is"),
        (["add", "binance", "--as", "nobody"], ENTERED, 1, "nobody is registered"),
        (["add", "binance", "--user", "x"], ENTERED, 1, "neither a number nor an identity"),
        (["add", "mtgox", "--as", "ada"], ENTERED, 1, "is not available here"),
        (["add", "binance", "--as", "ada"], "", 1, "is missing"),
        (["add", "binance", "--as", "ada"], CANARIES[0] + "\x01\n" + CANARIES[1], 1, "copy it again"),
        (["revoke-all"], "n\n", 1, "cannot be undone"),
    ],
)
def test_what_cannot_be_done_is_said(data: Path, key_file: Path, arguments: list[str], stdin: str, code: int, words: str) -> None:
    refused = tradekit("keys", *arguments, "--data", data, cwd=data.parent, stdin=stdin, TRADEKIT_KEY_FILE=str(key_file))
    assert refused.returncode == code, refused.stderr
    assert words in refused.stderr
    assert refused.stdout.strip() == ""
    assert leaks(data, refused.stderr) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "tradekit keys generate"), ("c2hvcnQ=", "has 5 bytes; AES-256 takes 32"), ("!", "must be one or more keys")],
)
def test_a_missing_or_broken_key_file_is_a_configuration_error(data: Path, content: str | None, words: str) -> None:
    values = {}
    if content is not None:
        (data.parent / "broken").write_text(content)
        values["TRADEKIT_KEY_FILE"] = str(data.parent / "broken")
    refused = tradekit("keys", "add", "binance", "--as", "ada", "--data", data, cwd=data.parent, stdin=ENTERED, **values)
    assert refused.returncode == (4 if content else 1), refused.stderr
    assert words in refused.stderr
    assert "c2hvcnQ=" not in refused.stderr
    assert leaks(data, refused.stderr) == []


def test_a_secret_shown_by_config_is_masked(data: Path, key_file: Path) -> None:
    shown = tradekit("config", "show", "--data", data, cwd=data.parent, TRADEKIT_KEY_FILE=str(key_file)).stdout
    assert key_file.read_text().strip() not in shown
    assert "***" in shown


def test_a_wire_message_shows_no_key() -> None:
    errand = wire.requests.decode(
        b'{"type":"add_key","who":"1","venue":"binance","key":{"api_key":"kCANARY","secret":"sCANARY","password":"pCANARY"}}'
    )
    assert isinstance(errand, wire.AddKey)
    assert "CANARY" not in repr(errand)
    assert errand.key.secret == "sCANARY"
    assert who_of(errand.who) == 1
