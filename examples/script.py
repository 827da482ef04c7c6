"""Users, an order and a position from a plain script: ``python examples/script.py``."""

from decimal import Decimal
from pathlib import Path

import anyio

from tradekit import Identity, OrderRequest, Settings, Side, Tradekit


async def main(directory: str = "data-example") -> None:
    """Register, buy, and look."""
    async with Tradekit.open(Settings.load(flags={"data": directory})) as tk:
        ada = Identity.of("example", 1)
        account = await tk.users.register(ada, "Ada")
        print(f"{account.tier.title}: {account.limits.daily_trades} trades a day")
        await tk.trading.place(ada, OrderRequest(symbol="BTC/USDT", side=Side.BUY, quantity=Decimal("0.001")))
        await tk.quiet(ada, timeout_s=5)
        for position in await tk.trading.positions(ada):
            print(f"{position.quantity} {position.symbol}, paid {position.average_price:.2f} each")


if __name__ == "__main__":
    anyio.run(main, str(Path("data-example")))
