"""Who uses the service in a demo, and how much."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import attrs
import msgspec

from tradekit.app import Tradekit
from tradekit.domain.amounts import round_down
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Identity, Role
from tradekit.ports.market import MarketView
from tradekit.services.signals import provider_source
from tradekit.testing.bot_api.load_plan import LoadPlan

PROVIDER_CHAT = 1_000_000
FIRST_CHAT = PROVIDER_CHAT + 1
COMMAND_MEAN_S = 10.0
SIGNAL_EVERY_S = 5.0
FOLLOWERS = 0.6
WATCHERS = 0.5
TRADES = 0.1
LOAD_MAX = 25 / 30
"""Of the messages that the limit allows; above this, commands and signals come less often."""
SYMBOLS_MAX = 2
TICKET = 60
"""What a trade by hand is worth, in quote currency."""
REGISTERING_MAX = 100


@attrs.frozen(kw_only=True)
class Demand:
    """How much is asked of the bot.

    One user is the provider. Where the limit allows, everyone sends a command every 10 s, and a signal that reaches 60 % of the
    users goes out every 5 s; most users register and subscribe in the chat during the ramp. Where it does not, both come less often,
    so that they make 25 of 30 messages allowed, and everybody is registered and subscribed before: a thousand greetings alone
    would take half a minute. Then half of the followers are on pause: they trade by hand and get signals as mere messages.

    With a venue everybody was here before as well, with a key of theirs, and trades there.
    """

    users: int
    seconds: float
    seed: int
    limit: int
    has_venue: bool = False

    @property
    def stretch(self) -> float:
        """How many times less often commands and signals come than the limit would have to allow."""
        wanted_per_s = self.users * (1 / COMMAND_MEAN_S + FOLLOWERS / SIGNAL_EVERY_S)
        return max(1.0, wanted_per_s / (self.limit * LOAD_MAX))

    @property
    def registers_in_chat(self) -> bool:
        """Whether users arrive with /start."""
        return self.stretch <= 1 and not self.has_venue

    @property
    def chats(self) -> range:
        """Everybody but the provider."""
        return range(FIRST_CHAT, FIRST_CHAT + self.users - 1)

    @property
    def ramp_s(self) -> float:
        """How long they take to arrive: a quarter of what the limit allows."""
        return max(2.0, self.users * (1 + FOLLOWERS) / (self.limit / 4)) if self.registers_in_chat else 0.0

    @property
    def hung_chat(self) -> int | None:
        """Whose venue calls hang for a while, if there is a venue: somebody with much to do there."""
        return FIRST_CHAT if self.has_venue and self.chats else None

    def load_plan(self, source: str, market: MarketView) -> LoadPlan:
        """The load for the process that makes it."""
        symbols = market.symbols()[:SYMBOLS_MAX]
        return LoadPlan(
            chats=self.users - 1,
            first_chat_id=FIRST_CHAT,
            ramp_s=self.ramp_s,
            duration_s=self.seconds,
            drain_s=15.0,
            command_mean_s=COMMAND_MEAN_S * self.stretch,
            seed=self.seed,
            start_text="/start" if self.registers_in_chat else None,
            subscribe_text=f"/subscribe {source}" if self.registers_in_chat else None,
            subscribe_share=FOLLOWERS,
            trade_share=TRADES,
            trades=tuple(trade for symbol in symbols for trade in _trades(symbol, market)),
            settings=("/settings", "/risk", "/settings size 120", "/settings notify_fills on"),
            confirm_share=0.9,
            provider_chat_id=PROVIDER_CHAT,
            provider_setup=("/start",),
            signals=tuple(f"/signal {side} {symbol}" for side in ("buy", "sell") for symbol in symbols),
            signal_every_s=SIGNAL_EVERY_S * self.stretch,
            reply_timeout_s=10.0 if self.stretch <= 1 else 60.0,
            unsolicited=r"(?m)^By signal [0-9a-f]{16}|— not traded for you$",
        )


def _trades(symbol: str, market: MarketView) -> tuple[str, ...]:
    quote, instrument = market.quote(symbol), market.instrument(symbol)
    assert quote is not None
    assert instrument is not None
    quantity = max(instrument.min_qty, round_down(TICKET / quote.price, instrument.step_size))
    return f"/buy {symbol} {quantity:f}", f"/sell {symbol} {quantity:f}", f"/close {symbol}"


async def populate(tk: Tradekit, demand: Demand) -> str:
    """Register the provider and who does not come through the chat, on mixed plans; returns the provider's source of signals."""
    provider = Identity.of("telegram", PROVIDER_CHAT)
    account = await tk.users.register(provider, "Provider")
    await tk.users.set_role(provider, Role.PROVIDER)
    source = provider_source(account.user.user_id)
    room = anyio.CapacityLimiter(REGISTERING_MAX)
    async with anyio.create_task_group() as tasks:
        for chat_id in demand.chats:
            chance = random.Random(f"{demand.seed}:{chat_id}:plan")  # noqa: S311 - a seeded population
            tasks.start_soon(within, room, partial(_arrive, tk, demand, source, chat_id, chance))
    return source


async def within(room: anyio.CapacityLimiter, work: Callable[[], Awaitable[None]]) -> None:
    async with room:
        await work()


async def _arrive(tk: Tradekit, demand: Demand, source: str, chat_id: int, chance: random.Random) -> None:
    """70 % on the free plan, 20 % premium, 10 % enterprise; those who pay were here before."""
    who = Identity.of("telegram", chat_id)
    drawn = chance.random()
    busy = chat_id == demand.hung_chat
    tier = TierName.ENTERPRISE if busy else TierName.FREE if drawn < 0.7 else TierName.PREMIUM if drawn < 0.9 else TierName.ENTERPRISE
    if tier is TierName.FREE and demand.registers_in_chat:
        return
    await tk.users.register(who, f"Person {chat_id}")
    if tier is not TierName.FREE:
        await tk.users.set_tier(who, tier)
    if not demand.registers_in_chat and (chance.random() < FOLLOWERS or busy):
        await tk.signals.subscribe(who, source)
        if demand.stretch > 1 and chance.random() < WATCHERS:
            await tk.users.pause(who)


def write(plan: LoadPlan, path: Path) -> None:
    """Store the plan for the load's process."""
    path.write_bytes(msgspec.json.encode(plan))
