"""Simulated users: what they type, what they press, and when."""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal

import anyio

from tradekit.domain.amounts import round_down, text_of
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.users import Identity
from tradekit.engine.market import Market
from tradekit.testing.simulation.taint import mark_of
from tradekit.testing.simulation.transport import Transport

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu")
QUESTIONS = ("/status", "/portfolio", "/positions", "/orders", "/history", "/usage", "/plan", "/why", "/signals", "/help", "/settings")
NONSENSE = ("/buy", "/buy BTC 1e999", "/buy BTC NaN", "/sell DOGE 1", "/close XYZ", "/cancel zz", "/risk max_drawdown 5000", "/byu btc", "")
BURST = 12

_ACTIONS: tuple[tuple[int, str], ...] = (
    (20, "buy"),
    (12, "bracket"),
    (10, "limit"),
    (7, "sell"),
    (9, "close"),
    (6, "cancel"),
    (5, "stop"),
    (3, "target"),
    (4, "trail"),
    (3, "dip"),
    (6, "amend"),
    (5, "reprice"),
    (13, "ask"),
    (6, "subscribe"),
    (2, "unsubscribe"),
    (4, "settle"),
    (2, "pause"),
    (3, "resume"),
    (1, "panic"),
    (3, "nonsense"),
    (3, "chatter"),
    (2, "burst"),
    (4, "regret"),
)

_LIVE_ACTIONS: tuple[tuple[int, str], ...] = (*_ACTIONS, (30, "rest"), (4, "account"), (4, "reconcile"), (1, "mode"))
"""Only what rests at a venue has events of its own, and can fill although it was taken back."""
_ORDER_KEYS = frozenset({"order.accepted", "order.held", "order.submitted"})
_EXITS = ("sl=0.3%", "sl=1%", "tp=0.4%", "tp=0.3%:50,0.8%:30,2%", "trail=0.5%", "exit=15m", "exit=2h")


