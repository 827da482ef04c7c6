"""People who chat with the bot, each waiting for the answer to one message before sending the next, and what they remember."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import attrs

from tradekit.chat.catalog.english import TEXTS

POLL_S = 2.0
THINKS_S = (0.5, 4.0)
"""Between an answer and the next message. An order makes three messages and Telegram takes one per second and chat: people who are much
faster would mostly wait for that."""
SIGNALS_S = (3.0, 7.0)
"""Between two signals of the provider."""
PROVIDER = 900_001
FIRST_CHAT = 1_001


def beginnings(*prefixes: str) -> str:
    """A pattern for how the texts under these keys begin, up to the second argument."""
    texts = [text.split("\n") for key, text in TEXTS.items() if key.startswith(prefixes)]
    heads = {head for lines in texts for head in _firsts(lines)}
    found = {_pattern(head) for head in heads if len(_ARGUMENT.sub("", head)) > 3}
    return "|".join(rf"\A{head}" for head in sorted(found))


_CONDITION, _ARGUMENT = re.compile(r"^(\[!?\w+\] ?)+"), re.compile(r"\{[^}]*\}")


def _firsts(lines: list[str]) -> Iterator[str]:
    """What may stand first: conditional lines up to the first that always stands."""
    for line in lines:
        yield _CONDITION.sub("", line)
        if not line.startswith("["):
            return


def _pattern(head: str) -> str:
    before, _, rest = head.partition("{")
    if len(before) > 3:
        return re.escape(before)
    after = _ARGUMENT.split("{" + rest)[1]
    return rf"{re.escape(before)}\S{{1,20}}{re.escape(after)}"


DENIED = beginnings("denied.", "not_found.", "close.promised", "error.")
GONE = beginnings("confirm.gone", "confirm.expired")
ACCOUNT = r"(?:PAPER|LIVE binance)"
NOTICE = rf"\A(?![^\0]*By signal)[📨📌◐✅🚫❌⌛❓⏳] ?{ACCOUNT} "
ORDER = re.compile(r"\b[Oo]rder ([0-9a-f]{8})\b")
READS: dict[str, str] = {
    "/positions": r"\A📊",
    "/usage": r"\A📈",
    "/portfolio": r"\A💼",
    "/orders": r"\A📋",
    "/status": r"\ATrading: ",
    "/history": r"\A🗂",
    "/risk": beginnings("risk"),
    "/settings": r"\A⚙️ Your",
    "/why": r"\AWhat became of",
    "/plan": r"\APlans ",
    "/help": r"\AWhat I understand",
}


@attrs.define
class Said:
    """A message or click, and whether it was answered."""

    chat_id: int
    update_id: int
    text: str
    answer: str | None = None


@attrs.define
class Attempt:
    """A confirmed order: what the click on Confirm was answered with."""

    chat_id: int
    update_id: int
    side: str
    symbol: str
    quantity: Decimal
    outcome: str = ""
    """``placed``, ``gone``, ``denied``, or empty as long as no answer came."""


@attrs.define
class Memory:
    """What all of them remember."""

    said: list[Said] = attrs.field(factory=list)
    attempts: list[Attempt] = attrs.field(factory=list)
    resent: int = 0
    """Answers that came once more."""
    followers: dict[int, float] = attrs.field(factory=dict)
    """Chat to when its subscription was confirmed, monotonic."""
    signals: dict[str, float] = attrs.field(factory=dict)
    """Note of each published signal to when it was sent."""

    def unanswered(self) -> list[Said]:
        return [said for said in self.said if said.answer is None]


class GivenUp(Exception):
    """The campaign has ended and the answer never came."""


class Town:
    """All people, the server they talk through, and when to stop."""

    def __init__(self, api_url: str, session: aiohttp.ClientSession, *, seed: int, chats: int) -> None:
        self._url, self._session, self._seed, self._chats = api_url, session, seed, chats
        self.memory = Memory()
        self.stopping = asyncio.Event()
        """Nobody begins anything new."""
        self.given_up = asyncio.Event()
        """Nobody waits any more."""
        self.kills = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def control(self, action: str, **body: Any) -> Any:
        """A call of the server's control endpoint; None when it says that nothing came in time."""
        async with self._session.post(f"{self._url}/control/{action}", json=body) as response:
            if response.status == 408:
                return None
            assert response.status == 200, f"{action}: {response.status} {await response.text()}"
            return await response.json()

    def begin(self, kills: int) -> None:
        """Let them come in: most at once, the others while the service is being killed."""
        chance = random.Random(f"{self._seed}:town")
        self._tasks.append(asyncio.create_task(Provider(self, PROVIDER, self._seed).live(0)))
        for number in range(self._chats):
            after_kills = 0 if number < 0.7 * self._chats else chance.randrange(max(1, kills))
            self._tasks.append(asyncio.create_task(Person(self, FIRST_CHAT + number, self._seed).live(after_kills)))

    def newcomer(self) -> None:
        """One person more."""
        self._tasks.append(asyncio.create_task(Person(self, FIRST_CHAT + self._chats, self._seed).live(0)))
        self._chats += 1

    async def finished(self, timeout_s: float) -> bool:
        """Let everybody hear their answer and go home; False when some never did."""
        self.stopping.set()
        _, waiting = await asyncio.wait(self._tasks, timeout=timeout_s)
        self.given_up.set()
        await asyncio.wait_for(asyncio.gather(*self._tasks), timeout=10 * POLL_S)
        return not waiting

    async def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Person:
    """One chat."""

    follows = True

    def __init__(self, town: Town, chat_id: int, seed: int) -> None:
        self.town, self.chat_id = town, chat_id
        self.chance = random.Random(f"{seed}:{chat_id}")
        self._last: tuple[str, ...] = ()
        self._kinds: tuple[str, ...] = ()
        self._orders = 0
        self._known: set[str] = set()
        """Orders that this person has heard of."""

    async def live(self, after_kills: int) -> None:
        while self.town.kills < after_kills and not self.town.stopping.is_set():  # noqa: ASYNC110 - a handful of people
            await asyncio.sleep(0.1)
        await self.town.control("chat", chat_id=self.chat_id, first_name=f"Person {self.chat_id}")
        try:
            await self.say("/start", r"\A👋 Welcome")
            if self.follows and self.chance.random() < 0.6:
                await self.say("/subscribe provider:1", r"\A✅ Following provider:1")
                self.town.memory.followers[self.chat_id] = time.monotonic()
            while not self.town.stopping.is_set():
                await self.act()
                await asyncio.sleep(self.chance.uniform(*THINKS_S))
        except GivenUp:
            return

    async def act(self) -> None:
        """Something other than the last two times, so that an answer that comes once more is not taken for the next."""
        choices: dict[str, tuple[float, Callable[[], Any]]] = {
            "buy": (5, lambda: self.trade("buy")),
            "limit": (2, lambda: self.trade("buy", limit=True)),
            "sell": (1.5, lambda: self.trade("sell")),
            "close": (1, self.close),
            # What became of the order takes the answer's place if that has not been sent yet.
            "cancel": (
                1,
                lambda: self.say("/cancel all", rf"asked the venue to cancel|Asked the venue|: (canceled, |filled at )|{DENIED}"),
            ),
        }
        for command, pattern in READS.items():
            choices[command] = (0.4, lambda command=command, pattern=pattern: self.say(command, pattern))
        possible = {kind: weight for kind, (weight, _) in choices.items() if kind not in self._kinds}
        (kind,) = self.chance.choices(list(possible), weights=list(possible.values()))
        self._kinds = (*self._kinds[-1:], kind)
        await choices[kind][1]()

    async def trade(self, side: str, *, limit: bool = False) -> None:
        """Ask for an order of a quantity of its own, and confirm it."""
        symbol = self.chance.choice(["BTC/USDT", "ETH/USDT"])
        self._orders += 1
        step, least = (Decimal("0.00001"), Decimal("0.002")) if symbol == "BTC/USDT" else (Decimal("0.0001"), Decimal("0.04"))
        quantity = least + self._orders * step
        price = self.limit_price(symbol) if limit else ""
        question = await self.say(f"/{side} {symbol} {quantity} {price}".strip(), rf"\A{ACCOUNT}: {side} {_number(quantity)} |{DENIED}")
        await self.confirm(question, side, symbol, quantity, _number(quantity))

    def limit_price(self, symbol: str) -> str:
        """Mostly one that rests, sometimes one that fills at once."""
        resting = self.chance.random() < 0.7
        if symbol == "BTC/USDT":
            return "60000" if resting else "70000"
        return "2900" if resting else "3500"

    async def close(self) -> None:
        symbol = self.chance.choice(["BTC/USDT", "ETH/USDT"])
        question = await self.say(f"/close {symbol}", rf"\A{ACCOUNT}: close {symbol}|{DENIED}")
        found = re.search(r"That sells ([\d.]+) at market", question["text"])
        if found:
            # What is sold is what is held when the click arrives: a signal may have bought more meanwhile.
            await self.confirm(question, "sell", symbol, Decimal(found[1]), "")

    async def confirm(self, question: dict[str, Any], side: str, symbol: str, quantity: Decimal, words: str) -> None:
        """Press Confirm, if this is a question. The answer is a notice of an order not heard of before, with these words in it."""
        if not re.match(f"{ACCOUNT}: ", question["text"]):
            return

        def placed(text: str) -> bool:
            line = text.partition("\n")[0]
            is_notice = re.search(rf"{NOTICE}{side} ", text) and symbol in line and re.search(rf"\b{words}", line)
            return bool(is_notice) and self._known.isdisjoint(ORDER.findall(text))

        def answers(text: str) -> bool:
            return placed(text) or bool(re.search(f"{GONE}|{DENIED}", text))

        attempt = Attempt(self.chat_id, 0, side, symbol, quantity)
        answer = await self._send("press", answers, attempt, message_id=question["message_id"], button="✅ Confirm")
        text = answer["text"]
        attempt.outcome = "gone" if re.search(GONE, text) else "denied" if re.search(DENIED, text) else "placed"

    async def say(self, text: str, expected: str) -> dict[str, Any]:
        return await self._send("send", lambda heard: bool(re.search(expected, heard)), text=text)

    async def _send(self, action: str, expected: Callable[[str], bool], attempt: Attempt | None = None, **body: Any) -> dict[str, Any]:
        """Send or press, and wait for the answer that is expected; everything else is read and left.

        :raises GivenUp: the end came first.
        """
        sent = await self.town.control(action, chat_id=self.chat_id, **body)
        said = Said(self.chat_id, sent["update_id"], str(body.get("text") or body.get("button")))
        self.town.memory.said.append(said)
        if attempt is not None:
            attempt.update_id = said.update_id
            self.town.memory.attempts.append(attempt)
        while True:
            message = await self.town.control("wait_reply", chat_id=self.chat_id, timeout_s=POLL_S)
            if message is None:
                if self.town.given_up.is_set():
                    raise GivenUp
                continue
            text = message["text"]
            matches = expected(text)
            self._known.update(ORDER.findall(text))
            if matches:
                said.answer = text
                self._last = (*self._last[-1:], text)
                return dict(message)
            self.town.memory.resent += text in self._last


class Provider(Person):
    """Publishes a signal every few seconds, buys and sells in turn."""

    follows = False

    def __init__(self, town: Town, chat_id: int, seed: int) -> None:
        super().__init__(town, chat_id, seed)
        self._number = 0

    async def act(self) -> None:
        self._number += 1
        note = f"note-{self._number}-end"
        side, symbol = ("buy", "sell")[self._number % 2], self.chance.choice(["BTC/USDT", "ETH/USDT", "SOL/USDT"])
        self.town.memory.signals[note] = time.monotonic()
        await self.say(f"/signal {side} {symbol} {note}", rf"\A📡 Published: [^\0]*\b{note}\b")
        await asyncio.sleep(self.chance.uniform(*SIGNALS_S) - THINKS_S[0])


def _number(quantity: Decimal) -> str:
    return re.escape(f"{quantity.normalize():f}")
