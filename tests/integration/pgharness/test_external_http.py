"""The router of a test as it is patched into httpx: every client is answered or refused by it."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import respx

from pgharness.errors import TierError
from pgharness.http import ExternalHttp, UnroutedRequestError

ORDERS = "https://api.example.com/orders"


async def test_a_route_answers_clients_of_either_kind(external_http: ExternalHttp) -> None:
    external_http.get(ORDERS).respond(200, json=[1])

    async with httpx.AsyncClient() as client:
        answer = await client.get(ORDERS)
    sync_answer = await asyncio.to_thread(httpx.get, ORDERS)

    assert [answer.json(), sync_answer.json()] == [[1], [1]]


async def test_a_request_without_a_route_fails_the_test_even_if_the_app_swallows_it(
    external_http: ExternalHttp, request: pytest.FixtureRequest
) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(UnroutedRequestError) as caught:
            await client.delete(ORDERS)

    assert str(caught.value) == str(
        TierError.unrouted_request(request.node.nodeid, "DELETE", ORDERS, has_fixture=True)
    )
    assert external_http.finish() == [caught.value]


def test_a_synchronous_client_is_refused_too(external_http: ExternalHttp) -> None:
    with httpx.Client() as client, pytest.raises(UnroutedRequestError):
        client.get(ORDERS)

    assert len(external_http.finish()) == 1


async def test_a_router_of_the_test_itself_is_asked_too(external_http: ExternalHttp) -> None:
    with respx.mock() as own:
        own.get(ORDERS).respond(204)
        async with httpx.AsyncClient() as client:
            assert (await client.get(ORDERS)).status_code == 204

    assert external_http.finish() == []
