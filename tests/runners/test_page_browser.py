"""The status page in a real browser: the system's chromium, driven by playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from tests.runners.server_service import FakeService, a_signal, an_alert
from tradekit.domain.health import Finding, HealthStatus
from tradekit_server import create_app, serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "no chromium on this machine: apt-get install chromium"

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(CHROMIUM is None and os.environ.get("CI") != "true", reason=MISSING)]


@asynccontextmanager
async def page_of(service: FakeService, **context: Any) -> AsyncIterator[tuple[Any, list[str], anyio.CancelScope]]:
    """The opened page, what its console said, and the scope whose cancelling stops the server."""
    assert CHROMIUM is not None, MISSING
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    said: list[str] = []
    serving = anyio.CancelScope()

    async def serve_until_cancelled(*, task_status: TaskStatus[int]) -> None:
        with serving:
            await serve(create_app(service), "127.0.0.1", 0, task_status.started)

    async with anyio.create_task_group() as tasks, playwright.async_playwright() as driver:
        port = await tasks.start(serve_until_cancelled)
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await (await browser.new_context(**context)).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(f"http://127.0.0.1:{port}/") or said.append(f"asked {request.url}"))
        await page.goto(f"http://127.0.0.1:{port}/")
        yield page, said, serving
        await browser.close()
        serving.cancel()


def busy_service() -> FakeService:
    service = FakeService()
    service.stored_alerts, service.signals = [an_alert(1)], [a_signal(number) for number in range(1, 5)]
    for symbol in ("BTC/USDT", "ETH/USDT", "DOGE/USDT"):
        service.market.set(symbol, "42863.25", service.clock_ms)
    return service


async def test_page_follows_the_service_by_itself() -> None:
    service = busy_service()
    async with page_of(service) as (page, said, _):
        assert await page.inner_text("h1#headline") == "Everything works"
        service.checks["database"] = Finding(status=HealthStatus.UNHEALTHY, detail="The disk is full.")
        service.market.set("BTC/USDT", "43000.5", service.clock_ms + 1000)
        service.clock_ms += 2000
        service.check()
        await page.wait_for_selector('#headline:text-is("Not working")')
        await page.wait_for_selector('#prices :text("43,000.50")')
        await page.wait_for_selector("#prices .graph")
        assert "The disk is full." in await page.inner_text("#problems")
        assert await page.title() == "Not working — tradekit"
        assert await page.get_attribute("#favicon", "href") == "/static/unhealthy.svg"
        assert said == []


async def test_page_says_when_the_service_is_gone() -> None:
    async with page_of(busy_service()) as (page, _, server):
        assert await page.is_hidden("#lost")
        server.cancel()
        await page.wait_for_selector("#lost:not([hidden])", timeout=30_000)
        assert "No answer from the service" in await page.inner_text("#lost")
        assert await page.is_hidden("#headline")
        assert await page.title() == "No answer — tradekit"


async def test_page_is_whole_without_javascript() -> None:
    service = busy_service()
    async with page_of(service, java_script_enabled=False) as (page, said, _):
        assert await page.inner_text("h1#headline") == "Everything works"
        assert "42,863.25" in await page.inner_text("#prices")
        assert said == []


async def test_nothing_is_wider_than_the_screen() -> None:
    service = busy_service()
    service.checks["bot"] = Finding(status=HealthStatus.DEGRADED, detail="Telegram refused 12 messages in a minute.", latency_ms=1812.0)
    async with page_of(service) as (page, said, _):
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            box = await page.locator("h1#headline").bounding_box()
            assert box["y"] + box["height"] < 250
        assert said == []


CONTRASTS = """() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${walker.currentNode.textContent.trim()}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("status", [HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY])
async def test_every_text_has_the_contrast_of_wcag_aa(status: HealthStatus) -> None:
    service = busy_service()
    service.checks["bot"] = Finding(status=status, detail="Telegram refused 12 messages.")
    service.values["messages"] |= {"response_ms_p95": 150.0, "failed": 90}
    service.values["users"]["registered"] = 0
    async with page_of(service, reduced_motion="reduce") as (page, _, _scope):
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(CONTRASTS) == [], scheme


async def test_chart_tells_the_value_under_the_pointer() -> None:
    service = busy_service()
    async with page_of(service) as (page, said, _):
        service.market.set("BTC/USDT", "43000.5", service.clock_ms + 1000)
        service.clock_ms += 2000
        await page.wait_for_selector("#prices .graph")
        box = await page.locator("#prices .graph").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
        await page.wait_for_selector("#tip:not([hidden])")
        assert (await page.inner_text("#tip")).startswith("43,000.5 USDT at 01:00:02 UTC")
        assert said == []
