"""Settings in, a wired service out: the only place that knows which adapter serves which port."""

import gc
import importlib.util
import logging
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import attrs

from tradekit.adapters.crypto import AesGcmVault, generate_key, read_keys
from tradekit.adapters.feeds import LivePrices, SimulatedFeed, parse_feed, parse_live, parse_recordings
from tradekit.adapters.indicators import Indicators
from tradekit.adapters.paper import PaperExchange
from tradekit.adapters.sql import inspection, open_storage
from tradekit.adapters.system import SystemClock, SystemEntropy
from tradekit.adapters.system.background import Background
from tradekit.adapters.system.host import PsutilProbe
from tradekit.backtest.series import Series
from tradekit.chat.conversation import Conversation
from tradekit.chat.registry import lane_class
from tradekit.config import Settings, SeveralConfigurationErrors
from tradekit.config.settings import ForeignOrders
from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import ConfigurationError, ExchangeUnavailable, KeyRefused
from tradekit.domain.health import Finding
from tradekit.domain.orders import TradingMode, mode_of, venue_of
from tradekit.domain.risk import TradingPolicy
from tradekit.domain.suggestions import closest
from tradekit.engine.custody import KeyCustodian
from tradekit.engine.market import Market
from tradekit.engine.service import Options, Service
from tradekit.ports.accounts import KeyCheck
from tradekit.ports.clock import Clock
from tradekit.ports.entropy import Entropy
from tradekit.ports.exchange import Exchange
from tradekit.ports.feed import Feed
from tradekit.ports.host import HostProbe
from tradekit.ports.indicators import IndicatorLibrary
from tradekit.ports.storage import Reader, Storage
from tradekit.ports.strategy import Strategy
from tradekit.ports.vault import Vault
from tradekit.strategies import built_in, plugins

if TYPE_CHECKING:
    from tradekit.adapters.ccxt import Credentials, WeightBudget

__all__ = [
    "Background",
    "Parts",
    "examine_database",
    "generate_key",
    "migrate_database",
    "open_database",
    "open_indicators",
    "open_parts",
    "open_reader",
    "open_recordings",
    "open_vault",
    "venue_credentials",
]

log = logging.getLogger(__name__)

DATABASE = "trading_service.db"
SWITCH_INTERVAL_S = 0.00005
"""sqlite3 lets go of the interpreter's lock at every row; a shorter interval keeps its thread from waiting long for its turn."""
GC_THRESHOLD = 50_000


@attrs.frozen(kw_only=True)
class Parts:
    """Adapters that replace the shipped ones; None takes the shipped one."""

    storage: Storage | None = None
    exchange: Exchange | None = None
    feed: Feed | None = None
    clock: Clock | None = None
    entropy: Entropy | None = None
    host: HostProbe | None = None
    strategies: tuple[Strategy, ...] | None = None
    """Instead of the built-in ones and plug-ins."""
    indicators: IndicatorLibrary | None = None
    vault: Vault | None = None
    key_check: KeyCheck | None = None
    venues: Mapping[str, Exchange] | None = None
    """Exchanges by account (``binance:live``)."""
    venue_options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """By venue, further arguments of :class:`tradekit.adapters.ccxt.CcxtExchange`, such as ``prepare`` for a proxy."""
    rehearsal: bool = False
    """The venues are stand-ins, so orders may go there at prices that are not live; without it that is refused."""


def options_of(settings: Settings) -> Options:
    """The engine's options as the settings choose them."""
    return Options(
        tiers=settings.tiers,
        policy=TradingPolicy(
            stale_price_after_s=settings.stale_price_after_s,
            price_deviation_max_pct=settings.price_deviation_max_pct,
            open_orders_max=settings.open_orders_max,
            market_buffer_pct=settings.market_buffer_pct,
        ),
        initial_cash=settings.initial_cash,
        partitions=settings.partitions,
        max_concurrent_users=settings.max_concurrent_users,
        lane_size_max=settings.lane_size_max,
        signal_ttl_s=settings.signal_ttl_s,
        mock_trading=settings.mock_trading,
        venues=settings.venue_names,
        reconcile_every_s=settings.reconcile_every_s,
        adopt_foreign_orders=settings.foreign_orders is ForeignOrders.ADOPT,
        public_url=settings.public_url or "",
    )


