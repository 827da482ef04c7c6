"""The health endpoints: plain ASGI, because load balancers ask all day."""

from starlette.types import Receive, Scope, Send

from tradekit.domain.alerts import Alert
from tradekit.domain.health import HealthReport, HealthStatus
from tradekit_server.documents import encode, health_document
from tradekit_server.recorder import Recorder
from tradekit_server.service import Service


async def answer(scope: Scope, send: Send, status: int, body: bytes) -> None:
    """Send a JSON body; without it to HEAD."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class HealthProbe:
    """``GET /health``: 503 only when unhealthy. Encoded again only after a round of checks or a change of alerts."""

    def __init__(self, service: Service, recorder: Recorder) -> None:
        self._service = service
        self._recorder = recorder
        self._encoded: tuple[HealthReport, tuple[Alert, ...], bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        report, alerts = self._service.health(), self._recorder.open_alerts
        encoded = self._encoded
        if encoded is None or encoded[0] is not report or encoded[1] is not alerts:
            encoded = self._encoded = (report, alerts, encode(health_document(report, alerts)))
        await answer(scope, send, 503 if report.overall_status is HealthStatus.UNHEALTHY else 200, encoded[2])


class LiveProbe:
    """``GET /health/live``: the event loop turns."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await answer(scope, send, 200, b'{"status":"live"}')


class ReadyProbe:
    """``GET /health/ready``: 503 until everything is loaded and from the moment a drain begins."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._service.ready():
            await answer(scope, send, 200, b'{"status":"ready"}')
        else:
            await answer(scope, send, 503, b'{"status":"not ready"}')
