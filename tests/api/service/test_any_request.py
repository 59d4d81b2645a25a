"""Requests that schemathesis makes up from the OpenAPI document: well-formed, malformed and odd ones.

Whatever comes, the answer must be one that the document announces: its status, its media type, its schema.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.dependencies import ResourcesDep
from service.limits.dependencies import get_limiter
from service.limits.service import RateLimiter
from tests.api.service.documented import DOCUMENT

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)

EXAMPLES = 10
"""For each operation, beside those that schemathesis always tries."""

SECONDS = 10
"""For each operation: on a slow machine it makes do with fewer examples."""


@pytest.fixture
def bearer(app: FastAPI, sync_client: "TestClient") -> dict[str, str]:
    """The header of an admin who may ask as often as they like."""

    def patient(resources: ResourcesDep) -> RateLimiter:
        return RateLimiter(resources.session_maker, 1_000_000, timedelta(minutes=1))

    app.dependency_overrides[get_limiter] = patient
    account = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
    sync_client.post("/api/v1/users", json=account).raise_for_status()
    form = {"username": account["email"], "password": account["password"]}
    token = sync_client.post("/api/v1/auth/token", data=form).raise_for_status().json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def until() -> float:
    """When the time of an operation is over."""
    return time.monotonic() + SECONDS


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # the same requests each time: what is found is found in the change that made it
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_announces(
    case: "schemathesis.Case[Any]", sync_client: "TestClient", bearer: dict[str, str], until: float
) -> None:
    if time.monotonic() > until:
        return
    request = case.as_transport_kwargs(base_url="http://testserver", headers=bearer)
    assert not request.pop("cookies")
    if isinstance(request.get("data"), (bytes, str)):  # as httpx calls it
        request["content"] = request.pop("data")

    response = sync_client.request(**request)

    # Some rules are in no schema (the policy for passwords, what is a cursor), and 422 as well.
    case.validate_response(response, excluded_checks=[positive_data_acceptance])
