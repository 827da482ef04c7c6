"""`python -m tradekit.testing.bot_api`: the server as a process of its own, with or without a load."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tradekit.testing.bot_api.limits import RateLimits
from tradekit.testing.bot_api.load import run_load
from tradekit.testing.bot_api.load_plan import LoadPlan
from tradekit.testing.bot_api.server import BotApiServer
from tradekit.testing.bot_api.webhook import WebhookConfig


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tradekit.testing.bot_api", description="A Bot API server on 127.0.0.1.")
    parser.add_argument("--token", default="123456:loopback")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--overall-per-s", type=float, default=30.0, help="messages per second over all chats (30, or 1000)")
    parser.add_argument("--log", type=Path, help="JSON lines of updates handed out and messages received")
    parser.add_argument("--seed", type=int, default=0, help="of faults with a probability")
    parser.add_argument("--webhook-retry-s", type=float, default=1.0, help="first wait before a webhook post is repeated")
    parser.add_argument("--load", type=Path, help="a LoadPlan as JSON: run it once the bot asks for updates, then exit")
    parser.add_argument("--load-wait-s", type=float, default=60.0, help="how long to wait for the bot before the load")
    parser.add_argument("--report", type=Path, help="where the LoadReport goes as JSON; default stdout")
    parser.add_argument("--stay", action="store_true", help="go on serving after the load")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> int:
    plan = msgspec.json.decode(options.load.read_bytes(), type=LoadPlan) if options.load is not None else None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = BotApiServer(
        token=options.token,
        port=options.port,
        limits=RateLimits(overall_per_s=options.overall_per_s),
        webhook=WebhookConfig(url="", retry_first_s=options.webhook_retry_s),
        log_path=options.log,
        seed=options.seed,
    )
    if plan is not None and plan.start_text is None:
        # They have talked to the bot before, so it may write to them before they write again.
        for chat_id in range(plan.first_chat_id, plan.first_chat_id + plan.chats):
            server.chat(chat_id, first_name=f"Person {chat_id}")
    async with server:
        _print(f"ready {server.url}")
        gc.freeze()
        if plan is None:
            await stop.wait()
            return 0
        load = asyncio.create_task(_load(server, plan, options))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({load, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if load.done() and options.stay and load.result() == 0:
            await stop.wait()
        stopped.cancel()
        if not load.done():
            load.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await load
            return 1
        return load.result()


async def _load(server: BotApiServer, plan: LoadPlan, options: argparse.Namespace) -> int:
    try:
        async with asyncio.timeout(options.load_wait_s):
            await server.bot_listens.wait()
    except TimeoutError:
        sys.stderr.write(f"no bot asked for updates within {options.load_wait_s:g} s\n")
        return 1
    report = msgspec.json.encode(await run_load(server, plan))
    if options.report is not None:
        partial = options.report.with_name(options.report.name + ".partial")
        partial.write_bytes(report)
        partial.replace(options.report)
    else:
        _print(report.decode())
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main(arguments: list[str] | None = None) -> int:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(_arguments(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
