"""Where the commands take prices from when nobody has said so."""

import json
from pathlib import Path

import pytest

from tests.runners.cli_process import tradekit
from tradekit import Settings
from tradekit_cli.feeds import with_default_feed


def test_a_service_takes_the_markets_prices_by_default_and_a_program_made_up_ones(tmp_path: Path) -> None:
    assert Settings().feed == "simulated"
    shown = tradekit("config", "show", "--origin", "--json", cwd=tmp_path, TRADEKIT_FEED="")
    (row,) = [row for row in json.loads(shown.stdout) if row["name"] == "feed"]
    assert (row["value"], row["origin"]) == ("auto", "default of tradekit")


@pytest.mark.parametrize("given", [{"feed": "simulated"}, {"speed": 60.0}])
def test_what_is_set_stays(given: dict[str, object]) -> None:
    settings = Settings.load(flags=given, environ={}, cwd=Path("/nonexistent"))
    assert with_default_feed(settings) == settings
