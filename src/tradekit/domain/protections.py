"""Locks that losing trades bring about. Pure, per account; they hold up entries, never exits."""

from decimal import Decimal

import msgspec

from tradekit.domain.amounts import ZERO
from tradekit.domain.sessions import RECENT_TRADES_MAX, ClosedTrade, Guard, LockKind, TradingLock
from tradekit.domain.users import UserSettings

replace = msgspec.structs.replace

SOURCES_FACTOR = 2
"""So many times the stops of one source, from whatever sources, lock everything."""
STOPS_MAX = RECENT_TRADES_MAX // SOURCES_FACTOR
"""Most stops that a user may wait for: what is remembered must reach for the lock of everything."""


def watches(guard: Guard, settings: UserSettings) -> bool:
    """Whether a round trip can change the guard at all: of most users it cannot."""
    asked = settings.cooldown_s or settings.stop_guard_losses or settings.low_profit_pct is not None
    return bool(asked or guard.locks or guard.recent)


def after_trade(guard: Guard, trade: ClosedTrade, settings: UserSettings, now_ms: int) -> Guard:
    """The guard once a round trip has closed.

    - Cooldown: a loss locks all entries for ``cooldown_s``.
    - Stop-loss guard: ``stop_guard_losses`` stopped trades of one source within ``guard_window_s`` lock that source's entries, twice as
      many stopped trades altogether lock all entries, for ``guard_lock_s``.
    - Low profit: an instrument whose round trips in the window, two at least, together made less than ``low_profit_pct`` is locked.

    Drawdown needs no lock: it is looked at with every entry (``MAX_DRAWDOWN``), against the best equity so far.
    """
    locks = [lock for lock in guard.locks if lock.until_ms > now_ms]
    if trade.pnl < 0 and settings.cooldown_s:
        locks = _with(locks, TradingLock(kind=LockKind.COOLDOWN, until_ms=now_ms + settings.cooldown_s * 1000))
    if not settings.stop_guard_losses and settings.low_profit_pct is None:
        return replace(guard, locks=tuple(locks), recent=())
    since_ms = now_ms - settings.guard_window_s * 1000
    recent = tuple(each for each in (*guard.recent, trade) if each.closed_ms > since_ms)[-RECENT_TRADES_MAX:]
    until_ms = now_ms + settings.guard_lock_s * 1000
    for lock in _found(recent, trade, settings, until_ms):
        locks = _with(locks, lock)
    return replace(guard, locks=tuple(locks), recent=recent)


def _found(recent: tuple[ClosedTrade, ...], trade: ClosedTrade, settings: UserSettings, until_ms: int) -> list[TradingLock]:
    found: list[TradingLock] = []
    stopped = [each for each in recent if each.stopped and each.pnl < 0]
    if (least := settings.stop_guard_losses) and trade in stopped:
        of_source = sum(each.source == trade.source for each in stopped)
        if len(stopped) >= least * SOURCES_FACTOR or (of_source >= least and not trade.source):
            found.append(TradingLock(kind=LockKind.STOP_LOSS_GUARD, until_ms=until_ms))
        elif of_source >= least:
            found.append(TradingLock(kind=LockKind.STOP_LOSS_GUARD, until_ms=until_ms, source=trade.source))
    of_symbol = [each for each in recent if each.symbol == trade.symbol]
    if settings.low_profit_pct is not None and len(of_symbol) > 1:
        made: Decimal = sum((each.pnl_pct for each in of_symbol), ZERO)
        if made < settings.low_profit_pct:
            found.append(TradingLock(kind=LockKind.LOW_PROFIT, until_ms=until_ms, symbol=trade.symbol))
    return found


def _with(known: list[TradingLock], lock: TradingLock) -> list[TradingLock]:
    """The locks with this one: of each kind and scope the one that lasts longest."""
    scope = (lock.kind, lock.symbol, lock.source)
    same = [each for each in known if (each.kind, each.symbol, each.source) == scope]
    return [*(each for each in known if each not in same), max([*same, lock], key=lambda each: each.until_ms)]


def holding(guard: Guard, symbol: str, source: str, now_ms: int) -> TradingLock | None:
    """The lock that keeps this source from entering this instrument now; the one that lasts longest."""
    if not guard.locks:
        return None
    found = [each for each in guard.locks if now_ms < each.until_ms and each.symbol in {"", symbol} and each.source in {"", source}]
    return max(found, key=lambda lock: lock.until_ms, default=None)
