"""A market that does not move, seeded entropy, and one user's chat without an engine: commits succeed at once, orders wait for the test."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import anyio
import msgspec

from tradekit.chat.conversation import Conversation
from tradekit.chat.render import fill, render
from tradekit.chat.texts import has_text, text_for
from tradekit.domain.credentials import KeyPolicy
from tradekit.domain.instruments import Instrument, Quote, instrument_for
from tradekit.domain.orders import Fill, Order, OrderReport, OrderState
from tradekit.domain.replies import Reply
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.sessions import SessionState
from tradekit.domain.tiers import DEFAULT_TIERS
from tradekit.domain.users import Identity
from tradekit.services import reports
from tradekit.services.decisions import Context, Decision, Read, Source

NOW_MS = 1_767_225_600_000
"""2026-01-01 00:00 UTC."""
ADA = Identity("terminal", "ada")
SOURCES = (Source(name="ema-cross", title="EMA 12/26"), Source(name="rsi-reversion", title="RSI 14", advanced=True))
replace = msgspec.structs.replace


class FixedMarket:
    """Prices as given; the symbols in their order."""

    def __init__(self, source: str = "simulated", **prices: str) -> None:
        self.source = self.origin = source
        self.prices = {
            name.replace("_", "/"): Decimal(price) for name, price in (prices or {"BTC_USDT": "40000", "ETH_USDT": "2500"}).items()
        }
        self.time_ms = NOW_MS

    def quote(self, symbol: str) -> Quote | None:
        price = self.prices.get(symbol)
        return None if price is None else Quote(symbol=symbol, price=price, time_ms=self.time_ms)

    def instrument(self, symbol: str) -> Instrument | None:
        price = self.prices.get(symbol)
        return None if price is None else instrument_for(symbol, price)

    def symbols(self) -> tuple[str, ...]:
        return tuple(self.prices)


class Counting:
    """Entropy that counts."""

    def __init__(self) -> None:
        self.count = 0

    def token(self, size: int) -> str:
        self.count += 1
        return f"{self.count:0{2 * size}x}"

    def uniform(self) -> float:
        return 0.5


class NoHistory:
    """A reader of an empty storage; a test sets what it wants to be found."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        async def answer(*args: Any) -> Any:
            found = self.answers.get(name, None if name in {"signal", "delivery", "order"} else [])
            return found(*args) if callable(found) else found

        return answer


class Chat:
    """What one user says, one message after the other."""

    def __init__(self, market: FixedMarket | None = None, *, confirm: bool = False, started: bool = True, reader: Any = None) -> None:
        self.market = market or FixedMarket()
        self.entropy = Counting()
        self.confirm = confirm
        self.policy = TradingPolicy()
        self.reader = reader or NoHistory()
        self.now_ms = NOW_MS
        self.messages = 0
        self.sources = SOURCES
        self.identity = ADA
        self.key_policy = KeyPolicy()
        self.state = SessionState(user_id=7, partition=3)
        self.decision = Decision(state=self.state)
        self.conversation = Conversation()
        if started:
            self.says("/start")

    def ctx(self) -> Context:
        return Context(
            now_ms=self.now_ms,
            cause=f"terminal/{self.messages}",
            market=self.market,
            tiers=DEFAULT_TIERS,
            policy=self.policy,
            entropy=self.entropy,
            sources=self.sources,
            confirm_orders=self.confirm,
            keys=self.key_policy,
        )

    def says(self, text: str) -> str:
        """Send a line or ``!data``; the replies, rendered."""
        self.messages += 1
        outcome = self.conversation.handle(text, self.identity, "Ada")(self.state, self.ctx())
        if isinstance(outcome, Read):
            outcome = outcome.then(anyio.run(self._query, outcome), self.ctx())
        self.decision, self.state = outcome, outcome.state
        assert outcome.error is None
        assert outcome.replies
        assert set().union(*map(unfilled, outcome.replies)) == set()
        return "\n".join(render(reply).text for reply in outcome.replies)

    async def _query(self, read: Read) -> Any:
        return await read.query(self.reader)

    def presses(self, label: str) -> str:
        """Press a button of the last reply."""
        buttons = [button for row in render(self.reply).buttons for button in row]
        data = next(button.data for button in buttons if label in button.label)
        return self.says("!" + data)

    @property
    def reply(self) -> Reply:
        return self.decision.replies[-1]

    @property
    def keys(self) -> list[str]:
        return [reply.key for reply in self.decision.replies]

    def later(self, seconds: float) -> "Chat":
        self.now_ms += round(seconds * 1000)
        self.market.time_ms = self.now_ms
        return self

    def is_filled(self, order: Order | None = None, quantity: str = "", price: str = "") -> Decision:
        """The venue fills an open order, the first one by default; what the user is told is in the decision's notices."""
        order = order or self.state.orders[0]
        filled = Decimal(quantity) if quantity else order.leaves_qty
        fill_ = Fill(
            trade_id=f"{order.client_order_id}/{order.cum_qty}",
            client_order_id=order.client_order_id,
            user_id=order.user_id,
            partition=order.partition,
            symbol=order.symbol,
            side=order.side,
            quantity=filled,
            price=Decimal(price) if price else self.market.prices[order.symbol],
            fee=Decimal("0.4"),
            time_ms=self.now_ms,
        )
        state = OrderState.FILLED if filled == order.leaves_qty else OrderState.PARTIALLY_FILLED
        return self.is_reported(order, state, fills=(fill_,))

    def is_reported(self, order: Order, state: OrderState, reason: str = "", fills: tuple[Fill, ...] = ()) -> Decision:
        report = OrderReport(
            client_order_id=order.client_order_id, user_id=order.user_id, state=state, reason=reason, fills=fills, time_ms=self.now_ms
        )
        decision = reports.apply_report(self.state, report, self.ctx())
        assert isinstance(decision, Decision)
        assert set().union(*map(unfilled, decision.notices)) == set()
        self.state = decision.state
        return decision

    def holds(self, symbol: str = "BTC/USDT", quantity: str = "0.01") -> "Chat":
        """Buy at market and have it filled, without spending a command of the minute."""
        asks, self.confirm = self.confirm, False
        self.later(60).says(f"/buy {symbol} {quantity}")
        assert self.keys == ["order.submitted"], self.reply
        self.is_filled(self.state.orders[-1])
        self.confirm = asks
        return self.later(60)


class Watched(dict[str, str]):
    """Arguments that remember which names a template asked for in vain."""

    def __init__(self, args: Mapping[str, str]) -> None:
        super().__init__(args)
        self.missing: set[str] = set()

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self.missing.add(str(name))
            return False
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if self.__contains__(name) else default


def unfilled(reply: Reply) -> set[str]:
    """What is wrong with a reply: keys without a text, arguments a text needs and does not get."""
    wrong: set[str] = set()
    templates: list[tuple[str, Mapping[str, str]]] = [(reply.key, reply.args)]
    templates += [(row.get("row_key", f"{reply.key}.row"), {**reply.args, **row}) for row in reply.rows]
    templates += [(button.label, button.args) for line in reply.buttons for button in line]
    tail = f"{reply.key}.end" if reply.rows else f"{reply.key}.none"
    if has_text(tail):
        templates.append((tail, reply.args))
    for key, args in templates:
        if not has_text(key):
            wrong.add(f"no text {key}")
            continue
        watched = Watched(args)
        fill(text_for(key), watched, "en")
        wrong |= {f"{key} needs {name}" for name in watched.missing}
    return wrong
