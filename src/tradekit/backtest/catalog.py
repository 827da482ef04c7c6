"""Strategies by name, and parameters from text."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

from tradekit import strategies
from tradekit.domain.errors import BadInput
from tradekit.ports.indicators import IndicatorLibrary
from tradekit.ports.strategy import Strategy
from tradekit.strategies import plugins
from tradekit.strategies.streams import OwnIndicators

VALUES_MAX = 10_000

Factory = Callable[..., Strategy]


def names() -> list[str]:
    """Every strategy that can be asked for by name."""
    return sorted({*_built_in(), *(entry.name for entry in plugins.found())})


def build(spec: str, parameters: Mapping[str, str] | None = None, *, indicators: IndicatorLibrary | None = None) -> Strategy:
    """Make a strategy: a built-in or plug-in by name, or a class as ``module:Class`` or ``path/to/file.py:Class``.

    Parameters are read as the types the class declares. One called ``indicators`` is given the library instead.

    :raises BadInput: no such strategy or parameter, or a value that does not fit.
    :raises ConfigurationError: a plug-in cannot be imported.
    """
    library = indicators or OwnIndicators()
    factory, values = plugins.with_indicators(_find(spec), library), dict(parameters or {})
    known = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    for name in values:
        if name not in known and not takes_any:
            offered = ", ".join(name for name in known if name not in {"name", "advanced"}) or "none"
            raise BadInput(field="parameter", value=name, problem=f"is not a parameter of {spec}", hint=f"it takes: {offered}")
    read = {name: _value(name, text, known[name].annotation if name in known else str) for name, text in values.items()}
    try:
        return factory(**read)
    except (ValueError, TypeError) as error:
        given = ", ".join(f"{name}={text}" for name, text in values.items())
        raise BadInput(field="parameter", value=given, problem=f"does not fit {spec}: {error}") from error


@cache
def _built_in() -> dict[str, Factory]:
    found: dict[str, Any] = {}
    for name in strategies.__all__:
        candidate = getattr(strategies, name)
        if inspect.isclass(candidate) and hasattr(candidate, "evaluator"):
            default = inspect.signature(candidate).parameters["name"].default
            found[str(default)] = candidate
    return found


@cache
def _find(spec: str) -> Factory:
    if spec in _built_in():
        return _built_in()[spec]
    for entry in plugins.found():
        if entry.name == spec:
            return plugins.factory(entry)
    place, colon, attribute = spec.rpartition(":")
    if not colon:
        hint = f"one of {', '.join(names())}, or a class as file.py:Class"
        raise BadInput(field="strategy", value=spec, problem="is not known", hint=hint)
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        return _checked(getattr(module, attribute), spec)
    except (ImportError, OSError, SyntaxError, AttributeError) as error:
        hint = "write it as file.py:Class or module:Class"
        raise BadInput(field="strategy", value=spec, problem=f"cannot be loaded: {error}", hint=hint) from error


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    name = f"strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _checked(found: Any, spec: str) -> Factory:
    if inspect.isclass(found) or inspect.isroutine(found):
        return cast(Factory, found)
    if hasattr(found, "evaluator"):
        return lambda: found
    raise BadInput(field="strategy", value=spec, problem="is no strategy", hint="it needs name, title, advanced and evaluator(symbol)")


def _value(name: str, text: str, kind: Any) -> Any:
    wanted = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    try:
        match wanted:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "Decimal":
                return Decimal(text)
            case "bool":
                return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[text.lower()]
            case _:
                return text
    except (ValueError, InvalidOperation, KeyError):
        wish = {"int": "a whole number", "bool": "true or false"}.get(wanted, "a number")
        raise BadInput(field="parameter", value=f"{name}={text}", problem=f"is not {wish}", hint=f"as in {name}=3") from None


def pairs(texts: Iterable[str], field: str) -> dict[str, str]:
    """``name=value`` texts as a mapping.

    :raises BadInput: no equals sign, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise BadInput(field=field, value=text, problem="is not NAME=VALUE", hint="as in fast=12")
        if name in found:
            raise BadInput(field=field, value=text, problem="is given twice", hint="give each name once")
        found[name] = value
    return found


def grid(texts: Iterable[str]) -> dict[str, Sequence[str]]:
    """``name=FROM:TO:STEP`` (both ends included) or ``name=A,B,C`` texts as the values to try.

    :raises BadInput: not readable, or too many values.
    """
    return {name: _values(name, text) for name, text in pairs(texts, "sweep").items()}


def _values(name: str, text: str) -> list[str]:
    if ":" not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        start, stop, step = (Decimal(part) for part in ([*text.split(":"), "1"] if text.count(":") == 1 else text.split(":")))
        if step <= 0 or stop < start or not (start.is_finite() and stop.is_finite() and step.is_finite()):
            raise ValueError
    except (ValueError, InvalidOperation):
        hint = f"as in {name}=5:20:5 or {name}=5,10,20"
        raise BadInput(field="sweep", value=f"{name}={text}", problem="is not FROM:TO:STEP", hint=hint) from None
    count = int((stop - start) / step) + 1
    if count > VALUES_MAX:
        raise BadInput(field="sweep", value=f"{name}={text}", problem=f"has {count} values", hint=f"at most {VALUES_MAX}")
    return [f"{value:f}" for value in islice((start + step * number for number in range(count)), count)]
