"""The form behind a one-time link: over the real application, with keys that a test decides about; and once in a real browser."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.runners.server_service import FakeService
from tradekit.domain.credentials import ConnectLink, Credential, CredentialStatus, VenueKey
from tradekit.domain.errors import BadInput, ExchangeUnavailable, KeyRefused, StorageFailed, TradekitError
from tradekit.engine.custody import cleaned
from tradekit.testing.factories import a_credential, a_link
from tradekit_server import create_app
from tradekit_server.server import serve

pytestmark = pytest.mark.anyio
TOKEN = "7-" + "ab" * 32
CANARIES = {"api_key": "kCANARY0123456789abc", "secret": "sCANARY9876543210+/=&", "password": "pCANARY<&>\"' 55"}


class Entry:
    """Takes one key at one token."""

    def __init__(self) -> None:
        self.waiting: ConnectLink | None = a_link()
        self.refusal: TradekitError | None = None
        self.status = CredentialStatus.VERIFIED
        self.taken: list[VenueKey] = []

    async def link(self, token: str) -> ConnectLink:
        if token != TOKEN or self.waiting is None:
            raise KeyRefused(check="LINK_GONE")
        return self.waiting

    async def redeem(self, token: str, key: VenueKey) -> Credential:
        link = await self.link(token)
        key = cleaned(key)
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(key)
        self.waiting = None
        return a_credential(venue=link.venue, sandbox=link.sandbox, status=self.status)


@pytest.fixture
def entry() -> Entry:
    return Entry()


@pytest.fixture
async def client(entry: Entry) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(FakeService(), keys=entry)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


def visible(answer: httpx.Response) -> str:
    return answer.text + repr(answer.headers)


async def test_the_form_may_be_sent_to_itself_and_is_not_stored(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/connect/{TOKEN}")
    assert answer.status_code == 200
    assert "Your key for binance" in answer.text
    assert "script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "form-action 'self'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers.get_list("content-security-policy") == [policy]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "form-action 'none'" in (await client.get("/")).headers["content-security-policy"]


async def test_a_key_is_taken_as_it_was_entered_and_not_shown(client: httpx.AsyncClient, entry: Entry) -> None:
    answer = await client.post(f"/connect/{TOKEN}", data=CANARIES)
    assert answer.status_code == 200
    assert entry.taken == [VenueKey(**CANARIES)]
    assert "is kept, sealed" in answer.text
    assert "has confirmed it" in answer.text
    assert not [word for word in CANARIES.values() if word in visible(answer)]
    assert (await client.post(f"/connect/{TOKEN}", data=CANARIES)).status_code == 410
    assert len(entry.taken) == 1


async def test_a_key_that_waits_for_the_venue_says_so(client: httpx.AsyncClient, entry: Entry) -> None:
    entry.status, entry.waiting = CredentialStatus.UNVERIFIED, a_link(sandbox=True)
    assert "its test site" in (await client.get(f"/connect/{TOKEN}")).text
    assert "has not confirmed it yet" in (await client.post(f"/connect/{TOKEN}", data=CANARIES)).text


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        (KeyRefused(check="KEY_CAN_WITHDRAW", venue="binance"), 409, "may withdraw money"),
        (KeyRefused(check="KEY_SCOPE_UNKNOWN", venue="binance"), 409, "does not say what this key may do"),
        (KeyRefused(check="KEY_REJECTED", venue="binance"), 409, "does not accept this key"),
        (KeyRefused(check="KEY_CANNOT_TRADE", venue="binance"), 409, "may not trade"),
        (ExchangeUnavailable(venue="binance", reason="kCANARY0123456789abc"), 503, "Please try again"),
        (StorageFailed(reason="disk full"), 503, "Please try again"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
async def test_a_refusal_is_explained_and_the_form_stays_empty(
    client: httpx.AsyncClient, entry: Entry, refusal: TradekitError, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    entry.refusal = refusal
    answer = await client.post(f"/connect/{TOKEN}", data=CANARIES)
    assert answer.status_code == status
    assert words in answer.text
    assert "<form" in answer.text
    assert not [word for word in CANARIES.values() if word in visible(answer) + caplog.text]
    entry.refusal = None
    assert (await client.post(f"/connect/{TOKEN}", data=CANARIES)).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"api_key=kCANARY&secret=", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b'{"api_key": "kCANARY", "secret": "sCANARY"}', "application/json", 400),
        (b"api_key=kCANARY%ff&secret=s", "application/x-www-form-urlencoded", 400),
        (b"api_key=kCANARY\xff&secret=s", "application/x-www-form-urlencoded", 400),
        (b"api_key=kCANARY%00&secret=s", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"kCANARY%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
        (b"api_key=kCANARY&secret=" + b"s" * 5_000, "application/x-www-form-urlencoded", 400),
        (b"api_key=kCANARY&secret=" + b"s" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_what_is_no_key_is_refused_and_not_repeated(
    client: httpx.AsyncClient, entry: Entry, content: bytes, kind: str, status: int
) -> None:
    answer = await client.post(f"/connect/{TOKEN}", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert entry.taken == []
    assert "CANARY" not in visible(answer)


@pytest.mark.parametrize("path", ["/connect/nonsense", "/connect/7-" + "0" * 64, "/connect/%00"])
async def test_an_unknown_link_is_gone_for_reading_and_writing(client: httpx.AsyncClient, entry: Entry, path: str) -> None:
    for answer in (await client.get(path), await client.post(path, data=CANARIES)):
        assert answer.status_code == 410
        assert "Ask for another in the chat" in answer.text
        assert "<form" not in answer.text
    assert entry.taken == []


async def test_without_keys_there_is_no_form() -> None:
    app = create_app(FakeService())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.get(f"/connect/{TOKEN}")).status_code == 404


def test_a_refusal_of_bad_input_never_holds_the_value() -> None:
    with pytest.raises(BadInput) as refused:
        cleaned(VenueKey(api_key="kCANARY\x07", secret="s"))
    assert "CANARY" not in str(refused.value)


async def test_a_person_enters_a_key_in_a_browser(entry: Entry, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.async_api")
    chromium = next(
        (path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome") if Path(path).exists()), None
    )
    if chromium is None and os.environ.get("CI") != "true":
        pytest.skip("no browser on this machine: install chromium to run this")
    assert chromium is not None, "under CI the browser tests must run: .ci/run installs chromium"
    said: list[str] = []
    async with browsing(entry) as url, playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        await page.goto(f"{url}/connect/{TOKEN}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        entry.refusal = KeyRefused(check="KEY_CAN_WITHDRAW", venue="binance")
        for _ in range(2):
            for label, name in (("API key", "api_key"), ("Secret", "secret"), ("Passphrase", "password")):
                await page.get_by_label(label).fill(CANARIES[name])
            await page.screenshot(path=str(tmp_path / "form.png"))
            await page.get_by_role("button").click()
            if entry.refusal is not None:
                assert "may withdraw money" in await page.get_by_role("alert").inner_text()
                assert await page.get_by_label("Secret").input_value() == ""
                entry.refusal = None
        assert "is kept, sealed" in await page.inner_text("h1")
        assert entry.taken == [VenueKey(**CANARIES)]
        await browser.close()
    assert [text for text in said if "409" not in text] == []


@contextlib.asynccontextmanager
async def browsing(entry: Entry) -> AsyncIterator[str]:
    started, ports = anyio.Event(), []

    def on_ready(port: int) -> None:
        ports.append(port)
        started.set()

    app: Any = create_app(FakeService(), keys=entry)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, app, "127.0.0.1", 0, on_ready)
        await started.wait()
        yield f"http://127.0.0.1:{ports[0]}"
        tasks.cancel_scope.cancel()
