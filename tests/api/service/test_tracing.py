"""OpenTelemetry: off unless an endpoint is named; then a span for each request goes there."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from pgharness.fixtures import Database
from service import tracing
from service.app import create_app
from service.settings import Settings

pytest.importorskip("opentelemetry.sdk", reason="the group `telemetry` is not installed")


class Collector(http.server.ThreadingHTTPServer):
    """Takes what is sent by OTLP over HTTP, in place of a collector."""

    def __init__(self) -> None:
        self.received: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), Receive)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Receive(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.received[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(database: Database, **changes: str) -> Settings:
    return Settings.model_validate({"database_url": database.asyncpg_url, **changes})


async def test_the_span_of_a_request_reaches_the_collector_before_the_app_has_stopped(
    pg_database: Database, collector: Collector
) -> None:
    app = create_app(settings(pg_database, otlp_endpoint=collector.url))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        await client.get("/api/v1/tasks/1", headers={"Authorization": "Bearer of-bad-news"})

    sent = collector.received["/v1/traces"]
    assert b"/api/v1/tasks/{task_id}" in sent
    assert b"task-board" in sent
    assert b"of-bad-news" not in sent


async def test_without_an_endpoint_there_are_no_spans(app: FastAPI, pg_database: Database) -> None:
    assert tracing.tracer_provider(settings(pg_database)) is None
    assert tracing.telemetry(None)["tracing"] is False
    assert app.state.tracer_provider is None
