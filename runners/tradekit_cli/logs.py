"""Logs: to stderr, as text on a terminal and as JSON elsewhere, never with a secret in them."""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from tradekit.config import Settings

_SECRET_KEY = re.compile(r"token|secret|password|passphrase|authorization|api_?key|private_?key|cookie|webhook_url", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?<![0-9])[0-9]{6,}:[A-Za-z0-9_-]{20,}"  # a bot's token, also within an address
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_MASK = "***"
_CHATTY = ("ccxt", "httpx", "httpcore", "telegram", "aiohttp.access", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "alembic")
"""Below WARNING these say little, and some of it holds addresses with the bot's token."""

Event = MutableMapping[str, Any]


def configure(settings: Settings, *, least: int = logging.NOTSET) -> None:
    """Send every log line of the process to stderr.

    :param least: a level below which nothing is shown, whatever the default; a level that somebody chose stands.
    """
    chosen = logging.getLevelNamesMapping()[settings.log_level.value]
    level = chosen if not settings.origin("log_level").startswith("default") else max(chosen, least)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor(_secrets_of(settings)),
    ]
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _secrets_of(settings: Settings) -> list[str]:
    known = (settings.telegram_bot_token, settings.telegram_webhook_secret, settings.webhook_url)
    return [secret for secret in (*known, *re.split(r"[\s,:]+", settings.key or "")) if secret and len(secret) > 3]


def redactor(secrets: list[str]) -> Callable[[Any, str, Event], Event]:
    """A structlog processor that masks secrets by the key they stand under, by their looks, and the known ones wherever they occur."""

    def redact(_logger: Any, _method: str, event: Event) -> Event:
        for key, value in event.items():
            if isinstance(value, str):
                event[key] = _MASK if key != "event" and _SECRET_KEY.search(key) else _masked(value, secrets)
            elif isinstance(value, dict):
                event[key] = dict(redact(None, "", dict(value)))
            elif value is not None and not isinstance(value, bool | int | float) and not key.startswith("_"):
                event[key] = _masked(str(value), secrets)
        return event

    return redact


def _masked(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return _SECRET_TEXT.sub(_MASK, text)
