"""``tradekit doctor``: what is wrong with the installation, the directory and the database, and what to do."""

import importlib.util
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tradekit.config import Settings
from tradekit.domain.errors import OperatorError, TradekitError
from tradekit.domain.health import HealthStatus
from tradekit_cli import errors
from tradekit_cli.output import result, result_json, table

MIB = 1024 * 1024
FREE_MIB_LOW, FREE_MIB_MIN = 1024, 128
FSYNC_MS_SLOW = 50.0
FSYNC_TRIES = 20
OPEN_FILES_MIN, OPEN_FILES_LOW = 256, 4096
EARLIEST_S = 1_767_225_600
"""The beginning of 2026: no clock can rightly be before it."""
CONNECT_S = 5

EXTRAS = {
    "telegram": ("telegram", "httpx"),
    "server": ("starlette", "uvicorn", "jinja2"),
    "fast": ("uvloop", "aiohttp"),
}
_MARKS = {HealthStatus.HEALTHY: "✓", HealthStatus.DEGRADED: "!", HealthStatus.UNHEALTHY: "✗", HealthStatus.DISABLED: "-"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found, and what to do if it is bad."""

    check: str
    status: HealthStatus
    detail: str
    fix: str = ""


def examine(settings: Settings) -> list[Row]:
    """Make every check; a check that fails unexpectedly is itself a finding."""
    return [row for check in CHECKS for row in _made(check, settings)]


def show(rows: list[Row], *, as_json: bool) -> int:
    """Print the findings; returns the exit code."""
    healthy = all(row.status is not HealthStatus.UNHEALTHY for row in rows)
    if as_json:
        result_json({"healthy": healthy, "checks": rows})
    else:
        result(table(("", "CHECK", "FOUND"), [(_MARKS[row.status], row.check, row.detail) for row in rows]))
        for row in rows:
            if row.fix:
                result(f"\n{_MARKS[row.status]} {row.check}: {row.fix}")
    return errors.OK if healthy else errors.UNHEALTHY


def _made(check: Callable[[Settings], Iterator[Row]], settings: Settings) -> Iterator[Row]:
    name = check.__name__.strip("_").replace("_", " ")
    try:
        yield from check(settings)
    except TradekitError as error:
        fix = getattr(error, "fix", "") if isinstance(error, OperatorError) else ""
        yield Row(check=name, status=HealthStatus.UNHEALTHY, detail=errors.words(error), fix=fix)
    except OSError as error:
        yield Row(check=name, status=HealthStatus.UNHEALTHY, detail=str(error), fix="see the message of the operating system")


def _judged(check: str, detail: str, *, bad: bool = False, doubtful: bool = False, fix: str = "") -> Row:
    status = HealthStatus.UNHEALTHY if bad else HealthStatus.DEGRADED if doubtful else HealthStatus.HEALTHY
    return Row(check=check, status=status, detail=detail, fix=fix if bad or doubtful else "")


def _python(_settings: Settings) -> Iterator[Row]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _judged("python", version, bad=not (3, 11) <= sys.version_info[:2] <= (3, 13), fix="use Python 3.11, 3.12 or 3.13")


def _extras(settings: Settings) -> Iterator[Row]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        needed = extra == "server" or (extra == "telegram" and settings.telegram_bot_token is not None)
        detail = f"{', '.join(missing)} not installed" if missing else "installed"
        fix = f"pip install 'tradekit[{extra}]'"
        yield _judged(f"extra {extra}", detail, bad=bool(missing) and needed, doubtful=bool(missing), fix=fix)


def _data_directory(settings: Settings) -> Iterator[Row]:
    data = settings.data.absolute()
    if not data.exists():
        parent = next(parent for parent in data.parents if parent.exists())
        yield _judged("data directory", f"{data} does not exist yet", bad=not os.access(parent, os.W_OK), fix=f"make {parent} writable")
        return
    writable = data.is_dir() and os.access(data, os.W_OK | os.X_OK)
    owner = data.stat().st_uid
    foreign = owner not in {os.getuid(), 0}
    detail = f"{data}, {'writable' if writable else 'not writable'}" + (f", owned by user id {owner}" if foreign else "")
    yield _judged("data directory", detail, bad=not writable, doubtful=foreign, fix=f"chown -R {os.getuid()} {data}")
    loose = data.stat().st_mode & 0o007
    yield _judged(
        "privacy", f"mode {data.stat().st_mode & 0o777:o}", doubtful=bool(loose), fix=f"chmod o-rwx {data}: others can look into it"
    )


def _disk(settings: Settings) -> Iterator[Row]:
    existing = next(path for path in (settings.data.absolute(), *settings.data.absolute().parents) if path.exists())
    free_mib = shutil.disk_usage(existing).free // MIB
    yield _judged("disk space", f"{free_mib} MiB free", bad=free_mib < FREE_MIB_MIN, doubtful=free_mib < FREE_MIB_LOW, fix="make room")
    if settings.data.is_dir() and os.access(settings.data, os.W_OK):
        spent_ms = fsync_ms(settings.data)
        fix = "every order waits for the disk: use a local SSD for the data directory"
        yield _judged("disk sync", f"{spent_ms:.1f} ms per commit (median of {FSYNC_TRIES})", doubtful=spent_ms > FSYNC_MS_SLOW, fix=fix)


def fsync_ms(directory: Path) -> float:
    """Median time to append a page to a file and have it on the disk."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(FSYNC_TRIES):
            begin = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begin) * 1000)
    return sorted(times)[FSYNC_TRIES // 2]


def _clock(settings: Settings) -> Iterator[Row]:
    now_s = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    yield _judged("clock", shown, bad=now_s < EARLIEST_S, fix="set the clock; quotas, signals and orders depend on it")
    if settings.data.is_dir():
        ahead_s = max((path.stat().st_mtime for path in settings.data.iterdir()), default=0) - now_s
        if ahead_s > 60:
            yield _judged(
                "clock", f"the data is {ahead_s:.0f} s in the future", bad=True, fix="the clock went back: set it right before starting"
            )


def _open_files(_settings: Settings) -> Iterator[Row]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    limited = soft != resource.RLIM_INFINITY
    fix = f"ulimit -n {OPEN_FILES_LOW}, or LimitNOFILE= of the service's unit"
    yield _judged(
        "open files", f"limit {shown}", bad=limited and soft < OPEN_FILES_MIN, doubtful=limited and soft < OPEN_FILES_LOW, fix=fix
    )


def _telegram(settings: Settings) -> Iterator[Row]:
    if settings.telegram_bot_token is None:
        yield Row(check="telegram", status=HealthStatus.DISABLED, detail="no token")
        return
    parts = urlsplit(settings.telegram_api_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((str(parts.hostname), port), timeout=CONNECT_S).close()
    except OSError as error:
        fix = f"allow outgoing connections to {parts.hostname}:{port}, or set TRADEKIT_TELEGRAM_API_URL"
        yield _judged("telegram", f"{parts.hostname}:{port} cannot be reached: {error}", bad=True, fix=fix)
        return
    yield _bot(settings)


def _bot(settings: Settings) -> Row:
    import anyio

    from tradekit_telegram.client import Client

    async def connect() -> str:
        client = Client(str(settings.telegram_bot_token), api_url=settings.telegram_api_url, origin=settings.origin("telegram_bot_token"))
        try:
            with anyio.fail_after(3 * CONNECT_S):
                return await client.connect()
        finally:
            await client.close()

    try:
        return _judged("telegram", f"the token belongs to @{anyio.run(connect)}")
    except TradekitError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the client library raises is the finding
        name = type(error).__name__
        return _judged(
            "telegram", f"the Bot API server did not answer properly: {name}", bad=True, fix="try again; see status of the server"
        )


def _database(settings: Settings) -> Iterator[Row]:
    from tradekit_cli.database import findings

    for name, finding in findings(settings):
        yield Row(check=name, status=finding.status, detail=finding.detail, fix="")


CHECKS = (_python, _extras, _data_directory, _disk, _clock, _open_files, _database, _telegram)
