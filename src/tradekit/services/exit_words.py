"""Exits as people write them: ``sl=2% tp=3%:50,6%:50 trail=1.5% exit=4h``."""

import re
from decimal import Decimal
from itertools import pairwise

from tradekit.domain.amounts import HUNDRED, ZERO, parse_amount, text_of
from tradekit.domain.errors import BadInput
from tradekit.domain.orders import Bracket, TakeProfit

RUNGS_MAX = 10
TARGET_PCT_MAX = Decimal(1000)
"""Whoever writes more than this means a price."""
TIME_MAX_S = 90 * 86_400
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_TIME = re.compile(r"(\d{1,8})\s*(s|m|min|h|d)?", re.ASCII)


def is_exit_word(word: str) -> bool:
    """Whether a word is one of these options."""
    return word.lower().partition("=")[0] in {"sl", "tp", "trail", "exit"} and "=" in word


def parse_bracket(words: list[str]) -> Bracket | None:
    """The bracket that the words describe; None without any.

    :raises BadInput: names the option and what is wrong with it.
    """
    if not words:
        return None
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name.lower() in found:
            raise BadInput(field=name, value=value[:40], problem="is given twice")
        found[name.lower()] = value
    return Bracket(
        stop_loss_pct=parse_distance("sl", found["sl"]) if "sl" in found else None,
        trailing_pct=parse_distance("trail", found["trail"]) if "trail" in found else None,
        take_profits=parse_ladder("tp", found["tp"]) if "tp" in found else (),
        time_exit_s=parse_time("exit", found["exit"]) if "exit" in found else 0,
    )


def parse_distance(name: str, text: str) -> Decimal:
    """A distance from the price, in percent.

    :raises BadInput: not above 0 and below 100.
    """
    value = parse_amount(text.strip().removesuffix("%"), name)
    if value >= HUNDRED:
        raise BadInput(field=name, value=text[:40], problem="is a distance in percent, below 100", hint="as in 2%; for a price: /stop")
    return value


def parse_ladder(name: str, text: str) -> tuple[TakeProfit, ...]:
    """``5%`` or ``3%:50,6%:50``: distance and share of each rung, nearest first; the last rung's share may be left out: all the rest.

    :raises BadInput: shares above 100 in all, rungs out of order, too many.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or len(parts) > RUNGS_MAX:
        raise BadInput(field=name, value=text[:40], problem=f"needs 1 to {RUNGS_MAX} rungs", hint="as in 3%:50,6%:50")
    rungs: list[TakeProfit] = []
    total = ZERO
    for number, part in enumerate(parts, 1):
        distance, colon, share = part.partition(":")
        if colon:
            size = parse_amount(share.removesuffix("%"), name)
        elif number == len(parts):
            size = HUNDRED - total
        else:
            raise BadInput(field=name, value=text[:40], problem="only the last rung may leave out its share", hint="as in 3%:50,6%")
        total += size
        rungs.append(TakeProfit(_target(name, distance.strip()), size))
    if total > HUNDRED or any(rung.share_pct <= 0 for rung in rungs):
        raise BadInput(field=name, value=text[:40], problem="has shares that do not add up to 100 or less", hint="as in 3%:50,6%:50")
    if any(low.distance_pct >= high.distance_pct for low, high in pairwise(rungs)):
        raise BadInput(field=name, value=text[:40], problem="needs its rungs nearest first", hint="as in 3%:50,6%:50")
    return tuple(rungs)


def _target(name: str, text: str) -> Decimal:
    value = parse_amount(text.removesuffix("%"), name)
    if value > TARGET_PCT_MAX:
        problem = f"is a distance in percent, at most {TARGET_PCT_MAX}"
        raise BadInput(field=name, value=text[:40], problem=problem, hint="as in 3%; for a price: /target")
    return value


def parse_time(name: str, text: str) -> int:
    """Seconds of ``90``, ``15m``, ``4h`` or ``2d``.

    :raises BadInput: not a time, or longer than ninety days.
    """
    match = _TIME.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else 0
    if not 0 < seconds <= TIME_MAX_S:
        raise BadInput(field=name, value=text[:40], problem="is not a time of up to 90 days", hint="as in 15m, 4h or 2d")
    return seconds


def bracket_words(bracket: Bracket | None) -> str:
    """The words again; empty without exits."""
    if not bracket:
        return ""
    words = [f"sl={text_of(bracket.stop_loss_pct)}%"] if bracket.stop_loss_pct else []
    words += [f"tp={ladder_words(bracket.take_profits)}"] if bracket.take_profits else []
    words += [f"trail={text_of(bracket.trailing_pct)}%"] if bracket.trailing_pct else []
    words += [f"exit={bracket.time_exit_s}s"] if bracket.time_exit_s else []
    return " ".join(words)


def ladder_words(ladder: tuple[TakeProfit, ...]) -> str:
    """``3%:50,6%:50``."""
    return ",".join(f"{text_of(rung.distance_pct)}%:{text_of(rung.share_pct)}" for rung in ladder)
