"""`python -m tradekit.testing.exchange_server`: the server as a process of its own, driven over `/control/`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from decimal import Decimal
from pathlib import Path

import msgspec

from tradekit.testing.exchange_server.faults import Fault
from tradekit.testing.exchange_server.limits import Limits
from tradekit.testing.exchange_server.markets import DEFAULT_MARKETS, MarketSpec
from tradekit.testing.exchange_server.server import ExchangeServer


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tradekit.testing.exchange_server", description="A spot exchange on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--market", action="append", default=[], metavar="BASE/QUOTE=PRICE", help="instead of BTC, ETH and BNB in USDT")
    parser.add_argument("--weight-max", type=int, default=Limits().weight_max, help="request weight per minute and source address")
    parser.add_argument("--orders-per-10-s", type=int, default=Limits().orders_per_10_s, help="new orders per account")
    parser.add_argument("--faults", type=Path, help="a list of Fault as JSON, in force from the start")
    parser.add_argument("--seed", type=int, default=0, help="of faults with a probability")
    return parser.parse_args(arguments)


def _market(text: str) -> MarketSpec:
    pair, _, price = text.partition("=")
    base, _, quote = pair.partition("/")
    return MarketSpec(base=base, quote=quote, price=Decimal(price))


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = ExchangeServer(
        markets=[_market(text) for text in options.market] or DEFAULT_MARKETS,
        limits=Limits(weight_max=options.weight_max, orders_per_10_s=options.orders_per_10_s),
        port=options.port,
        seed=options.seed,
    )
    if options.faults is not None:
        for fault in msgspec.json.decode(options.faults.read_bytes(), type=list[Fault]):
            server.faults.add(fault)
    async with server:
        sys.stdout.write(f"ready {server.url}\n")
        sys.stdout.flush()
        gc.freeze()
        await stop.wait()
    return 0


def main(arguments: list[str] | None = None) -> int:
    return asyncio.run(_serve(_arguments(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
