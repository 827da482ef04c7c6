"""Whose money: balances, locks and API keys."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from tradekit.testing.exchange_server.errors import insufficient_balance

_ZERO = Decimal(0)


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What an API key may do."""

    reading: bool = True
    spot_trading: bool = True
    withdrawals: bool = False
    internal_transfer: bool = False
    margin: bool = False
    futures: bool = False
    ip_restricted: bool = True

    def describe(self, created_ms: int) -> dict[str, Any]:
        """As sapi/v1/account/apiRestrictions has it."""
        return {
            "ipRestrict": self.ip_restricted,
            "createTime": created_ms,
            "enableReading": self.reading,
            "enableWithdrawals": self.withdrawals,
            "enableInternalTransfer": self.internal_transfer,
            "enableMargin": self.margin,
            "enableFutures": self.futures,
            "permitsUniversalTransfer": self.internal_transfer,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": self.spot_trading,
            "enablePortfolioMarginTrading": False,
        }


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a client signs with."""

    key: str
    secret: str
    permissions: Permissions
    created_ms: int


class Lock:
    """Money set aside for one order, or for the orders of one list together."""

    __slots__ = ("amount", "asset")

    def __init__(self, asset: str, amount: Decimal) -> None:
        self.asset, self.amount = asset, amount


class Account:
    """One customer."""

    def __init__(self, name: str, number: int, balances: Mapping[str, Decimal]) -> None:
        self.name = name
        self.number = number
        self.free: dict[str, Decimal] = dict(balances)
        self.locked: dict[str, Decimal] = {}
        self.fee_asset: str | None = None
        """Pays commissions in this asset, such as BNB, while it lasts; None: in the asset it receives."""
        self.can_trade = True
        self.keys: dict[str, ApiKey] = {}
        self._keys_made = 0

    def new_key(self, created_ms: int, permissions: Permissions | None = None) -> ApiKey:
        """A further key. Keys follow from the account's name and their number, so that a process that restarts has them again."""
        seed = f"{self.name}/{self._keys_made}"
        self._keys_made += 1
        key = ApiKey(
            key=sha256(f"key/{seed}".encode()).hexdigest(),
            secret=sha256(f"secret/{seed}".encode()).hexdigest(),
            permissions=permissions or Permissions(),
            created_ms=created_ms,
        )
        self.keys[key.key] = key
        return key

    @property
    def key(self) -> ApiKey:
        """The first one."""
        return next(iter(self.keys.values()))

    def assets(self) -> list[str]:
        return sorted({*self.free, *self.locked})

    def lock(self, asset: str, amount: Decimal) -> Lock:
        """
        :raises VenueError: not enough is free.
        """
        if self.free.get(asset, _ZERO) < amount:
            raise insufficient_balance()
        self.free[asset] -= amount
        self.locked[asset] = self.locked.get(asset, _ZERO) + amount
        return Lock(asset, amount)

    def release(self, lock: Lock) -> None:
        """Give back what is left."""
        self.locked[lock.asset] -= lock.amount
        self.free[lock.asset] = self.free.get(lock.asset, _ZERO) + lock.amount
        lock.amount = _ZERO

    def pay(self, asset: str, amount: Decimal, lock: Lock | None) -> None:
        """Spend from the lock first, then from what is free. A late fill may take the balance below zero: the venue executed it."""
        from_lock = min(amount, lock.amount) if lock is not None else _ZERO
        if lock is not None and from_lock:
            lock.amount -= from_lock
            self.locked[asset] -= from_lock
        self.free[asset] = self.free.get(asset, _ZERO) - (amount - from_lock)

    def receive(self, asset: str, amount: Decimal) -> None:
        self.free[asset] = self.free.get(asset, _ZERO) + amount
