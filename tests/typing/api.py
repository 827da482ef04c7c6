"""What users of the library see, checked by a type checker; one line per adapter shows that it satisfies its port."""

from decimal import Decimal
from pathlib import Path
from typing import assert_type

import tradekit
from tradekit import Account, Identity, Order, OrderRequest, Reply, Settings, Side, Signal, TierName, Tradekit
from tradekit.adapters.ccxt import CcxtExchange, CcxtFeed
from tradekit.adapters.ccxt.permissions import CcxtKeyCheck
from tradekit.adapters.crypto import AesGcmVault
from tradekit.adapters.feeds import ReplayFeed, SimulatedFeed
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql import SqlStorage
from tradekit.adapters.system import SystemClock, SystemEntropy
from tradekit.adapters.system.host import PsutilProbe
from tradekit.domain.credentials import Credential, VenueKey
from tradekit.domain.portfolio import Position
from tradekit.domain.signals import Delivery
from tradekit.domain.users import UserSettings
from tradekit.engine.custody import Rotation
from tradekit.engine.market import Market
from tradekit.ports.accounts import KeyCheck
from tradekit.ports.clock import Clock
from tradekit.ports.entropy import Entropy
from tradekit.ports.exchange import Exchange
from tradekit.ports.feed import Feed
from tradekit.ports.host import HostProbe
from tradekit.ports.market import MarketView
from tradekit.ports.messenger import Messenger
from tradekit.ports.storage import Reader, Storage
from tradekit.ports.strategy import Strategy
from tradekit.ports.vault import Vault
from tradekit.strategies import EmaCross, RsiReversion
from tradekit_telegram.messenger import TelegramMessenger


async def an_embedder() -> None:
    async with Tradekit.open(Settings.load()) as tk:
        ada = Identity.of("telegram", 4711)
        account = await tk.users.register(ada, "Ada")
        assert_type(account, Account)
        assert_type(account.tier.name, TierName)
        assert_type(account.limits.daily_trades, int)
        order = await tk.trading.place(ada, OrderRequest(symbol="BTC/USDT", side=Side.BUY, quantity=Decimal("0.01")), idempotency_key="1")
        assert_type(order, Order)
        assert_type(await tk.trading.positions(ada), tuple[Position, ...])
        assert_type(await tk.trading.close(ada, "BTC/USDT"), Order)
        assert_type(await tk.users.change_settings(ada, {"time_zone": "Europe/Berlin"}), UserSettings)
        signal = await tk.signals.publish(ada, "BTC/USDT", Side.BUY)
        assert_type(signal, Signal)
        assert_type(await tk.signals.why(ada, signal.signal_id), Delivery | None)
        assert_type(await tk.chat.handle(ada, "/start"), list[Reply])
        assert_type(await tk.keys.add(ada, "binance", VenueKey(api_key="k", secret="s")), Credential)
        assert_type(await tk.keys.rotate(), Rotation)
        tk.strategies.add(EmaCross())
        await tk.serve()


async def a_host_with_hooks() -> None:
    hosted = Tradekit.hosted(Settings.load())
    assert_type(await hosted.start(), Tradekit)
    await hosted.stop()


def ports(
    storage: SqlStorage,
    paper: PaperExchange,
    replay: ReplayFeed,
    simulated: SimulatedFeed,
    market: Market,
    telegram: TelegramMessenger,
    directory: Path,
    vault: AesGcmVault,
    key_check: CcxtKeyCheck,
    ccxt_exchange: CcxtExchange,
    ccxt_feed: CcxtFeed,
) -> None:
    a: Storage = storage
    b: Reader = storage
    c: Exchange = paper
    d: Feed = replay
    e: Feed = simulated
    f: MarketView = market
    g: Messenger = telegram
    h: Clock = SystemClock()
    i: Entropy = SystemEntropy()
    j: HostProbe = PsutilProbe(directory)
    k: Strategy = EmaCross()
    m: Strategy = RsiReversion()
    n: Vault = vault
    o: KeyCheck = key_check
    p: Exchange = ccxt_exchange
    q: Feed = ccxt_feed
    del n, o, p, q, a, b, c, d, e, f, g, h, i, j, k, m


assert_type(tradekit.__version__, str)
