import csv
import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tradekit.adapters.feeds import Recording, ReplayFeed, SimulatedFeed, parse_feed
from tradekit.adapters.system import SystemClock, SystemEntropy
from tradekit.domain.errors import ConfigurationError, DataError
from tradekit.domain.instruments import Bar, Quote
from tradekit.domain.matching import price_path
from tradekit.testing.contracts.feed import FeedContract, take

pytestmark = pytest.mark.anyio
D = Decimal
NOW_MS = 1_800_000_000_000
HEADER = "time,open,high,low,close,volume\n"


class VirtualClock:
    """Time passes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.elapsed_s = 0.0
        self.sleeps = 0
        monkeypatch.setattr("tradekit.adapters.feeds.pace.anyio.sleep", self.sleep)

    def now_ms(self) -> int:
        return NOW_MS + round(self.elapsed_s * 1000)

    def monotonic(self) -> float:
        return 500 + self.elapsed_s

    async def sleep(self, delay_s: float) -> None:
        assert delay_s > 0
        self.sleeps += 1
        self.elapsed_s += delay_s
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock(monkeypatch)


def write_bars(path: Path, rows: Sequence[tuple[int, str, str, str, str, str]]) -> Path:
    text = HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def stocks(recorded_stocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Real daily bars of one company, in our format."""
    folder = tmp_path_factory.mktemp("stocks")
    companies: dict[str, list[tuple[int, str, str, str, str, str]]] = {}
    with gzip.open(recorded_stocks, "rt", encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            day = int(datetime.fromisoformat(row["Date"]).replace(tzinfo=UTC).timestamp())
            prices = [row[name] for name in ("Open", "High", "Low", "Close")]
            if D(prices[2]) <= min(D(prices[0]), D(prices[3])) <= max(D(prices[0]), D(prices[3])) <= D(prices[1]):
                companies.setdefault(row["Ticker"], []).append((day, *prices, row["Volume"]))

    def of(name: str) -> Path:
        return write_bars(folder / f"{name}-USD-1d.csv.gz", sorted(companies[name])[:400])

    return of


@pytest.fixture(scope="session")
def eurusd(recorded_eurusd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with recorded_eurusd.open(encoding="utf-8", newline="") as text:
        rows = [
            (
                int(datetime.strptime(row["Time"], "%d.%m.%Y %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()),
                row["Open"], row["High"], row["Low"], row["Close"], row["Volume"],
            )
            for row in csv.DictReader(text)
        ]  # fmt: skip
    return write_bars(tmp_path_factory.mktemp("forex") / "EUR-USD-1h.csv", rows[:300])


@pytest.fixture
def two_files(tmp_path: Path) -> tuple[Path, Path]:
    """A: minutes 0, 1, then a pause, 10. B: minutes 1, 2."""
    a = write_bars(tmp_path / "AAA-USD-1m.csv", [(60 * m, f"{10 + m}", f"{15 + m}", "5", f"{11 + m}", "1") for m in (0, 1, 10)])
    b = write_bars(tmp_path / "BBB-USD-1m.csv.gz", [(60 * m, "20", "25", "15", "19", "1") for m in (1, 2)])
    return a, b


class TestReplay(FeedContract):
    @pytest.fixture
    def feed(self, stocks: Callable[[str], Path], clock: VirtualClock) -> ReplayFeed:
        return ReplayFeed([Recording.scan(stocks(name), f"{name}/USD") for name in ("AAPL", "IBM")], clock)


class TestReplayAtSpeed(FeedContract):
    @pytest.fixture
    def feed(self, eurusd: Path) -> ReplayFeed:
        return ReplayFeed([Recording.scan(eurusd, "EUR/USD")], SystemClock(), speed=1e9)


class TestSimulated(FeedContract):
    @pytest.fixture
    def feed(self, clock: VirtualClock) -> SimulatedFeed:
        return SimulatedFeed(clock, seed=3)


async def test_real_prices_come_out_as_recorded(stocks: Callable[[str], Path], clock: VirtualClock):
    path = stocks("AAPL")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    recording = Recording.scan(path, "AAPL/USD")
    assert (recording.count, recording.timeframe_ms) == (len(rows), 86_400_000)
    feed = ReplayFeed([recording], clock)
    events = await take(feed, 10_000)
    bars = [event for event in events if isinstance(event, Bar)]
    assert [(b.open, b.high, b.low, b.close, b.volume) for b in bars] == [
        tuple(D(row[name]) for name in ("open", "high", "low", "close", "volume")) for row in rows
    ]
    first_ms = int(rows[0]["time"]) * 1000
    assert [bar.open_ms - NOW_MS for bar in bars] == [int(row["time"]) * 1000 - first_ms for row in rows]
    assert feed.opening()[0].price == D(rows[0]["open"])
    quotes = [event for event in events if isinstance(event, Quote)]
    assert [quote.price for quote in quotes] == [price for bar in bars for price in price_path(bar)]
    assert [quote.final for quote in quotes] == [False] * (len(quotes) - 1) + [True]


async def test_one_bar_a_second_and_no_waiting_where_nothing_was_recorded(two_files: tuple[Path, Path], clock: VirtualClock):
    feed = parse_feed(f"replay:{two_files[0]},{two_files[1]}", None, clock)
    seen = [(event.symbol[0], clock.now_ms() - NOW_MS) async for event in feed.events() if isinstance(event, Bar)]
    assert seen == [("A", 1_000), ("A", 2_000), ("B", 2_000), ("B", 3_000), ("A", 4_000)]


async def test_speed_is_a_multiple_of_recorded_time_pauses_included(two_files: tuple[Path, Path], clock: VirtualClock):
    feed = parse_feed(f"replay:{two_files[0]},{two_files[1]}", 60.0, clock)
    seen = [(event.symbol[0], clock.now_ms() - NOW_MS) async for event in feed.events() if isinstance(event, Bar)]
    assert seen == [("A", 1_000), ("A", 2_000), ("B", 2_000), ("B", 3_000), ("A", 11_000)]


async def test_each_file_ends_with_a_final_price(two_files: tuple[Path, Path], clock: VirtualClock):
    feed = parse_feed(f"replay:{two_files[0]},{two_files[1]}", None, clock)
    assert [(quote.symbol, quote.price) for quote in feed.opening()] == [("AAA/USD", D(10)), ("BBB/USD", D(20))]
    events = await take(feed)
    assert [(event.symbol, event.price) for event in events if isinstance(event, Quote) and event.final] == [
        ("BBB/USD", D(19)),
        ("AAA/USD", D(21)),
    ]
    assert isinstance(events[-1], Bar)


async def test_second_replay_has_bars_of_its_own(two_files: tuple[Path, Path], clock: VirtualClock):
    feed = parse_feed(f"replay:{two_files[0]}", None, clock)
    runs = [[event.open_ms async for event in feed.events() if isinstance(event, Bar)] for _ in range(2)]
    assert len(runs[0]) == 3
    assert not set(runs[0]) & set(runs[1])
    assert [b - a for a, b in pairwise(runs[0])] == [b - a for a, b in pairwise(runs[1])]


async def test_slow_listener_misses_nothing_and_is_not_waited_for_again(two_files: tuple[Path, Path], clock: VirtualClock):
    feed = parse_feed(f"replay:{two_files[0]},{two_files[1]}", None, clock)
    count = 0
    async for _ in feed.events():
        if not count:
            clock.elapsed_s += 3_600
        count += 1
    assert (count, clock.sleeps) == (5 * 4 + 5, 0)


async def test_simulated_prices_depend_on_the_seed_and_not_on_time(clock: VirtualClock):
    first = await take(SimulatedFeed(clock, seed=7), 300)
    clock.elapsed_s += 12_345.678
    again = await take(SimulatedFeed(clock, seed=7), 300)
    other = await take(SimulatedFeed(clock, seed=8), 300)

    def prices(events: list[Quote | Bar]) -> list[tuple[str, Decimal]]:
        return [(event.symbol, event.price) for event in events if isinstance(event, Quote)][:280]

    assert prices(first) == prices(again)
    assert prices(first) != prices(other)
    assert prices(first)[:4] == [
        ("BTC/USDT", D("64994.55")),
        ("ETH/USDT", D("3200.223")),
        ("SOL/USDT", D("150.0182")),
        ("BTC/USDT", D("64995.83")),
    ]


async def test_simulated_bars_hold_the_prices_between_whole_minutes(clock: VirtualClock):
    clock.elapsed_s = 10.0
    events = await take(SimulatedFeed(clock, start_prices={"BTC/USDT": D(50_000)}), 400)
    quotes = [event for event in events if isinstance(event, Quote)]
    bars = [event for event in events if isinstance(event, Bar)]
    assert [bar.open_ms for bar in bars] == [NOW_MS + 60_000 * minute for minute in range(1, len(bars) + 1)]
    assert len(bars) == 5
    for bar in bars:
        prices = [quote.price for quote in quotes if bar.open_ms <= quote.time_ms < bar.close_ms]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert len(prices) == 60


async def test_simulated_market_moves_like_a_market(clock: VirtualClock):
    quotes = [event for event in await take(SimulatedFeed(clock, start_prices={"BTC/USDT": D(50_000)}), 5_000) if isinstance(event, Quote)]
    moves = [float(after.price / before.price - 1) for before, after in pairwise(quotes)]
    deviation = (sum(move * move for move in moves) / len(moves)) ** 0.5
    assert deviation == pytest.approx(1e-4, rel=0.05)


GOOD = "60,10,15,5,11,1\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: the file is empty"),
        (HEADER.encode(), "has no bars"),
        (b"time,open,high,low,close\n60,1,1,1,1\n", "line 1: no column volume"),
        ((HEADER + GOOD + "120,10,15,5,11\n").encode(), "line 3: 5 columns instead of 6"),
        ((HEADER + GOOD + "120,10,x,5,11,1\n").encode(), "line 3: high is not a number: 'x'"),
        ((HEADER + GOOD + "120,NaN,15,5,11,1\n").encode(), "line 3: open is not a number: 'NaN'"),
        ((HEADER + GOOD + "120,1e999,15,5,11,1\n").encode(), "line 3: open is not a number"),
        ((HEADER + GOOD + f"120,{'1' * 40},15,5,11,1\n").encode(), "line 3: open is not a number"),
        ((HEADER + GOOD + "120,10,15,-5,11,1\n").encode(), "line 3: low is negative: '-5'"),
        ((HEADER + GOOD + "120,10,15,5,11,-1\n").encode(), "line 3: volume is negative"),
        ((HEADER + GOOD + "120,10,15,0,11,1\n").encode(), "line 3: a price is zero"),
        ((HEADER + GOOD + "120,10,9,5,8,1\n").encode(), "line 3: open and close are not between low and high"),
        ((HEADER + GOOD + "\n" + GOOD).encode(), "line 4: time 60 is there twice"),
        ((HEADER + GOOD + "30,10,15,5,11,1\n").encode(), "line 3: time 30 comes after 60"),
        ((HEADER + GOOD + "-30,10,15,5,11,1\n").encode(), "line 3: time is '-30'"),
        ((HEADER + GOOD + "2024-01-01,10,15,5,11,1\n").encode(), "line 3: time is '2024-01-01'"),
        ((HEADER + GOOD + '120,"10,15,5,11,1\n').encode(), "line 2: unexpected end of data"),
        ((HEADER + GOOD).encode() + b"\xff\xfe,1\n", "is not text"),
        (gzip.compress((HEADER + GOOD * 1).encode(), mtime=0)[:-12], "is cut short, or is not gzip"),
    ],
)
async def test_defect_in_a_file_is_told_with_its_line_and_what_to_do(content: bytes, problem: str, tmp_path: Path):
    path = tmp_path / "BTC-USDT-1m.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        Recording.scan(path, "BTC/USDT")
    assert problem in caught.value.problem
    assert caught.value.path == str(path)
    assert caught.value.fix


async def test_file_that_only_claims_to_be_gzip_is_told(tmp_path: Path):
    path = tmp_path / "BTC-USDT-1m.csv.gz"
    path.write_text(HEADER + GOOD, encoding="utf-8")
    with pytest.raises(DataError, match="not gzip"):
        Recording.scan(path, "BTC/USDT")


async def test_columns_may_stand_in_any_order_and_more_be_there(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("\ufeffVolume,Close,Low,High,Open,Time,Trades\r\n3,11,5,15,10,60,99\r\n", encoding="utf-8")
    (bar,) = Recording.scan(path, "X/Y").bars()
    assert (bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume) == (60_000, D(10), D(15), D(5), D(11), D(3))
    assert bar.timeframe_ms == 60_000


async def test_instrument_comes_from_the_name_of_the_file_or_is_given(two_files: tuple[Path, Path], tmp_path: Path):
    feed = parse_feed(f"replay:{two_files[0]}, btc/usdt={two_files[1]}", None, SystemClock())
    assert [(instrument.symbol, instrument.base, instrument.quote) for instrument in feed.instruments()] == [
        ("AAA/USD", "AAA", "USD"),
        ("BTC/USDT", "BTC", "USDT"),
    ]
    assert parse_feed("simulated", None, SystemClock()).source == "simulated"


@pytest.mark.parametrize(
    ("spec", "speed", "setting", "told"),
    [
        ("live", None, "--feed", "--feed replay:PATH"),
        ("", None, "--feed", "--feed simulated"),
        ("replay:", None, "--feed", "is not a feed"),
        ("replay:/no/such-file.csv", None, "--feed", "/no/such-file.csv"),
        ("replay:{a},", None, "--feed", "there is no file"),
        ("replay:{a},{a}", None, "--feed", "AAA/USD is given twice"),
        ("replay:{plain}", None, "--feed", "replay:BTC/USDT="),
        ("replay:{a}", 0.0, "--speed", "--speed 60"),
        ("replay:{a}", float("nan"), "--speed", "--speed 60"),
        ("simulated", 2.0, "--speed", "leave --speed out"),
    ],
)
async def test_wrong_setting_names_itself_and_the_fix(
    spec: str, speed: float | None, setting: str, told: str, two_files: tuple[Path, Path], tmp_path: Path
):
    plain = write_bars(tmp_path / "prices.csv", [(60, "10", "15", "5", "11", "1")])
    with pytest.raises(ConfigurationError) as caught:
        parse_feed(spec.format(a=two_files[0], plain=plain), speed, SystemClock())
    assert caught.value.setting == setting
    assert told in f"{caught.value.problem} {caught.value.fix}"


async def test_system_clock_and_entropy():
    clock, entropy = SystemClock(), SystemEntropy()
    assert clock.now_ms() > 1_700_000_000_000
    assert clock.monotonic() <= clock.monotonic()
    assert len(entropy.token(16)) == 32
    assert entropy.token(16) != entropy.token(16)
    assert all(0 <= entropy.uniform() < 1 for _ in range(100))
