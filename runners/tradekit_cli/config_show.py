"""``tradekit config show``."""

from tradekit.config import Settings
from tradekit_cli.feeds import with_default_feed
from tradekit_cli.output import result, result_json, table


def show(settings: Settings, *, origin: bool, as_json: bool) -> None:
    """Print every setting; secrets are masked."""
    rows = with_default_feed(settings).describe()
    if as_json:
        result_json([row if origin else {"name": row.name, "value": row.value} for row in rows])
    elif origin:
        result(table(("SETTING", "VALUE", "ORIGIN", "VARIABLE"), [(row.name, row.value or "-", row.origin, row.variable) for row in rows]))
    else:
        result(table(("SETTING", "VALUE", "MEANING"), [(row.name, _with_unit(row.value, row.unit), row.help) for row in rows]))


def _with_unit(value: str, unit: str) -> str:
    return f"{value} {unit}".strip() if value else "-"