def tune_interpreter() -> None:
    """Shorter turns between threads and rarer garbage collection: measured to matter for latency."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


class Budgets:
    """One budget of request weight per venue, for its prices and its users' orders: the venue counts them together."""

    def __init__(self, clock: Clock, options: Mapping[str, Mapping[str, Any]]) -> None:
        self._clock, self._options = clock, options
        self._budgets: dict[str, WeightBudget] = {}

    def of(self, venue: str) -> "WeightBudget":
        """Of the venue's real site; a test site is another one, with limits of its own."""
        from tradekit.adapters.ccxt import WeightBudget, profile_for

        if venue not in self._budgets:
            options = self._options.get(venue, {})
            profile = options.get("profile") or profile_for(venue)
            weight_max = options.get("weight_max") or profile.weight_max
            self._budgets[venue] = options.get("budget") or WeightBudget(venue, weight_max, profile.weight_window_s, self._clock)
        return self._budgets[venue]


def choose_feed(settings: Settings, clock: Clock, *, rehearsal: bool) -> Feed | LivePrices:
    """The feed that the settings choose, or what live prices it is to take.

    :raises ConfigurationError: no such feed or file, or the prices are not live although orders go to real venues.
    :raises DataError: a file has a defect.
    """
    origin = settings.origin("feed")
    live = parse_live(settings.feed, settings.speed, origin=origin)
    if live is not None:
        return live
    feed = parse_feed(settings.feed, settings.speed, clock, seed=settings.simulated_seed, origin=origin)
    if feed.source != "none":
        _need_live_prices(settings, _WORDS[feed.source], rehearsal=rehearsal)
    return feed


_WORDS = {"simulated": "simulated", "replay": "recorded", "none": "none"}


def _need_live_prices(settings: Settings, words: str, *, rehearsal: bool) -> None:
    if settings.mock_trading or rehearsal:
        return
    raise ConfigurationError(
        setting="--feed",
        origin=settings.origin("feed"),
        problem=f"prices would be {words}, and MOCK_TRADING=false ({settings.origin('mock_trading')}) sends orders to real venues",
        fix="use live prices, as in --feed ccxt:binance, or set MOCK_TRADING=true",
    )


@asynccontextmanager
async def open_market(chosen: Feed | LivePrices, settings: Settings, clock: Clock, parts: Parts, budgets: Budgets) -> AsyncIterator[Market]:
    """The market on the chosen feed; one line of the log tells which it is and why.

    Of a venue's options ``prepare``, ``profile`` and ``request_timeout_s`` count here as well.

    :raises ConfigurationError: no such venue or instrument; a named venue is silent; or the prices are not live although orders go to
        real venues.
    """
    async with AsyncExitStack() as stack:
        if isinstance(chosen, LivePrices):
            feed, why = await _live_or_simulated(chosen, settings, clock, parts.venue_options, budgets, stack)
            words = f"simulated, {why}" if why else f"live from {chosen.venue}"
            if why:
                _need_live_prices(settings, words, rehearsal=parts.rehearsal)
        else:
            feed, why, words = chosen, "", _WORDS.get(chosen.source, chosen.source)
        log.log(logging.WARNING if why else logging.INFO, "prices: %s", words)
        yield Market(feed, words)


async def _live_or_simulated(
    wanted: LivePrices,
    settings: Settings,
    clock: Clock,
    options: Mapping[str, Mapping[str, Any]],
    budgets: Budgets,
    stack: AsyncExitStack,
) -> tuple[Feed, str]:
    """The feed, and why it is not live (empty: it is)."""
    origin, wait_s = settings.origin("feed"), settings.feed_wait_s
    simulated = SimulatedFeed(clock, seed=settings.simulated_seed)
    if not wanted.required and importlib.util.find_spec("ccxt") is None:
        return simulated, "ccxt is not installed: pip install 'tradekit[exchange]'"
    from tradekit.adapters.ccxt import CcxtFeed

    chosen = options.get(wanted.venue, {})
    more = {name: chosen[name] for name in ("prepare", "profile", "request_timeout_s") if name in chosen}
    feed = CcxtFeed(
        wanted.venue,
        wanted.symbols,
        clock,
        budget=budgets.of(wanted.venue),
        open_within_s=None if wanted.required else wait_s,
        origin=origin,
        **more,
    )
    try:
        return await stack.enter_async_context(feed), ""
    except ExchangeUnavailable as error:
        if wanted.required:
            raise ConfigurationError(
                setting="--feed",
                origin=origin,
                problem=f"{wanted.venue} gives no prices: {error.reason}",
                fix=f"start again when it answers, or use --feed auto:{wanted.venue}, which takes simulated prices until the next start",
            ) from error
        log.info("%s: %s", wanted.venue, error.reason)
        slow = error.reason == f"no answer within {wait_s:g} s"
        return simulated, f"{wanted.venue} did not answer within {wait_s:g} s" if slow else f"{wanted.venue} could not be reached"


