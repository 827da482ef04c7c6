"""Users' own events: over websockets, or by asking again and again where there are none."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.abc
import msgspec
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from tradekit.adapters.ccxt.budget import Rank, VenueBusy
from tradekit.adapters.ccxt.credentials import NoCredentials
from tradekit.adapters.ccxt.inquiry import Inquiry
from tradekit.adapters.ccxt.library import own_decimals
from tradekit.adapters.ccxt.reports import Raw, filled_of, report_of, state_of, tells_filled
from tradekit.adapters.ccxt.session import Client, Failed, VenueSession
from tradekit.adapters.ccxt.tracker import Tracked, Tracker
from tradekit.adapters.ccxt.verdicts import shown
from tradekit.domain.orders import OrderReport, OrderState

log = structlog.get_logger(__name__)

SOCKETS_MAX = 200
"""Users followed over a websocket at once; the others are asked for."""
BACKOFF_S, BACKOFF_MAX_S = 0.5, 30.0
SETTLE_S = 0.3
"""How long a missing part of the story may take to arrive before the venue is asked."""
STRAYS_MAX = 200
"""Trades of one user whose order is not known yet."""

EVENTS_MAX = 10_000
"""Of one user, waiting to be told; over it the socket is opened anew and every open order asked for."""

Tell = Callable[[OrderReport], None]
Hear = Callable[[Client, int, Raw], Awaitable[None]]
Event = tuple[Hear, Raw]


class UserStreams:
    """Follows every user who has an open order, and stops some time after the last one."""

    def __init__(self, session: VenueSession, inquiry: Inquiry, tracker: Tracker, tell: Tell, *, resync_s: float, linger_s: float) -> None:
        self._session, self._inquiry, self._tracker, self._tell = session, inquiry, tracker, tell
        self._resync_s, self._linger_s = resync_s, linger_s
        self._following: set[int] = set()
        self._sockets = 0
        self._strays: dict[int, list[Raw]] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    @property
    def followed(self) -> int:
        """Users followed now."""
        return len(self._following)

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Run in this task group."""
        self._tasks = tasks

    def follow(self, user_id: int) -> None:
        """The user has an open order."""
        if self._tasks is not None and user_id not in self._following:
            self._following.add(user_id)
            self._tasks.start_soon(self._follow, user_id)

    async def _follow(self, user_id: int) -> None:
        backoff_s = BACKOFF_S
        try:
            while self._tracker.open_of(user_id):
                started = self._session.clock.monotonic()
                try:
                    await self._listen_for(user_id)
                except NoCredentials as error:
                    log.warning("stream_without_key", user=error.user_id)
                except Exception as error:  # noqa: BLE001 - one user's stream must not end the others'; what it missed is asked for later
                    # Without the traceback, whose frames hold the key.
                    log.error("stream_broke", user=user_id, error=shown(error))
                if self._session.clock.monotonic() - started > BACKOFF_MAX_S:
                    backoff_s = BACKOFF_S
                if self._tracker.open_of(user_id):
                    await anyio.sleep(backoff_s)
                    backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
        finally:
            self._following.discard(user_id)
            self._strays.pop(user_id, None)
        if self._tracker.open_of(user_id):
            self.follow(user_id)

    async def _listen_for(self, user_id: int) -> None:
        """Until the socket breaks, or nothing has been open for a while."""
        socket = self._session.library.websockets and self._session.has("watchOrders") and self._sockets < SOCKETS_MAX
        async with self._session.client(user_id) as client, anyio.create_task_group() as tasks:
            if not socket:
                await self._resync_until_idle(client, user_id, first_wait_s=0)
                return
            self._sockets += 1
            send, receive = anyio.create_memory_object_stream[Event](EVENTS_MAX)
            try:
                with send, receive:
                    for method, hear in (("watch_orders", self._on_order), ("watch_my_trades", self._on_trade)):
                        if method == "watch_orders" or self._session.has("watchMyTrades"):
                            tasks.start_soon(self._watch, tasks.cancel_scope, client, user_id, method, hear, send)
                    tasks.start_soon(self._hear, client, user_id, receive)
                    await self._resync_until_idle(client, user_id, first_wait_s=SETTLE_S)
                    tasks.cancel_scope.cancel()
            finally:
                self._sockets -= 1
                with anyio.CancelScope(shield=True), anyio.move_on_after(2), suppress(Exception):
                    await client.ccxt.close_ws_clients()

    async def _watch(
        self, scope: anyio.CancelScope, client: Client, user_id: int, method: str, hear: Hear, events: MemoryObjectSendStream[Event]
    ) -> None:
        """Pass events on. Nothing is awaited between two calls: what ccxt hears then, it would keep back until the next event."""
        try:
            while True:
                with own_decimals():
                    news = await getattr(client.ccxt, method)()
                for raw in news:
                    events.send_nowait((hear, raw))
        except Exception as error:  # noqa: BLE001 - whatever broke the socket: it is opened anew, and what it missed is asked for
            log.info("stream_ended", user=user_id, method=method, error=self._session.stream_error(client, error))
        finally:
            # Also when ccxt cancels its own futures, as it does when a socket is closed elsewhere.
            scope.cancel()

    async def _hear(self, client: Client, user_id: int, events: MemoryObjectReceiveStream[Event]) -> None:
        async for hear, raw in events:
            await hear(client, user_id, raw)

    async def _resync_until_idle(self, client: Client, user_id: int, *, first_wait_s: float) -> None:
        """Ask for every open order after the socket is up, and from time to time: events may be lost."""
        wait_s, idle_since = first_wait_s, None
        while True:
            with anyio.move_on_after(wait_s):
                await anyio.sleep_forever()
            open_orders = self._tracker.open_of(user_id)
            if open_orders:
                idle_since = None
                for client_id, tracked in open_orders:
                    await self._ask(client, client_id, tracked)
                wait_s = self._resync_s
                continue
            now = self._session.clock.monotonic()
            idle_since = now if idle_since is None else idle_since
            if now - idle_since >= self._linger_s:
                return
            wait_s = min(self._resync_s, self._linger_s)

    async def _on_order(self, client: Client, user_id: int, raw: Raw) -> None:
        client_id = str(raw.get("clientOrderId") or "")
        tracked = self._tracker.get(user_id, client_id)
        if tracked is None:
            return
        filled = filled_of(raw)
        state = state_of(raw, tracked.order, filled)
        if state is not None and tells_filled(raw):
            tracked.hear(state, filled, str(raw.get("id") or ""))
        for trade in self._take_strays(user_id, tracked.venue_order_id):
            await self._add_trade(tracked, trade)
        self._settle(client, client_id, tracked)

    async def _on_trade(self, client: Client, user_id: int, raw: Raw) -> None:
        tracked = self._tracker.by_venue_id(user_id, str(raw.get("order")))
        if tracked is None:
            # The trade may come before the answer that tells the order's number.
            strays = self._strays.setdefault(user_id, [])
            strays.append(raw)
            del strays[:-STRAYS_MAX]
            return
        await self._add_trade(tracked, raw)
        self._settle(client, self._session.profile.id_of(tracked.order), tracked)

    def _take_strays(self, user_id: int, venue_order_id: str) -> list[Raw]:
        strays = self._strays.get(user_id, [])
        mine = [trade for trade in strays if str(trade.get("order")) == venue_order_id]
        strays[:] = [trade for trade in strays if str(trade.get("order")) != venue_order_id]
        return mine

    async def _add_trade(self, tracked: Tracked, trade: Raw) -> None:
        instrument = self._session.instruments.get(tracked.order.symbol)
        if instrument is not None and trade.get("id"):
            try:
                tracked.add((await self._inquiry.fill(tracked.order, instrument, trade),))
            except Failed as failed:
                # The order's own event says how much is missing; then the venue is asked.
                log.warning("trade_unreadable", order=tracked.order.client_order_id, error=str(failed))

    def _settle(self, client: Client, client_id: str, tracked: Tracked) -> None:
        """Tell what is whole; ask for what stays incomplete."""
        if tracked.complete:
            self._give(client_id, tracked)
        elif not tracked.doubtful and self._tasks is not None:
            tracked.doubtful = True
            self._tasks.start_soon(self._ask_later, client_id, tracked)

    def _give(self, client_id: str, tracked: Tracked) -> None:
        if tracked.news:
            tracked.tell()
            raw = {"id": tracked.venue_order_id}
            fills = tuple(tracked.fills.values())
            self._tell(report_of(tracked.order, tracked.state, raw, fills, self._session.clock.now_ms()))
        self._tracker.settle(client_id, tracked)

    async def _ask_later(self, client_id: str, tracked: Tracked) -> None:
        await anyio.sleep(SETTLE_S)
        if tracked.complete:
            tracked.doubtful = False
            self._give(client_id, tracked)
            return
        with suppress(NoCredentials):
            async with self._session.client(tracked.order.user_id) as client:
                await self._ask(client, client_id, tracked)
        tracked.doubtful = False

    async def _ask(self, client: Client, client_id: str, tracked: Tracked) -> None:
        try:
            order = msgspec.structs.replace(tracked.order, venue_order_id=tracked.venue_order_id)
            report = await self._inquiry.order(client, order, Rank.QUESTION)
        except (Failed, VenueBusy) as error:
            log.info("resync_unanswered", order=tracked.order.client_order_id, error=str(error))
            return
        now = self._session.clock.monotonic()
        if report is not None:
            self._tracker.reopen(client_id, report, tracked.order, now)
            self._give(client_id, tracked)
        elif tracked.state is OrderState.SUBMITTED and now - tracked.since > 2 * self._session.profile.visibility_window_s:
            # It never arrived; whoever sent it has been told so by `find`.
            self._tracker.forget(tracked.order, client_id)
