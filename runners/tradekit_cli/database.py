"""``tradekit db``, and what ``tradekit doctor`` says of the database."""

import msgspec

from tradekit.bootstrap import examine_database, migrate_database
from tradekit.config import Settings
from tradekit.domain.health import Finding, HealthStatus
from tradekit_cli.output import result, result_json, table


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """What ``db migrate --json`` prints."""

    before: str | None
    after: str


def migrate(settings: Settings, *, as_json: bool) -> None:
    """Make or migrate the database."""
    before, after = migrate_database(settings)
    if as_json:
        result_json(Migration(before=before, after=after))
    elif before == after:
        result(f"revision {after}: nothing to do")
    else:
        result(f"revision {before or 'none'} -> {after}")


def check(settings: Settings, *, as_json: bool) -> bool:
    """Print what is wrong with the database; whether it may be used."""
    rows = findings(settings)
    if as_json:
        result_json(dict(rows))
    else:
        result(table(("CHECK", "STATUS", "FOUND"), [(name, finding.status.value, finding.detail) for name, finding in rows]))
    return all(finding.status is not HealthStatus.UNHEALTHY for _, finding in rows)


def findings(settings: Settings) -> list[tuple[str, Finding]]:
    """Every check of the database by name."""
    examined = examine_database(settings)
    if examined is None:
        return [("database", Finding(status=HealthStatus.DISABLED, detail="none yet; `tradekit up` makes it"))]
    return [(f"database {name}", finding) for name, finding in examined]