def open_recordings(files: str) -> tuple[Series, ...]:
    """Recorded bars to test on, as ``[SYMBOL=]PATH[,...]`` names them; each file is read through once, so that a defect shows now.

    :raises ConfigurationError: of ``--data``: no such file, or an instrument that cannot be told from the file's name.
    :raises DataError: a file has a defect: the line and what to do.
    """
    example = "use --data [SYMBOL=]PATH[,...], as in --data BTC-USDT-4h.csv.gz"
    return tuple(
        Series(
            instrument=recording.instrument,
            timeframe_ms=recording.timeframe_ms,
            count=recording.count,
            read=recording.bars,
            name=str(recording.path),
            first_line=2,
        )
        for recording in parse_recordings(files, setting="--data", before="", example=example)
    )


def open_indicators() -> IndicatorLibrary:
    """TA-Lib or talipp, whichever is installed; neither is imported before one of its indicators is asked for."""
    return Indicators()


def open_strategies(indicators: IndicatorLibrary) -> tuple[Strategy, ...]:
    """The built-in strategies and every installed plug-in.

    :raises ConfigurationError: a plug-in cannot be used; names its entry point and distribution. All that are wrong, not only the first.
    """
    own = built_in()
    found, wrong = plugins.load(indicators, [strategy.name for strategy in own])
    if len(wrong) > 1:
        raise SeveralConfigurationErrors(**wrong[0].facts, errors=tuple(wrong))
    if wrong:
        raise wrong[0]
    if found:
        log.info("plug-ins: %s", ", ".join(strategy.name for strategy in found))
    return (*own, *found)


def open_database(settings: Settings, clock: Clock | None = None) -> AbstractAsyncContextManager[Storage]:
    """The storage in the data directory, for hosts that wrap it before they hand it over as a part."""
    holder = shlex.join(sys.argv[:6])
    return open_storage(
        settings.data / DATABASE,
        clock=clock or SystemClock(),
        partitions=settings.partitions,
        holder=holder,
        queue_max=settings.storage_queue_max,
    )


@asynccontextmanager
async def open_parts(settings: Settings, parts: Parts | None = None) -> AsyncIterator[Service]:
    """Open the adapters and wire a service; it still has to be started with :meth:`Service.open`."""
    parts = parts or Parts()
    clock = parts.clock or SystemClock()
    indicators = parts.indicators or open_indicators()
    strategies = open_strategies(indicators) if parts.strategies is None else parts.strategies
    live = not settings.mock_trading and importlib.util.find_spec("ccxt") is not None
    if live:
        check_venues(settings)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    budgets = Budgets(clock, parts.venue_options)
    feed = parts.feed or choose_feed(settings, clock, rehearsal=parts.rehearsal)
    async with AsyncExitStack() as stack:
        storage = parts.storage
        if storage is None:
            storage = await stack.enter_async_context(open_database(settings, clock))
        # Only now: who may not have the directory asks no venue.
        market = await stack.enter_async_context(open_market(feed, settings, clock, parts, budgets))
        exchange = parts.exchange
        if exchange is None:
            paper = await stack.enter_async_context(PaperExchange(settings.data / "paper_exchange.db", market, clock))
            market.on_quote(paper.on_quote)
            exchange = paper
        service = Service(
            storage=storage,
            exchange=exchange,
            market=market,
            clock=clock,
            entropy=parts.entropy or SystemEntropy(),
            host=parts.host or PsutilProbe(settings.data),
            handler=Conversation().handle,
            lane_class=lane_class,
            options=options_of(settings),
            vault=parts.vault or (open_vault(settings) if settings.key else None),
            key_check=parts.key_check or open_key_check(settings, clock, parts.venue_options),
            venues=parts.venues,
            indicators=indicators,
        )
        if live:
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            service.open_venue = partial(_open_venue, settings, service, clock, parts.venue_options, budgets, tasks)
        for strategy in strategies:
            service.strategies.add(strategy)
        tune_interpreter()
        yield service


