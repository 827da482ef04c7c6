"""Running a strategy over recorded bars."""

import gc
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum

import attrs
import msgspec

from tradekit.backtest.account import Account, parsed_settings
from tradekit.backtest.curve import Curve
from tradekit.backtest.market import BarMarket
from tradekit.backtest.metrics import measure
from tradekit.backtest.report import Report, sizing_words
from tradekit.backtest.series import Data, Moment, Series, minute, moments, series_of
from tradekit.backtest.venue import EXACT, BarVenue
from tradekit.backtest.waiting import Waiting
from tradekit.domain.amounts import money
from tradekit.domain.errors import BadInput, UserError
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.matching import MatchingModel
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.signals import Signal, signal_id
from tradekit.ports.strategy import NOTE_MAX, Advice, Answer, Strategy, advice_of
from tradekit.services.decisions import Source

PROGRESS_EVERY = 2**14
SIGNAL_TTL_MS = 300_000
GC_THRESHOLD = 50_000

Progress = Callable[[int, int], None]
"""Told how many bars are done, and of how many."""


class FillAt(StrEnum):
    """When an order that a closing bar caused meets the market."""

    NEXT_OPEN = "next-open"
    """At its instrument's next opening price."""
    CLOSE = "close"
    """At once, at the closing price that caused it."""


@attrs.define(kw_only=True, eq=False)
class StrategyFailed(UserError):
    """The strategy raised an error on a bar."""

    strategy: str
    symbol: str
    bar_ms: int
    problem: str

    def __str__(self) -> str:
        return f"{self.strategy} failed on the bar of {self.symbol} at {minute(self.bar_ms)}: {self.problem}"


@attrs.frozen(kw_only=True)
class Options:
    """Everything but the strategy and the data. The defaults are those of a paper account, without spread, slippage and noise."""

    cash: Decimal = Decimal(10_000)
    """Quote currency at the start."""
    fees: Decimal | None = None
    """Fraction of the notional per fill; None takes the instrument's (0.001 unless it says otherwise)."""
    fill: FillAt = attrs.field(default=FillAt.NEXT_OPEN, converter=FillAt)
    model: MatchingModel = EXACT
    settings: Mapping[str, str] = attrs.field(factory=dict)
    """The user's settings as text, such as ``{"sizing": "percent_of_equity", "size": "20"}``; see ``/settings`` of the service."""
    policy: TradingPolicy = attrs.field(factory=TradingPolicy)
    trade_from_ms: int | None = None
    """Bars that close before this only warm the strategy up."""

    def __attrs_post_init__(self) -> None:
        if self.cash <= 0:
            raise BadInput(field="cash", value=str(self.cash), problem="is not above zero", hint="as in 10000")
        if self.fees is not None and not 0 <= self.fees < 1:
            raise BadInput(field="fees", value=str(self.fees), problem="is not a fraction", hint="0.001 is 0.1 percent")


def run(strategy: Strategy, data: Data, options: Options | None = None, *, progress: Progress | None = None) -> Report:
    """Trade the strategy over the data, as one user of the service with an unlimited plan would have, and report.

    Depends on nothing but its arguments. Bars must be in order of time; gaps are taken as they come (:func:`~tradekit.backtest.gaps`).

    :raises BadInput: an option, or no data.
    :raises DataError: bars out of order or twice.
    :raises StrategyFailed: the strategy raised an error.
    """
    options = options or Options()
    series = tuple(_priced(part, options) for part in series_of(data))
    return _Run(strategy, series, options).report(progress)


