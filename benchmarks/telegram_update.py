"""P13: CPU time of this process per Telegram update, from the update to its reply, over a loopback Bot API server in a process of its own.

``python benchmarks/telegram_update.py [--rounds 5] [--chats 1000] [--out FILE]`` alternates the runner (polling and webhook) with
python-telegram-bot as it comes. Every update is answered with one message. The inbox is a list in memory here: what the durable one
costs is P8.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from tradekit.domain.replies import OutgoingMessage, Reply

TOKEN = "123456:loopback"  # noqa: S105
PER_CHAT = 3
PATHS = ("polling", "webhook", "ptb")


class Words(msgspec.Struct, frozen=True):
    text: str
    buttons: tuple[tuple[object, ...], ...] = ()


async def ours(url: str, updates: int, webhook: bool, measured: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]) -> None:
    import uvicorn

    from tradekit_telegram import Inbound, TelegramRunner

    send, receive = anyio.create_memory_object_stream[Inbound](updates)
    left = updates
    finished = anyio.Event()

    async def accept(messages: Sequence[Inbound]) -> None:
        for message in messages:
            send.send_nowait(message)

    async def reply() -> None:
        nonlocal left
        async for inbound in receive:
            assert inbound.identity is not None
            result = await runner.messenger.send(outgoing(inbound.identity.external_id, inbound.text))
            assert result.outcome == "sent", result
            left -= 1
            if not left:
                finished.set()

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await runner.webhook(scope, receive, send)

    listener = uvicorn.Server(uvicorn.Config(mounted, port=0, lifespan="off", log_level="error"))
    address = ""
    async with anyio.create_task_group() as tasks:
        if webhook:
            tasks.start_soon(listener.serve)
            while not listener.started:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            address = f"http://127.0.0.1:{listener.servers[0].sockets[0].getsockname()[1]}"
        runner = TelegramRunner(TOKEN, api_url=url, webhook_url=address, accept=accept, render=lambda reply, _: Words(reply.args["text"]))
        for _ in range(64):
            tasks.start_soon(reply)

        async def work() -> None:
            tasks.start_soon(runner.run)
            await finished.wait()

        await measured(work)
        listener.should_exit = True
        tasks.cancel_scope.cancel()


def outgoing(address: str, text: str) -> OutgoingMessage:
    return OutgoingMessage(
        outbox_id=1,
        user_id=1,
        partition=0,
        transport="telegram",
        address=address,
        reply=Reply(key="echo", args={"text": text}),
        language="en",
        created_ms=0,
        expires_ms=1,
    )


async def ptb(url: str, updates: int, measured: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]) -> None:
    from telegram.ext import Application, MessageHandler, filters

    left = updates
    finished = anyio.Event()

    async def echo(update, context) -> None:
        nonlocal left
        await update.message.reply_text(update.message.text)
        left -= 1
        if not left:
            finished.set()

    application = Application.builder().token(TOKEN).base_url(f"{url}/bot").build()
    application.add_handler(MessageHandler(filters.ALL, echo))
    async with application:

        async def work() -> None:
            await application.start()
            await application.updater.start_polling()
            await finished.wait()

        await measured(work)
        await application.updater.stop()
        await application.stop()


async def once(path: str, url: str, updates: int) -> None:
    async def measured(work: Callable[[], Awaitable[None]]) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        await work()
        cpu_us = (time.process_time() - cpu_s) / updates * 1e6
        print(json.dumps({"cpu_us": cpu_us, "wall_us": (time.perf_counter() - wall_s) / updates * 1e6}))

    await (ptb(url, updates, measured) if path == "ptb" else ours(url, updates, path == "webhook", measured))


def call(url: str, action: str, **body: object) -> None:
    urllib.request.urlopen(f"{url}/control/{action}", json.dumps(body).encode()).read()  # noqa: S310


def round_of(path: str, chats: int) -> dict[str, float]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tradekit.testing.bot_api", "--token", TOKEN, "--overall-per-s", "100000"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        for number in range(PER_CHAT):
            for chat_id in range(1, chats + 1):
                call(url, "send", chat_id=chat_id, text=f"/status {number}")
        run = [sys.executable, __file__, "--once", path, "--url", url, "--chats", str(chats)]
        return json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chats", type=int, default=1_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--once", choices=PATHS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        try:
            import uvloop
        except ImportError:
            factory = None
        else:
            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(once(options.once, options.url, options.chats * PER_CHAT))
        return
    rounds: dict[str, list[dict[str, float]]] = {path: [] for path in PATHS}
    for _ in range(options.rounds):
        for path in PATHS:
            rounds[path].append(round_of(path, options.chats))
    median = {path: statistics.median(result["cpu_us"] for result in results) for path, results in rounds.items()}
    result = {
        "name": "P13 CPU per Telegram update",
        "unit": "us",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "updates": options.chats * PER_CHAT,
        "median": median,
        "ptb_over_ours": {path: median["ptb"] / median[path] for path in ("polling", "webhook")},
        "rounds": rounds,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
