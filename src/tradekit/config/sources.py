"""Where values come from: the environment, ``.env``, ``tradekit.toml``. Each value is found together with its origin."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from tradekit.domain.errors import ConfigurationError
from tradekit.domain.suggestions import closest

PREFIX = "TRADEKIT_"
_FOREIGN = re.compile(r"TRADEKIT_(SERVICE_.*|PORT_[0-9].*|BENCH_.*)")
"""Kubernetes sets the first two for a Service of our name; the benchmarks use the third."""
_FILE_BYTES_MAX = 1_000_000


@attrs.frozen
class Found:
    """A value as it was found, before it is read."""

    raw: object
    origin: str
    textual: bool
    """Numbers may be text: true of everything except TOML, which has types of its own."""


@attrs.frozen
class Names:
    """What environment variables are called."""

    settings: Mapping[str, str]
    """Setting by variable."""
    secrets: frozenset[str]
    """Variables whose value may also come from the file that ``NAME_FILE`` names."""


def from_environ(environ: Mapping[str, str], names: Names, errors: list[ConfigurationError]) -> dict[str, Found]:
    """Values of environment variables."""
    return _from_variables(((name, value, f"environment variable {name}") for name, value in environ.items()), names, errors)


def from_dotenv(path: Path, names: Names, errors: list[ConfigurationError]) -> dict[str, Found]:
    """Values of a ``.env`` file: ``NAME=value`` lines, quotes and ``export`` allowed; other software's names are left alone."""
    content = _text_of(path, errors)
    if content is None:
        return {}
    return _from_variables(_dotenv_lines(path, content, errors), names, errors)


def from_toml(path: Path, settings: list[str], errors: list[ConfigurationError]) -> dict[str, Found]:
    """Values of a TOML file; tables become dotted names, such as ``tiers.free.daily_trades``."""
    content = _text_of(path, errors)
    if content is None:
        return {}
    try:
        tree = tomllib.loads(content, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        errors.append(ConfigurationError(setting="tradekit.toml", origin=f"file {path}", problem=f"is not TOML: {error}", fix="correct it"))
        return {}
    found: dict[str, Found] = {}
    for name, value in _leaves(tree):
        origin = f"file {path}{_line_of(content, name)}"
        if name in settings:
            found[name] = Found(value, origin, textual=False)
        elif name == "data":
            fix = "use --data or TRADEKIT_DATA: this file is looked up in that directory"
            errors.append(ConfigurationError(setting=name, origin=origin, problem="cannot be set here", fix=fix))
        else:
            errors.append(unknown(name, origin, settings))
    return found


def from_flags(flags: Mapping[str, object]) -> dict[str, Found]:
    """Values of command-line flags; None means not given."""
    return {name: Found(value, f"flag --{name.replace('_', '-')}", textual=True) for name, value in flags.items() if value is not None}


def unknown(name: str, origin: str, known: list[str]) -> ConfigurationError:
    """Nobody knows this name; perhaps another was meant."""
    # What all variables begin with says nothing about which was meant.
    stem, names = name.removeprefix(PREFIX), {each.removeprefix(PREFIX): each for each in known}
    near = closest(stem, names) or closest(stem.removesuffix("_FILE"), names)
    fix = f"did you mean {names[near]}?" if near else "remove it; `tradekit config show` lists every setting"
    return ConfigurationError(setting=name, origin=origin, problem="is not a setting", fix=fix)


def _from_variables(lines: Iterator[tuple[str, str, str]], names: Names, errors: list[ConfigurationError]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    from_files: dict[str, Found] = {}
    for name, value, origin in lines:
        base = name.removesuffix("_FILE")
        if name in names.settings:
            if value.strip():
                found[names.settings[name]] = Found(value, origin, textual=True)
        elif base != name and base in names.secrets:
            if value.strip() and (secret := _secret_file(Path(value.strip()), base, origin, errors)):
                from_files[names.settings[base]] = secret
        elif name.startswith(PREFIX) and not _FOREIGN.fullmatch(name):
            errors.append(unknown(name, origin, list(names.settings)))
    return from_files | found


def _secret_file(path: Path, variable: str, origin: str, errors: list[ConfigurationError]) -> Found | None:
    try:
        with path.open(encoding="utf-8") as file:
            return Found(file.read(_FILE_BYTES_MAX).strip(), f"file {path} ({origin})", textual=True)
    except (OSError, ValueError) as error:
        fix = f"make {path} readable for this process, or set {variable} itself"
        errors.append(ConfigurationError(setting=variable, origin=origin, problem=f"names a file that cannot be read: {error}", fix=fix))
        return None


def _text_of(path: Path, errors: list[ConfigurationError]) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_FILE_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        fix = "make it readable UTF-8 text, or remove it"
        errors.append(ConfigurationError(setting=path.name, origin=f"file {path}", problem=f"cannot be read: {error}", fix=fix))
        return None


_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def _dotenv_lines(path: Path, content: str, errors: list[ConfigurationError]) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(content.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        origin = f"file {path} line {number}"
        match = _ASSIGNMENT.fullmatch(stripped)
        if match is None:
            errors.append(
                ConfigurationError(setting=path.name, origin=origin, problem="is not NAME=value", fix="correct or remove the line")
            )
            continue
        yield match[1], _unquoted(match[2]), origin


def _unquoted(value: str) -> str:
    if match := re.match(r"""(["'])(.*?)\1\s*(#.*)?$""", value):
        return match[2]
    return re.sub(r"(^|\s)#.*$", "", value).strip()


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


def _line_of(content: str, name: str) -> str:
    """`` line N`` of a dotted name, as far as a simple scan finds it."""
    table = ""
    for number, line in enumerate(content.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = re.sub(r"[\s\"']", "", header[1]) + "."
        elif (key := re.match(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=", line)) and table + re.sub(r"[\s\"']", "", key[1]) == name:
            return f" line {number}"
    return ""