def check_venues(settings: Settings) -> None:
    """Make sure that keys are taken for venues that exist.

    :raises ConfigurationError: ccxt does not know one of them.
    """
    from tradekit.adapters.ccxt.slim import venue_names

    known = venue_names()
    for name in settings.venue_names:
        if name not in known:
            near = closest(name, known)
            fix = f"write {near}, or leave it out" if near else "write it as ccxt does, as in binance,kraken, or leave it out"
            problem = f"ccxt does not know a venue {name!r}"
            raise ConfigurationError(setting="TRADEKIT_VENUES", origin=settings.origin("venues"), problem=problem, fix=fix)


def _open_venue(
    settings: Settings,
    service: Service,
    clock: Clock,
    options: Mapping[str, Mapping[str, Any]],
    budgets: Budgets,
    tasks: anyio.abc.TaskGroup,
    account: str,
) -> Exchange | None:
    """The venue of an account, opening in the background; None if keys for it are not taken here any more."""
    from tradekit.adapters.ccxt import CcxtExchange, StandbyExchange

    venue, mode = venue_of(account), mode_of(account)
    if venue not in settings.venue_names or mode is TradingMode.PAPER:
        return None

    def make() -> CcxtExchange:
        credentials = venue_credentials(service.custodian, venue, mode)
        sandbox = mode is TradingMode.TESTNET
        more = dict(options.get(venue, {}))
        if not sandbox:
            more.setdefault("budget", budgets.of(venue))
        return CcxtExchange(venue, credentials, clock, sandbox=sandbox, **more)

    exchange = StandbyExchange(make, clock)
    tasks.start_soon(exchange.serve)
    return exchange


def open_vault(settings: Settings) -> Vault:
    """Where venues' keys are kept, under the key-encryption keys of the settings.

    :raises ConfigurationError: none is set, one is malformed, or the extra is missing.
    """
    return AesGcmVault(read_keys(settings.key or "", settings.origin("key")))


def open_key_check(settings: Settings, clock: Clock, options: Mapping[str, Mapping[str, Any]]) -> KeyCheck | None:
    """Who asks venues what a key may do. None without the extra, and with MOCK_TRADING, which reaches no venue: keys stay UNVERIFIED.

    :param options: as ``venue_options`` of :class:`Parts`; ``prepare`` counts here as well.
    """
    if settings.mock_trading or importlib.util.find_spec("ccxt") is None:
        return None
    from tradekit.adapters.ccxt.permissions import CcxtKeyCheck

    def prepare(ccxt: Any) -> Any:
        change = options.get(ccxt.id, {}).get("prepare")
        return change(ccxt) if change else ccxt

    return CcxtKeyCheck(clock, prepare=prepare)


def venue_credentials(custodian: KeyCustodian, venue: str, mode: TradingMode) -> "Credentials":
    """What a ccxt adapter signs with: keys of users who chose this mode for the venue, and of nobody else."""
    from tradekit.adapters.ccxt import NoCredentials

    async def credentials(user_id: int) -> VenueKey:
        try:
            return await custodian.signing_key(user_id, venue, mode)
        except KeyRefused as error:
            raise NoCredentials(user_id=user_id, venue=venue) from error

    return credentials


def open_reader(settings: Settings) -> AbstractAsyncContextManager[Reader]:
    """Questions to a database that another process may own; nothing is written or claimed.

    :raises DataError: there is no database.
    :raises SchemaMismatch: another version wrote it.
    """
    return inspection.open_reader(settings.data / DATABASE)


def migrate_database(settings: Settings) -> tuple[str | None, str]:
    """Bring the database to this version's schema; returns the revision before and after.

    :raises DataDirectoryInUse: a service has it open.
    :raises SchemaMismatch: a newer version wrote it.
    """
    return inspection.migrate(settings.data / DATABASE, clock=SystemClock(), holder=shlex.join(sys.argv[:6]))


def examine_database(settings: Settings) -> list[tuple[str, Finding]] | None:
    """Revision, integrity and schema of the database; None when there is none yet."""
    path = settings.data / DATABASE
    return inspection.examine(path) if path.exists() else None
