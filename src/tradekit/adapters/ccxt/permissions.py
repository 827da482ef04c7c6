"""Asking a venue what a key may do, before it is kept and daily after."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.to_thread
import attrs
import structlog

from tradekit.adapters.ccxt.budget import Rank, VenueBusy, WeightBudget
from tradekit.adapters.ccxt.library import Library, load, own_decimals
from tradekit.adapters.ccxt.profiles import VenueProfile, profile_for
from tradekit.adapters.ccxt.session import Prepare
from tradekit.adapters.ccxt.verdicts import Kind, judge
from tradekit.domain.credentials import Permissions, VenueKey
from tradekit.domain.errors import ExchangeUnavailable, KeyRefused
from tradekit.ports.clock import Clock

log = structlog.get_logger(__name__)

WEIGHT = 2
"""Of the venue's time and of the question."""


@attrs.frozen
class Scope:
    """How a venue tells what a key may do."""

    method: str
    """Of ccxt's class; one request."""
    read: Callable[[Any], Permissions]


def _binance(answer: Any) -> Permissions:
    return Permissions(
        read=_flag(answer, "enableReading"),
        trade=_flag(answer, "enableSpotAndMarginTrading"),
        withdraw=_flag(answer, "enableWithdrawals"),
        address_bound=_flag(answer, "ipRestrict"),
    )


def _okx(answer: Any) -> Permissions:
    (account,) = answer["data"]
    granted = account["perm"].split(",")
    return Permissions(
        read="read_only" in granted, trade="trade" in granted, withdraw="withdraw" in granted, address_bound=bool(account.get("ip"))
    )


def _bybit(answer: Any) -> Permissions:
    key = answer["result"]
    granted = {name for names in key["permissions"].values() for name in names}
    writes = str(key["readOnly"]) == "0"
    addresses = key.get("ips") or ["*"]
    return Permissions(
        read=True, trade=writes and "SpotTrade" in granted, withdraw=writes and "Withdraw" in granted, address_bound="*" not in addresses
    )


SCOPES: Mapping[str, Scope] = {
    "binance": Scope("sapi_get_account_apirestrictions", _binance),
    "okx": Scope("private_get_account_config", _okx),
    "bybit": Scope("private_get_v5_user_query_api", _bybit),
}
"""Venues that tell. At others a key's scope stays unknown, and so no key of theirs is taken for real money."""


class CcxtKeyCheck:
    """Implements :class:`tradekit.ports.accounts.KeyCheck`. Each check has an instance of ccxt's class to itself, gone when it ends.

    :raises ConfigurationError: of a check, when ccxt is missing or does not know the venue.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        prepare: Prepare | None = None,
        budget: Callable[[VenueProfile], WeightBudget] | None = None,
        request_timeout_s: float = 10.0,
        wait_max_s: float = 30.0,
    ) -> None:
        """
        :param prepare: called with every ccxt instance, to change addresses or set a proxy.
        :param budget: the budget that a venue's other adapters in this process share; without it the check has one of its own.
        """
        self._clock, self._prepare = clock, prepare
        self._budget = budget or self._own_budget
        self._budgets: dict[str, WeightBudget] = {}
        self._request_timeout_s, self._wait_max_s = request_timeout_s, wait_max_s

    async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
        library, profile = await load(venue), profile_for(venue)
        try:
            await self._budget(profile).acquire(WEIGHT, Rank.DATA, self._wait_max_s)
        except VenueBusy as error:
            raise ExchangeUnavailable(venue=venue, reason=error.reason) from None
        ccxt = await anyio.to_thread.run_sync(self._construct, library, profile, key, sandbox)
        try:
            with own_decimals(), anyio.fail_after(self._request_timeout_s):
                return await self._asked(ccxt, venue, sandbox)
        except TimeoutError:
            raise ExchangeUnavailable(venue=venue, reason=f"no answer within {self._request_timeout_s:g} s") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The answer is not what it used to be. Its text may hold anything, so only the kind of error is told.
            log.error("key_scope_unreadable", venue=venue, error=type(error).__name__)
            return Permissions()
        except library.errors.BaseError as error:
            # The cause may hold the request with its signature: it stays here.
            raise self._failure(library, profile, error, ccxt.last_response_headers) from None
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._request_timeout_s):
                await ccxt.close()

    async def _asked(self, ccxt: Any, venue: str, sandbox: bool) -> Permissions:
        if ccxt.has.get("fetchTime"):
            await ccxt.load_time_difference()
        scope = SCOPES.get(venue)
        if scope is None or sandbox:
            await ccxt.fetch_balance()
            return Permissions(read=True)
        return scope.read(await getattr(ccxt, scope.method)())

    def _failure(self, library: Library, profile: VenueProfile, error: Exception, headers: Mapping[str, str] | None) -> Exception:
        verdict = judge(error, library.errors, profile, headers)
        if verdict.kind is Kind.REFUSED:
            return KeyRefused(check="KEY_REJECTED", venue=profile.venue)
        if verdict.kind is Kind.LIMITED:
            self._budget(profile).ban(verdict.pause_s)
        return ExchangeUnavailable(venue=profile.venue, reason=verdict.reason)

    def _construct(self, library: Library, profile: VenueProfile, key: VenueKey, sandbox: bool) -> Any:
        config: dict[str, Any] = {
            "apiKey": key.api_key,
            "secret": key.secret,
            "enableRateLimit": False,
            "timeout": round(self._request_timeout_s * 1000),
            "options": dict(profile.options),
            "enableLastHttpResponse": False,
        }
        if key.password:
            config["password"] = key.password
        with own_decimals():
            ccxt = library.venue(config)
            if sandbox:
                ccxt.set_sandbox_mode(True)
            if self._prepare is not None:
                self._prepare(ccxt)
        return ccxt

    def _own_budget(self, profile: VenueProfile) -> WeightBudget:
        if profile.venue not in self._budgets:
            self._budgets[profile.venue] = WeightBudget(profile.venue, profile.weight_max, profile.weight_window_s, self._clock)
        return self._budgets[profile.venue]


def _flag(answer: Any, name: str) -> bool | None:
    value = answer.get(name)
    return value if isinstance(value, bool) else None
