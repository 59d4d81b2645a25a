"""What Prometheus asks for: how many requests, how many failed, how long they took, and the pool."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"
"""The label of what a client made up: it must not be able to make series without end."""


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress", "Requests without a whole answer yet.", registry=self.registry
        )
        self._pool = Gauge(
            "db_pool_connections", "Connections of the pool, by state.", ["state"], registry=self.registry
        )
        self._pool_limit = Gauge(
            "db_pool_connections_max", "As many as the pool may open.", registry=self.registry
        )

    def begin(self) -> None:
        self._in_progress.inc()

    def end(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request. ``route`` is the template of its path, none if there is no such route."""
        self._in_progress.dec()
        method = method if method in METHODS else OTHER
        self._requests.labels(method, route or OTHER, status).inc()
        self._seconds.labels(method, route or OTHER).observe(seconds)

    def watch(self, engine: AsyncEngine, limit: int) -> None:
        """Report the pool of ``engine``, which may open ``limit`` connections."""
        pool = engine.pool
        self._pool_limit.set(limit)
        if isinstance(pool, QueuePool):
            self._pool.labels("checked_out").set_function(pool.checkedout)
            self._pool.labels("idle").set_function(pool.checkedin)


router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """The metrics in Prometheus's text format. Not for the internet: keep it behind the proxy."""
    found: Metrics = request.app.state.metrics
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)
