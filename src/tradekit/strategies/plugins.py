"""Strategies of other distributions, found by their entry points in the group ``tradekit.strategies``.

An entry point names a class, a function that returns a strategy, or a strategy. What it calls may take a parameter ``indicators``, which is
then the library of this service; everything else needs a default.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from tradekit.domain.errors import ConfigurationError
from tradekit.ports.indicators import IndicatorLibrary
from tradekit.ports.strategy import Strategy

GROUP = "tradekit.strategies"
INDICATORS = "indicators"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)

Factory = Callable[..., Strategy]


def found() -> list[EntryPoint]:
    """Every entry point of the group, by name; nothing is imported."""
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _origin(entry)))


def load(indicators: IndicatorLibrary, taken: Iterable[str] = ()) -> tuple[list[Strategy], list[ConfigurationError]]:
    """Every installed plug-in, made without parameters, and what is wrong with those that cannot be used.

    A service should not start without one of them: whoever follows a strategy that is missing would wait for its exits in vain.

    :param taken: names that plug-ins may not have.
    """
    made: list[Strategy] = []
    wrong: list[ConfigurationError] = []
    origins = dict.fromkeys(taken, "tradekit itself")
    for entry in found():
        try:
            if entry.name in origins:
                raise _refusal(entry, f"has the same name as a strategy of {origins[entry.name]}", "uninstall one of the two")
            made.append(_made(entry, indicators))
        except ConfigurationError as error:
            wrong.append(error)
        else:
            origins[entry.name] = _origin(entry)
    return made, wrong


def factory(entry: EntryPoint) -> Factory:
    """What makes the strategy.

    :raises ConfigurationError: it cannot be imported, or is nothing that makes a strategy.
    """
    try:
        target = entry.load()
    except Exception as error:
        raise _refusal(entry, f"cannot be imported: {_said(error)}", "repair or uninstall the distribution") from error
    if inspect.isclass(target) or inspect.isroutine(target):
        return cast(Factory, target)
    if hasattr(target, "evaluator"):
        return lambda: cast(Strategy, target)
    raise _refusal(entry, "is neither a class nor a function nor a strategy", "name one of these in the entry point")


def with_indicators(make: Factory, indicators: IndicatorLibrary) -> Factory:
    """The factory without its parameter ``indicators``, if it has one."""
    signature = _signature(make)
    if signature is None or INDICATORS not in signature.parameters:
        return make

    def filled(**parameters: Any) -> Strategy:
        return make(**parameters, indicators=indicators)

    left = [parameter for name, parameter in signature.parameters.items() if name != INDICATORS]
    filled.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return filled


def _signature(make: Factory) -> inspect.Signature | None:
    try:
        return inspect.signature(make)
    except (TypeError, ValueError):
        return None


def _made(entry: EntryPoint, indicators: IndicatorLibrary) -> Strategy:
    make = with_indicators(factory(entry), indicators)
    try:
        strategy: Any = make()
        name, title, evaluator = strategy.name, strategy.title, strategy.evaluator
        bool(strategy.advanced)
    except Exception as error:
        fix = "give every parameter a default, and the strategy name, title, advanced and evaluator(symbol)"
        raise _refusal(entry, f"makes no strategy: {_said(error)}", fix) from error
    if not callable(evaluator) or not title:
        raise _refusal(entry, "makes no strategy: evaluator cannot be called, or the title is empty", "see docs/how-to/strategy.md")
    if name != entry.name or not NAME.fullmatch(name):
        fix = "give both the same name of a-z, 0-9 and single hyphens"
        raise _refusal(entry, f"makes a strategy with the name {name!r}", fix)
    return cast(Strategy, strategy)


def _origin(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _refusal(entry: EntryPoint, problem: str, fix: str) -> ConfigurationError:
    origin = f"entry point {entry.name} = {entry.value} of {_origin(entry)}"
    return ConfigurationError(setting=f"strategy {entry.name}", origin=origin, problem=problem, fix=fix)
