"""``tradekit halt``, ``reduce``, ``allow`` and ``controls``: what the operator allows."""

from datetime import UTC, datetime

import anyio

from tradekit.bootstrap import open_reader
from tradekit.config import Settings
from tradekit.domain.controls import Control, GlobalState
from tradekit_cli import errands, wire
from tradekit_cli.output import result, result_json, table


def set_state(settings: Settings, scope: str, state: GlobalState, *, reason: str, as_json: bool) -> None:
    """Set it, now and for every later start."""
    facts = errands.run(settings, wire.SetControl(scope=scope, state=state, reason=reason))
    if as_json:
        result_json(facts)
    else:
        result(f"{facts['scope']}: {facts['state']}")


def show(settings: Settings, *, as_json: bool) -> None:
    """Print what is limited."""
    found = [each for each in anyio.run(_read, settings) if each.state is not GlobalState.NORMAL]
    if as_json:
        result_json(found)
        return
    rows = [(each.scope, each.state.value, _time(each.changed_ms), each.by, each.reason) for each in found]
    result(table(("SCOPE", "STATE", "SINCE", "BY", "REASON"), rows) if rows else "Nothing is limited.")


async def _read(settings: Settings) -> list[Control]:
    async with open_reader(settings) as reader:
        return await reader.controls()


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
