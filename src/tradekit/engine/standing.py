"""Health of what stands between users and their venues: venues, accounts that do not agree, and what the operator limits."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from tradekit.domain.controls import EVERYWHERE
from tradekit.domain.health import Finding, HealthStatus, graded
from tradekit.engine.controls import ControlBoard
from tradekit.engine.gateway import Gateway
from tradekit.engine.reconciler import Reconciler
from tradekit.engine.venues import Venues

UNRESOLVED_DEGRADED, UNRESOLVED_UNHEALTHY = 10, 1000
ACCOUNTS_DEGRADED, ACCOUNTS_UNHEALTHY = 10, 1000
"""Accounts that could not be compared: one user's key is that user's trouble, many are the service's."""
SHOWN = 5


class Standing(Protocol):
    """The parts that are looked at."""

    gateway: Gateway
    venues: Venues
    reconciler: Reconciler
    board: ControlBoard


def standing_checks(service: Standing) -> Mapping[str, Callable[[], Awaitable[Finding]]]:
    """The checks by name."""

    async def venue() -> Finding:
        unresolved, problems = service.gateway.unresolved, service.venues.problems()
        detail = f"{', '.join(account for account, _ in service.venues)}: {unresolved} orders being asked about"
        if not problems:
            return graded(unresolved, UNRESOLVED_DEGRADED, UNRESOLVED_UNHEALTHY, detail, "orders")
        told = "; ".join(f"{account} cannot be used: {problem}" for account, problem in sorted(problems.items()))
        return Finding(status=HealthStatus.DEGRADED, detail=f"{told}; {detail}", value=unresolved, unit="orders")

    async def accounts() -> Finding:
        known, problems = service.reconciler.known, service.reconciler.problems()
        if not known:
            return Finding(status=HealthStatus.HEALTHY, detail="all on paper")
        detail = f"{known} at venues, {service.reconciler.unsettled} of them still being compared and without entries"
        if problems:
            (user_id, account), problem = min(problems.items())
            detail += f"; {len(problems)} could not be compared, such as user {user_id} at {account}: {problem}"
        return graded(len(problems), ACCOUNTS_DEGRADED, ACCOUNTS_UNHEALTHY, detail, "accounts")

    async def controls() -> Finding:
        found = sorted(service.board.controls.values(), key=lambda control: control.scope)
        if not found:
            return Finding(status=HealthStatus.HEALTHY, detail="nothing is limited")
        shown = ", ".join(f"{each.scope} {each.state}" + (f" ({each.reason})" if each.reason else "") for each in found[:SHOWN])
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        status = HealthStatus.DEGRADED if EVERYWHERE in service.board.controls else HealthStatus.HEALTHY
        return Finding(status=status, detail=f"{shown}{more}; `tradekit allow SCOPE` ends it", value=len(found), unit="controls")

    return {"venue": venue, "accounts": accounts, "controls": controls}
