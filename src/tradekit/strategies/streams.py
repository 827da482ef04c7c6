"""Indicators of one stream of bars, each computed once however many strategies and rules read it."""

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from weakref import WeakValueDictionary

import attrs

from tradekit.domain.errors import BadInput, ConfigurationError
from tradekit.domain.indicators import INDICATORS, complete
from tradekit.domain.instruments import Bar
from tradekit.domain.rules_tree import AGO_MAX
from tradekit.ports.indicators import Computation, IndicatorLibrary, IndicatorStream
from tradekit.ports.strategy import Answer, Evaluator
from tradekit.strategies.indicators import Ema, Extreme, Rsi, Sma

OWN_ONLY = "no library is wired in: give one, such as tradekit.bootstrap.open_indicators()"
HISTORY_BARS = 300
"""Kept so that an indicator asked for later starts with values."""
VALUES_KEPT = AGO_MAX + 2


@attrs.frozen
class _OfPrice:
    """One of our own indicators, on one price of the bars."""

    step: Callable[[float], float | None]
    price: str

    def add(self, bar: Bar) -> float | None:
        return self.step(float(getattr(bar, self.price)))

    def take(self, bar: Bar) -> None:
        self.add(bar)


def _own(name: str, arguments: tuple[Decimal, ...]) -> Computation:
    period = int(arguments[0])
    match name:
        case "ema":
            return _OfPrice(Ema(period).add, "close")
        case "sma":
            return _OfPrice(Sma(period).add, "close")
        case "rsi":
            return _OfPrice(Rsi(period).add, "close")
        case "highest":
            return _OfPrice(Extreme(period, highest=True).add, "high")
        case _:
            return _OfPrice(Extreme(period, highest=False).add, "low")


class OwnIndicators:
    """No library: the built-in indicators alone."""

    missing = OWN_ONLY

    def make(self, name: str, arguments: tuple[Decimal, ...]) -> Computation:
        """:raises ConfigurationError: always."""
        raise ConfigurationError(setting=f"indicator {name}", origin="a strategy or rule", problem="needs a library", fix=self.missing)


class Values:
    """The last values of one indicator or price; ``at(0)`` is the newest."""

    __slots__ = ("__weakref__", "_computation", "_values")

    def __init__(self, computation: Computation, before: Sequence[Bar] = ()) -> None:
        """:param before: bars that have passed already; of most of them no value will be asked for."""
        self._computation = computation
        self._values: deque[float | None] = deque(maxlen=VALUES_KEPT)
        for bar in before[:-VALUES_KEPT]:
            computation.take(bar)
        for bar in before[-VALUES_KEPT:]:
            self.add(bar)

    def add(self, bar: Bar) -> None:
        """Take the next bar."""
        self._values.appendleft(self._computation.add(bar))

    def at(self, ago: int) -> float | None:
        """The value some bars ago; None when there was none."""
        values = self._values
        return values[ago] if ago < len(values) else None


@attrs.frozen
class _Price:
    """A price of the bars themselves."""

    field: str

    def add(self, bar: Bar) -> float | None:
        return float(getattr(bar, self.field))

    def take(self, bar: Bar) -> None:
        pass


class Stream:
    """Takes every closed bar of one instrument and timeframe, once and in order."""

    def __init__(self, library: IndicatorLibrary, history: int = HISTORY_BARS) -> None:
        self._library = library
        self._bars: deque[Bar] = deque(maxlen=history)
        self._series: WeakValueDictionary[tuple[object, ...], Values] = WeakValueDictionary()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The last bars, oldest first."""
        return tuple(self._bars)

    @property
    def computed(self) -> int:
        """Indicators and prices that are computed per bar."""
        return len(self._series)

    def add(self, bar: Bar) -> None:
        """Take the next bar."""
        self._bars.append(bar)
        for values in list(self._series.values()):
            values.add(bar)

    def series(self, name: str, *arguments: float | Decimal) -> Values:
        """An indicator, computed once for all who ask for it; see :class:`~tradekit.ports.indicators.IndicatorStream`."""
        indicator = INDICATORS.get(name)
        if indicator is None:
            raise BadInput(field="indicator", value=name[:40], problem="is not known", hint="one of " + ", ".join(INDICATORS))
        try:
            whole = complete(indicator, tuple(Decimal(str(argument)) for argument in arguments))
        except (ValueError, ArithmeticError) as error:
            raise BadInput(field="indicator", value=name, problem=f"cannot be computed: {error}") from error
        return self._shared((name, *whole), lambda: self._library.make(name, whole) if indicator.library else _own(name, whole))

    def price(self, field: str) -> Values:
        """``open``, ``high``, ``low``, ``close`` or ``volume`` of the bars."""
        return self._shared((field,), lambda: _Price(field))

    def _shared(self, key: tuple[object, ...], make: Callable[[], Computation]) -> Values:
        known = self._series.get(key)
        if known is not None:
            return known
        values = self._series[key] = Values(make(), self.bars)
        return values


class Alone:
    """A strategy on a stream of its own: what a backtest runs, where nothing is shared."""

    __slots__ = ("_evaluator", "_stream")

    def __init__(self, stream: Stream, make: Callable[[IndicatorStream], Evaluator]) -> None:
        self._stream = stream
        self._evaluator = make(stream)

    def on_bar(self, bar: Bar) -> Answer:
        """Feed the stream, then the strategy."""
        self._stream.add(bar)
        return self._evaluator.on_bar(bar)
