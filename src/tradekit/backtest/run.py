"""Running a strategy over recorded bars."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from itertools import islice

import attrs
import msgspec

from tradekit.backtest.account import Account, parsed_settings
from tradekit.backtest.curve import Curve
from tradekit.backtest.market import BarMarket
from tradekit.backtest.metrics import measure
from tradekit.backtest.report import Report, sizing_words
from tradekit.backtest.series import Data, Series, in_order, minute, moments, series_of
from tradekit.backtest.venue import EXACT, BarVenue
from tradekit.backtest.waiting import Waiting
from tradekit.domain.amounts import money
from tradekit.domain.errors import BadInput, UserError
from tradekit.domain.instruments import Bar, Symbol
from tradekit.domain.matching import MatchingModel
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.sessions import SessionState
from tradekit.domain.signals import Signal, signal_id
from tradekit.ports.strategy import NOTE_MAX, Advice, Answer, Strategy, advice_of
from tradekit.services.decisions import Source

PROGRESS_EVERY = 2**14
AT_ONCE = 2**10
"""Bars that are read at once."""
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
    return _Run(strategy, series, options, progress).report()


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
    def __init__(self, strategy: Strategy, series: tuple[Series, ...], options: Options, progress: Progress | None) -> None:
        self._progress, self._done, self._bars = progress, 0, sum(part.count for part in series)
        self._strategy, self._series, self._options = strategy, series, options
        self._at_close = options.fill is FillAt.CLOSE
        self._market = BarMarket(part.instrument for part in series)
        self._venue = BarVenue(self._market, options.model)
        self._evaluators = {part.symbol: strategy.evaluator(part.symbol).on_bar for part in series}
        self._curve = Curve()
        self._account: Account | None = None
        self._waits: Waiting | None = None
        self._exposed = 0

    def report(self) -> Report:
        with _seldom_collected():
            if len(self._series) == 1:
                self._trade_one(self._series[0])
            else:
                self._trade_many(self._series)
        if self._progress is not None:
            self._progress(self._bars, self._bars)
        account = self._account
        if account is None or not len(self._curve):
            raise BadInput(field="data", value=", ".join(part.symbol for part in self._series), problem="has no bars to trade on")
        last = {symbol: quote for symbol in self._market.symbols() if (quote := self._market.quote(symbol)) is not None}
        last_ms = max(quote.time_ms for quote in last.values())
        firsts = [self._first(part) for part in self._series]
        final = account.state.session.cash
        for position in account.state.positions:
            final += money(position.quantity * last[position.symbol].price)
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
            buy_and_hold=[float(last[bar.symbol].price / bar.open) for bar in firsts],
        )
        return Report(
            strategy=self._strategy.name,
            title=self._strategy.title,
            symbols=tuple(part.symbol for part in self._series),
            timeframe_s=min(part.timeframe_ms for part in self._series) // 1000,
            from_ms=first_ms,
            to_ms=last_ms,
            bars=self._bars,
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
        first = next((bar for bar in series if bar.close_ms > start_ms), None)
        if first is None:
            raise BadInput(field="data", value=series.symbol, problem=f"has no bars after {minute(start_ms)}, where trading begins")
        return first

    def _trade_one(self, series: Series) -> None:
        """What :meth:`_trade_many` does, of one instrument: the one hot loop, which touches money only when there is an order."""
        symbol, shown, on_bar = series.symbol, self._market.shown, self._evaluators[series.symbol]
        source = in_order(series)
        bars = self._warm_up(source)
        cash, held, busy = self._standing(symbol)
        exposed = 0
        while bars:
            worth: list[float] = []
            for bar in bars:
                if busy:
                    self._open((bar,))
                    cash, held, busy = self._standing(symbol)
                    if busy:
                        self._settle((bar,))
                        cash, held, busy = self._standing(symbol)
                shown[symbol] = bar
                try:
                    answer = on_bar(bar)
                except Exception as error:
                    raise self._failed(bar, error) from error
                if answer is not None:
                    self._hear(((bar, answer),))
                    cash, held, busy = self._standing(symbol)
                if held:
                    exposed += 1
                    worth.append(cash + held * float(bar.close))
                else:
                    worth.append(cash)
            self._curve.extend(bars, worth)
            self._tell(len(bars))
            bars = tuple(islice(source, AT_ONCE))
        self._exposed = exposed

    def _warm_up(self, bars: Iterator[Bar]) -> tuple[Bar, ...]:
        """Up to the bar with which trading begins, which is the answer if there is one."""
        for bar in bars:
            if self._begins(bar):
                return (bar,)
            self._ask(bar)
            self._tell(1)
        return ()

    def _standing(self, symbol: Symbol) -> tuple[float, float, bool]:
        """Cash, what is held of the instrument, and whether the next bar meets an order: floats, for the curve."""
        if self._account is None:
            return 0.0, 0.0, False
        state = self._account.state
        position = state.position(symbol)
        return float(state.session.cash), float(position.quantity) if position is not None else 0.0, bool(state.orders)

    def _trade_many(self, parts: tuple[Series, ...]) -> None:
        """Moment by moment: what closes meets the rest of its prices, then the strategy is asked, and what opens meets what was sent."""
        closes: dict[Symbol, float] = {}
        for closing, opening in moments(parts):
            account = self._account
            if account is not None and account.state.orders:
                self._settle(closing)
            heard = [(bar, answer) for bar in closing if (answer := self._ask(bar)) is not None]
            closes.update((bar.symbol, float(bar.close)) for bar in closing)
            if account is not None:
                if heard:
                    self._hear(heard)
                if closing:
                    self._note(account.state, closes, closing[0].close_ms)
                if account.state.orders:
                    self._open(opening)
            elif opening:
                self._begins(opening[0])
            self._tell(len(closing))

    def _note(self, state: SessionState, closes: Mapping[Symbol, float], now_ms: int) -> None:
        """A point of the curve, at the last closing prices: what a bar opens at counts once it has closed."""
        value = float(state.session.cash)
        for position in state.positions:
            value += float(position.quantity) * closes[position.symbol]
        self._exposed += bool(state.positions)
        self._curve.add(now_ms, value)

    def _tell(self, bars: int) -> None:
        """So many bars more are done; of how many is known from the series, whose end is told by :meth:`report`."""
        before, self._done = self._done, min(self._done + bars, self._bars)
        if self._progress is not None and self._done // PROGRESS_EVERY > before // PROGRESS_EVERY:
            self._progress(self._done, self._bars)

    def _begins(self, bar: Bar) -> bool:
        """Whether trading begins with this bar, the first that closes late enough: then the account is opened."""
        if bar.close_ms <= (self._options.trade_from_ms or 0):
            return False
        self._account = self._opened_account(bar.open_ms)
        self._waits = Waiting(self._account, self._market, self._venue)
        return True

    def _ask(self, bar: Bar) -> Answer:
        self._market.shown[bar.symbol] = bar
        try:
            return self._evaluators[bar.symbol](bar)
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

    def _hear(self, heard: Iterable[tuple[Bar, Answer]]) -> None:
        account = self._account
        assert account is not None
        for bar, answer in heard:
            advice = advice_of(answer)
            assert advice is not None
            account.hear(self._signal(bar, advice))
            if self._at_close:
                account.hear_reports(self._venue.arrive(bar.symbol, bar.close_ms))

    def _open(self, opening: tuple[Bar, ...]) -> None:
        account, waits = self._account, self._waits
        assert account is not None
        assert waits is not None
        for bar in opening:
            # What waited before this bar meets its open before what it brings does.
            if account.waits:
                waits.opened(bar)
            account.hear_reports(self._venue.opened(bar))

    def _settle(self, closing: tuple[Bar, ...]) -> None:
        account, waits = self._account, self._waits
        assert account is not None
        assert waits is not None
        held = account.waits
        if held or self._venue.resting:
            for bar in closing:
                if held:
                    waits.closed(bar)
                else:
                    account.hear_reports(self._venue.closed(bar))

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
