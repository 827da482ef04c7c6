"""Strategies at work: each computed once per instrument, its signals stored, then fanned out."""

import logging
from collections import deque
from collections.abc import Callable

import anyio

from tradekit.domain.changes import Changes
from tradekit.domain.errors import Duplicate, TradekitError
from tradekit.domain.instruments import Bar
from tradekit.domain.signals import Signal, signal_id
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Storage
from tradekit.ports.strategy import NOTE_MAX, Advice, Evaluator, Strategy, advice_of
from tradekit.services.decisions import Source

log = logging.getLogger(__name__)

WAITING_MAX = 1000


class StrategyRunner:
    """Feeds closed bars to every strategy and publishes what comes out."""

    def __init__(self, *, storage: Storage, clock: Clock, publish: Callable[[Signal], None], ttl_s: int) -> None:
        self._storage, self._clock, self._publish, self._ttl_s = storage, clock, publish, ttl_s
        self._strategies: dict[str, Strategy] = {}
        self._evaluators: dict[tuple[str, str, int], Evaluator] = {}
        self._signals: deque[Signal] = deque()
        self._wake = anyio.Event()
        self.on_doubt: Callable[[], None] = lambda: None
        """Told that a signal may be stored although its commit was not confirmed."""

    def add(self, strategy: Strategy) -> None:
        """Run a strategy from the next bar on.

        :raises Duplicate: another strategy has this name.
        """
        if strategy.name in self._strategies:
            raise Duplicate(kind="strategy", name=strategy.name)
        self._strategies[strategy.name] = strategy

    def sources(self) -> tuple[Source, ...]:
        """What users can follow."""
        return tuple(Source(name=s.name, title=s.title, advanced=s.advanced) for s in self._strategies.values())

    def on_bar(self, bar: Bar) -> None:
        """Compute; signals are stored and published by :meth:`run`."""
        for strategy in self._strategies.values():
            key = (strategy.name, bar.symbol, bar.timeframe_ms)
            evaluator = self._evaluators.get(key)
            if evaluator is None:
                evaluator = self._evaluators[key] = strategy.evaluator(bar.symbol)
            try:
                advice = advice_of(evaluator.on_bar(bar))
            except Exception:  # supervisor: a plug-in's bug ends its signals on this bar, not the feed
                log.exception("strategy %s failed on a bar of %s", strategy.name, bar.symbol)
                continue
            if advice is not None:
                self._found(strategy, bar, advice)

    def _found(self, strategy: Strategy, bar: Bar, advice: Advice) -> None:
        if len(self._signals) >= WAITING_MAX:
            log.error("strategies: %s signals wait; one of %s on %s is given up", WAITING_MAX, strategy.name, bar.symbol)
            return
        now_ms = self._clock.now_ms()
        self._signals.append(
            Signal(
                signal_id=signal_id(strategy.name, bar.symbol, bar.open_ms, advice.side),
                source=strategy.name,
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
        """Store and publish signals until cancelled."""
        while True:
            await self._wake.wait()
            while self._signals:
                await self._store(self._signals.popleft())
            self._wake = anyio.Event()

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
