"""Loading ccxt, and keeping it from what is ours."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import localcontext
from types import ModuleType
from typing import Any

import anyio.to_thread
import attrs

from tradekit.domain.errors import ConfigurationError


@contextmanager
def own_decimals() -> Iterator[None]:
    """Give ccxt a decimal context of its own.

    Its rounding of amounts sets ROUND_HALF_UP and a trap on the context in force, which tasks of one event loop share: without this, the
    first order would change how the whole service divides money. Tasks that ccxt starts inside keep the context they are born with.
    """
    with localcontext():
        yield


@attrs.frozen
class Library:
    """The parts of ccxt that are used."""

    errors: ModuleType
    venue: type[Any]
    """The venue's class: with websockets if ccxt has them for it."""
    websockets: bool


async def load(venue: str, *, setting: str = "exchange", origin: str = "configuration") -> Library:
    """Import ccxt (seconds) on a worker thread.

    :raises ConfigurationError: the extra is missing, or ccxt does not know the venue.
    """
    return await anyio.to_thread.run_sync(_load, venue, setting, origin)


def _load(venue: str, setting: str, origin: str) -> Library:
    # At DEBUG ccxt logs every request with its headers, which hold the user's key.
    logging.getLogger("ccxt").setLevel(logging.WARNING)
    with own_decimals():
        try:
            plain = importlib.import_module("ccxt.async_support")
            streaming = importlib.import_module("ccxt.pro")
            errors = importlib.import_module("ccxt.base.errors")
        except ImportError as error:
            raise ConfigurationError(
                setting=setting, origin=origin, problem=f"venue {venue!r} needs ccxt: {error}", fix="pip install 'tradekit[exchange]'"
            ) from error
    if venue not in plain.exchanges:
        near = [name for name in plain.exchanges if name.startswith(venue[:4])]
        fix = f"use one of {', '.join(near)}" if near else "see ccxt's list of exchanges for the name"
        raise ConfigurationError(setting=setting, origin=origin, problem=f"ccxt does not know a venue {venue!r}", fix=fix)
    if venue in streaming.exchanges:
        return Library(errors, getattr(streaming, venue), websockets=True)
    return Library(errors, getattr(plain, venue), websockets=False)