class Person:
    """One user with a temper of their own. Those with ``provides`` also publish signals, those with ``live`` trade for real."""

    def __init__(
        self,
        number: int,
        *,
        seed: int,
        transport: Transport,
        market: Callable[[], Market | None],
        provides: bool = False,
        public: bool = False,
        live: bool = False,
    ) -> None:
        self.number, self.transport, self._market, self.provides, self.trades_live = number, transport, market, provides, live
        self.identity = Identity(transport.name, f"chat{number}")
        # The name of whoever may publish signals is public; anybody else's is theirs alone.
        self.display_name = f"Provider {number}" if provides or public else mark_of(number)
        self._random = random.Random(f"{seed}/person/{number}")
        self._orders: list[str] = []
        self._paused = False
        self.sources: list[str] = ["ema-cross", "rsi-reversion"]

    async def live(self, action_every_s: float) -> None:
        """Act now and then until cancelled."""
        await anyio.sleep(self._pause(min(60.0, action_every_s)))
        if self._random.random() < 0.1:
            self.say(f"hello {mark_of(self.number)}")
        self.say("/start")
        await anyio.sleep(self._pause(5))
        if self._random.random() < 0.6:
            self.say(f"/settings time_zone {self._random.choice(ZONES)}")
        if self._random.random() < 0.5:
            self.say(f"/subscribe {self._random.choice(self.sources)}")
        while True:
            await anyio.sleep(self._pause(action_every_s))
            self._act()

    def _pause(self, mean_s: float) -> float:
        return round(self._random.expovariate(1 / mean_s), 3)

    def say(self, text: str) -> None:
        """Type a line."""
        self.transport.post(self.identity, text, self.display_name)

    def read(self, message: OutgoingMessage) -> None:
        """A message arrives: remember orders, press buttons of questions, come back after a panic."""
        order = message.reply.args.get("order_id", "")
        if message.reply.key in _ORDER_KEYS and order:
            self._orders = [*self._orders[-4:], order]
        pressed = [button.data for row in message.reply.buttons for button in row if button.data.startswith(("ok:", "no:"))]
        if pressed:
            self._answer(pressed)

    def _answer(self, pressed: list[str]) -> None:
        luck = self._random.random()
        if luck < 0.05:
            return
        choice = pressed[0] if luck < 0.92 else pressed[-1]
        delay_s = 90.0 if luck > 0.97 else round(0.5 + 8 * self._random.random(), 3)
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, self.say, "!" + choice)
        if self.trades_live and self._random.random() < 0.3:
            # While what was confirmed is on its way.
            loop.call_later(delay_s + round(0.1 + 0.3 * self._random.random(), 3), self.say, "/reconcile")
        if self._random.random() < 0.05:
            # An impatient finger.
            loop.call_later(delay_s + 0.2, self.say, "!" + choice)

    def _act(self) -> None:
        actions = _LIVE_ACTIONS if self.trades_live else _ACTIONS
        (action,) = self._random.choices([name for _, name in actions], [weight for weight, _ in actions])
        if self._paused and self._random.random() < 0.5:
            action = "resume"
        if self.provides and self._random.random() < 0.3:
            action = "signal"
        self._do(action)

    def _do(self, action: str) -> None:
        symbol = self._random.choice(("BTC/USDT", "ETH/USDT", "SOL/USDT"))
        lines: dict[str, Callable[[], str]] = {
            "buy": lambda: f"/buy {symbol} {self._quantity(symbol)}",
            "bracket": lambda: f"/buy {symbol} {self._quantity(symbol)} {self._exits()}",
            "stop": lambda: f"/stop {symbol} {self._part(symbol)} {self._away(symbol, -120, 2)}",
            "target": lambda: f"/target {symbol} {self._part(symbol)} {self._away(symbol, -2, 120)}",
            "trail": lambda: f"/trail {symbol} {self._part(symbol)} {self._random.choice(('0.3', '1', '2.5'))}%",
            "dip": lambda: self._dip(symbol),
            "amend": lambda: self._amend(symbol),
            "account": lambda: f"/account {self._random.choice(('paper', 'binance:live', 'binance:live'))}",
            "mode": lambda: f"/mode binance {self._random.choice(('paper', 'live', 'live'))}",
            "reconcile": lambda: "/reconcile",
            "limit": lambda: self._limit(symbol),
            "sell": lambda: f"/sell {symbol} {self._quantity(symbol)}",
            "close": lambda: f"/close {symbol} {self._random.choice(('', '50', 'all', '33'))}".strip(),
            "cancel": lambda: f"/cancel {self._random.choice([*self._orders, 'all'])}",
            "ask": lambda: self._random.choice(QUESTIONS),
            "subscribe": lambda: f"/subscribe {self._random.choice(self.sources)} {self._random.choice(('', symbol, 'BTC,ETH'))}".strip(),
            "unsubscribe": lambda: f"/unsubscribe {self._random.choice(['all', *self.sources])}",
            "settle": self._setting,
            "pause": lambda: "/pause",
            "resume": lambda: "/resume",
            "panic": lambda: "/panic",
            "nonsense": lambda: self._random.choice(NONSENSE),
            "chatter": lambda: f"I am {mark_of(self.number)}",
            "signal": lambda: f"/signal {self._random.choice(('buy', 'sell'))} {symbol} as I see it",
        }
        if action == "burst":
            for _ in range(BURST):
                self.say(self._random.choice((*QUESTIONS, f"/buy {symbol} {self._quantity(symbol)}")))
            return
        if action == "regret":
            # The cancel is there before the venue has answered.
            self.say(self._limit(symbol) if self._random.random() < 0.5 else self._refused(symbol))
            self.say("/cancel all")
            return
        if action == "reprice":
            # It rests, and soon it shall rest elsewhere.
            self.say(f"/buy {symbol} {self._quantity(symbol)} {self._away(symbol, -90, -40)}")
            asyncio.get_running_loop().call_later(15.0, lambda: self.say(self._amend(symbol, newest=True)))
            return
        if action == "rest":
            # Some are reached by the price, some taken back in time, and of some nobody knows.
            self.say(f"/buy {symbol} {self._quantity(symbol)} {self._away(symbol, -60, -2)}")
            if self._random.random() < 0.6:
                asyncio.get_running_loop().call_later(round(20 + 100 * self._random.random(), 3), self._take_back)
            return
        if action == "buy" and self._random.random() < 0.25:
            # Once more, before it is known what became of the first.
            asyncio.get_running_loop().call_later(0.7, self.say, lines["buy"]())
        self._paused = action in {"pause", "panic"} or (self._paused and action != "resume")
        self.say(lines[action]())

    def _take_back(self) -> None:
        self.say(f"/cancel {self._orders[-1] if self._orders else 'all'}")

    def _quantity(self, symbol: str) -> str:
        spent = Decimal(self._random.randrange(5, 1500))
        market = self._market()
        quote, instrument = (market.quote(symbol), market.instrument(symbol)) if market else (None, None)
        if quote is None or instrument is None:
            return "0.01"
        return text_of(max(instrument.step_size, round_down(spent / quote.price, instrument.step_size)))

    def _exits(self) -> str:
        """One to three exits of different kinds."""
        words = {word.partition("=")[0]: word for word in self._random.sample(_EXITS, self._random.randrange(1, 4))}
        return " ".join(words.values())

    def _part(self, symbol: str) -> str:
        return "all" if self._random.random() < 0.6 else self._quantity(symbol)

    def _away(self, symbol: str, low: int, high: int) -> str:
        """A price so many hundredths of a percent from the market."""
        market = self._market()
        quote, instrument = (market.quote(symbol), market.instrument(symbol)) if market else (None, None)
        if quote is None or instrument is None:
            return "1"
        return text_of(round_down(quote.price * (1 + Decimal(self._random.randrange(low, high)) / 10_000), instrument.tick_size))

    def _dip(self, symbol: str) -> str:
        """An entry that waits for its price."""
        if self._random.random() < 0.5:
            return f"/target buy {symbol} {self._quantity(symbol)} {self._away(symbol, -60, -1)}"
        trigger = self._away(symbol, 1, 60)
        return f"/stop buy {symbol} {self._quantity(symbol)} {trigger} {trigger if self._random.random() < 0.3 else ''}".strip()

    def _amend(self, symbol: str, *, newest: bool = False) -> str:
        order = (self._orders[-1] if newest else self._random.choice(self._orders)) if self._orders else "00000000"
        change = self._random.choice(("qty", "qty", "price", "trigger"))
        value = self._quantity(symbol) if change == "qty" else self._away(symbol, -60, 60)
        return f"/amend {order} {change}={value}"

    def _limit(self, symbol: str) -> str:
        market = self._market()
        quote, instrument = (market.quote(symbol), market.instrument(symbol)) if market else (None, None)
        if quote is None or instrument is None:
            return f"/buy {symbol} 0.01"
        side = self._random.choice(("buy", "buy", "sell"))
        away = Decimal(self._random.randrange(-40, 10)) / 10_000
        price = round_down(quote.price * (1 + away if side == "buy" else 1 - away), instrument.tick_size)
        option = self._random.choice(("", "", "", "post", "ioc", "fok"))
        return f"/{side} {symbol} {self._quantity(symbol)} {text_of(price)} {option}".strip()

    def _refused(self, symbol: str) -> str:
        """An order that passes every check of ours and that the venue rejects: post-only, at a price that would take."""
        market = self._market()
        quote, instrument = (market.quote(symbol), market.instrument(symbol)) if market else (None, None)
        if quote is None or instrument is None:
            return f"/buy {symbol} 0.01"
        return f"/buy {symbol} {self._quantity(symbol)} {text_of(round_down(quote.price * Decimal('1.01'), instrument.tick_size))} post"

    def _setting(self) -> str:
        return self._random.choice(
            (
                f"/settings time_zone {self._random.choice(ZONES)}",
                f"/settings size {self._random.randrange(20, 900)}",
                "/settings sizing percent_of_equity",
                "/settings sizing quote_amount",
                "/settings notify_signals off",
                "/settings notify_signals on",
                "/risk cooldown_s 60",
                "/risk cooldown_s 0",
            )
        )
