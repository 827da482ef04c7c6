"""Strategies and rules at work: each computed once per instrument, its signals stored, then fanned out."""

import logging
from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel
import attrs

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Duplicate, TradekitError
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.signals import Signal, signal_id
from tradekit.ports.clock import Clock
from tradekit.ports.indicators import IndicatorLibrary, SharesIndicators
from tradekit.ports.storage import Storage
from tradekit.ports.strategy import NOTE_MAX, Advice, Evaluator, Strategy, advice_of
from tradekit.services.decisions import Source
from tradekit.strategies.rule import RuleStrategy
from tradekit.strategies.streams import OwnIndicators, Stream

log = logging.getLogger(__name__)

WAITING_MAX = 1000
SLICE_RULES = 100
"""Rules asked in one go, about a millisecond; whoever else has work goes in between."""

_StreamKey = tuple[Symbol, int]


@attrs.frozen(eq=False)
class _Assigned:
    """A rule that runs, and the instruments it is asked about (None: all)."""

    strategy: RuleStrategy
    name: str
    symbols: frozenset[Symbol] | None

    def wants(self, symbol: Symbol) -> bool:
        return self.symbols is None or symbol in self.symbols


@attrs.frozen(eq=False)
class _Round:
    """A bar, and the rules that have not been asked about it yet."""

    bar: Bar
    left: deque[str]


