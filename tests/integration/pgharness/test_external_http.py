"""The router of a test as it is patched into httpx: every client is answered or refused by it."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import pytest
import respx

from pgharness.errors import TierError
from pgharness.tiers.http import ExternalHttp, UnroutedRequestError

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


# -- httpx2 ---------------------------------------------------------------------------------------------


async def test_a_route_answers_httpx2_of_either_kind(external_http: ExternalHttp) -> None:
    route = external_http.post(ORDERS, json={"id": 1}).respond(201, json=[1], headers={"x-page": "2"})

    async with httpx2.AsyncClient() as client:
        answer = await client.post(ORDERS, json={"id": 1})
    sync_answer = await asyncio.to_thread(httpx2.post, ORDERS, json={"id": 1})

    assert [(a.status_code, a.json(), a.headers["x-page"]) for a in (answer, sync_answer)] == [
        (201, [1], "2"),
        (201, [1], "2"),
    ]
    assert route.call_count == 2


async def test_a_request_of_httpx2_without_a_route_fails_the_test_even_if_the_app_swallows_it(
    external_http: ExternalHttp, request: pytest.FixtureRequest
) -> None:
    async with httpx2.AsyncClient() as client:
        with pytest.raises(UnroutedRequestError) as caught:
            await client.delete(ORDERS)

    assert str(caught.value) == str(
        TierError.unrouted_request(request.node.nodeid, "DELETE", ORDERS, has_fixture=True)
    )
    assert external_http.finish() == [caught.value]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (httpx.ReadTimeout, httpx2.ReadTimeout),
        (httpx.ConnectError("no route"), httpx2.ConnectError),
        (httpx2.ConnectTimeout("too late"), httpx2.ConnectTimeout),
    ],
)
async def test_what_a_route_raises_reaches_httpx2_as_its_own(
    external_http: ExternalHttp, raised: type[Exception] | Exception, seen: type[Exception]
) -> None:
    external_http.get(ORDERS).mock(side_effect=raised)

    async with httpx2.AsyncClient() as client:
        with pytest.raises(seen):
            await client.get(ORDERS)


async def test_httpx2_reaches_a_server_of_the_test_on_loopback(external_http: ExternalHttp) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, httpx2.AsyncClient() as client:
        port = server.sockets[0].getsockname()[1]
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 204

    assert external_http.finish() == []
