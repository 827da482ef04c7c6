"""What programs get."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from tests.runners.server_service import FakeService, an_alert
from tradekit.domain.alerts import Severity
from tradekit.domain.health import Finding, HealthStatus
from tradekit_server import create_app

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def browsing(service: FakeService, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service, **options)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(service) as client:
        yield client


async def test_health_has_the_shape_of_the_requirement(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert body["overall_status"] == "healthy"
    assert datetime.strptime(body["timestamp"], "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007
    assert body["timestamp"] == "2026-01-01T01:00:00Z"
    for name, value in [("cpu_usage", 12.5), ("memory_usage", 41.0), ("active_users", 12.0)]:
        assert body["metrics"][name]["value"] == value
        assert body["metrics"][name]["status"] == "healthy"
    assert (body["active_alerts"], body["critical_alerts"]) == (0, 0)
    assert body["checks"]["database"] == {"status": "healthy", "detail": "", "latency_ms": 1.234}


async def test_what_is_not_configured_is_disabled_and_worsens_nothing(client: httpx.AsyncClient) -> None:
    body = (await client.get("/health")).json()
    assert body["checks"]["bot"]["status"] == "disabled"
    assert body["overall_status"] == "healthy"


@pytest.mark.parametrize(("status", "code"), [(HealthStatus.HEALTHY, 200), (HealthStatus.DEGRADED, 200), (HealthStatus.UNHEALTHY, 503)])
async def test_only_unhealthy_is_503(service: FakeService, status: HealthStatus, code: int) -> None:
    service.checks["database"] = Finding(status=status, detail="slow disk")
    async with browsing(service) as client:
        answer = await client.get("/health")
    assert answer.status_code == code
    assert answer.json()["overall_status"] == status


async def test_health_follows_the_next_round_of_checks(service: FakeService, client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["overall_status"] == "healthy"
    service.clock_ms += 30_000
    service.checks["queues"] = Finding(status=HealthStatus.DEGRADED, detail="9,000 messages wait")
    service.check()
    body = (await client.get("/health")).json()
    assert (body["overall_status"], body["timestamp"]) == ("degraded", "2026-01-01T01:00:30Z")


async def test_health_counts_open_alerts(service: FakeService) -> None:
    service.stored_alerts = [an_alert(1), an_alert(2, Severity.WARNING), an_alert(3, resolved_ms=service.clock_ms)]
    async with browsing(service) as client:
        body = (await client.get("/health")).json()
    assert (body["active_alerts"], body["critical_alerts"]) == (2, 1)


async def test_health_never_asks_the_storage(service: FakeService, client: httpx.AsyncClient) -> None:
    asked = service.storage_asked
    for _ in range(20):
        await client.get("/health")
    assert service.storage_asked == asked


async def test_ready_says_no_while_loading_and_draining_and_live_says_yes(service: FakeService, client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/ready")).status_code == 200
    service.is_ready = False
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200


async def test_stats_have_every_group_and_the_memory_path_of_the_requirement(service: FakeService, client: httpx.AsyncClient) -> None:
    body = (await client.get("/stats")).json()
    assert body["monitoring_stats"]["memory_usage"] == {"rss_mib": 92.0, "percent": 41.0}
    assert body["trading"] == service.values["trading"]
    assert (body["version"], body["uptime_s"], body["ready"]) == ("1.2.3", 3600, True)


async def test_overview_counts_users_of_the_last_day(client: httpx.AsyncClient) -> None:
    body = (await client.get("/users/overview")).json()
    assert (body["total_users"], body["active_users"], body["registered_last_24h"]) == (340, 12, 4)
    assert body["by_tier"] == {"free": 300, "premium": 30, "enterprise": 10}
    assert body["since"] == "2025-12-31T01:00:00Z"


async def test_alerts_are_listed_newest_first_with_filters(service: FakeService) -> None:
    service.stored_alerts = [an_alert(3, Severity.WARNING), an_alert(2, resolved_ms=service.clock_ms), an_alert(1)]
    async with browsing(service) as client:
        everything = (await client.get("/alerts")).json()
        opened = (await client.get("/alerts", params={"open": "true"})).json()
        one = (await client.get("/alerts", params={"limit": 1})).json()
    assert [alert["id"] for alert in everything["alerts"]] == [3, 2, 1]
    assert everything["alerts"][1]["resolved"] == "2026-01-01T01:00:00Z"
    assert (everything["active_alerts"], everything["critical_alerts"]) == (2, 1)
    assert [alert["id"] for alert in opened["alerts"]] == [3, 1]
    assert [alert["id"] for alert in one["alerts"]] == [3]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=-1", "limit=1e9", "limit=", "limit=٣", "limit=99999999999999999999", "open=maybe"]
)
async def test_bad_parameter_is_named_with_an_example(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/alerts?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "BAD_INPUT"
    assert query.split("=")[0] in answer.json()["message"]
    assert "Example" in answer.json()["message"]


async def test_failing_storage_is_503_without_its_details(service: FakeService, client: httpx.AsyncClient) -> None:
    service.storage_fails = True
    for path in ("/alerts", "/users/overview"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["code"] == "STORAGE_FAILED"
        assert "secret" not in answer.text


async def test_bug_is_500_with_headers_and_without_its_details(service: FakeService, client: httpx.AsyncClient) -> None:
    service.values = None  # type: ignore[assignment]
    answer = await client.get("/stats")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "NoneType" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_unknown_address_answers_programs_in_json_and_people_in_html(client: httpx.AsyncClient) -> None:
    for_program = await client.get("/nothing")
    for_person = await client.get("/nothing", headers={"accept": "text/html,*/*"})
    assert (for_program.status_code, for_person.status_code) == (404, 404)
    assert for_program.json() == {"code": "NOT_FOUND", "message": "There is nothing at this address."}
    assert "<h1>There is nothing at this address.</h1>" in for_person.text


async def test_wrong_method_names_the_allowed_ones(client: httpx.AsyncClient) -> None:
    answer = await client.post("/stats")
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/health", "/stats", "/alerts", "/metrics", "/status.html", "/status.json", "/nothing"])
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/ready", "/stats", "/"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


class Echo:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})


async def test_mount_answers_its_path_and_its_body_is_bounded(service: FakeService) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1024):
            yield b"x" * 1024

    async with browsing(service, mounts=[("/telegram/path", Echo())]) as client:
        assert (await client.post("/telegram/path", content=b"x" * 100_000)).text == "100000"
        announced = await client.post("/telegram/path", content=b"x" * 1_048_577)
        streamed = await client.post("/telegram/path", content=chunks(2_000_000))
        elsewhere = await client.post("/stats", content=b"x" * 65_537)
    for answer in (announced, streamed, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_mount_may_be_a_plain_function(service: FakeService) -> None:
    async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
        await Echo()(scope, receive, send)

    async with browsing(service, mounts=[("/hook", webhook)]) as client:
        assert (await client.post("/hook", content=b"abc")).text == "3"


async def test_metrics_are_prometheus_text_in_base_units(service: FakeService) -> None:
    service.stored_alerts = [an_alert(1)]
    async with browsing(service) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["tradekit_users", ("registered",)] == 340
    assert samples["tradekit_orders_total", ()] == 1204
    assert samples["tradekit_fills_total", ()] == 1190
    assert samples["tradekit_messages_total", ("handled",)] == 5010
    assert samples["tradekit_latency_seconds", ("0.95",)] == 0.0085
    assert samples["tradekit_response_seconds", ("0.95",)] == 0.014
    assert samples["tradekit_outbox_messages_total", ("sent",)] == 9000
    assert samples["tradekit_outbox_waiting", ()] == 3
    assert samples["tradekit_storage_rows_total", ()] == 41_000
    assert samples["tradekit_check", ("bot",)] == -1
    assert samples["tradekit_alerts", ("critical",)] == 1
    assert samples["tradekit_metric", ("users.active",)] == 12
    assert samples["tradekit_process_resident_memory_bytes", ()] > 1_000_000


async def test_unknown_values_are_left_out_of_metrics(service: FakeService, client: httpx.AsyncClient) -> None:
    service.values["messages"]["response_ms_p95"] = None
    del service.values["outbox"]
    text = (await client.get("/metrics")).text
    assert "tradekit_response_seconds{" not in text
    assert "tradekit_outbox_waiting " not in text.replace("# HELP tradekit_outbox_waiting ", "").replace(
        "# TYPE tradekit_outbox_waiting ", ""
    )
    assert "tradekit_orders_total 1204.0" in text