def _priced(series: Series, options: Options) -> Series:
    instrument = series.instrument
    if options.fees is not None:
        instrument = msgspec.structs.replace(instrument, maker_fee=options.fees, taker_fee=options.fees)
    return attrs.evolve(series, instrument=instrument)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Decisions make values without cycles; looking for some all the time costs a twentieth of the run."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], GC_THRESHOLD), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Run:
    def __init__(self, strategy: Strategy, series: tuple[Series, ...], options: Options) -> None:
        self._strategy, self._series, self._options = strategy, series, options
        self._market = BarMarket(part.instrument for part in series)
        self._venue = BarVenue(self._market, options.model)
        self._evaluators = {part.symbol: strategy.evaluator(part.symbol).on_bar for part in series}
        self._curve = Curve()
        self._account: Account | None = None
        self._cash = float(options.cash)
        self._held: list[tuple[Symbol, float]] = []
        self._exposed = 0
        self._waits: Waiting | None = None
        self._waiting: Waiting | None = None
        """The same while orders are held for a trigger."""

    def report(self, progress: Progress | None) -> Report:
        stream = moments(self._series)
        self._warm_up(stream)
        with _seldom_collected():
            self._trade(stream if progress is None else self._watched(stream, progress))
        account = self._account
        if account is None or not len(self._curve):
            raise BadInput(field="data", value=", ".join(part.symbol for part in self._series), problem="has no bars to trade on")
        last_ms = max(bar.close_ms for bar in self._market.last.values())
        firsts = [self._first(part) for part in self._series]
        final = account.state.session.cash
        for position in account.state.positions:
            final += money(position.quantity * self._market.last[position.symbol].close)
        trades, first_ms = account.book.round_trips(), min(bar.open_ms for bar in firsts)
        metrics = measure(
            book=account.book,
            trades=trades,
            curve=self._curve,
            initial=self._options.cash,
            final=final,
            exposed=self._exposed,
            start_ms=first_ms,
            end_ms=last_ms,
            buy_and_hold=[float(self._market.last[bar.symbol].close / bar.open) for bar in firsts],
        )
        return Report(
            strategy=self._strategy.name,
            title=self._strategy.title,
            symbols=tuple(part.symbol for part in self._series),
            timeframe_s=min(part.timeframe_ms for part in self._series) // 1000,
            from_ms=first_ms,
            to_ms=last_ms,
            bars=sum(part.count for part in self._series),
            fill=self._options.fill.value,
            settings=dict(self._options.settings),
            sizing=sizing_words(account.state.settings, self._series[0].symbol.partition("/")[2]),
            metrics=metrics,
            trades=tuple(trades),
            fills=tuple(account.book.fills),
            open_positions=account.state.positions,
            skipped=dict(sorted(account.book.skipped.items())),
            equity=self._curve,
        )

    def _first(self, series: Series) -> Bar:
        start_ms = self._options.trade_from_ms or 0
        return next(bar for bar in series if bar.close_ms > start_ms)

    def _watched(self, stream: Iterator[Moment], progress: Progress) -> Iterator[Moment]:
        total, done = sum(part.count for part in self._series), 0
        tell_at = PROGRESS_EVERY
        for moment in stream:
            yield moment
            done += len(moment[0])
            if done >= tell_at:
                progress(done, total)
                tell_at = done + PROGRESS_EVERY
        progress(total, total)

    def _warm_up(self, stream: Iterator[Moment]) -> None:
        """Up to where trading begins: with the first bar that closes late enough. The account is as old as that bar."""
        start_ms = self._options.trade_from_ms
        for closing, opening in stream:
            for bar in closing:
                self._market.last[bar.symbol] = bar
                self._ask(bar)
            if opening and (start_ms is None or opening[0].close_ms > start_ms):
                self._account = self._opened_account(opening[0].open_ms)
                self._waits = Waiting(self._account, self._market, self._venue)
                return

    def _trade(self, stream: Iterator[Moment]) -> None:
        # The one hot loop: names are bound outside, and money is touched only when there is an order.
        venue, last, evaluators = self._venue, self._market.last, self._evaluators
        times_ms: list[int] = []
        values: list[float] = []
        heard: list[tuple[Bar, Answer]] = []
        for closing, opening in stream:
            if venue.resting or self._waiting is not None:
                self._settle(closing)
            for bar in closing:
                symbol = bar.symbol
                last[symbol] = bar
                try:
                    answer = evaluators[symbol](bar)
                except Exception as error:
                    raise self._failed(bar, error) from error
                if answer is not None:
                    heard.append((bar, answer))
            if heard:
                self._hear(heard)
                heard = []
            value = self._cash
            if self._held:
                self._exposed += 1
                for held, quantity in self._held:
                    value += quantity * float(last[held].close)
            if closing:
                times_ms.append(bar.open_ms + bar.timeframe_ms)
                values.append(value)
            if venue.arriving or venue.resting or self._waiting is not None:
                self._open(opening)
        self._curve = Curve(array("q", times_ms), array("d", values))

    def _ask(self, bar: Bar) -> None:
        try:
            self._evaluators[bar.symbol](bar)
        except Exception as error:
            raise self._failed(bar, error) from error

    def _opened_account(self, now_ms: int) -> Account:
        return Account(
            self._market,
            self._venue,
            Source(name=self._strategy.name, title=self._strategy.title),
            cash=self._options.cash,
            settings=parsed_settings(self._options.settings),
            policy=self._options.policy,
            now_ms=now_ms,
        )

    def _hear(self, heard: list[tuple[Bar, Answer]]) -> None:
        account = self._account
        assert account is not None
        for bar, answer in heard:
            advice = advice_of(answer)
            assert advice is not None
            account.hear(self._signal(bar, advice))
            if self._options.fill is FillAt.CLOSE:
                account.hear_reports(self._venue.arrive(bar.symbol, bar.close_ms))
                self._weigh()

    def _open(self, opening: tuple[Bar, ...]) -> None:
        assert self._account is not None
        for bar in opening:
            # What waited before this bar meets its open before what it brings does.
            if self._waiting is not None:
                self._waiting.opened(bar)
            self._account.hear_reports(self._venue.opened(bar))
        self._weigh()

    def _settle(self, closing: tuple[Bar, ...]) -> None:
        assert self._account is not None
        for bar in closing:
            if self._waiting is not None:
                self._waiting.closed(bar)
            else:
                self._account.hear_reports(self._venue.closed(bar))
        self._weigh()

    def _weigh(self) -> None:
        """Cash and holdings as floats, for the curve."""
        assert self._account is not None
        state = self._account.state
        self._cash = float(state.session.cash)
        self._held = [(position.symbol, float(position.quantity)) for position in state.positions]
        self._waiting = self._waits if self._account.waits else None

    def _signal(self, bar: Bar, advice: Advice) -> Signal:
        name, now_ms = self._strategy.name, bar.close_ms
        return Signal(
            signal_id=signal_id(name, bar.symbol, bar.open_ms, advice.side),
            source=name,
            symbol=bar.symbol,
            side=advice.side,
            fraction=advice.fraction,
            note=advice.note[:NOTE_MAX],
            price=bar.close,
            bar_ms=bar.open_ms,
            created_ms=now_ms,
            expires_ms=now_ms + SIGNAL_TTL_MS,
        )

    def _failed(self, bar: Bar, error: Exception) -> StrategyFailed:
        return StrategyFailed(
            strategy=self._strategy.name, symbol=bar.symbol, bar_ms=bar.open_ms, problem=f"{type(error).__name__}: {error}"
        )
