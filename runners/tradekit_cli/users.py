"""``tradekit users``: reads the database, whether or not a service runs on it."""

from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import typer

from tradekit.bootstrap import open_reader
from tradekit.config import Settings
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import UnknownUser
from tradekit.domain.orders import Order
from tradekit.domain.portfolio import Position, Trade
from tradekit.domain.sessions import TradingSession
from tradekit.domain.tiers import TierName
from tradekit.domain.usage import DayUsage
from tradekit.domain.users import Identity, Role, User, UserSettings
from tradekit.ports.storage import ListedUser, Reader
from tradekit_cli import errands, wire
from tradekit_cli.output import note, result, result_json, table

PAGE = 1000
ORDERS_SHOWN = 10


class UserReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything ``users show`` knows of a user."""

    user: User
    identities: tuple[Identity, ...]
    settings: UserSettings
    session: TradingSession
    usage: tuple[DayUsage, ...]
    positions: tuple[Position, ...]
    subscriptions: tuple[str, ...]
    orders: tuple[Order, ...]
    trades: tuple[Trade, ...]


def show_list(settings: Settings, *, limit: int, as_json: bool) -> None:
    """Print the first ``limit`` users."""
    listed = anyio.run(_list, settings, limit)
    if as_json:
        result_json(listed)
        return
    rows = [
        (
            str(each.user.user_id),
            ", ".join(map(str, each.identities)),
            each.user.display_name,
            each.user.tier.value,
            each.user.role.value,
            each.user.status.value,
            _time(each.user.created_ms),
        )
        for each in listed
    ]
    result(table(("ID", "IDENTITY", "NAME", "PLAN", "ROLE", "STATUS", "REGISTERED"), rows) if rows else "Nobody has registered yet.")
    if len(listed) == limit:
        note(f"Shown: the first {limit}; --limit shows more.")


def show_one(settings: Settings, who: str, *, as_json: bool) -> None:
    """Print one user.

    :raises UnknownUser: nobody is registered under this number or identity.
    """
    report = anyio.run(_report, settings, who)
    if as_json:
        result_json(report)
    else:
        result("\n".join(_lines(report)))


def set_role(settings: Settings, who: str, role: str, *, as_json: bool) -> None:
    """Have the user given a role."""
    names = [each.value for each in Role]
    if role.lower() not in names:
        raise typer.BadParameter(f"{role} is no role; one of {', '.join(names)}")
    facts = errands.run(settings, wire.SetRole(who=who, role=Role(role.lower())))
    if as_json:
        result_json(facts)
    else:
        result(f"User {facts['user_id']} is {facts['role']} now.")


def set_tier(settings: Settings, who: str, tier: str, *, as_json: bool) -> None:
    """Have the user moved to another plan."""
    names = [each.value for each in TierName]
    if tier.lower() not in names:
        raise typer.BadParameter(f"{tier} is no plan; one of {', '.join(names)}")
    facts = errands.run(settings, wire.SetTier(who=who, tier=TierName(tier.lower())))
    if as_json:
        result_json(facts)
    else:
        result(f"User {facts['user_id']} has the plan {facts['tier']} now.")


async def _list(settings: Settings, limit: int) -> list[ListedUser]:
    listed: list[ListedUser] = []
    async with open_reader(settings) as reader:
        while len(listed) < limit:
            after_id = listed[-1].user.user_id if listed else 0
            page = await reader.users(after_id=after_id, limit=min(PAGE, limit - len(listed)))
            if not page:
                break
            listed += page
    return listed


async def _report(settings: Settings, who: str) -> UserReport:
    async with open_reader(settings) as reader:
        user_id = await _user_id(reader, who)
        listed = await reader.user(user_id) if user_id is not None else None
        if listed is None or user_id is None:
            raise UnknownUser(who=who)
        state = (await reader.sessions([user_id]))[user_id]
        return UserReport(
            user=listed.user,
            identities=listed.identities,
            settings=state.settings,
            session=state.session,
            usage=state.usage,
            positions=state.positions,
            subscriptions=tuple(subscription.source for subscription in state.subscriptions),
            orders=tuple(await reader.orders(user_id, limit=ORDERS_SHOWN)),
            trades=tuple(await reader.trades(user_id, limit=ORDERS_SHOWN)),
        )


async def _user_id(reader: Reader, who: str) -> int | None:
    if who.isascii() and who.isdecimal() and len(who) < 19:
        return int(who)
    for identity, user_id in await reader.directory():
        if str(identity) == who or identity.external_id == who:
            return user_id
    return None


def _lines(report: UserReport) -> list[str]:
    user, session = report.user, report.session
    lines = [
        f"user {user.user_id}  {user.display_name}".rstrip(),
        f"  identities     {', '.join(map(str, report.identities))}",
        f"  plan           {user.tier}, role {user.role}, {user.status}, registered {_time(user.created_ms)}",
        f"  session        {session.status}, cash {text_of(session.cash)} USDT",
        f"  subscriptions  {', '.join(report.subscriptions) or 'none'}",
    ]
    lines += [f"  trades used    {day.used} on {day.day} ({day.zone})" for day in report.usage]
    lines += ["positions" if report.positions else "no positions"]
    lines += [f"  {position.symbol}  {text_of(position.quantity)}, cost {text_of(position.cost)} USDT" for position in report.positions]
    lines += ["last orders" if report.orders else "no orders"]
    if report.orders:
        lines += [
            "  " + line
            for line in table(("ID", "TIME", "SIDE", "QUANTITY", "SYMBOL", "STATE"), [_order(order) for order in report.orders]).split("\n")
        ]
    return lines


def _order(order: Any) -> tuple[str, ...]:
    return (order.client_order_id, _time(order.created_ms), order.side.value, text_of(order.quantity), order.symbol, order.state.value)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
