"""The Bot API client of one bot."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from telegram import Bot
from telegram.error import InvalidToken
from telegram.request import BaseRequest

from tradekit.domain.errors import ConfigurationError
from tradekit_telegram.request import default_request, json_values

DEFAULT_API_URL = "https://api.telegram.org"
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
_QUIET_LOGGERS = ("httpx", "httpcore", "telegram.Bot")
_POLL_READ_MARGIN_S = 10.0
_SEND_CONNECTIONS = 128


class Client:
    """PTB's ``Bot`` for what is rare, and the same connections without PTB's objects for updates and messages.

    :raises ConfigurationError: the token or the API's address cannot be right.
    """

    def __init__(
        self,
        token: str,
        *,
        api_url: str = "",
        origin: str = "environment",
        make_request: Callable[..., BaseRequest] = default_request,
    ) -> None:
        """
        :param api_url: of a self-hosted Bot API server, such as ``http://127.0.0.1:8081``; empty for Telegram's.
        :param origin: where the token was configured, for messages.
        """
        self._origin = origin
        if not _TOKEN.fullmatch(token):
            raise self.bad_token("it does not look like a bot token")
        api_url = (api_url or DEFAULT_API_URL).rstrip("/")
        parts = urlsplit(api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                setting="TRADEKIT_TELEGRAM_API_URL",
                origin=origin,
                problem=f"{api_url!r} is not an http or https address",
                fix=f"use the address of a Bot API server such as {DEFAULT_API_URL}, or remove the setting",
            )
        keep_addresses_out_of_logs()
        self.bot_id = token.partition(":")[0]
        self._polling = make_request(connections=2)
        self._sending = make_request(connections=_SEND_CONNECTIONS)
        self._base_url = f"{api_url}/bot{token}"
        self.bot = Bot(
            token,
            base_url=f"{api_url}/bot",
            base_file_url=f"{api_url}/file/bot",
            request=self._sending,
            get_updates_request=self._polling,
        )

    async def connect(self) -> str:
        """Ask who the bot is, and return its user name.

        :raises ConfigurationError: the server does not know the token.
        :raises telegram.error.TelegramError: no answer, or an unusable one.
        """
        try:
            await self.bot.initialize()
        except InvalidToken as error:
            raise self.bad_token("the Bot API server refused it") from error
        return self.bot.username

    async def close(self) -> None:
        """Close every connection."""
        await self.bot.shutdown()

    async def call(self, method: str, /, **values: Any) -> Any:
        """Call a method with JSON values and return its result as it came, without PTB's objects.

        :raises telegram.error.TelegramError: no answer, or a refusal.
        """
        return await self._sending.post(f"{self._base_url}/{method}", json_values(values))

    async def get_updates(self, *, offset: int, limit: int, timeout_s: int, allowed: tuple[str, ...]) -> bytes:
        """The answer of getUpdates as it came.

        :param offset: the first update wanted; those before it are thereby acknowledged. 0: the first there is.
        :raises telegram.error.TelegramError: no answer, or a refusal.
        """
        query: Mapping[str, Any] = {
            "offset": offset,
            "limit": limit,
            "timeout": timeout_s,
            "allowed_updates": msgspec.json.encode(allowed).decode(),
        }
        return await self._polling.retrieve(f"{self._base_url}/getUpdates?{urlencode(query)}", read_timeout=timeout_s + _POLL_READ_MARGIN_S)

    def bad_token(self, problem: str) -> ConfigurationError:
        """The error for a token that does not work."""
        return ConfigurationError(
            setting="TELEGRAM_BOT_TOKEN",
            origin=self._origin,
            problem=problem,
            fix="copy the token from @BotFather, or remove the setting to run without Telegram",
        )


def keep_addresses_out_of_logs() -> None:
    """HTTP libraries log the addresses they call, and those hold the bot's token."""
    for name in _QUIET_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)