class StrategyRunner:
    """Feeds closed bars to every strategy and rule and publishes what comes out."""

    def __init__(
        self, *, storage: Storage, clock: Clock, publish: Callable[[Signal], None], ttl_s: int, indicators: IndicatorLibrary | None = None
    ) -> None:
        self._storage, self._clock, self._publish, self._ttl_s = storage, clock, publish, ttl_s
        self._indicators = indicators or OwnIndicators()
        self._strategies: dict[str, Strategy] = {}
        self._rules: dict[str, _Assigned] = {}
        self._streams: dict[_StreamKey, Stream] = {}
        self._evaluators: dict[str, dict[_StreamKey, Evaluator]] = {}
        self._rounds: dict[_StreamKey, _Round] = {}
        self._signals: deque[Signal] = deque()
        self._storing = False
        self._wake = anyio.Event()
        self.failing: dict[str, str] = {}
        """Strategies and rules that raised an error on their last bar."""
        self.given_up = 0
        """Signals that found no place."""
        self.on_doubt: Callable[[], None] = lambda: None
        """Told that a signal may be stored although its commit was not confirmed."""

    def add(self, strategy: Strategy) -> None:
        """Run a strategy from the next bar on.

        :raises Duplicate: another strategy has this name.
        """
        if strategy.name in self._strategies:
            raise Duplicate(kind="strategy", name=strategy.name)
        self._strategies[strategy.name] = strategy

    def assign(self, rule: RuleStrategy, symbols: frozenset[Symbol] | None) -> None:
        """Run a rule from the next bar on, on these instruments (None: all); again to change the instruments."""
        name = rule.name
        assigned = self._rules[name] = _Assigned(rule, name, symbols)
        kept = self._evaluators.get(name, {})
        for key in [key for key in kept if not assigned.wants(key[0])]:
            del kept[key]

    def dismiss(self, name: str) -> None:
        """Run a rule no more."""
        self._rules.pop(name, None)
        self._evaluators.pop(name, None)
        self.failing.pop(name, None)

    def sources(self) -> tuple[Source, ...]:
        """What everybody can follow."""
        return tuple(Source(name=s.name, title=s.title, advanced=s.advanced) for s in self._strategies.values())

    @property
    def running(self) -> tuple[int, int]:
        """How many strategies, and how many rules."""
        return len(self._strategies), len(self._rules)

    @property
    def busy(self) -> bool:
        """Whether rules are still to be asked, or signals to be stored."""
        return bool(self._rounds or self._signals) or self._storing

    @property
    def indicators(self) -> IndicatorLibrary:
        """Who computes what the built-in indicators do not cover."""
        return self._indicators

    def recent(self, symbol: Symbol) -> tuple[Bar, ...]:
        """The last closed bars of an instrument in its finest timeframe, oldest first."""
        timeframes = [timeframe_ms for name, timeframe_ms in self._streams if name == symbol]
        return self._streams[symbol, min(timeframes)].bars if timeframes else ()

    def on_bar(self, bar: Bar) -> None:
        """Compute; rules are asked in slices by :meth:`run`, which also stores and publishes what is found."""
        key = (bar.symbol, bar.timeframe_ms)
        if (behind := self._rounds.pop(key, None)) is not None:
            # Rules read the stream's newest bar: those that were not asked about the one before must be now.
            self._ask(key, behind, len(behind.left))
        self._stream(key).add(bar)
        for strategy in self._strategies.values():
            self._ask_one(strategy, strategy.name, key, bar)
        if self._rules:
            self._rounds[key] = _Round(bar, deque(self._rules))
            self._wake.set()

    def warm_up(self, bar: Bar) -> None:
        """A bar from before the start: strategies see it as if the service had run all along, and none is heard.

        Rules read what the stream has kept of it, however many there are.
        """
        key = (bar.symbol, bar.timeframe_ms)
        self._stream(key).add(bar)
        for strategy in self._strategies.values():
            self._advice(strategy, strategy.name, key, bar)

    def _stream(self, key: _StreamKey) -> Stream:
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self._indicators)
        return stream

    def _ask(self, key: _StreamKey, round_: _Round, most: int) -> None:
        for _ in range(min(most, len(round_.left))):
            # As it is now: it may have been dismissed, or its instruments changed, since the bar came.
            assigned = self._rules.get(round_.left.popleft())
            if assigned is not None and assigned.wants(key[0]):
                self._ask_one(assigned.strategy, assigned.name, key, round_.bar)

    def _ask_one(self, strategy: Strategy, name: str, key: _StreamKey, bar: Bar) -> None:
        advice = self._advice(strategy, name, key, bar)
        if advice is not None:
            self._found(strategy, name, bar, advice)

    def _advice(self, strategy: Strategy, name: str, key: _StreamKey, bar: Bar) -> Advice | None:
        try:
            evaluators = self._evaluators.setdefault(name, {})
            evaluator = evaluators.get(key)
            if evaluator is None:
                if isinstance(strategy, SharesIndicators):
                    evaluator = strategy.evaluator_on(self._streams[key])
                else:
                    evaluator = strategy.evaluator(bar.symbol)
                evaluators[key] = evaluator
            advice = advice_of(evaluator.on_bar(bar))
        except Exception as error:  # supervisor: a plug-in's bug ends its signals on this bar, not the feed
            if name not in self.failing:
                log.exception("strategy %s failed on a bar of %s", name, bar.symbol)
            self.failing[name] = repr(error)[:200]
            return None
        if self.failing:
            self.failing.pop(name, None)
        return advice

    def _found(self, strategy: Strategy, name: str, bar: Bar, advice: Advice) -> None:
        if len(self._signals) >= WAITING_MAX:
            self.given_up += 1
            log.error("strategies: %s signals wait; one of %s on %s is given up", WAITING_MAX, name, bar.symbol)
            return
        now_ms = self._clock.now_ms()
        self._signals.append(
            Signal(
                signal_id=signal_id(name, bar.symbol, bar.open_ms, advice.side),
                source=name,
                symbol=bar.symbol,
                side=advice.side,
                fraction=advice.fraction,
                note=advice.note[:NOTE_MAX],
                price=bar.close,
                bar_ms=bar.open_ms,
                created_ms=now_ms,
                expires_ms=now_ms + self._ttl_s * 1000,
                advanced=strategy.advanced,
            )
        )
        self._wake.set()

    async def run(self) -> None:
        """Ask rules, store and publish signals until cancelled."""
        while True:
            await self._wake.wait()
            while self._signals or self._rounds:
                self._storing = True
                while self._signals:
                    await self._store(self._signals.popleft())
                self._storing = False
                self._ask_a_slice()
                await anyio.lowlevel.checkpoint()
            self._wake = anyio.Event()

    def _ask_a_slice(self) -> None:
        key = next(iter(self._rounds), None)
        if key is None:
            return
        round_ = self._rounds[key]
        self._ask(key, round_, SLICE_RULES)
        if not round_.left:
            del self._rounds[key]

    async def _store(self, signal: Signal) -> None:
        try:
            await self._storage.commit(Changes(signals=(signal,)))
        except Duplicate:
            log.info("signal %s of %s was made before", signal.signal_id, signal.source)
        except TradekitError as error:
            log.error("signal %s of %s was not confirmed: %s", signal.signal_id, signal.source, error)
            self.on_doubt()
        else:
            self._publish(signal)
