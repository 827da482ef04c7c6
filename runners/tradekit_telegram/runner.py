"""The Telegram runner: everything one bot needs, started and stopped together."""

import logging
import time
from collections.abc import Sequence

import anyio
from anyio.abc import TaskStatus
from telegram.error import BadRequest, TelegramError

from tradekit.domain.errors import ConfigurationError
from tradekit.domain.health import Finding
from tradekit_telegram.answers import Answers
from tradekit_telegram.backoff import Backoff
from tradekit_telegram.client import Client
from tradekit_telegram.commands import bot_commands, publish
from tradekit_telegram.errors import redacted
from tradekit_telegram.inbound import Accept
from tradekit_telegram.messenger import Render, TelegramMessenger
from tradekit_telegram.polling import Poller
from tradekit_telegram.signing import Signer, derived_webhook_secret
from tradekit_telegram.status import Status
from tradekit_telegram.update import ALLOWED_UPDATES, UpdateReader
from tradekit_telegram.webhook import Webhook, WebhookAddress

_log = logging.getLogger(__name__)
_RETRY_MAX_S = 60.0
_CLOSE_S = 1.5
_WATCH_S = 60.0
_DELIVERY_ERROR_RECENT_S = 120.0
_WEBHOOK_CONNECTIONS = 100


class TelegramRunner:
    """One bot: updates go to ``accept``, replies come through ``messenger``.

    Polls, or with a webhook address has Telegram post to ``webhook``, an ASGI application to mount at its ``path``.
    """

    def __init__(
        self,
        token: str,
        *,
        accept: Accept,
        render: Render,
        api_url: str = "",
        webhook_url: str = "",
        webhook_secret: str = "",
        commands: Sequence[tuple[str, str]] = (),
        overall_per_s: float = 30.0,
        origin: str = "environment",
        poll_s: int = 25,
        retry_first_s: float = 0.5,
    ) -> None:
        """
        :param accept: makes messages durable; see ``tradekit.engine.intake``.
        :param render: from a reply and a language to words; see ``tradekit.chat.render``.
        :param api_url: of a self-hosted Bot API server; empty for Telegram's own.
        :param webhook_url: public address of this service; empty to poll.
        :param webhook_secret: what Telegram must send along; by default derived from the token.
        :param commands: names and descriptions for the menu.
        :param overall_per_s: messages over all chats: 30, or 1,000 for a bot that pays for broadcasts.
        :param origin: where the token was configured, for messages.
        :raises ConfigurationError: a value that cannot work.
        """
        self._client = Client(token, api_url=api_url, origin=origin)
        self._origin = origin
        self._commands = bot_commands(commands)
        self._status = Status()
        self._retry_first_s = retry_first_s
        signer = Signer(token)
        reader = UpdateReader(self._client.bot_id, signer)
        self.source = reader.source
        self.messenger = TelegramMessenger(self._client, render, signer, overall_per_s=overall_per_s)
        self._answers = Answers(self._client)
        self._poller = Poller(self._client, reader, accept, self._answers, self._status, poll_s=poll_s, backoff_first_s=retry_first_s)
        self.webhook: Webhook | None = None
        if webhook_url:
            address = WebhookAddress(webhook_url, webhook_secret or derived_webhook_secret(token), origin)
            self.webhook = Webhook(address, reader, accept, self._answers, self._status)

    def health(self) -> Finding:
        """How the connection to Telegram is."""
        return self._status.finding()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then stop within 2 s. Reports as started once the token was accepted, or when nobody could be asked.

        :raises ConfigurationError: Telegram refused the token or the webhook's address.
        """
        try:
            connected = await self._connect()
            task_status.started()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._answers.run)
                if not connected:
                    await self._connect_in_the_end()
                if self._commands:
                    tasks.start_soon(self._publish_commands)
                await self._watch_webhook() if self.webhook is not None else await self._poll()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                await self._client.close()

    async def _connect(self) -> bool:
        """Check the token and arrange how updates come; False if the network or the server failed.

        :raises ConfigurationError: as for ``run``.
        """
        try:
            name = await self._client.connect()
            if self.webhook is not None:
                await self._set_webhook(self.webhook.address)
            else:
                await self._client.bot.delete_webhook(drop_pending_updates=False)
        except TelegramError as error:
            self._status.degraded("connection", redacted(error))
            _log.warning("Telegram cannot be reached: %s", redacted(error))
            return False
        self._status.well("connection")
        self._status.connected(f"{'webhook' if self.webhook is not None else 'polling'} as @{name}")
        _log.info("connected to Telegram as @%s", name)
        return True

    async def _connect_in_the_end(self) -> None:
        backoff = Backoff(self._retry_first_s, _RETRY_MAX_S)
        connected = False
        while not connected:
            await anyio.sleep(backoff.next_s())
            try:
                connected = await self._connect()
            except ConfigurationError as error:
                # The service already runs for others: it stays, and says what is wrong.
                self._status.unhealthy("connection", f"{error.setting} {error.problem}; {error.fix}")
                _log.error("Telegram: %s", error)

    async def _set_webhook(self, address: WebhookAddress) -> None:
        try:
            await self._client.bot.set_webhook(
                address.url,
                secret_token=address.secret,
                allowed_updates=ALLOWED_UPDATES,
                max_connections=_WEBHOOK_CONNECTIONS,
                drop_pending_updates=False,
            )
        except BadRequest as error:
            raise ConfigurationError(
                setting="TRADEKIT_TELEGRAM_WEBHOOK_URL",
                origin=self._origin,
                problem=f"Telegram refused {address.url!r}: {redacted(error)}",
                fix="use a public https address on port 443, 80, 88 or 8443, or remove the setting to poll",
            ) from error

    async def _publish_commands(self) -> None:
        backoff = Backoff(self._retry_first_s, _RETRY_MAX_S)
        while True:
            try:
                await publish(self._client.bot, self._commands)
            except BadRequest as error:
                _log.error("Telegram refused the menu of commands: %s", redacted(error))
                return
            except TelegramError as error:
                _log.warning("the menu of commands could not be set yet: %s", redacted(error))
                await anyio.sleep(backoff.next_s())
            else:
                return

    async def _poll(self) -> None:
        backoff = Backoff(self._retry_first_s, _RETRY_MAX_S)
        while True:
            try:
                await self._poller.run()
            except Exception:  # noqa: BLE001 - a supervisor: the offset stands, the same updates are fetched again
                wait_s = backoff.next_s()
                self._status.degraded("inbox", "accepting updates failed unexpectedly, see the log")
                _log.exception("polling stopped unexpectedly, again in %.1f s", wait_s)
                await anyio.sleep(wait_s)

    async def _watch_webhook(self) -> None:
        assert self.webhook is not None
        while True:
            await anyio.sleep(_WATCH_S)
            try:
                await self._check_webhook(self.webhook.address)
            except (TelegramError, ConfigurationError) as error:
                self._status.degraded("webhook", redacted(error))
                _log.warning("the webhook could not be checked: %s", redacted(error))

    async def _check_webhook(self, address: WebhookAddress) -> None:
        info = await self._client.bot.get_webhook_info()
        if info.url != address.url:
            _log.warning("somebody else changed this bot's webhook: setting it again")
            await self._set_webhook(address)
        failed_s = info.last_error_date.timestamp() if info.last_error_date is not None else 0.0
        if info.pending_update_count and time.time() - failed_s < _DELIVERY_ERROR_RECENT_S:
            detail = f"{info.pending_update_count} updates wait, Telegram says: {info.last_error_message}"
            self._status.degraded("webhook", detail)
        else:
            self._status.well("webhook")
