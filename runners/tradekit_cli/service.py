"""``tradekit up``: the service with every runner, from the ready line to the end of the drain."""

import logging
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus

from tradekit.app import Tradekit
from tradekit.chat.registry import command_list
from tradekit.chat.render import render
from tradekit.config import Settings
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.health import Finding
from tradekit_cli import errors, logs
from tradekit_cli.hosting import hosted, loop_options
from tradekit_cli.output import result
from tradekit_cli.view import ServiceView

if TYPE_CHECKING:
    from tradekit_telegram import TelegramRunner

log = logging.getLogger(__name__)

GONE_WITHIN_S = 9.5
"""A drain that takes longer is cut off; what is durable is taken up at the next start."""


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then drain; a second signal ends the process at once."""
    logs.configure(settings)
    anyio.run(_serve, settings, backend="asyncio", backend_options=loop_options())


async def _serve(settings: Settings) -> None:
    async with anyio.create_task_group() as watch:
        until_stopped: anyio.CancelScope = await watch.start(_signals)
        async with hosted(settings) as tk:
            # The scope is inside: what is cancelled are the runners, so that the service can finish what they brought in.
            with until_stopped:
                async with anyio.create_task_group() as runners:
                    await _start(tk, settings, runners)
                    await anyio.sleep_forever()
        watch.cancel_scope.cancel()
    log.info("drained")


async def _signals(*, task_status: TaskStatus[anyio.CancelScope]) -> None:
    until_stopped = anyio.CancelScope()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        task_status.started(until_stopped)
        async for number in received:
            if until_stopped.cancel_called:
                os._exit(errors.INTERRUPTED)
            log.info("%s: draining", signal.Signals(number).name)
            until_stopped.cancel()
            signal.signal(signal.SIGALRM, _cut_off)
            signal.setitimer(signal.ITIMER_REAL, GONE_WITHIN_S)


def _cut_off(_number: int, _frame: object) -> None:
    log.error("the drain took longer than %s s and was cut off; the next start takes up what is left", GONE_WITHIN_S)
    os._exit(errors.FAILURE)


async def _start(tk: Tradekit, settings: Settings, runners: TaskGroup) -> None:
    """Start the HTTP server and, with a token, Telegram; then say that the service is ready."""
    try:
        from tradekit_server import create_app, serve
    except ModuleNotFoundError as error:
        raise _not_installed("server", error) from error
    mounts = []
    telegram = _telegram(tk, settings) if settings.telegram_bot_token else None
    if telegram is not None and telegram.webhook is not None:
        mounts.append((telegram.webhook.path, telegram.webhook))
    listening = anyio.Event()
    ports: list[int] = []

    def on_ready(port: int) -> None:
        ports.append(port)
        listening.set()

    runners.start_soon(partial(serve, create_app(ServiceView(tk), mounts=mounts, keys=tk.keys), settings.host, settings.port, on_ready))
    await listening.wait()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    tk.keys.entered_at(f"http://{host}:{ports[0]}")
    if telegram is not None:
        await _connect(tk, telegram, runners)
    await tk.health_monitor.check()
    result(f"ready http://{host}:{ports[0]}")


async def _connect(tk: Tradekit, telegram: "TelegramRunner", runners: TaskGroup) -> None:
    async def health() -> Finding:
        return telegram.health()

    tk.health_monitor.add("bot", health)
    await runners.start(telegram.run)
    # Not before: what a send finds no open client for would wait for its next turn, and after a restart replies wait already.
    tk.outbox.attach(telegram.messenger)


def _telegram(tk: Tradekit, settings: Settings) -> "TelegramRunner":
    try:
        from tradekit_telegram import TelegramRunner
    except ModuleNotFoundError as error:
        raise _not_installed("telegram", error) from error
    assert settings.telegram_bot_token is not None
    return TelegramRunner(
        settings.telegram_bot_token,
        accept=tk.intake.accept,
        render=render,
        api_url=settings.telegram_api_url,
        webhook_url=settings.telegram_webhook_url or "",
        webhook_secret=settings.telegram_webhook_secret or "",
        commands=command_list(),
        overall_per_s=settings.telegram_messages_per_s,
        origin=settings.origin("telegram_bot_token"),
    )


def _not_installed(extra: str, error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(
        setting=f"the extra {extra!r}", origin="installation", problem=f"is not installed: {error}", fix=f"pip install 'tradekit[{extra}]'"
    )
