"""What people see."""

import html
import re
from decimal import Decimal
from html.parser import HTMLParser

import httpx
import msgspec
import pytest

from tests.runners.server_service import FakeService, a_signal, an_alert
from tests.runners.test_server_endpoints import browsing
from tradekit.domain.alerts import Severity
from tradekit.domain.health import Finding, HealthStatus
from tradekit_server import words
from tradekit_server.recorder import Recorder

pytestmark = pytest.mark.anyio


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


async def looked_at(service: FakeService, path: str = "/") -> str:
    async with browsing(service) as client:
        answer = await client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        (HealthStatus.HEALTHY, "Everything works"),
        (HealthStatus.DEGRADED, "Working, with a problem"),
        (HealthStatus.UNHEALTHY, "Not working"),
    ],
)
async def test_verdict_says_it_in_words_colour_and_icon(status: HealthStatus, headline: str) -> None:
    service = FakeService()
    service.checks["database"] = Finding(status=status, detail="The disk is full. Delete old backups.")
    page = await looked_at(service)
    assert re.search(rf"<h1[^>]*>{headline}</h1>", page)
    assert f'<html lang="en" data-level="{status}">' in page
    assert f"static/{status}.svg" in page
    assert ("Database: The disk is full. Delete old backups." in words_of(page).replace("Database :", "Database:")) is (
        status is not HealthStatus.HEALTHY
    )


async def test_several_problems_are_counted_and_the_worst_is_first() -> None:
    service = FakeService()
    service.checks["queues"] = Finding(status=HealthStatus.DEGRADED, detail="9,000 messages wait")
    service.measures["memory_usage"] = Finding(status=HealthStatus.DEGRADED, value=88.0, detail="above 85 %")
    assert "Working, with 2 problems" in await looked_at(service)
    service.measures["cpu_usage"] = Finding(status=HealthStatus.UNHEALTHY, value=100.0, detail="all day")
    service.check()
    body = msgspec.json.decode(await looked_at(service, "/status.json"))
    assert [problem["where"] for problem in body["verdict"]["problems"]] == ["Processor", "Queues", "Memory"]


async def test_checks_that_have_stopped_are_not_shown_as_well() -> None:
    service = FakeService()
    service.check()
    service.clock_ms += 300_000
    page = await looked_at(service)
    assert "Unknown: the checks have stopped" in page
    assert "Everything works" not in page
    assert "5 min old" in page


async def test_a_draining_service_says_so() -> None:
    service = FakeService()
    service.is_ready = False
    page = await looked_at(service)
    assert "Starting or stopping" in page
    assert 'data-level="starting"' in page


@pytest.mark.parametrize(
    ("source", "final", "label", "note"),
    [
        ("simulated", False, "SIMULATED", "This is not a market."),
        ("replay", False, "REPLAY", "Recorded prices, played back."),
        ("replay", True, "REPLAY ENDED", "the last price stands"),
        ("live", False, "LIVE", "Prices of a real market."),
    ],
)
async def test_prices_are_marked_by_where_they_come_from(source: str, final: bool, label: str, note: str) -> None:
    service = FakeService()
    service.market.source = source
    service.market.set("BTC/USDT", "42863.25", service.clock_ms, final=final)
    page = await looked_at(service)
    assert f">{label}</span>" in page
    assert note in page
    assert "42,863.25" in page


async def test_chart_holds_the_recorded_prices() -> None:
    service = FakeService()
    prices = ["42488.00", "42419.73", "42785.04", "42863.25"]
    async with browsing(service) as client:
        recorder: Recorder = client._transport.app.routes[0].endpoint._recorder  # type: ignore[attr-defined]
        for price in prices:
            service.clock_ms += 1000
            service.market.set("BTC/USDT", price, service.clock_ms)
            recorder.sample_prices()
        page = (await client.get("/")).text
    points = re.search(r'BTC/USDT from [^>]*data-points="([^"]+)"', page)
    assert points is not None
    assert [float(pair.split(",")[1]) for pair in points[1].split()] == [float(price) for price in prices]
    assert "+0.88 %" in page


async def test_nobody_registered_shows_what_to_do_next() -> None:
    service = FakeService()
    assert "Nobody has joined yet" not in await looked_at(service)
    service.values["users"]["registered"] = 0
    page = await looked_at(service)
    assert "tradekit chat --as ada" in page
    assert "TELEGRAM_BOT_TOKEN" in page
    service.checks["bot"] = Finding(status=HealthStatus.HEALTHY)
    service.check()
    assert "Open your bot in Telegram" in await looked_at(service)


