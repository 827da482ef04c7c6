"""One connection to a venue for everybody: the shared HTTP session, the instances of ccxt's class, the budget, and every call."""

import importlib
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import attrs
import structlog

from tradekit.adapters.ccxt.budget import Rank, VenueBusy, WeightBudget
from tradekit.adapters.ccxt.clock_offset import ClockOffset
from tradekit.adapters.ccxt.credentials import Credentials
from tradekit.adapters.ccxt.instruments import instrument_of
from tradekit.adapters.ccxt.library import Library, load, own_decimals
from tradekit.adapters.ccxt.profiles import VenueProfile
from tradekit.adapters.ccxt.verdicts import Kind, Verdict, judge, shown
from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import ConfigurationError, ExchangeUnavailable
from tradekit.domain.instruments import Instrument, Symbol
from tradekit.ports.clock import Clock

log = structlog.get_logger(__name__)

CLIENTS_MAX = 2_000
"""Users' instances kept; about 60 kB each."""
IN_FLIGHT_MAX = 64
"""Requests on the wire at once."""
IN_FLIGHT_FOR_EXITS = 16
"""Of them, kept for exits."""
IN_FLIGHT_EACH_MAX = 8
"""Of one user: whose calls hang takes nobody else's place."""
WS_HEARTBEAT_MS = 20_000

Prepare = Callable[[Any], Any]
"""Changes a fresh ccxt instance: other addresses, a proxy."""
Call = Callable[[Any], Any]
"""A coroutine function of a ccxt instance."""


