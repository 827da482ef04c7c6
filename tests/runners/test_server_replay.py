"""The page over a running service that replays recorded prices."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.runners.test_server_serve import started
from tradekit.app import Tradekit
from tradekit.config import Settings
from tradekit_cli.view import ServiceView
from tradekit_server import create_app

pytestmark = pytest.mark.anyio

BARS = 12
BARS_PER_S = 4


@pytest.fixture
def recording(recorded_stocks: Path, tmp_path: Path) -> Path:
    """The first days of AAPL in the form the replay reads."""
    path = tmp_path / "AAPL-USDT-1d.csv"
    with gzip.open(recorded_stocks, "rt") as stocks, path.open("w", newline="") as bars:
        out = csv.writer(bars)
        out.writerow(["time", "open", "high", "low", "close", "volume"])
        for _, row in zip(range(BARS), csv.DictReader(stocks), strict=False):
            time_s = int(datetime.fromisoformat(row["Date"]).replace(tzinfo=UTC).timestamp())
            out.writerow([time_s, row["Open"], row["High"], row["Low"], row["Close"], row["Volume"]])
    return path


async def test_page_shows_the_recorded_prices_and_marks_their_end(recording: Path, tmp_path: Path) -> None:
    with recording.open() as file:
        rows = list(csv.DictReader(file))
    recorded = {float(row[column]) for row in rows for column in ("open", "high", "low", "close")}
    settings = Settings(data=tmp_path / "data", feed=f"replay:{recording}", speed=86_400.0 * BARS_PER_S)
    async with Tradekit.open(settings) as tk, anyio.create_task_group() as tasks:
        tasks.start_soon(tk.serve)
        port = await started(tasks, create_app(ServiceView(tk)))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            page: dict[str, Any] = {"market": {"kind": ""}}
            with anyio.fail_after(60):
                while page["market"]["kind"] != "replay-ended":
                    page = (await client.get("/status.json")).json()
                    await anyio.sleep(0.2)
            health = (await client.get("/health")).json()
            html = (await client.get("/")).text
        tasks.cancel_scope.cancel()
    (price,) = page["market"]["prices"]
    charted = [float(pair.split(",")[1]) for pair in price["chart"]["data"].split()]
    assert len(charted) >= 2
    assert set(charted) <= recorded
    assert float(price["price"]) == float(rows[-1]["close"])
    assert ">REPLAY ENDED</span>" in html
    assert f"{price['price']} <span" in html
    assert health["checks"]["database"]["status"] == "healthy"
    assert {"cpu_usage", "memory_usage", "active_users"} <= health["metrics"].keys()