async def test_alerts_and_signals_are_listed() -> None:
    service = FakeService()
    service.stored_alerts = [an_alert(1, Severity.WARNING, detail="Memory 87 %")]
    service.signals = [a_signal(1)]
    text = words_of(await looked_at(service))
    assert "Warning: health.database Memory 87 %" in text
    assert "Buy BTC/USDT at 42,250.50 ema-cross: fast average crossed above" in text


async def test_text_from_outside_is_escaped() -> None:
    service = FakeService()
    service.signals = [a_signal(1, note="<script>alert(1)</script>")]
    service.market.set('"><img src=x>/USDT', "1", service.clock_ms)
    page = await looked_at(service)
    assert "<script>alert" not in page
    assert "<img" not in page


async def test_page_is_drawn_while_the_storage_fails() -> None:
    service = FakeService()
    service.storage_fails = True
    page = await looked_at(service)
    assert "The signals could not be read just now." in page
    assert "The alerts could not be read just now" in page


async def test_many_viewers_cost_one_drawing() -> None:
    service = FakeService()
    async with browsing(service) as client:
        await client.get("/")
        asked = service.storage_asked
        first = await client.get("/status.html")
        for _ in range(10):
            assert (await client.get("/status.html")).content == first.content
    assert service.storage_asked - asked <= 3


class Checker(HTMLParser):
    void = frozenset({"meta", "link", "path", "circle", "rect", "line", "polyline", "polygon"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if "id" in named:
            self.ids.append(str(named["id"]))
        if "style" in named or any(name.startswith("on") for name in named):
            self.problems.append(f"{tag} is refused by the content policy: {named}")
        for name in ("src", "href"):
            if str(named.get(name, "")).startswith(("http", "//")):
                self.problems.append(f"{tag} loads {named[name]}")
        if tag == "svg" and "aria-hidden" not in named and named.get("role") != "img":
            self.problems.append(f"svg without a name: {named}")
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> out of place")


async def test_markup_is_balanced_self_contained_and_allowed_by_the_policy() -> None:
    service = FakeService()
    service.market.set("BTC/USDT", "1", service.clock_ms)
    service.stored_alerts, service.signals = [an_alert(1)], [a_signal(1)]
    checker = Checker()
    checker.feed(await looked_at(service))
    assert checker.problems == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))


async def test_static_files_are_served_and_revalidated() -> None:
    async with browsing(FakeService()) as client:
        for name, kind in [
            ("page.css", "text/css"),
            ("page.js", "javascript"),
            ("healthy.svg", "image/svg+xml"),
            ("starting.svg", "image/svg+xml"),
        ]:
            answer = await client.get(f"/static/{name}")
            assert answer.status_code == 200
            assert kind in answer.headers["content-type"]
            assert answer.headers["cache-control"] == "no-cache"
            again: httpx.Response = await client.get(f"/static/{name}", headers={"if-none-match": answer.headers["etag"]})
            assert again.status_code == 304
        for path in ("/static/..%2fapp.py", "/static/nothing.css", "/static/", "/static"):
            assert (await client.get(path)).status_code in (307, 404)


@pytest.mark.parametrize(
    ("price", "tick", "shown"),
    [
        ("42863.25", "0.01", "42,863.25"),
        ("42863", "1", "42,863"),
        ("0.00001234", None, "0.00001234"),
        ("1.5", None, "1.50"),
        ("0.5", "0.0001", "0.50"),
    ],
)
def test_prices_keep_their_decimals(price: str, tick: str | None, shown: str) -> None:
    assert words.price(Decimal(price), Decimal(tick) if tick else None) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "—"),
        (0.0, "ms", "0 ms"),
        (0.814, "ms", "0.81 ms"),
        (14.0, "ms", "14 ms"),
        (999.6, "ms", "1,000 ms"),
        (2000.0, "ms", "2 s"),
        (258_762.0, "ms", "4.31 min"),
        (3.3, "percent", "3.30 %"),
        (1312.0, "messages", "1,312 messages"),
    ],
)
def test_amounts_are_short_and_carry_their_unit(value: float | None, unit: str, shown: str) -> None:
    assert words.amount(value, unit) == shown
