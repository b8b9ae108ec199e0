"""What the service counts, for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one service; a registry of its own, so that several services may live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, *, model: str, version: str) -> None:
        self.registry = CollectorRegistry()
        self.pictures_identified = 0
        self.requests = Counter("camtrap_requests", "Requests answered", ("route", "status"), registry=self.registry)
        self.latency = Histogram(
            "camtrap_request_seconds", "Seconds from request to reply", ("route",), buckets=LATENCY_S, registry=self.registry
        )
        self.failures = Counter(
            "camtrap_failures", "Requests for identification that were refused", ("reason",), registry=self.registry
        )
        self.pictures = Counter("camtrap_pictures", "Pictures identified", registry=self.registry)
        self.waiting = Gauge("camtrap_waiting", "Requests for identification under way", registry=self.registry)
        Gauge("camtrap_model", "The model that is served", ("model", "version"), registry=self.registry).labels(
            model, version
        ).set(1)

    def identified(self, pictures: int) -> None:
        """Counts pictures that were answered."""
        self.pictures.inc(pictures)
        self.pictures_identified += pictures

    def text(self) -> bytes:
        """Returns all counters in Prometheus' text format."""
        return generate_latest(self.registry)


class MeasuredApp:
    """ASGI middleware that counts requests and how long they take, by route (never by the path as it was sent)."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and notes its status and time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            """Passes a message on and remembers the status."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.latency.labels(route).observe(time.perf_counter() - started)
