"""Loading ccxt, and keeping it from what is ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import localcontext
from types import ModuleType
from typing import Any

import anyio.to_thread
import attrs

from tradekit.adapters.ccxt.slim import load_venue, venue_names
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
    """Import the venue's part of ccxt (half a second) on a worker thread.

    :raises ConfigurationError: the extra is missing, or ccxt does not know the venue.
    """
    return await anyio.to_thread.run_sync(_load, venue, setting, origin)


def _load(venue: str, setting: str, origin: str) -> Library:
    # At DEBUG ccxt logs every request with its headers, which hold the user's key.
    logging.getLogger("ccxt").setLevel(logging.WARNING)
    with own_decimals():
        try:
            known = venue_names()
            if venue in known:
                loaded, websockets, errors = load_venue(venue)
                return Library(errors, loaded, websockets)
        except ImportError as error:
            raise ConfigurationError(
                setting=setting, origin=origin, problem=f"venue {venue!r} needs ccxt: {error}", fix="pip install 'tradekit[exchange]'"
            ) from error
    near = [name for name in known if name.startswith(venue[:4])]
    fix = f"use one of {', '.join(near)}" if near else "see ccxt's list of exchanges for the name"
    raise ConfigurationError(setting=setting, origin=origin, problem=f"ccxt does not know a venue {venue!r}", fix=fix)
