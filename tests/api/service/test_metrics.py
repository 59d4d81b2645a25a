"""GET /metrics, as Prometheus reads it."""

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(client: AsyncClient) -> Samples:
    response = await client.get("/metrics")
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        pytest.param(
            "GET", "/health", {"method": "GET", "route": "/health", "status": "200"}, id="a success"
        ),
        pytest.param(
            "PATCH",
            "/api/v1/tasks/1",
            {"method": "PATCH", "route": "/api/v1/tasks/{task_id}", "status": "401"},
            id="by the template of the path",
        ),
        pytest.param("GET", "/1", {"method": "GET", "route": "other", "status": "404"}, id="no such route"),
        pytest.param(
            "BREW", "/1", {"method": "other", "route": "other", "status": "404"}, id="no such method"
        ),
    ],
)
async def test_a_request_is_counted(
    client: AsyncClient, method: str, path: str, labels: dict[str, str]
) -> None:
    before = await scrape(client)

    await client.request(method, path)

    after = await scrape(client)
    assert value(after, "http_requests_total", **labels) - value(before, "http_requests_total", **labels) == 1
    route = {name: label for name, label in labels.items() if name != "status"}
    counted = [value(each, "http_request_duration_seconds_count", **route) for each in (before, after)]
    assert counted[1] - counted[0] == 1


async def test_the_scrape_itself_is_what_is_in_progress(client: AsyncClient) -> None:
    assert value(await scrape(client), "http_requests_in_progress") == 1


async def test_the_pool_is_watched(client: AsyncClient, app: FastAPI) -> None:
    idle = await scrape(client)
    async with app.state.resources.engine.connect():
        busy = await scrape(client)

    assert value(idle, "db_pool_connections", state="checked_out") == 0
    assert value(busy, "db_pool_connections", state="checked_out") == 1
    assert value(busy, "db_pool_connections_max") == 15


def test_each_app_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.begin()

    one.end("GET", "/health", 200, 0.1)

    labels = {"method": "GET", "route": "/health", "status": "200"}
    assert one.registry.get_sample_value("http_requests_total", labels) == 1
    assert other.registry.get_sample_value("http_requests_total", labels) is None
