"""A market that exists only here: a seeded random walk, marked as simulated wherever it is shown."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from tradekit.adapters.feeds.pace import Pace
from tradekit.domain.instruments import Bar, Instrument, Quote, Symbol, instrument_for
from tradekit.ports.clock import Clock

START_PRICES: Mapping[Symbol, Decimal] = {"BTC/USDT": Decimal("65000.00"), "ETH/USDT": Decimal("3200.00"), "SOL/USDT": Decimal("150.00")}
VOLATILITY = Decimal("0.0001")
"""Standard deviation of a step, as a share of the price: 0.01 % a second is near 56 % a year, a calm year of bitcoin."""

_UNIFORM_BITS = 16
_SUMMANDS = 12


class Walk:
    """Prices of one instrument: each step multiplies the last by 1 + volatility times a normal deviate, and rounds to the tick.

    The deviate is the sum of twelve uniform numbers less six (Irwin-Hall), in integers: the same on every machine.
    """

    def __init__(self, seed: int, symbol: Symbol, start: Decimal, volatility: Decimal) -> None:
        self.instrument = instrument_for(symbol, start)
        self.price = start
        self._volatility = volatility
        self._random = random.Random(f"{seed}/{symbol}")  # noqa: S311 - a market, not a secret

    def step(self) -> tuple[Decimal, Decimal]:
        """The next price, and the volume traded at it in base currency."""
        bits = self._random.getrandbits(_UNIFORM_BITS * _SUMMANDS)
        mask = (1 << _UNIFORM_BITS) - 1
        total = sum((bits >> shift) & mask for shift in range(0, _UNIFORM_BITS * _SUMMANDS, _UNIFORM_BITS))
        deviate = Decimal(total) / (mask + 1) - _SUMMANDS // 2
        tick = self.instrument.tick_size
        moved = self.price * (1 + self._volatility * deviate)
        self.price = max(tick, (moved / tick).to_integral_value(ROUND_HALF_EVEN) * tick)
        return self.price, self.instrument.step_size * self._random.randrange(1, 10_000)


class SimulatedFeed:
    """A price per instrument every ``tick_s``, and bars of ``bar_s`` that begin at whole multiples of it in UTC.

    The prices depend on seed, symbols and the number of steps only; the clock says when they happen. A bar that was under way at the
    start is left out, as it is not whole. Never ends. Quotes carry the time at which they were due.
    """

    source = "simulated"

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 0,
        start_prices: Mapping[Symbol, Decimal] = START_PRICES,
        tick_s: float = 1,
        bar_s: int = 60,
        volatility: Decimal = VOLATILITY,
    ) -> None:
        self._clock = clock
        self._seed = seed
        self._start_prices = dict(start_prices)
        self._tick_ms = round(tick_s * 1000)
        self._bar_ms = bar_s * 1000
        self._volatility = volatility

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(instrument_for(symbol, price) for symbol, price in self._start_prices.items())

    def opening(self) -> tuple[Quote, ...]:
        now_ms = self._clock.now_ms()
        return tuple(Quote(symbol=symbol, price=price, time_ms=now_ms) for symbol, price in self._start_prices.items())

    async def past(self) -> tuple[Bar, ...]:
        """None: the market begins now."""
        return ()

    async def events(self) -> AsyncIterator[Quote | Bar]:
        """Each call walks the same way from the start prices."""
        start_ms = self._clock.now_ms()
        pace = Pace(self._clock)
        markets = [
            (Walk(self._seed, symbol, price, self._volatility), _Bars(symbol, self._bar_ms, start_ms))
            for symbol, price in self._start_prices.items()
        ]
        elapsed_ms = 0
        while True:
            elapsed_ms += self._tick_ms
            await pace.until(elapsed_ms / 1000)
            for walk, bars in markets:
                price, volume = walk.step()
                for bar in bars.add(start_ms + elapsed_ms, price, volume):
                    yield bar
                yield Quote(symbol=walk.instrument.symbol, price=price, time_ms=start_ms + elapsed_ms)


class _Bars:
    """Collects prices into bars."""

    def __init__(self, symbol: Symbol, bar_ms: int, start_ms: int) -> None:
        self._symbol = symbol
        self._bar_ms = bar_ms
        self._whole_from_ms = -(-start_ms // bar_ms) * bar_ms
        self._open_ms = -1
        self._prices: tuple[Decimal, Decimal, Decimal, Decimal] = (Decimal(0),) * 4
        self._volume = Decimal(0)

    def add(self, time_ms: int, price: Decimal, volume: Decimal) -> Iterator[Bar]:
        """Take a price; the bar that it closes, if any."""
        open_ms = time_ms // self._bar_ms * self._bar_ms
        if open_ms != self._open_ms:
            if self._open_ms >= self._whole_from_ms:
                yield self._bar()
            self._open_ms, self._prices, self._volume = open_ms, (price,) * 4, volume
            return
        opened, high, low, _ = self._prices
        self._prices = (opened, max(high, price), min(low, price), price)
        self._volume += volume

    def _bar(self) -> Bar:
        opened, high, low, close = self._prices
        return Bar(
            symbol=self._symbol,
            timeframe_ms=self._bar_ms,
            open_ms=self._open_ms,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=self._volume,
        )
