"""The respx router of a test: what it routes is answered, everything else is refused by name."""

from __future__ import annotations

import pickle

import httpx
import pytest
from respx.models import AllMockedAssertionError, PassThrough

from pgharness.errors import TierError
from pgharness.tiers.http import ExternalHttp, UnroutedRequestError

ORDERS = "https://api.example.com/orders"


@pytest.fixture
def router() -> ExternalHttp:
    """Not started: requests are given to it by hand, so that none can leave."""
    made = ExternalHttp()
    made.begin("test_x", named=True, allowed=frozenset({"search.internal", "127.0.0.9:80", "queue:8443"}))
    return made


def test_a_route_answers(router: ExternalHttp) -> None:
    route = router.get(ORDERS).respond(200, json={"id": 1})

    answer = router.handler(httpx.Request("GET", ORDERS))

    assert (answer.status_code, answer.json()) == (200, {"id": 1})
    assert route.called
    assert router.finish() == []


def test_a_request_without_a_route_is_refused_and_fails_the_test(router: ExternalHttp) -> None:
    with pytest.raises(UnroutedRequestError) as caught:
        router.handler(httpx.Request("POST", ORDERS))

    assert str(caught.value) == str(TierError.unrouted_request("test_x", "POST", ORDERS, has_fixture=True))
    assert isinstance(caught.value, AllMockedAssertionError)
    assert router.finish() == [caught.value]
    assert router.finish() == []


def test_the_error_is_the_same_after_pickling() -> None:
    error = UnroutedRequestError.unrouted_request("test_x", "GET", ORDERS, has_fixture=False)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(again), str(again)) == (UnroutedRequestError, str(error))


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/x",
        "http://127.0.0.1/x",
        "http://[::1]:8000/x",
        "https://search.internal:9200/x",
        "http://127.0.0.9/x",
        "https://queue:8443/x",
    ],
)
def test_loopback_and_allowed_hosts_pass_for_the_guard_to_judge(router: ExternalHttp, url: str) -> None:
    with pytest.raises(PassThrough):
        router.handler(httpx.Request("GET", url))

    assert router.finish() == []


@pytest.mark.parametrize("url", ["https://queue/x", "https://127.0.0.9/x", "https://internal/x"])
def test_another_port_or_host_is_not_allowed(router: ExternalHttp, url: str) -> None:
    with pytest.raises(UnroutedRequestError):
        router.handler(httpx.Request("GET", url))


def test_a_route_on_loopback_answers_too(router: ExternalHttp) -> None:
    router.get("http://localhost:8000/x").respond(201)

    assert router.handler(httpx.Request("GET", "http://localhost:8000/x")).status_code == 201


def test_every_test_begins_without_routes_and_calls(router: ExternalHttp) -> None:
    router.get(ORDERS).respond(200)
    router.handler(httpx.Request("GET", ORDERS))
    with pytest.raises(UnroutedRequestError):
        router.handler(httpx.Request("PUT", ORDERS))

    router.begin("test_y", named=False, allowed=frozenset())

    assert (len(router.routes), router.calls.call_count, router.violations) == (0, 0, [])
    with pytest.raises(UnroutedRequestError, match="test_y sent GET"):
        router.handler(httpx.Request("GET", ORDERS))


def test_a_route_that_is_not_called_fails_nothing(router: ExternalHttp) -> None:
    router.get(ORDERS).respond(200)

    assert router.finish() == []
