"""No secret reaches the log, by whatever way it comes."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tradekit.config import Settings
from tradekit_cli import logs

TOKEN = "4711000:AAEhBP0av28abcdefghijklmnopqrstuvw"
SETTINGS = Settings(telegram_bot_token=TOKEN, telegram_webhook_secret="hush-hush-hush", webhook_url="https://hooks.example/T0/B0/xyz")


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield capsys
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(log: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = log.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_lines_are_json_with_time_level_and_place(log: pytest.CaptureFixture[str]) -> None:
    logs.configure(SETTINGS)
    logging.getLogger("tradekit.engine").info("took up %s messages", 3)
    structlog.get_logger("mine").warning("low on space", free_mib=12)
    first, second = lines(log)
    assert (first["event"], first["level"], first["logger"]) == ("took up 3 messages", "info", "tradekit.engine")
    assert (second["event"], second["free_mib"]) == ("low on space", 12)
    assert str(first["timestamp"]).endswith("Z")


@pytest.mark.parametrize("secret", [TOKEN, "hush-hush-hush", "https://hooks.example/T0/B0/xyz", "123456789:AAother-token_of_another-bot00"])
def test_secrets_are_masked_in_messages_arguments_and_tracebacks(log: pytest.CaptureFixture[str], secret: str) -> None:
    logs.configure(SETTINGS)
    logger = logging.getLogger("x")
    logger.error("asked https://api.telegram.org/bot%s/getMe", secret)
    try:
        raise ValueError(f"no answer from {secret}")
    except ValueError:
        logger.exception("failed")
    structlog.get_logger().error("failed", cause=ValueError(secret), nested={"url": secret})
    output = log.readouterr().err
    assert len(output.splitlines()) == 3
    assert secret not in output
    assert "***" in output


@pytest.mark.parametrize("key", ["token", "bot_token", "api_key", "API_SECRET", "password", "authorization"])
def test_what_stands_under_the_name_of_a_secret_is_masked(log: pytest.CaptureFixture[str], key: str) -> None:
    logs.configure(SETTINGS)
    structlog.get_logger().info("configured", **{key: "plain"})
    assert lines(log)[0][key] == "***"


def test_chatty_libraries_are_heard_only_when_they_warn(log: pytest.CaptureFixture[str]) -> None:
    logs.configure(SETTINGS)
    logging.getLogger("httpx").info("GET /bot%s/getUpdates", TOKEN)
    logging.getLogger("httpx").warning("slow")
    assert [line["event"] for line in lines(log)] == ["slow"]
