"""Seeded people that use the bot: the load of a benchmark or a demo, run inside the server's process."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from tradekit.testing.bot_api.chat import SimulatedChat
from tradekit.testing.bot_api.load_plan import Latency, LoadPlan, LoadReport, LoadRow, latency_of
from tradekit.testing.bot_api.server import BotApiServer
from tradekit.testing.bot_api.tracker import Answer
from tradekit.testing.bot_api.types import CallbackAnswer, Update
from tradekit.testing.bot_api.updates import PendingUpdate, QueueOverflow

__all__ = ["Latency", "LoadPlan", "LoadReport", "LoadRow", "run_load"]

_BUTTONS_LOOKED_BACK = 5


async def run_load(server: BotApiServer, plan: LoadPlan) -> LoadReport:
    """Run the plan against whatever bot uses the server, and return what was measured.

    The same seed gives every person the same choices; times depend on the bot's replies.

    :raises ValueError: the bot did not ask for messages, so nobody can talk to it.
    """
    return await _Run(server, plan).run()


class _Run:
    """The clock, the books and the people of one run."""

    def __init__(self, server: BotApiServer, plan: LoadPlan) -> None:
        self.server = server
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.rows: dict[int, LoadRow] = {}
        self.clicks: dict[str, int] = {}
        self.refused = 0
        self.end_s = 0.0
        self._waiting: dict[int, _Person] = {}
        self._quiet: asyncio.Future[None] | None = None

    async def run(self) -> LoadReport:
        plan = self.plan
        core = self.server.core
        if not core.updates.accepts("message"):
            raise ValueError("the bot's allowed_updates leave out messages")
        tracker = self.server.tracker
        tracker.set_unsolicited(plan.unsolicited)
        tracker.on_handed_out, tracker.on_answer, core.on_callback_answer = self._handed_out, self._answered, self._click_answered
        limited_before = sum(self.server.stats.limited.values())
        started_s = self.loop.time()
        self.end_s = started_s + plan.ramp_s + plan.duration_s
        try:
            people = self._people()
            for person in people:
                person.begin()
            signals = await self._send_signals(started_s)
            await asyncio.sleep(max(0.0, self.end_s - self.loop.time()))
            await self._drain()
        finally:
            tracker.on_handed_out = tracker.on_answer = None
            core.on_callback_answer = lambda _id, _answer: None
        for person in people:
            person.stop()
        return self._report(signals, self.loop.time() - started_s, sum(self.server.stats.limited.values()) - limited_before)

    def _people(self) -> list[_Person]:
        plan = self.plan
        spread = random.Random(f"{plan.seed}:ramp")
        people = []
        for chat_id in range(plan.first_chat_id, plan.first_chat_id + plan.chats):
            chance = random.Random(f"{plan.seed}:{chat_id}")
            script = deque([("start", plan.start_text)] if plan.start_text is not None else [])
            if plan.subscribe_text is not None and chance.random() < plan.subscribe_share:
                script.append(("subscribe", plan.subscribe_text))
            chat = self.server.chat(chat_id, first_name=f"Person {chat_id}")
            begin_after_s = spread.uniform(0, plan.ramp_s) if script else plan.ramp_s + spread.expovariate(1 / plan.command_mean_s)
            people.append(_Person(self, chat, chance, script, begin_after_s=begin_after_s))
        if plan.provider_chat_id is not None:
            chat = self.server.chat(plan.provider_chat_id, first_name="Provider")
            setup = deque(("setup", text) for text in plan.provider_setup)
            people.append(_Person(self, chat, random.Random(0), setup, begin_after_s=0.0, only_script=True))
        return people

    async def _send_signals(self, started_s: float) -> int:
        plan = self.plan
        if plan.provider_chat_id is None or not plan.signals:
            return 0
        chat = self.server.chat(plan.provider_chat_id)
        sent = 0
        due_s = started_s + plan.ramp_s
        while due_s < self.end_s:
            await asyncio.sleep(max(0.0, due_s - self.loop.time()))
            text = plan.signals[sent % len(plan.signals)]
            self.record(chat, text, "signal", lambda text=text: chat.post(text)[1])  # type: ignore[misc]
            sent += 1
            due_s += plan.signal_every_s
        return sent

    async def _drain(self) -> None:
        if not self._waiting:
            return
        self._quiet = self.loop.create_future()
        try:
            async with asyncio.timeout(self.plan.drain_s):
                await self._quiet
        except TimeoutError:
            return

    # The books

    def record(self, chat: SimulatedChat, text: str, intent: str, emit: Callable[[], Update | None]) -> int | None:
        """Let a person act and open the row; None if the update could not be queued."""
        sent_ms = time.time_ns() // 1_000_000
        try:
            update = emit()
        except QueueOverflow:
            update = None
        if update is None:
            self.refused += 1
            return None
        self.rows[update.update_id] = LoadRow(update_id=update.update_id, chat_id=chat.id, text=text, intent=intent, sent_ms=sent_ms)
        return update.update_id

    def waits(self, update_id: int, person: _Person) -> None:
        self._waiting[update_id] = person

    def close_row(self, update_id: int, answered_ns: int | None, method: str) -> None:
        """The update was answered, or will not be (None); its person may go on."""
        row = self.rows[update_id]
        if answered_ns is not None and row.latency_ms is None:
            now_ns, now_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
            row.answered_ms = now_ms - (now_ns - answered_ns) // 1_000_000
            row.answered_by = method
        person = self._waiting.pop(update_id, None)
        if person is not None:
            person.go_on()
        if self._quiet is not None and not self._waiting and not self._quiet.done():
            self._quiet.set_result(None)

    def _handed_out(self, pending: PendingUpdate) -> None:
        row = self.rows.get(pending.update_id)
        if row is not None:
            row.handed_out_ms = pending.handed_out_ms

    def _answered(self, answer: Answer) -> None:
        row = self.rows.get(answer.update_id)
        if row is not None:
            self.close_row(answer.update_id, answer.answered_ns, answer.method)
            row.latency_ms = round(answer.latency_ms, 3)

    def _click_answered(self, query_id: str, answer: CallbackAnswer) -> None:
        """A click may be answered by a notice on top of the chat alone, with no message."""
        update_id = self.clicks.pop(query_id, None)
        row = self.rows.get(update_id) if update_id is not None else None
        if row is None or not answer.text or row.handed_out_ms is None:
            return
        self.server.tracker.give_up(row.chat_id, row.update_id)
        self.close_row(row.update_id, time.monotonic_ns(), "answerCallbackQuery")
        row.latency_ms = float((row.answered_ms or 0) - row.handed_out_ms)

    def _report(self, signals: int, duration_s: float, limited: int) -> LoadReport:
        rows = list(self.rows.values())
        answered = [row for row in rows if row.latency_ms is not None]
        by_intent: dict[str, list[float]] = {}
        for row in answered:
            by_intent.setdefault(row.intent, []).append(row.latency_ms or 0.0)
        per_intent = {intent: latency for intent, samples in sorted(by_intent.items()) if (latency := latency_of(samples)) is not None}
        return LoadReport(
            seed=self.plan.seed,
            chats=self.plan.chats,
            duration_s=round(duration_s, 3),
            updates=len(rows),
            replies=len(answered),
            unanswered=len(rows) - len(answered),
            refused=self.refused,
            signals=signals,
            limited=limited,
            latency_ms=latency_of([row.latency_ms or 0.0 for row in answered]),
            latency_ms_by_intent=per_intent,
            rows=rows,
        )


class _Person:
    """Sends the script, then commands at random; one at a time."""

    def __init__(
        self,
        run: _Run,
        chat: SimulatedChat,
        chance: random.Random,
        script: deque[tuple[str, str]],
        *,
        begin_after_s: float,
        only_script: bool = False,
    ) -> None:
        self._run = run
        self._chat = chat
        self._chance = chance
        self._script = script
        self._begin_after_s = begin_after_s
        self._only_script = only_script
        self._due: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._next_s = 0.0
        self._asked = False
        """Whether a trade was sent, which the bot may answer with a question."""

    def begin(self) -> None:
        self._due = self._run.loop.call_later(self._begin_after_s, self._act)

    def stop(self) -> None:
        for timer in (self._due, self._patience):
            if timer is not None:
                timer.cancel()

    def go_on(self) -> None:
        """The last command is answered or given up."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._only_script and not self._script:
            return
        wait_s = 0.0 if self._script else max(0.0, self._next_s - self._run.loop.time())
        plan = self._run.plan
        self._asked = self._asked and plan.confirm_share > 0 and self._chance.random() < plan.confirm_share
        if self._asked:
            wait_s = min(wait_s, self._chance.uniform(plan.confirm_s / 3, plan.confirm_s))
        self._due = self._run.loop.call_later(wait_s, self._act)

    def _act(self) -> None:
        run = self._run
        now_s = run.loop.time()
        if now_s >= run.end_s:
            return
        self._next_s = now_s + self._chance.expovariate(1 / run.plan.command_mean_s)
        update_id = self._do_something()
        if update_id is None:
            self._due = run.loop.call_later(run.plan.command_mean_s, self._act)
            return
        run.waits(update_id, self)
        self._patience = run.loop.call_later(run.plan.reply_timeout_s, self._give_up, update_id)

    def _give_up(self, update_id: int) -> None:
        self._run.server.tracker.give_up(self._chat.id, update_id)
        self._run.close_row(update_id, None, "")

    def _do_something(self) -> int | None:
        plan, chance = self._run.plan, self._chance
        if self._script:
            intent, text = self._script.popleft()
            return self._say(text, intent)
        if self._asked:
            self._asked = False
            button = self._visible_button(first=True)
            if button is not None:
                return self._click(*button)
        if chance.random() >= plan.trade_share:
            return self._say(chance.choice(plan.reads), "read")
        kind = chance.random()
        if kind < plan.click_share:
            button = self._visible_button()
            if button is not None:
                return self._click(*button)
        elif kind < plan.click_share + plan.settings_share and plan.settings:
            return self._say(chance.choice(plan.settings), "settings")
        self._asked = True
        trade = chance.choice(plan.trades)
        return self._say(trade.format(symbol=chance.choice(plan.symbols), quantity=chance.choice(plan.quantities)), "trade")

    def _say(self, text: str, intent: str) -> int | None:
        return self._run.record(self._chat, text, intent, lambda: self._chat.post(text)[1])

    def _click(self, message_id: int, data: str) -> int | None:
        def emit() -> Update | None:
            query_id, update = self._chat.click(message_id, data)
            if update is not None:
                self._run.clicks[query_id] = update.update_id
            return update

        return self._run.record(self._chat, data, "click", emit)

    def _visible_button(self, *, first: bool = False) -> tuple[int, str] | None:
        for message in self._chat.messages[: -_BUTTONS_LOOKED_BACK - 1 : -1]:
            buttons = [button["callback_data"] for button in message.buttons() if "callback_data" in button]
            if buttons:
                return message.message_id, buttons[0] if first else self._chance.choice(buttons)
        return None
