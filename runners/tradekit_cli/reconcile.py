"""``tradekit reconcile``: every account at a venue compared with it, and what did not agree before."""

from datetime import UTC, datetime

import anyio
import typer

from tradekit.bootstrap import open_reader
from tradekit.config import Settings
from tradekit.domain.discrepancies import Discrepancy
from tradekit_cli import errands, errors, wire
from tradekit_cli.output import note, result, result_json, table

LISTED_MAX = 1000


def compare(settings: Settings, *, user: str | None, as_json: bool) -> None:
    """Compare now; exit code 1 if anything does not agree."""
    facts = errands.run(settings, wire.ReconcileAccounts(who=user or ""))
    if as_json:
        result_json(facts)
    else:
        result(
            f"{facts['accounts']} accounts compared in {facts['seconds']} s ({facts['users_per_minute']} a minute): "
            f"{facts['agreed']} agree, {facts['adjusted']} with a corrected balance, {facts['frozen']} with a frozen instrument, "
            f"{facts['under_way']} with orders under way, {facts['failed']} could not be compared."
        )
        for line in facts["problems"]:
            note(line)
    if facts["frozen"] or facts["failed"] or facts["under_way"]:
        raise typer.Exit(errors.FAILURE)


def show_last(settings: Settings, *, as_json: bool) -> None:
    """Print the differences on record, newest first."""
    found = anyio.run(_found, settings)
    if as_json:
        result_json(found)
        return
    header = ("TIME", "USER", "ACCOUNT", "KIND", "SYMBOL", "DETAIL", "RESOLVED")
    result(table(header, [_row(each) for each in found]) if found else "Nothing that did not agree is on record.")


def _row(each: Discrepancy) -> tuple[str, ...]:
    until = _time(each.resolved_ms) or "open"
    return _time(each.raised_ms), str(each.user_id), each.account, each.kind.value, each.symbol, each.detail, until


async def _found(settings: Settings) -> list[Discrepancy]:
    async with open_reader(settings) as reader:
        return await reader.discrepancies(limit=LISTED_MAX)


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if time_ms else ""
