"""The text of ``--feed``."""

import re
from pathlib import Path

import attrs

from tradekit.adapters.feeds.bars import Recording
from tradekit.adapters.feeds.none import NoFeed
from tradekit.adapters.feeds.replay import ReplayFeed
from tradekit.adapters.feeds.simulated import SimulatedFeed
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.instruments import Symbol
from tradekit.ports.clock import Clock
from tradekit.ports.feed import Feed

SPEED_MAX = 1e9

_EXAMPLE = (
    "use --feed auto, --feed simulated, --feed ccxt:VENUE[:SYMBOL,...] as in --feed ccxt:binance:BTC/USDT, "
    "or --feed replay:PATH[,PATH...] as in --feed replay:BTC-USDT-4h.csv.gz"
)
AUTO_VENUE = "binance"
"""Whose prices ``auto`` takes unless it names another."""
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}", re.ASCII)
_VENUE = re.compile(r"[a-z0-9]{1,40}", re.ASCII)
_NAMED = re.compile(r"([A-Za-z0-9]{1,20})-([A-Za-z0-9]{1,20})(?:[-_.].*)?", re.ASCII)


@attrs.frozen(kw_only=True)
class LivePrices:
    """``ccxt:VENUE[:SYMBOL,...]`` or ``auto[:VENUE[:SYMBOL,...]]``, taken apart."""

    venue: str
    symbols: tuple[Symbol, ...]
    """Empty: the feed's own choice."""
    required: bool
    """Whether nothing but this venue's prices will do; otherwise simulated ones stand in when it does not answer."""


def parse_live(spec: str, speed: float | None, *, origin: str = "command line") -> LivePrices | None:
    """What live prices a feed asks for; None if it asks for none.

    :raises ConfigurationError: of ``--feed`` or ``--speed``, with what to write instead.
    """
    kind, colon, rest = spec.strip().partition(":")
    if kind not in {"auto", "ccxt"}:
        return None
    venue, _, listed = rest.partition(":")
    venue = venue.strip().lower() if colon else ""
    if (kind == "ccxt" or colon) and not _VENUE.fullmatch(venue):
        raise _wrong("--feed", origin, f"{spec!r} does not name a venue", "name one as ccxt calls it, as in --feed ccxt:binance")
    symbols = tuple(part.strip().upper() for part in listed.split(",") if part.strip())
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise _wrong("--feed", origin, f"{symbol!r} is not an instrument", "write BASE/QUOTE, as in --feed ccxt:binance:BTC/USDT")
        if symbols.count(symbol) > 1:
            raise _wrong("--feed", origin, f"{symbol} is given twice", "name each instrument once")
    if speed is not None:
        raise _wrong("--speed", origin, "live prices come in real time", "leave --speed out, or replay a file")
    return LivePrices(venue=venue or AUTO_VENUE, symbols=symbols, required=kind == "ccxt")


def parse_feed(spec: str, speed: float | None, clock: Clock, *, seed: int = 0, origin: str = "command line") -> Feed:
    """Read ``none``, ``simulated`` or ``replay:[SYMBOL=]PATH[,...]``. The files are read through once; ``seed`` is the simulated market's.

    :raises ConfigurationError: of ``--feed`` or ``--speed``, with what to write instead.
    :raises DataError: a file has a defect.
    """
    kind, _, files = spec.strip().partition(":")
    if kind == "none" and not files and speed is None:
        return NoFeed()
    if kind == "simulated" and not files:
        if speed is not None:
            raise _wrong("--speed", origin, "the simulated market runs in real time", "leave --speed out, or replay a file")
        return SimulatedFeed(clock, seed=seed)
    if kind != "replay" or not files.strip():
        raise _wrong("--feed", origin, f"{spec!r} is not a feed", _EXAMPLE)
    if speed is not None and not 0 < speed <= SPEED_MAX:
        raise _wrong("--speed", origin, f"{speed:g} is not a speed", "use a number above zero, as in --speed 60: an hour in a minute")
    return ReplayFeed(parse_recordings(files, origin=origin), clock, speed)


def parse_recordings(
    files: str, *, setting: str = "--feed", before: str = "replay:", example: str = _EXAMPLE, origin: str = "command line"
) -> list[Recording]:
    """Read ``[SYMBOL=]PATH[,...]`` and scan the files; ``before`` is what stands before it in the setting, for the messages.

    :raises ConfigurationError: of that setting, with what to write instead.
    :raises DataError: a file has a defect.
    """
    sources = [_source(part.strip(), setting, before, example, origin) for part in files.split(",")]
    symbols = [symbol for symbol, _ in sources]
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise _wrong(setting, origin, f"{symbol} is given twice", "give one file per instrument")
    return [Recording.scan(path, symbol) for symbol, path in sources]


def _source(part: str, setting: str, lead: str, example: str, origin: str) -> tuple[Symbol, Path]:
    before, equals, after = part.partition("=")
    named = bool(equals) and _SYMBOL.fullmatch(before.strip().upper()) is not None
    path = Path(after.strip() if named else part).expanduser()
    if equals and not named and Path(after.strip()).expanduser().is_file():
        fix = f"write BASE/QUOTE, as in {setting} {lead}BTC/USDT={after}"
        raise _wrong(setting, origin, f"{before.strip()!r} is not an instrument", fix)
    if not part or not path.is_file():
        raise _wrong(setting, origin, f"there is no file {str(path) if part else part!r}", example)
    if named:
        return before.strip().upper(), path
    match = _NAMED.fullmatch(path.name)
    if match is None:
        fix = f"name the instrument, as in {setting} {lead}BTC/USDT={path}"
        raise _wrong(setting, origin, f"the name {path.name!r} does not begin with an instrument such as BTC-USDT-", fix)
    return f"{match[1]}/{match[2]}".upper(), path


def _wrong(setting: str, origin: str, problem: str, fix: str) -> ConfigurationError:
    return ConfigurationError(setting=setting, origin=origin, problem=problem, fix=fix)