class Failed(Exception):
    """A call came to nothing; what follows from it is in the verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


@attrs.define(eq=False)
class Client:
    """A user's instance of ccxt's class."""

    ccxt: Any
    version: int
    users: int = 0
    """Calls and streams that use it now; it is not let go while there are any."""
    slots: anyio.Semaphore = attrs.Factory(lambda: anyio.Semaphore(IN_FLIGHT_EACH_MAX, fast_acquire=True))


class VenueSession:
    """Use as an async context manager, entered and left by the same task."""

    def __init__(
        self,
        profile: VenueProfile,
        clock: Clock,
        *,
        credentials: Credentials | None,
        sandbox: bool,
        prepare: Prepare | None,
        request_timeout_s: float,
        wait_max_s: float,
        clock_bound_ms: int,
        budget: WeightBudget | None,
    ) -> None:
        self.profile = profile
        self.clock = clock
        self.budget = budget or WeightBudget(profile.venue, profile.weight_max, profile.weight_window_s, clock)
        self.offset = ClockOffset(clock, clock_bound_ms)
        self.instruments: dict[Symbol, Instrument] = {}
        self.request_timeout_s = request_timeout_s
        self.wait_max_s = wait_max_s
        self._credentials = credentials
        self._sandbox = sandbox
        self._prepare = prepare
        self._clients: OrderedDict[int, Client] = OrderedDict()
        self._building = anyio.Lock()
        self._slots = anyio.Semaphore(IN_FLIGHT_MAX, fast_acquire=True)
        self._lower_slots = anyio.Semaphore(IN_FLIGHT_MAX - IN_FLIGHT_FOR_EXITS, fast_acquire=True)
        self._exit = AsyncExitStack()
        self._library: Library | None = None
        self._public: Client | None = None
        self._http: Any = None
        self._ssl: Any = None

    async def __aenter__(self) -> Self:
        self._library = await load(self.profile.venue)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            self._open_http()
            self._public = Client(await self._build(None), 0)
            await self.load_markets()
            await self.measure_clock()
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._exit.aclose()

    @property
    def library(self) -> Library:
        """ccxt, once this is open."""
        if self._library is None:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="not open")
        return self._library

    @property
    def public(self) -> Client:
        """The instance without a key."""
        if self._public is None:
            raise ExchangeUnavailable(venue=self.profile.venue, reason="not open")
        return self._public

    def unavailable(self, error: Failed | VenueBusy) -> ExchangeUnavailable:
        """No answer, in the port's words."""
        reason = error.verdict.reason if isinstance(error, Failed) else error.reason
        return ExchangeUnavailable(venue=self.profile.venue, reason=reason)

    def has(self, ability: str) -> bool:
        """Whether the venue's class has a method, by ccxt's name of it."""
        return bool(self.public.ccxt.has.get(ability))

    async def load_markets(self) -> None:
        """Read the venue's instruments, steps and limits anew.

        :raises ExchangeUnavailable: no answer; what was known stays.
        """
        try:
            await self.call(self.public, lambda ccxt: ccxt.load_markets(True), self.profile.weights.markets, Rank.DATA)
        except (Failed, VenueBusy) as error:
            raise self.unavailable(error) from error
        ccxt = self.public.ccxt
        found = (instrument_of(market, ccxt.precisionMode) for market in ccxt.markets.values())
        self.instruments = {instrument.symbol: instrument for instrument in found if instrument is not None}
        for client in self._clients.values():
            client.ccxt.set_markets_from_exchange(ccxt)

    async def measure_clock(self) -> None:
        """Ask for the venue's time; calls are signed with it from now on.

        :raises ExchangeUnavailable: no answer.
        """
        if not self.has("fetchTime"):
            return
        sent_ms = self.clock.now_ms()
        try:
            venue_ms = await self.call(self.public, lambda ccxt: ccxt.fetch_time(), self.profile.weights.time, Rank.EXIT)
        except (Failed, VenueBusy) as error:
            raise self.unavailable(error) from error
        self.offset.measured(sent_ms, int(venue_ms), self.clock.now_ms())
        if self.offset.too_far:
            log.error("venue_clock_too_far", venue=self.profile.venue, offset_ms=self.offset.offset_ms)
        for client in (self.public, *self._clients.values()):
            client.ccxt.options["timeDifference"] = -self.offset.offset_ms

    @asynccontextmanager
    async def client(self, user_id: int) -> AsyncIterator[Client]:
        """The user's instance, kept while it is in use.

        :raises NoCredentials: as the credentials port says.
        """
        assert self._credentials is not None, "a session without credentials serves public data only"
        credentials = await self._credentials(user_id)
        client = self._clients.get(user_id)
        if client is None or client.version != credentials.version:
            client = await self._user_client(user_id, credentials)
        self._clients.move_to_end(user_id)
        client.users += 1
        try:
            yield client
        finally:
            client.users -= 1

    async def call(self, client: Client, call: Call, weight: int, rank: Rank) -> Any:
        """Wait for room in the budget, send once, and return ccxt's answer.

        :raises VenueBusy: there was no room in time; nothing was sent.
        :raises Failed: with the verdict on whatever went wrong.
        """
        await self.budget.acquire(weight, rank, self.wait_max_s)
        async with self._slot(client, rank):
            try:
                with own_decimals(), anyio.fail_after(self.request_timeout_s):
                    answer = await call(client.ccxt)
            except TimeoutError:
                raise Failed(Verdict(kind=Kind.SILENT, reason=f"no answer within {self.request_timeout_s:g} s")) from None
            except Exception as error:  # noqa: BLE001 - sorted by what it says; its text holds the signed request and goes no further
                raise Failed(self._judge(client, error)) from None
            finally:
                self._observe(client)
        return answer

    @asynccontextmanager
    async def _slot(self, client: Client, rank: Rank) -> AsyncIterator[None]:
        """A place on the wire, or the certainty that nothing was sent."""
        async with AsyncExitStack() as stack:
            try:
                with anyio.fail_after(self.wait_max_s):
                    await stack.enter_async_context(client.slots)
                    if rank is not Rank.EXIT:
                        await stack.enter_async_context(self._lower_slots)
                    await stack.enter_async_context(self._slots)
            except TimeoutError:
                raise VenueBusy(venue=self.profile.venue, reason="VENUE_BUSY", retry_s=self.request_timeout_s) from None
            yield

    def stream_error(self, client: Client, error: BaseException) -> str:
        """Words for what went wrong with a websocket; a ban counts for everybody."""
        return self._judge(client, error).reason if isinstance(error, Exception) else shown(error)

    def _judge(self, client: Client, error: Exception) -> Verdict:
        headers: Mapping[str, str] | None = client.ccxt.last_response_headers
        verdict = judge(error, self.library.errors, self.profile, headers)
        if verdict.kind is Kind.LIMITED:
            venue_now_ms = self.clock.now_ms() + self.offset.offset_ms
            pause_s = max(verdict.pause_s, (verdict.until_ms - venue_now_ms) / 1000 if verdict.until_ms else 0.0)
            log.warning("venue_limits_us", venue=self.profile.venue, pause_s=round(pause_s, 1))
            self.budget.ban(pause_s)
        return verdict

    def _observe(self, client: Client) -> None:
        name = self.profile.weight_header
        headers = client.ccxt.last_response_headers
        if name and headers:
            used = next((value for header, value in headers.items() if header.lower() == name), "")
            if used.isdigit():
                self.budget.observe(int(used))

    async def _user_client(self, user_id: int, credentials: VenueKey) -> Client:
        async with self._building:
            known = self._clients.get(user_id)
            if known is not None and known.version == credentials.version:
                return known
            ccxt = await self._build(credentials)
            ccxt.set_markets_from_exchange(self.public.ccxt)
            ccxt.options["timeDifference"] = -self.offset.offset_ms
            fresh = self._clients[user_id] = Client(ccxt, credentials.version)
            if known is not None:
                await known.ccxt.close_ws_clients()
            await self._let_go(user_id)
            return fresh

    async def _let_go(self, newcomer: int) -> None:
        """Drop the instances that were not used for the longest time, if there are too many."""
        excess = len(self._clients) - CLIENTS_MAX
        idle = [user_id for user_id, client in self._clients.items() if not client.users and user_id != newcomer][: max(0, excess)]
        for user_id in idle:
            client = self._clients.pop(user_id)
            await client.ccxt.close_ws_clients()
            client.ccxt.session = None

    async def _build(self, credentials: VenueKey | None) -> Any:
        # An instance takes 13 ms to make: other tasks go on meanwhile.
        return await anyio.to_thread.run_sync(self._construct, credentials)

    def _construct(self, credentials: VenueKey | None) -> Any:
        config: dict[str, Any] = {
            # Amounts stay the texts that the venue wrote, which Decimal reads without loss.
            "number": str,
            "enableRateLimit": False,
            "timeout": math.ceil(self.request_timeout_s * 1000),
            "session": self._http,
            "options": dict(self.profile.options),
            "enableLastHttpResponse": False,
        }
        if credentials is not None:
            config |= {"apiKey": credentials.api_key, "secret": credentials.secret}
            if credentials.password:
                config["password"] = credentials.password
        with own_decimals():
            ccxt = self.library.venue(config)
            if self._sandbox:
                self._enter_sandbox(ccxt)
            if self._prepare is not None:
                self._prepare(ccxt)
        ccxt.ssl_context = self._ssl
        ccxt.timeout_on_exit = 0
        return ccxt

    def _enter_sandbox(self, ccxt: Any) -> None:
        if not ccxt.urls.get("test"):
            ccxt.session = None
            raise ConfigurationError(
                setting="exchange",
                origin="configuration",
                problem=f"{self.profile.venue} has no test site that ccxt knows",
                fix="use paper",
            )
        ccxt.set_sandbox_mode(True)

    def _open_http(self) -> None:
        aiohttp, ssl, certifi = (importlib.import_module(name) for name in ("aiohttp", "ssl", "certifi"))
        self._ssl = ssl.create_default_context(cafile=certifi.where())
        # How many requests run at once is the slots' business; websockets count as well.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._ssl, limit=0))

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            clients = [client for client in (self._public, *self._clients.values()) if client is not None]
            for client in clients:
                await client.ccxt.close_ws_clients()
                client.ccxt.session = None
            self._clients.clear()
            self._public = None
            await self._http.close()
